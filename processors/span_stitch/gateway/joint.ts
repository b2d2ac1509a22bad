// SPDX-License-Identifier: Apache-2.0
import { STITCH_PEER } from "../../../src/model/stitch-key.ts";
import {
  FieldReader,
  readFixed32,
  WIRE_BYTES,
  WIRE_FIXED64,
  WIRE_VARINT,
} from "../../../src/pdata/wire.ts";

// Fields of Span (trace.proto).
export const TRACE_ID = 1;
export const SPAN_ID = 2;
const PARENT_SPAN_ID = 4;
const KIND = 6;
const START_TIME = 7;
const END_TIME = 8;
const ATTRIBUTES = 9;
const KIND_CLIENT = 3;
const KIND_PRODUCER = 4;
const TWO_32 = 2 ** 32;
const DIGITS = 16;

const NAME = new TextEncoder().encode(STITCH_PEER);
/** `attributes { key: "stitch.peer_span_id" value { string_value: <16 digits> } }` up to these. */
const PREFIX = Uint8Array.from([
  ...[0x4a, 2 + NAME.length + 4 + DIGITS, 0x0a, NAME.length],
  ...NAME,
  ...[0x12, 2 + DIGITS, 0x0a, DIGITS],
]);

/** What joining needs of one span, read in place; made once. */
export class JointView {
  readonly traceId: Int32Array = new Int32Array(4);
  readonly spanId: Int32Array = new Int32Array(2);
  /** The id of the client span that a root names. */
  readonly peerId: Int32Array = new Int32Array(2);
  isClient = false;
  /** A server span without a parent that names its client span. */
  isPieceRoot = false;
  startNs = 0;
  endNs = 0;
  /** The attribute that names it, tag included. */
  peerAt = 0;
  peerEnd = 0;
  isMalformed = false;
  readonly #reader = new FieldReader();

  read(bytes: Uint8Array, start: number, stop: number): void {
    const reader = this.#reader.reset(bytes, start, stop);
    let hasTrace = false;
    let hasSpan = false;
    let hasParent = false;
    let kind = 0;
    this.isPieceRoot = false;
    this.startNs = this.endNs = 0;
    while (reader.next()) {
      const { field, wireType } = reader;
      const length = reader.stop - reader.start;
      if (field === ATTRIBUTES) {
        if (!hasParent && wireType === WIRE_BYTES) this.#attribute(reader);
      } else if (field === TRACE_ID && length === 16) {
        for (let word = 0; word < 4; word++) {
          this.traceId[word] = readFixed32(bytes, reader.start + word * 4);
        }
        hasTrace = true;
      } else if (field === SPAN_ID && length === 8) {
        this.spanId[0] = readFixed32(bytes, reader.start);
        this.spanId[1] = readFixed32(bytes, reader.start + 4);
        hasSpan = true;
      } else if (field === PARENT_SPAN_ID && length > 0) hasParent = true;
      else if (field === KIND && wireType === WIRE_VARINT) kind = reader.low;
      else if (field === START_TIME && wireType === WIRE_FIXED64) this.startNs = nsAt(reader);
      else if (field === END_TIME && wireType === WIRE_FIXED64) this.endNs = nsAt(reader);
    }
    this.isMalformed = reader.errorAt >= 0 || !hasTrace || !hasSpan;
    this.isClient = !this.isMalformed && (kind === KIND_CLIENT || kind === KIND_PRODUCER);
    if (hasParent || this.isMalformed) this.isPieceRoot = false;
  }

  #attribute({ bytes, tagAt, stop }: FieldReader): void {
    if (stop - tagAt !== PREFIX.length + DIGITS) return;
    for (let at = PREFIX.length - 1; at >= 0; at--) if (bytes[tagAt + at] !== PREFIX[at]) return;
    const digits = tagAt + PREFIX.length;
    for (let word = 0; word < 2; word++) {
      let value = 0;
      for (let byte = 0; byte < 4; byte++) {
        const high = digitAt(bytes, digits + word * 8 + byte * 2);
        const low = digitAt(bytes, digits + word * 8 + byte * 2 + 1);
        if (high < 0 || low < 0) return;
        value |= (high * 16 + low) << (byte * 8);
      }
      this.peerId[word] = value;
    }
    this.isPieceRoot = true;
    this.peerAt = tagAt;
    this.peerEnd = stop;
  }
}

/** Unix nanoseconds as a double: exact to 256 ns in this century. */
function nsAt({ bytes, start }: FieldReader): number {
  return readFixed32(bytes, start + 4) * TWO_32 + readFixed32(bytes, start);
}

function digitAt(bytes: Uint8Array, at: number): number {
  const byte = bytes[at] ?? 0;
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  return byte >= 0x61 && byte <= 0x66 ? byte - 0x57 : -1;
}
