// SPDX-License-Identifier: Apache-2.0
import type { Detection, Direction } from "../../model/protocol.ts";
import {
  type CorrelatedDialect,
  type FrameOutcome,
  MALFORMED,
  OVER,
  TAKEN,
  UNASKED,
} from "../correlated-connection.ts";
import { type Exchanges, opposite } from "../exchange-table.ts";
import { type Frame, NEED_MORE, NOT_A_FRAME } from "../frame-reader.ts";
import {
  afterBytesMap,
  afterStringList,
  type Body,
  errorName,
  readId,
  readRowCount,
  readString,
} from "./body.ts";
import {
  AUTHENTICATE,
  BATCH,
  COMPRESSED,
  CUSTOM_PAYLOAD,
  detect,
  ERROR,
  EVENT,
  EXECUTE,
  envelopeLength,
  HEADER_BYTES,
  isResponse,
  isSelfContained,
  PREPARE,
  QUERY,
  READY,
  RESULT,
  readInt16,
  readInt32,
  SEGMENT_HEADER_BYTES,
  SEGMENT_TRAILER_BYTES,
  STARTUP,
  segmentPayload,
  TRACING,
  WARNING,
} from "./envelope.ts";
import type { CassandraDetails, CassandraExchange, CassandraShared } from "./shared.ts";

const TRACE_ID_BYTES = 16;
const ROWS = 2;
const SET_KEYSPACE = 3;
const PREPARED = 4;
/** In segments. */
const SEGMENTED_VERSION = 5;
const OPERATIONS: ReadonlySet<number> = new Set([QUERY, EXECUTE, BATCH]);

type CassandraFrame = Frame<CassandraDetails>;

/** An envelope in a segment, told as if it were a frame. */
class InnerFrame implements CassandraFrame {
  readonly direction: Direction;
  readonly position: number;
  readonly length: number;
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  readonly startNs: number;
  readonly endNs: number;
  readonly pid: number;
  readonly tid: number;
  exchange: CassandraExchange | undefined = undefined;

  constructor(segment: CassandraFrame, start: number, length: number) {
    this.direction = segment.direction;
    this.position = segment.position + start - segment.start;
    this.length = length;
    this.bytes = segment.bytes;
    this.start = start;
    this.end = Math.min(start + length, segment.end);
    this.startNs = segment.startNs;
    this.endNs = segment.endNs;
    this.pid = segment.pid;
    this.tid = segment.tid;
  }
}

/** An envelope that is longer than its segment. */
interface Part {
  readonly exchange: CassandraExchange;
  /** The exchange's stream: exchanges are used again. */
  readonly stream: number;
  left: number;
}

/** Requests and responses of one connection. */
export class CassandraDialect implements CorrelatedDialect<CassandraDetails> {
  readonly headerBytes: number = HEADER_BYTES;
  readonly reusesIds = true;
  readonly #exchanges: Exchanges<CassandraDetails>;
  readonly #shared: CassandraShared;
  /** Directions that speak in segments, a bit each. */
  #segmented = 0;
  #keyspace = "";
  /** Of each direction, by its number. */
  readonly #parts: [Part | undefined, Part | undefined] = [undefined, undefined];

  constructor(exchanges: Exchanges<CassandraDetails>, shared: CassandraShared) {
    this.#exchanges = exchanges;
    this.#shared = shared;
  }

  frameLength(bytes: Uint8Array, start: number, end: number, direction: Direction): number {
    if (this.#isSegmented(direction)) {
      if (end - start < SEGMENT_HEADER_BYTES) return NEED_MORE;
      const payload = segmentPayload(bytes, start);
      return payload < 0 ? NOT_A_FRAME : SEGMENT_HEADER_BYTES + payload + SEGMENT_TRAILER_BYTES;
    }
    if (end - start < HEADER_BYTES) return NEED_MORE;
    const length = envelopeLength(bytes, start);
    if (length >= 0) return length;
    // In mid-stream, a connection of version 5.
    if (segmentPayload(bytes, start) < 0) return NOT_A_FRAME;
    this.#segmented = 3;
    return this.frameLength(bytes, start, end, direction);
  }

  #isSegmented(direction: Direction): boolean {
    return (this.#segmented & (1 << direction)) !== 0;
  }

  plausible(bytes: Uint8Array, start: number, end: number, _direction: Direction): Detection {
    return detect(bytes, start, end);
  }

  started(frame: CassandraFrame): void {
    if (!this.#isSegmented(frame.direction)) this.#envelopeStarted(frame);
  }

  ended(frame: CassandraFrame): FrameOutcome {
    if (this.#isSegmented(frame.direction)) return this.#segment(frame);
    return this.#envelope(frame, frame.exchange);
  }

  lost(direction: Direction): void {
    const part = this.#parts[direction];
    this.#parts[direction] = undefined;
    if (part === undefined || !this.#isOpen(part)) return;
    if (direction === part.exchange.asker) this.#exchanges.abandon(part.exchange, "gap");
  }

  #segment(frame: CassandraFrame): FrameOutcome {
    const { bytes, start, direction } = frame;
    let at = start + SEGMENT_HEADER_BYTES;
    const end = start + frame.length - SEGMENT_TRAILER_BYTES;
    const part = this.#parts[direction];
    if (part !== undefined) return this.#goOn(part, frame, end - at);
    let outcome: FrameOutcome = TAKEN;
    for (let count = 0; at + HEADER_BYTES <= Math.min(end, frame.end); count++) {
      const length = envelopeLength(bytes, at);
      if (length < 0) return MALFORMED;
      const inner = new InnerFrame(frame, at, length);
      this.#envelopeStarted(inner);
      if (!isSelfContained(bytes, start)) return this.#begin(inner, length - (end - at));
      outcome = this.#envelope(inner, inner.exchange);
      if (inner.exchange !== undefined) inner.exchange.frame = undefined;
      if (outcome === OVER || outcome === MALFORMED) return outcome;
      // A segment that comes again must not be half taken already.
      if (outcome === UNASKED && (count > 0 || at + length < end)) outcome = TAKEN;
      at += length;
    }
    return outcome;
  }

  /** The first segment of a long envelope says all that is read of it. */
  #begin(inner: InnerFrame, left: number): FrameOutcome {
    const { direction, exchange } = inner;
    const key = readInt16(inner.bytes, inner.start + 2);
    const isAnswer = isResponse(inner.bytes, inner.start);
    const asked = isAnswer ? this.#exchanges.find(opposite(direction), key) : exchange;
    if (asked === undefined) return TAKEN;
    asked.frame = undefined;
    if (isAnswer) {
      this.#exchanges.answer(asked, inner);
      this.#readResponse(inner, asked);
    } else this.#readRequest(inner, asked);
    this.#parts[direction] = { exchange: asked, stream: key, left };
    return TAKEN;
  }

  #goOn(part: Part, frame: CassandraFrame, length: number): FrameOutcome {
    const { exchange } = part;
    part.left -= length;
    if (part.left > 0) return TAKEN;
    this.#parts[frame.direction] = undefined;
    // It may have been given up in between.
    if (!this.#isOpen(part)) return TAKEN;
    if (frame.direction === exchange.asker) exchange.requestEndNs = frame.endNs;
    else this.#finish(exchange, frame.endNs);
    return TAKEN;
  }

  #isOpen({ exchange, stream }: Part): boolean {
    return this.#exchanges.find(exchange.asker, stream) === exchange;
  }

  #envelopeStarted(frame: CassandraFrame): void {
    const { bytes, start } = frame;
    if (isResponse(bytes, start) || frame.exchange !== undefined) return;
    const exchange = this.#exchanges.begin(frame, readInt16(bytes, start + 2));
    exchange.details.state.opcode = bytes[start + 4] ?? 0;
    exchange.details.namespace = this.#keyspace;
  }

  #envelope(frame: CassandraFrame, exchange: CassandraExchange | undefined): FrameOutcome {
    const { bytes, start, direction } = frame;
    if (!isResponse(bytes, start)) {
      if (exchange === undefined) return TAKEN;
      exchange.requestEndNs = frame.endNs;
      return this.#readRequest(frame, exchange);
    }
    const opcode = bytes[start + 4] ?? 0;
    if (opcode === EVENT) return TAKEN;
    const asked = this.#exchanges.find(opposite(direction), readInt16(bytes, start + 2));
    if (asked === undefined) return UNASKED;
    this.#exchanges.answer(asked, frame);
    this.#readResponse(frame, asked);
    const isStarted = asked.details.state.opcode === STARTUP;
    const version = (bytes[start] ?? 0) & 0x7f;
    this.#finish(asked, frame.endNs);
    if (isStarted && (opcode === READY || opcode === AUTHENTICATE)) {
      if (version === SEGMENTED_VERSION) this.#segmented = 3;
    }
    return TAKEN;
  }

  #finish(exchange: CassandraExchange, endNs: number): void {
    const { state, status } = exchange.details;
    const isOperation = OPERATIONS.has(state.opcode) || (state.opcode === PREPARE && status !== "");
    if (isOperation) this.#exchanges.end(exchange, endNs);
    else this.#exchanges.abandon(exchange, "no_operation");
  }

  #readRequest(frame: CassandraFrame, exchange: CassandraExchange): FrameOutcome {
    const body = bodyOf(frame);
    const { details } = exchange;
    const { opcode } = details.state;
    if (opcode === STARTUP && (frame.bytes[frame.start] ?? 0) === SEGMENTED_VERSION) {
      // Segments are compressed then, which is not undone.
      const text = String.fromCharCode(...frame.bytes.subarray(frame.start, frame.end));
      if (text.includes("COMPRESSION")) return OVER;
    }
    if (body === undefined) return TAKEN;
    if (opcode === QUERY || opcode === PREPARE) details.statement = this.#shared.statement(body);
    else if (opcode === EXECUTE) {
      details.statement = this.#shared.prepared.find(readId(body)) ?? details.statement;
    } else if (opcode === BATCH) this.#shared.batch(details, body);
    return TAKEN;
  }

  #readResponse(frame: CassandraFrame, exchange: CassandraExchange): void {
    const { details } = exchange;
    const opcode = frame.bytes[frame.start + 4] ?? 0;
    const body = bodyOf(frame);
    if (opcode === ERROR) {
      const code = body === undefined ? -1 : readInt32(body.bytes, body.start);
      details.status = code < 0 ? "_OTHER" : String(code);
      details.detail = errorName(code);
    }
    if (opcode !== RESULT || body === undefined || body.start + 4 > body.end) return;
    const kind = readInt32(body.bytes, body.start);
    const rest = { ...body, start: body.start + 4 };
    if (kind === ROWS) details.rows = readRowCount(rest);
    else if (kind === SET_KEYSPACE) this.#keyspace = readString(rest);
    else if (kind === PREPARED) {
      const id = readId(rest);
      if (id !== "") this.#shared.prepared.set(id, details.statement);
    }
  }
}

/** The body after what flags put before it; undefined when it is compressed. */
function bodyOf(frame: CassandraFrame): Body | undefined {
  const { bytes, end } = frame;
  const flags = bytes[frame.start + 1] ?? 0;
  const isAnswer = isResponse(bytes, frame.start);
  if ((flags & COMPRESSED) !== 0) return undefined;
  let start = frame.start + HEADER_BYTES;
  if (isAnswer && (flags & TRACING) !== 0) start += TRACE_ID_BYTES;
  if (isAnswer && (flags & WARNING) !== 0) start = afterStringList({ bytes, start, end });
  if ((flags & CUSTOM_PAYLOAD) !== 0) start = afterBytesMap({ bytes, start, end });
  return { bytes, start: Math.min(start, end), end };
}
