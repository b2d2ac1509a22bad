// SPDX-License-Identifier: Apache-2.0
import { ATTR_HOST_NAME } from "@opentelemetry/semantic-conventions/incubating";
import { Pruner } from "../attributes/pruner.ts";
import { Rewriter, type Visitor } from "../attributes/rewriter.ts";
import type { Batch } from "../model/batch.ts";
import { STITCH_PEER } from "../model/stitch-key.ts";
import { itemPath } from "../pdata/levels.ts";
import { ProtoWriter } from "../pdata/proto-writer.ts";
import { FieldReader, WIRE_BYTES, WIRE_VARINT } from "../pdata/wire.ts";

/**
 * Joints are what a gateway must know of spans that another gateway has: of each client span and of
 * each first span of a piece the ids, kind, times and the peer's id, as OTLP spans in a scope of
 * this name. Whoever splits traces among gateways sends them to all; gateways learn them and send
 * nothing on.
 */
const SCOPE_NAME = "stitch.joints";

const encoder = new TextEncoder();
const NAME = encoder.encode(SCOPE_NAME);
/** `scope { name: "stitch.joints" }`, the first field of ScopeSpans. */
const SCOPE = Uint8Array.from([0x0a, 2 + NAME.length, 0x0a, NAME.length, ...NAME]);
const HOST = encoder.encode(ATTR_HOST_NAME);
const PEER = encoder.encode(STITCH_PEER);

// Fields of Span (trace.proto).
const PARENT_SPAN_ID = 4;
const KIND = 6;
const ATTRIBUTES = 9;
/** trace_id, span_id, kind and both times. */
const COPIED = (1 << 1) | (1 << 2) | (1 << KIND) | (1 << 7) | (1 << 8);
const KIND_CLIENT = 3;
const KIND_PRODUCER = 4;
const RESOURCE_TAG = 0x0a;
const SCOPE_SPANS_TAG = 0x12;
const SPAN_TAG = 0x12;

/** Writes the joints of request bodies; made once. */
export class JointWriter {
  readonly #out = new ProtoWriter(16 * 1024);
  readonly #outer = new FieldReader();
  readonly #inner = new FieldReader();
  readonly #reader: Rewriter;
  #resource = -1;
  #scope = -1;
  #resourceBytes: Uint8Array = new Uint8Array(0);
  #resourceStart = 0;
  #resourceStop = 0;

  constructor() {
    const visitor: Visitor = {
      enter: (level, bytes, start, stop) => this.#enter(level, bytes, start, stop),
      visit: (bytes, start, stop) => {
        this.#span(bytes, start, stop);
        return false;
      },
      write: () => {},
    };
    this.#reader = new Rewriter({ path: itemPath("traces"), visitor });
  }

  /** A batch of the joints alone, undefined when there are none. Throws on malformed bytes. */
  jointsOf(batch: Batch): Batch | undefined {
    this.#out.reset();
    this.#items = 0;
    for (const chunk of batch.chunks) {
      this.#reader.rewrite(chunk);
      this.#close();
    }
    if (this.#items === 0) return undefined;
    const bytes = this.#out.take();
    return { signal: "traces", chunks: [bytes], items: this.#items, bytes: bytes.length };
  }

  #items = 0;

  #enter(level: number, bytes: Uint8Array, start: number, stop: number): boolean {
    if (level !== 0) return !isJointsScope(bytes, start, stop);
    this.#close();
    this.#resourceBytes = bytes;
    this.#resourceStart = start;
    this.#resourceStop = stop;
    return true;
  }

  #open(): void {
    if (this.#resource >= 0) return;
    const out = this.#out;
    this.#resource = out.beginMessage(RESOURCE_TAG);
    const reader = this.#outer.reset(this.#resourceBytes, this.#resourceStart, this.#resourceStop);
    while (reader.next()) {
      if (reader.field === 1 && reader.wireType === WIRE_BYTES) this.#host(reader);
    }
    this.#scope = out.beginMessage(SCOPE_SPANS_TAG);
    out.copyAll(SCOPE);
  }

  /** Of the resource only the host's name, by which clocks are told apart. */
  #host({ bytes, start, stop }: FieldReader): void {
    const out = this.#out;
    const reader = this.#inner.reset(bytes, start, stop);
    const resource = out.beginMessage(RESOURCE_TAG);
    while (reader.next()) {
      const isAttribute = reader.field === 1 && reader.wireType === WIRE_BYTES;
      if (!isAttribute || !hasKey(bytes, reader.start, HOST)) continue;
      out.reserve(reader.stop - reader.tagAt);
      out.copy(bytes, reader.tagAt, reader.stop);
    }
    out.endMessage(resource);
  }

  #span(bytes: Uint8Array, start: number, stop: number): void {
    const reader = this.#outer.reset(bytes, start, stop);
    let kind = 0;
    let isChild = false;
    let peerAt = 0;
    let peerStop = 0;
    while (reader.next()) {
      const { field, wireType } = reader;
      if (field === KIND && wireType === WIRE_VARINT) kind = reader.low;
      else if (field === PARENT_SPAN_ID) isChild ||= reader.stop > reader.start;
      else if (field === ATTRIBUTES && wireType === WIRE_BYTES) {
        if (!hasKey(bytes, reader.start, PEER)) continue;
        peerAt = reader.tagAt;
        peerStop = reader.stop;
      }
    }
    const isPiece = !isChild && peerStop > 0;
    if (reader.errorAt >= 0 || !(isPiece || kind === KIND_CLIENT || kind === KIND_PRODUCER)) return;
    this.#open();
    const out = this.#out;
    const span = out.beginMessage(SPAN_TAG);
    out.reserve(stop - start);
    reader.reset(bytes, start, stop);
    while (reader.next()) {
      if (reader.field < 31 && (COPIED & (1 << reader.field)) !== 0) {
        out.copy(bytes, reader.tagAt, reader.position);
      }
    }
    if (isPiece) out.copy(bytes, peerAt, peerStop);
    out.endMessage(span);
    this.#items++;
  }

  #close(): void {
    if (this.#resource < 0) return;
    this.#out.endMessage(this.#scope);
    this.#out.endMessage(this.#resource);
    this.#resource = -1;
  }
}

/** The KeyValue at `start` has this key (its first field). */
function hasKey(bytes: Uint8Array, start: number, key: Uint8Array): boolean {
  if (bytes[start] !== 0x0a || bytes[start + 1] !== key.length) return false;
  for (let at = key.length - 1; at >= 0; at--) {
    if (bytes[start + 2 + at] !== key[at]) return false;
  }
  return true;
}

/** A ScopeSpans message with nothing but joints in it. */
export function isJointsScope(bytes: Uint8Array, start: number, stop: number): boolean {
  if (stop - start < SCOPE.length) return false;
  for (let at = SCOPE.length - 1; at >= 0; at--) if (bytes[start + at] !== SCOPE[at]) return false;
  return true;
}

/** Takes joints out of request bodies: the chunk itself where there are none. */
export function createJointRemover(): Pruner {
  return new Pruner({
    path: itemPath("traces").slice(0, 2),
    emptyBelowLevel: 1,
    isRemoved: (level, bytes, start, stop) => level === 1 && isJointsScope(bytes, start, stop),
  });
}
