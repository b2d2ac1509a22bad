// SPDX-License-Identifier: Apache-2.0
import { ATTR_SERVER_ADDRESS, ATTR_SERVER_PORT } from "@opentelemetry/semantic-conventions";
import { attributeKey } from "../model/attribute.ts";
import type { SelectedProcess } from "../model/process.ts";
import type { Exchange, Role } from "../model/protocol.ts";
import {
  KEY_HEADER,
  KEY_PEER_OBSERVED,
  ROLE_CLIENT,
  ROLE_SERVER,
  STITCH_KEY,
  STITCH_KEY_BYTES,
  STITCH_KEY_VERSION,
} from "../model/stitch-key.ts";
import { SPAN_KIND_CLIENT, SPAN_KIND_SERVER } from "../pdata/span-writer.ts";
import type { EpochClock } from "./epoch-clock.ts";
import { type RequestName, writeSpanId, writeTraceId } from "./ids.ts";
import type { ResourceBatcher } from "./resource-batcher.ts";
import type { SpanConnection } from "./span-connection.ts";

/**
 * What the receiver found out about where a request came from, for `stitch.key`. The receiver keeps
 * one (in `Exchange.link`) for each open exchange; read during `encode` only.
 */
export interface StitchFacts {
  /** KEY_PEER_OBSERVED, KEY_SLEPT, KEY_AT_CONNECT, KEY_TRIGGER_OPEN, KEY_SAME_CONNECTION. */
  readonly flags: number;
  /** A TRIGGER_ value. */
  readonly triggerKind: number;
  /** The trigger's span id as two words, as `writeSpanId` gives them; zero for TRIGGER_NONE. */
  readonly triggerSpan: Uint32Array;
  /** Server requests open on the thread that wrote the request, when it did. */
  readonly openServerRequests: number;
}

export interface SpanEncoderOptions {
  readonly clock: EpochClock;
  readonly batcher: ResourceBatcher;
}

const KEYS = {
  stitch: attributeKey(STITCH_KEY),
  serverAddress: attributeKey(ATTR_SERVER_ADDRESS),
  serverPort: attributeKey(ATTR_SERVER_PORT),
} as const;

/** Offsets of the ids in the scratch: the stitch key first, then the trace id. */
const KEY_OWN = 8;
const KEY_PEER = 16;
const KEY_TRIGGER = 24;
const KEY_HEADER_TRACE = 40;
const KEY_HEADER_SPAN = 56;
const TRACE = STITCH_KEY_BYTES;

/** Writes exchanges as OTLP spans into a batcher. Not re-entrant; allocates nothing per span. */
export class SpanEncoder {
  readonly #clock: EpochClock;
  readonly #batcher: ResourceBatcher;
  readonly #words = new Uint32Array((STITCH_KEY_BYTES + 16) / 4);
  readonly #scratch = new Uint8Array(this.#words.buffer);
  readonly #stitchKey = this.#scratch.subarray(0, STITCH_KEY_BYTES);
  readonly #name: { -readonly [K in keyof RequestName]: RequestName[K] } = {
    clientStart: 0,
    serverStart: 0,
    position: 0,
  };

  constructor(options: SpanEncoderOptions) {
    this.#clock = options.clock;
    this.#batcher = options.batcher;
  }

  /**
   * The id that `encode` will give (role of the connection's facts) or the id of the span at the
   * other end, for a request at `requestPosition` as the parser reports it.
   */
  spanId(
    connection: SpanConnection,
    requestPosition: number,
    role: Role,
    out: Uint32Array,
    index: number,
  ): void {
    this.#setName(connection, requestPosition);
    writeSpanId(out, index, role, this.#name);
  }

  /** `stitch` undefined: nothing is known, the key still names the span and its peer. */
  encode(
    process: SelectedProcess,
    connection: SpanConnection,
    exchange: Exchange,
    stitch: StitchFacts | undefined,
  ): void {
    const span = this.#batcher.begin(process, KEYS.serverAddress);
    const server = exchange.role === "server";
    this.#fillKey(connection, exchange, stitch);
    span.ids(this.#scratch, TRACE, KEY_OWN);
    if (server && stitch !== undefined && (stitch.flags & KEY_PEER_OBSERVED) !== 0) {
      span.parent(this.#scratch, KEY_PEER);
    } else if (exchange.traceContext !== undefined) {
      span.parent(this.#scratch, KEY_HEADER_SPAN);
    }
    span.opaque(KEYS.stitch, this.#stitchKey);
    span.kind(server ? SPAN_KIND_SERVER : SPAN_KIND_CLIENT);
    this.#clock.convert(exchange.startNs);
    span.startTime(this.#clock.low, this.#clock.high);
    this.#clock.convert(Math.max(exchange.endNs, exchange.startNs));
    span.endTime(this.#clock.low, this.#clock.high);
    exchange.describe(span);
    if (!span.watchedSeen) {
      span.string(KEYS.serverAddress, connection.serverAddress);
      span.int(KEYS.serverPort, connection.serverPort);
    }
    span.encoded(connection.attributes);
    span.end();
    this.#batcher.end();
  }

  #fillKey(connection: SpanConnection, exchange: Exchange, stitch: StitchFacts | undefined): void {
    const words = this.#words;
    const server = exchange.role === "server";
    const header = exchange.traceContext;
    const flags = (stitch?.flags ?? 0) | (header === undefined ? 0 : KEY_HEADER);
    words[0] =
      STITCH_KEY_VERSION |
      ((server ? ROLE_SERVER : ROLE_CLIENT) << 8) |
      (flags << 16) |
      ((stitch?.triggerKind ?? 0) << 24);
    words[1] = stitch?.openServerRequests ?? 0;
    this.#setName(connection, exchange.requestPosition);
    writeSpanId(words, KEY_OWN / 4, exchange.role, this.#name);
    writeSpanId(words, KEY_PEER / 4, server ? "client" : "server", this.#name);
    words[KEY_TRIGGER / 4] = stitch?.triggerSpan[0] ?? 0;
    words[KEY_TRIGGER / 4 + 1] = stitch?.triggerSpan[1] ?? 0;
    words[8] = exchange.pid;
    words[9] = exchange.requestTid;
    if (header === undefined) {
      words.fill(0, KEY_HEADER_TRACE / 4, STITCH_KEY_BYTES / 4);
      writeTraceId(words, TRACE / 4, this.#name);
      return;
    }
    this.#scratch.set(header.traceId, KEY_HEADER_TRACE);
    this.#scratch.set(header.spanId, KEY_HEADER_SPAN);
    this.#scratch.set(header.traceId, TRACE);
  }

  #setName(connection: SpanConnection, requestPosition: number): void {
    const facts = connection.facts;
    this.#name.clientStart = facts.clientStart;
    this.#name.serverStart = facts.serverStart;
    this.#name.position = requestPosition - facts.positionExcess;
  }
}
