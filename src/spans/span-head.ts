// SPDX-License-Identifier: Apache-2.0
import type { Exchange } from "../model/protocol.ts";
import {
  KEY_HEADER,
  ROLE_CLIENT,
  ROLE_SERVER,
  STITCH_KEY,
  STITCH_KEY_BYTES,
  STITCH_KEY_VERSION,
  TRIGGER_NONE,
} from "../model/stitch-key.ts";
import type { NameHash } from "./ids.ts";
import type { StitchFacts } from "./span-encoder.ts";

/** Tags of Span in trace.proto. */
const TRACE_ID = 0x0a;
const SPAN_ID = 0x12;
const PARENT_SPAN_ID = 0x22;
const KIND = 0x30;
const START_TIME = 0x39;
const END_TIME = 0x41;
const ATTRIBUTES = 0x4a;

/** Span.SpanKind */
const SERVER = 2;
const CLIENT = 3;
const PRODUCER = 4;
const CONSUMER = 5;

/** Offsets in the stitch key; see src/model/stitch-key.ts. */
const OPEN_REQUESTS = 4;
const OPEN_IN_PROCESS = 6;
const U16_MAX = 0xffff;
const OWN = 8;
const PEER = 16;
const TRIGGER = 24;
const PID = 32;
const TID = 36;
const HEADER_TRACE = 40;
const HEADER_SPAN = 56;

/**
 * The fields that every span of ours starts with, at fixed places of one buffer: trace id, span id,
 * parent (or not), the stitch key as first attribute, kind and times. Filled in place and copied
 * once: five times faster than field by field.
 */
export class SpanHead {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  /** Where the values start in `bytes`. */
  readonly #spanId: number;
  readonly #parent: number;
  readonly #key: number;
  readonly #kind: number;
  readonly #startTime: number;
  readonly #endTime: number;
  /** The key of the last span holds a trace context. */
  #hasHeader = false;

  constructor(withParent: boolean) {
    const key = stitchKeyHeader();
    const fields: number[] = [TRACE_ID, 16, ...zeros(16), SPAN_ID, 8];
    this.#spanId = fields.length;
    fields.push(...zeros(8));
    if (withParent) fields.push(PARENT_SPAN_ID, 8);
    this.#parent = withParent ? fields.length : -1;
    if (withParent) fields.push(...zeros(8));
    fields.push(...key);
    this.#key = fields.length;
    fields.push(...zeros(STITCH_KEY_BYTES), KIND);
    this.#kind = fields.length;
    fields.push(0, START_TIME);
    this.#startTime = fields.length;
    fields.push(...zeros(8), END_TIME);
    this.#endTime = fields.length;
    fields.push(...zeros(8));
    this.bytes = Uint8Array.from(fields);
    this.#view = new DataView(this.bytes.buffer);
  }

  /** All but the times. `hash` is set to the request's name. */
  fill(
    exchange: Exchange,
    stitch: StitchFacts | undefined,
    hash: NameHash,
    parentIsPeer: boolean,
  ): void {
    const view = this.#view;
    const bytes = this.bytes;
    const key = this.#key;
    const server = exchange.role === "server";
    const header = exchange.traceContext;
    bytes[this.#kind] = kindOf(exchange);
    bytes[key] = STITCH_KEY_VERSION;
    bytes[key + 1] = server ? ROLE_SERVER : ROLE_CLIENT;
    bytes[key + 2] = (stitch?.flags ?? 0) | (header === undefined ? 0 : KEY_HEADER);
    bytes[key + 3] = stitch?.triggerKind ?? TRIGGER_NONE;
    const { openServerRequests = 0, openInProcess = 0 } = stitch ?? {};
    view.setUint16(key + OPEN_REQUESTS, Math.min(openServerRequests, U16_MAX), true);
    view.setUint16(key + OPEN_IN_PROCESS, Math.min(openInProcess, U16_MAX), true);
    hash.writeSpanId(view, key + OWN, exchange.role);
    hash.writeSpanId(view, key + PEER, server ? "client" : "server");
    view.setUint32(key + TRIGGER, stitch?.triggerSpan[0] ?? 0, true);
    view.setUint32(key + TRIGGER + 4, stitch?.triggerSpan[1] ?? 0, true);
    view.setUint32(key + PID, exchange.pid, true);
    view.setUint32(key + TID, exchange.requestTid, true);
    if (header === undefined) {
      if (this.#hasHeader) bytes.fill(0, key + HEADER_TRACE, key + STITCH_KEY_BYTES);
      hash.writeTraceId(view, 2);
    } else {
      bytes.set(header.traceId, key + HEADER_TRACE);
      bytes.set(header.spanId, key + HEADER_SPAN);
      bytes.set(header.traceId, 2);
    }
    this.#hasHeader = header !== undefined;
    this.#copyId(key + OWN, this.#spanId);
    if (this.#parent >= 0) this.#copyId(key + (parentIsPeer ? PEER : HEADER_SPAN), this.#parent);
  }

  /** As two words: a call of `copyWithin` takes ten times as long. */
  #copyId(from: number, to: number): void {
    const view = this.#view;
    view.setUint32(to, view.getUint32(from, true), true);
    view.setUint32(to + 4, view.getUint32(from + 4, true), true);
  }

  /** Nanoseconds of the epoch as two words. */
  startTime(low: number, high: number): void {
    this.#view.setUint32(this.#startTime, low, true);
    this.#view.setUint32(this.#startTime + 4, high, true);
  }

  endTime(low: number, high: number): void {
    this.#view.setUint32(this.#endTime, low, true);
    this.#view.setUint32(this.#endTime + 4, high, true);
  }
}

function kindOf(exchange: Exchange): number {
  if (exchange.messaging === undefined) return exchange.role === "server" ? SERVER : CLIENT;
  return exchange.messaging === "producer" ? PRODUCER : CONSUMER;
}

/** The KeyValue of the stitch key up to its bytes: every length is known and below 128. */
function stitchKeyHeader(): readonly number[] {
  const name = [...new TextEncoder().encode(STITCH_KEY)];
  const anyValue = [0x3a, STITCH_KEY_BYTES];
  const value = [0x12, anyValue.length + STITCH_KEY_BYTES, ...anyValue];
  const keyValue = [0x0a, name.length, ...name, ...value];
  return [ATTRIBUTES, keyValue.length + STITCH_KEY_BYTES, ...keyValue];
}

function zeros(count: number): readonly number[] {
  return new Array<number>(count).fill(0);
}
