// SPDX-License-Identifier: Apache-2.0
import type { ByteCursor } from "../byte-cursor.ts";
import { skipColumn } from "./columns.ts";
import {
  DATA,
  END_OF_STREAM,
  EXCEPTION,
  EXTREMES,
  LOG,
  PONG,
  PROFILE_EVENTS,
  PROFILE_INFO,
  PROGRESS,
  readName,
  SERVER_HELLO,
  skipString,
  TABLE_COLUMNS,
  TABLES_STATUS_RESPONSE,
  TIMEZONE_UPDATE,
  TOTALS,
  WITH_AGGREGATION_ROWS,
  WITH_ELAPSED,
  WITH_SERIALIZATION,
  WITH_TOTAL_BYTES,
  WITH_TOTAL_ROWS,
  WITH_WRITE_INFO,
} from "./packets.ts";

/** What became of a packet of the server. */
export const PASSED = 0;
/** Not all of it is there. */
export const CUT = 1;
/** Where it ends cannot be told. */
export const UNREADABLE = 2;
/** Not of this protocol. */
export const WRONG = 3;
export type Reply = typeof PASSED | typeof CUT | typeof UNREADABLE | typeof WRONG;

const COLUMNS_MAX = 10_000;
const CODE_NAME = /\(([A-Z][A-Z0-9_]{2,60})\)/g;
const MESSAGE_BYTES_MAX = 2048;
const decoder = new TextDecoder();

/** What the response is read with, and what it said. */
export interface ReplyState {
  /** 0 when it is not known: nothing of variable form is read then. */
  revision: number;
  isCompressed: boolean;
  /** Rows of the result so far, -1 when they were not all seen. */
  rows: number;
  /** Of the exception: its number, and what it is called. */
  code: number;
  codeName: string;
}

/** Reads one packet of the server at the cursor; the kind is `cursor.uint8()`'s next. */
export function readReply(cursor: ByteCursor, state: ReplyState): Reply {
  const kind = cursor.uint8();
  if (cursor.isCut) return CUT;
  switch (kind) {
    case END_OF_STREAM:
    case PONG:
      return PASSED;
    case EXCEPTION:
      return readException(cursor, state);
    case DATA:
    case TOTALS:
    case EXTREMES:
      return readBlock(cursor, state, kind);
    case LOG:
    case PROFILE_EVENTS:
      return readBlock(cursor, state, kind);
    case PROGRESS:
      return skipNumbers(cursor, state, progressNumbers(state.revision));
    case PROFILE_INFO:
      return readProfile(cursor, state);
    case TABLE_COLUMNS:
      skipString(cursor);
      skipString(cursor);
      return passed(cursor);
    case TIMEZONE_UPDATE:
      skipString(cursor);
      return passed(cursor);
    case TABLES_STATUS_RESPONSE:
      return UNREADABLE;
    default:
      return kind > TIMEZONE_UPDATE + 3 || kind === SERVER_HELLO ? WRONG : UNREADABLE;
  }
}

function passed(cursor: ByteCursor): Reply {
  return cursor.isCut ? CUT : PASSED;
}

function progressNumbers(revision: number): number {
  let count = 2;
  if (revision >= WITH_TOTAL_ROWS) count++;
  if (revision >= WITH_TOTAL_BYTES) count++;
  if (revision >= WITH_WRITE_INFO) count += 2;
  return revision >= WITH_ELAPSED ? count + 1 : count;
}

function skipNumbers(cursor: ByteCursor, state: ReplyState, count: number): Reply {
  if (state.revision === 0) return UNREADABLE;
  for (let left = count; left > 0; left--) cursor.varint();
  return passed(cursor);
}

/** Rows, blocks, bytes; a limit, rows before it; whether these are meant. */
function readProfile(cursor: ByteCursor, { revision }: ReplyState): Reply {
  if (revision === 0) return UNREADABLE;
  for (let left = 3; left > 0; left--) cursor.varint();
  cursor.skip(1);
  cursor.varint();
  cursor.skip(1);
  if (revision >= WITH_AGGREGATION_ROWS) {
    cursor.skip(1);
    cursor.varint();
  }
  return passed(cursor);
}

/** A code, a class, a message, a stack, and whether another one is inside of it. */
function readException(cursor: ByteCursor, state: ReplyState): Reply {
  const at = cursor.take(4);
  const name = readName(cursor);
  if (name === undefined) return WRONG;
  if (cursor.isCut) return CUT;
  const { bytes } = cursor;
  const code = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16);
  state.code = code | ((bytes[at + 3] ?? 0) << 24);
  const length = cursor.varint();
  const message = cursor.take(length);
  if (message >= 0) state.codeName = nameOfCode(bytes, message, message + length);
  skipString(cursor);
  const isNested = cursor.uint8() === 1;
  if (cursor.isCut) return CUT;
  // The outer one says what happened.
  const { code: outer, codeName } = state;
  const rest = isNested ? readException(cursor, state) : PASSED;
  state.code = outer;
  state.codeName = codeName;
  return rest;
}

/** Since 2021 messages end with what their code is called, in parentheses. */
function nameOfCode(bytes: Uint8Array, start: number, end: number): string {
  const text = decoder.decode(bytes.subarray(Math.max(start, end - MESSAGE_BYTES_MAX), end));
  return [...text.matchAll(CODE_NAME)].at(-1)?.[1] ?? "";
}

/** A name, then the block: plainly, or in frames whose lengths are known. */
function readBlock(cursor: ByteCursor, state: ReplyState, kind: number): Reply {
  skipString(cursor);
  if (cursor.isCut) return CUT;
  if (state.isCompressed && kind !== LOG && kind !== PROFILE_EVENTS) {
    state.rows = -1;
    return skipFrames(cursor);
  }
  if (state.revision === 0) return UNREADABLE;
  if (!skipBlockInfo(cursor)) return WRONG;
  const columns = cursor.varint();
  const rows = cursor.varint();
  if (cursor.isCut) return CUT;
  if (columns > COLUMNS_MAX || rows > 2 ** 40) return WRONG;
  for (let left = columns; left > 0; left--) {
    if (readName(cursor) === undefined) return cursor.isCut ? CUT : UNREADABLE;
    const type = readName(cursor);
    if (type === undefined) return cursor.isCut ? CUT : UNREADABLE;
    const isCustom = state.revision >= WITH_SERIALIZATION && cursor.uint8() !== 0;
    if (cursor.isCut) return CUT;
    if (isCustom || (rows > 0 && !skipColumn(cursor, type, rows))) return UNREADABLE;
    if (cursor.isCut) return CUT;
  }
  if (kind === DATA && state.rows >= 0) state.rows += rows;
  return PASSED;
}

/** Fields by number: 1 overflows, 2 bucket, 0 the end. */
function skipBlockInfo(cursor: ByteCursor): boolean {
  for (let left = 4; left > 0; left--) {
    const field = cursor.varint();
    if (field === 0 || cursor.isCut) return true;
    if (field === 1) cursor.skip(1);
    else if (field === 2) cursor.skip(4);
    else return false;
  }
  return false;
}

const CHECKSUM_BYTES = 16;
const FRAME_HEAD_BYTES = 9;
/** Methods: none, LZ4, ZSTD, several. */
const METHODS: ReadonlySet<number> = new Set([0x02, 0x82, 0x90, 0x91]);
/** A block is cut into frames where a writer's buffer of this size is full. */
const FRAME_PLAIN_BYTES = 1024 * 1024;

function skipFrames(cursor: ByteCursor): Reply {
  for (;;) {
    cursor.skip(CHECKSUM_BYTES);
    const head = cursor.take(FRAME_HEAD_BYTES);
    if (head < 0) return CUT;
    const { bytes } = cursor;
    if (!METHODS.has(bytes[head] ?? 0)) return WRONG;
    const compressed = readInt32(bytes, head + 1);
    if (compressed < FRAME_HEAD_BYTES) return WRONG;
    cursor.skip(compressed - FRAME_HEAD_BYTES);
    if (cursor.isCut) return CUT;
    if (readInt32(bytes, head + 5) < FRAME_PLAIN_BYTES) return PASSED;
  }
}

function readInt32(bytes: Uint8Array, at: number): number {
  const low = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16);
  return low + (bytes[at + 3] ?? 0) * 0x1000000;
}

const NUMBERS_BYTES_MAX = 40;

/**
 * Of rows that go by unread: do these last bytes end the response? The end of the stream comes after
 * a Progress, whose numbers end with the byte before it.
 */
export function endsStream(bytes: Uint8Array, start: number, end: number): boolean {
  if (end === start || bytes[end - 1] !== END_OF_STREAM) return false;
  // Servers send it by itself, too.
  if (end - start === 1) return true;
  for (let at = end - 3; at >= Math.max(start, end - NUMBERS_BYTES_MAX); at--) {
    if (bytes[at] === PROGRESS && isNumbers(bytes, at + 1, end - 1)) return true;
  }
  return false;
}

/**
 * The same of the last eight bytes, where the Progress may begin before them: of what was written it
 * says zero twice, as no text and few numbers end.
 */
export function endsWithStream(last: Uint8Array): boolean {
  if (endsStream(last, 0, last.length)) return true;
  let zeros = 0;
  for (const byte of last) if (byte === 0) zeros++;
  return last[last.length - 1] === END_OF_STREAM && zeros >= 2 && zeros < last.length - 1;
}

/** Two to seven varints, whole. */
function isNumbers(bytes: Uint8Array, start: number, end: number): boolean {
  let count = 0;
  for (let at = start; at < end; at++) if ((bytes[at] ?? 0) < 0x80) count++;
  return count >= 2 && count <= 7 && (bytes[end - 1] ?? 0) < 0x80;
}
