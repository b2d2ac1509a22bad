// SPDX-License-Identifier: Apache-2.0
import type { ByteCursor } from "../byte-cursor.ts";

/** https://clickhouse.com/docs/native-protocol: what clients send. */
export const CLIENT_HELLO = 0;
export const QUERY = 1;
export const CLIENT_DATA = 2;
export const CANCEL = 3;
export const PING = 4;
export const TABLES_STATUS = 5;

/** What servers send. */
export const SERVER_HELLO = 0;
export const DATA = 1;
export const EXCEPTION = 2;
export const PROGRESS = 3;
export const PONG = 4;
export const END_OF_STREAM = 5;
export const PROFILE_INFO = 6;
export const TOTALS = 7;
export const EXTREMES = 8;
export const TABLES_STATUS_RESPONSE = 9;
export const LOG = 10;
export const TABLE_COLUMNS = 11;
export const PROFILE_EVENTS = 14;
export const TIMEZONE_UPDATE = 17;

/** Revisions of the protocol from which on packets have more fields. */
export const WITH_TOTAL_ROWS = 51554;
export const WITH_TIMEZONE = 54058;
export const WITH_QUOTA_KEY = 54060;
export const WITH_DISPLAY_NAME = 54372;
export const WITH_PATCH = 54401;
export const WITH_WRITE_INFO = 54420;
export const WITH_STRING_SETTINGS = 54429;
export const WITH_SECRET = 54441;
export const WITH_TRACE = 54442;
export const WITH_DEPTH = 54448;
export const WITH_START_TIME = 54449;
export const WITH_REPLICAS = 54453;
export const WITH_SERIALIZATION = 54454;
export const WITH_ADDENDUM = 54458;
export const WITH_PARAMETERS = 54459;
export const WITH_ELAPSED = 54460;
const WITH_PASSWORD_RULES = 54461;
const WITH_NONCE = 54462;
export const WITH_TOTAL_BYTES = 54463;
export const WITH_AGGREGATION_ROWS = 54469;
export const WITH_CHUNKS = 54470;
export const WITH_PARALLEL_REPLICAS = 54471;
export const WITH_SCRIPT_LINES = 54475;
/** Sanity bounds: the oldest of 2016, and some that do not exist yet. */
const REVISION_MIN = 50_264;
const REVISION_MAX = 60_000;

/** Names of programs, users and databases. */
export const NAME_BYTES_MAX = 256;

/** What a Hello says; undefined where the bytes are none, or not all there (`cursor.isCut`). */
export interface Hello {
  readonly revision: number;
  /** The client's database. */
  readonly namespace: string;
  /** A server of this kind may cut its stream into chunks. */
  readonly isLong: boolean;
}

/** The length of a string that follows, -1 for one that is too long to be a name. */
export function readName(cursor: ByteCursor): string | undefined {
  const length = cursor.varint();
  if (length > NAME_BYTES_MAX) return undefined;
  const at = cursor.take(length);
  if (at < 0) return "";
  return isPrintable(cursor.bytes, at, at + length) ? cursor.nameAt(at, length) : undefined;
}

export function isPrintable(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0;
    if (byte < 0x20 || byte === 0x7f) return false;
  }
  return true;
}

/** Passes a string of any length. */
export function skipString(cursor: ByteCursor): void {
  cursor.skip(cursor.varint());
}

/** After the packet's kind. */
export function readClientHello(cursor: ByteCursor): Hello | undefined {
  const name = readName(cursor);
  const major = cursor.varint();
  cursor.varint();
  const revision = cursor.varint();
  if (name === undefined || name === "" || major > 100 || !isRevision(revision)) return undefined;
  const namespace = readName(cursor);
  const user = readName(cursor);
  skipString(cursor);
  if (namespace === undefined || user === undefined) return undefined;
  return { revision, namespace, isLong: false };
}

/**
 * After the packet's kind. `clientRevision`: the older of the two decides what follows.
 * Behind what is read here, servers of 2025 on say more.
 */
export function readServerHello(cursor: ByteCursor, clientRevision: number): Hello | undefined {
  const name = readName(cursor);
  const major = cursor.varint();
  cursor.varint();
  const said = cursor.varint();
  if (name === undefined || name === "" || major > 100 || !isRevision(said)) return undefined;
  const revision = clientRevision === 0 ? said : Math.min(said, clientRevision);
  if (revision >= WITH_PARALLEL_REPLICAS) cursor.varint();
  if (revision >= WITH_TIMEZONE) skipString(cursor);
  if (revision >= WITH_DISPLAY_NAME) skipString(cursor);
  if (revision >= WITH_PATCH) cursor.varint();
  if (revision >= WITH_CHUNKS) {
    skipString(cursor);
    skipString(cursor);
  }
  if (revision >= WITH_PASSWORD_RULES) {
    for (let left = Math.min(64, cursor.varint()); left > 0 && !cursor.isCut; left--) {
      skipString(cursor);
      skipString(cursor);
    }
  }
  if (revision >= WITH_NONCE) cursor.skip(8);
  return { revision, namespace: "", isLong: revision > WITH_PARALLEL_REPLICAS };
}

function isRevision(value: number): boolean {
  return value >= REVISION_MIN && value <= REVISION_MAX;
}
