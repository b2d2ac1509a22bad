// SPDX-License-Identifier: Apache-2.0
import type { ByteCursor } from "../byte-cursor.ts";
import {
  isPrintable,
  readName,
  skipString,
  WITH_DEPTH,
  WITH_PARAMETERS,
  WITH_PATCH,
  WITH_QUOTA_KEY,
  WITH_REPLICAS,
  WITH_SCRIPT_LINES,
  WITH_SECRET,
  WITH_START_TIME,
  WITH_STRING_SETTINGS,
  WITH_TRACE,
} from "./packets.ts";

const BY_TCP = 1;
const STAGE_MAX = 4;
const SETTINGS_MAX = 1000;

/** Where a Query's parts stand in the cursor's bytes. */
export interface Query {
  /** The revision, or the first one of this form. */
  form: number;
  /** The text of the statement; `textEnd` may be past the bytes that are there. */
  textStart: number;
  textEnd: number;
  /** Blocks are compressed. */
  isCompressed: boolean;
  /** 16 + 8 bytes in the order of ClickHouse, -1 without a trace. */
  traceAt: number;
  isSampled: boolean;
}

export function createQuery(): Query {
  return {
    form: 0,
    textStart: 0,
    textEnd: 0,
    isCompressed: false,
    traceAt: -1,
    isSampled: false,
  };
}

/** One revision of each form that a Query has, the latest first. */
const FORMS: readonly number[] = [
  WITH_SCRIPT_LINES,
  WITH_PARAMETERS,
  WITH_REPLICAS,
  WITH_START_TIME,
  WITH_DEPTH,
  WITH_TRACE,
  WITH_SECRET,
  WITH_STRING_SETTINGS,
  WITH_PATCH,
  WITH_QUOTA_KEY,
];

/** `"yes"`: up to the text, all of it or its beginning; `"more"`: cut before that. */
export type QueryRead = "yes" | "more" | "no";

/**
 * Reads a Query after its kind; in mid-stream, where `revision` is 0, in all forms there are: `form`
 * says in which then.
 */
export function readQuery(cursor: ByteCursor, revision: number, query: Query): QueryRead {
  if (revision !== 0) return readForm(cursor, revision, query);
  const { bytes, at, end } = cursor;
  let found: QueryRead = "no";
  for (const form of FORMS) {
    const read = readForm(cursor.over(bytes, at, end), form, query);
    if (read === "yes" && beginsStatement(bytes, query.textStart, Math.min(end, query.textEnd))) {
      return "yes";
    }
    if (read === "more") found = "more";
  }
  return found;
}

function readForm(cursor: ByteCursor, revision: number, query: Query): QueryRead {
  query.traceAt = -1;
  query.form = revision;
  if (readName(cursor) === undefined) return "no";
  if (!readClientInfo(cursor, revision, query)) return "no";
  if (revision < WITH_STRING_SETTINGS) {
    // Values of settings were written by their types then.
    if (cursor.varint() !== 0) return cursor.isCut ? "more" : "no";
  } else if (!skipSettings(cursor)) return "no";
  if (revision >= WITH_SECRET) skipString(cursor);
  const stage = cursor.varint();
  const compression = cursor.varint();
  const length = cursor.varint();
  if (cursor.isCut) return "more";
  if (stage > STAGE_MAX || compression > 1) return "no";
  query.isCompressed = compression === 1;
  query.textStart = cursor.at;
  query.textEnd = cursor.at + length;
  return "yes";
}

function skipSettings(cursor: ByteCursor): boolean {
  for (let count = 0; count < SETTINGS_MAX; count++) {
    const name = readName(cursor);
    if (name === undefined) return false;
    if (name === "" || cursor.isCut) return true;
    cursor.varint();
    skipString(cursor);
  }
  return false;
}

function readClientInfo(cursor: ByteCursor, revision: number, query: Query): boolean {
  const kind = cursor.uint8();
  if (kind === 0 || cursor.isCut) return true;
  if (kind > 2) return false;
  // The first user, its query's id and its address.
  for (let count = 0; count < 3; count++) if (readName(cursor) === undefined) return false;
  if (revision >= WITH_START_TIME) cursor.skip(8);
  if (cursor.uint8() === BY_TCP) {
    for (let count = 0; count < 3; count++) if (readName(cursor) === undefined) return false;
    for (let count = 0; count < 3; count++) cursor.varint();
  } else if (!cursor.isCut && !skipHttpInfo(cursor)) return false;
  if (revision >= WITH_QUOTA_KEY) skipString(cursor);
  if (revision >= WITH_DEPTH) cursor.varint();
  if (revision >= WITH_PATCH) cursor.varint();
  if (revision >= WITH_TRACE && !readTrace(cursor, query)) return false;
  if (revision >= WITH_REPLICAS) for (let count = 0; count < 3; count++) cursor.varint();
  if (revision >= WITH_SCRIPT_LINES) for (let count = 0; count < 2; count++) cursor.varint();
  return true;
}

/** A server that passes on what came by HTTP: the method and the user agent. */
function skipHttpInfo(cursor: ByteCursor): boolean {
  cursor.skip(1);
  return readName(cursor) !== undefined;
}

function readTrace(cursor: ByteCursor, query: Query): boolean {
  const has = cursor.uint8();
  if (has === 0 || cursor.isCut) return true;
  if (has !== 1) return false;
  const at = cursor.take(24);
  skipString(cursor);
  query.isSampled = (cursor.uint8() & 1) === 1;
  if (!cursor.isCut) query.traceAt = at;
  return true;
}

const LETTERS = /^[\s(]*(?:[A-Za-z]{2}|\/\*|--|#)/;
const HEAD_BYTES = 64;
const decoder = new TextDecoder("latin1");

/** In mid-stream: is this the text of a statement? */
function beginsStatement(bytes: Uint8Array, start: number, end: number): boolean {
  const head = bytes.subarray(start, Math.min(end, start + HEAD_BYTES));
  return LETTERS.test(decoder.decode(head));
}

/** The first bytes of a Query as nearly all clients send it: is it certainly one? */
export function looksLikeQuery(cursor: ByteCursor): QueryRead {
  if (readName(cursor) === undefined) return "no";
  const kind = cursor.uint8();
  if (cursor.isCut) return "more";
  if (kind < 1 || kind > 2) return "no";
  if (readName(cursor) === undefined || readName(cursor) === undefined) return "no";
  const length = cursor.varint();
  const at = cursor.take(length);
  if (cursor.isCut) return length > 64 ? "no" : "more";
  if (!isPrintable(cursor.bytes, at, at + length)) return "no";
  return /^\[?[0-9a-fA-F.:]+\]?:\d{1,5}$/.test(cursor.nameAt(at, length)) ? "yes" : "no";
}
