// SPDX-License-Identifier: Apache-2.0
import type { Detection, Direction } from "../../model/protocol.ts";
import {
  type CorrelatedDialect,
  type FrameOutcome,
  TAKEN,
  UNASKED,
} from "../correlated-connection.ts";
import { type Exchanges, opposite } from "../exchange-table.ts";
import { type Frame, NEED_MORE, NOT_A_FRAME } from "../frame-reader.ts";
import { readInt32, readText, readUint32, stringEnd } from "./bson.ts";
import {
  type MongodbDetails,
  type MongodbExchange,
  type MongodbStatements,
  readReply,
  readSections,
} from "./commands.ts";
import {
  CHECKSUM_PRESENT,
  detect,
  HEADER_BYTES,
  isOpcode,
  MESSAGE_BYTES_MAX,
  MORE_TO_COME,
  OP_COMPRESSED,
  OP_DELETE,
  OP_GET_MORE,
  OP_INSERT,
  OP_KILL_CURSORS,
  OP_MSG,
  OP_QUERY,
  OP_REPLY,
  OP_UPDATE,
} from "./message.ts";

/** OP_COMPRESSED: the original opcode and size, and how it is compressed. */
const COMPRESSED_BYTES = 9;
const NOT_COMPRESSED = 0;
const REPLY_BYTES = 20;
/** Of an OP_REPLY: its document says what went wrong. */
const QUERY_FAILURE = 2;
/** Requests without a response, with what `db.operation.name` says. */
const ONE_WAY: ReadonlyMap<number, string> = new Map([
  [OP_INSERT, "insert"],
  [OP_UPDATE, "update"],
  [OP_DELETE, "delete"],
  [OP_KILL_CURSORS, "killCursors"],
]);

/** What a message holds, out of its OP_COMPRESSED if that left it as it is. */
interface Body {
  /** Undefined when it is compressed. */
  readonly opcode: number | undefined;
  readonly start: number;
}

/** Requests and replies of one connection. */
export class MongodbDialect implements CorrelatedDialect<MongodbDetails> {
  /** The flags of an OP_MSG, too. */
  readonly headerBytes: number = HEADER_BYTES + 4;
  readonly reusesIds = false;
  readonly #exchanges: Exchanges<MongodbDetails>;
  readonly #statements: MongodbStatements;
  /** A reply that others follow without a request: those answer its id. */
  #exhaustId = -1;

  constructor(exchanges: Exchanges<MongodbDetails>, statements: MongodbStatements) {
    this.#exchanges = exchanges;
    this.#statements = statements;
  }

  frameLength(bytes: Uint8Array, start: number, end: number): number {
    if (end - start < HEADER_BYTES) return NEED_MORE;
    const length = readInt32(bytes, start);
    const isMessage = length >= HEADER_BYTES && length <= MESSAGE_BYTES_MAX;
    return isMessage && isOpcode(readInt32(bytes, start + 12)) ? length : NOT_A_FRAME;
  }

  plausible(bytes: Uint8Array, start: number, end: number, direction: Direction): Detection {
    const found = detect(bytes, start, end);
    const responseTo = end - start >= HEADER_BYTES ? readUint32(bytes, start + 8) : 0;
    if (found !== "yes" || responseTo === 0) return found;
    // A document may hold a message: an answer must be to what is open.
    return this.#exchanges.find(opposite(direction), responseTo) === undefined ? "weak" : "yes";
  }

  started(frame: Frame<MongodbDetails>): void {
    const { bytes, start } = frame;
    if (readUint32(bytes, start + 8) !== 0) return;
    const opcode = readInt32(bytes, start + 12);
    const isUnanswered =
      ONE_WAY.has(opcode) ||
      (opcode === OP_MSG && (readUint32(bytes, start + HEADER_BYTES) & MORE_TO_COME) !== 0);
    const key = isUnanswered ? undefined : readUint32(bytes, start + 4);
    this.#exchanges.begin(frame, key);
  }

  ended(frame: Frame<MongodbDetails>): FrameOutcome {
    const { bytes, start, exchange } = frame;
    if (readUint32(bytes, start + 8) !== 0) return this.#reply(frame);
    if (exchange === undefined) return TAKEN;
    exchange.requestEndNs = frame.endNs;
    this.#request(frame, exchange);
    if (exchange.key === undefined) this.#exchanges.end(exchange, frame.endNs);
    return TAKEN;
  }

  lost(_direction: Direction): void {
    this.#exhaustId = -1;
  }

  #request(frame: Frame<MongodbDetails>, exchange: MongodbExchange): void {
    const { bytes, end } = frame;
    const { opcode, start } = bodyOf(frame);
    const { details } = exchange;
    if (opcode === OP_MSG) {
      const hasChecksum = (readUint32(bytes, start) & CHECKSUM_PRESENT) !== 0;
      const isWhole = end - frame.start === frame.length;
      const stop = hasChecksum && isWhole ? end - 4 : end;
      readSections(details, this.#statements, { bytes, start: start + 4, end: stop });
      return;
    }
    if (opcode === undefined) return;
    // OP_KILL_CURSORS names no collection; the others have flags or a zero first.
    const nameEnd = stringEnd(bytes, start + 4, end);
    const name = opcode === OP_KILL_CURSORS ? "" : readText(bytes, start + 4, nameEnd);
    if (opcode === OP_QUERY && name.endsWith(".$cmd")) {
      this.#statements.command(details, bytes, nameEnd + 9, end);
      details.namespace = name.slice(0, -".$cmd".length);
      return;
    }
    const operation = ONE_WAY.get(opcode) ?? (opcode === OP_GET_MORE ? "getMore" : "find");
    this.#statements.legacy(details, operation, name);
  }

  #reply(frame: Frame<MongodbDetails>): FrameOutcome {
    const { bytes, start, direction } = frame;
    const responseTo = readUint32(bytes, start + 8);
    const isExhaust = responseTo === this.#exhaustId;
    const exchange = this.#exchanges.find(opposite(direction), responseTo);
    if (exchange === undefined && !isExhaust) return UNASKED;
    const opcode = readInt32(bytes, start + 12);
    const flags = opcode === OP_MSG ? readUint32(bytes, start + HEADER_BYTES) : 0;
    const hasMore = (flags & MORE_TO_COME) !== 0;
    if (hasMore) this.#exhaustId = readUint32(bytes, start + 4);
    else if (isExhaust) this.#exhaustId = -1;
    if (exchange === undefined) return TAKEN;
    this.#exchanges.answer(exchange, frame);
    readReplyBody(frame, exchange.details);
    const isQuiet = exchange.details.state.isHousekeeping && exchange.details.status === "";
    if (isQuiet) this.#exchanges.abandon(exchange, "no_operation");
    else this.#exchanges.end(exchange, frame.endNs);
    return TAKEN;
  }
}

function bodyOf(frame: Frame<MongodbDetails>): Body {
  const { bytes, start, end } = frame;
  const opcode = readInt32(bytes, start + 12);
  const body = start + HEADER_BYTES;
  if (opcode !== OP_COMPRESSED) return { opcode, start: body };
  const isPlain = end - body >= COMPRESSED_BYTES && bytes[body + 8] === NOT_COMPRESSED;
  return { opcode: isPlain ? readInt32(bytes, body) : undefined, start: body + COMPRESSED_BYTES };
}

function readReplyBody(frame: Frame<MongodbDetails>, details: MongodbDetails): void {
  const { bytes, end } = frame;
  const { opcode, start } = bodyOf(frame);
  // A reply has one section, the document.
  if (opcode === OP_MSG && bytes[start + 4] === 0) readReply(details, bytes, start + 5, end);
  if (opcode !== OP_REPLY || end - start < REPLY_BYTES) return;
  const isFailure = (readInt32(bytes, start) & QUERY_FAILURE) !== 0;
  readReply(details, bytes, start + REPLY_BYTES, end);
  if (isFailure && details.status === "") details.status = "_OTHER";
}
