// SPDX-License-Identifier: Apache-2.0
import { POSTGRESQL_DIALECT } from "../../src/protocols/sql/dialects.ts";
import { maskSql } from "../../src/protocols/sql/mask.ts";
import type { Masker, Surroundings } from "./redaction.ts";

const X = 0x78;
const HEADER_BYTES = 5;
const SYNC = 0x53;
const DESCRIBE = 0x44;
const EXECUTE = 0x45;
const QUERY = 0x51;
const PARSE = 0x50;
const BIND = 0x42;
/** Answers without a user's data: ReadyForQuery, CommandComplete, RowDescription and the like; and Close. */
const KEPT: ReadonlySet<number> = new Set([..."ZCT123nsItcGHW"].map((type) => type.charCodeAt(0)));
/** SEVERITY, SEVERITY in English, SQLSTATE: of an error's fields these stay. */
const ERROR_FIELDS: ReadonlySet<number> = new Set([..."SVC"].map((type) => type.charCodeAt(0)));

/**
 * PostgreSQL: types and lengths of messages, statements without their literals, names of statements,
 * SQLSTATEs and columns' names stay. Both ends have messages of the same letter: their bodies tell.
 */
export class PostgresqlMasker implements Masker {
  /** Of the message under way. */
  #left = 0;
  #isLost = false;
  #isStart = true;

  mask(bytes: Uint8Array, { isGap, unseen }: Surroundings): void {
    // Where a message starts is not known any more: nothing is kept.
    if (isGap && this.#left === 0) this.#isLost = true;
    let at = Math.min(this.#left, bytes.length);
    bytes.fill(X, 0, at);
    this.#left -= at;
    if (this.#isStart && !this.#isLost) at = this.#startup(bytes);
    while (at < bytes.length && !this.#isLost) {
      if (bytes.length - at < HEADER_BYTES) {
        // A header that is cut: the rest of it would have to be kept.
        this.#isLost = true;
        break;
      }
      const length = readInt32(bytes, at + 1) - 4;
      if (length < 0 || length > 2 ** 30) this.#isLost = true;
      else at = this.#message(bytes, at, length);
    }
    if (this.#isLost) bytes.fill(X, at);
    if (unseen > this.#left) this.#isLost = true;
    this.#left = Math.max(0, this.#left - unseen);
  }

  /** ReadyForQuery, by which a response is known to be over. */
  tailKept(tail: Uint8Array): number {
    const isReady = tail[2] === 0x5a && readInt32(tail, 3) === 5;
    return isReady ? 6 : 0;
  }

  /** The client's first packets have no type; the server's answer to a request for TLS no length. */
  #startup(bytes: Uint8Array): number {
    if (bytes.length === 0) return 0;
    if (bytes.length === 1) return 1;
    const length = readInt32(bytes, 0);
    if (bytes[0] !== 0 || length < 8 || length > bytes.length) {
      this.#isStart = false;
      return 0;
    }
    const isStartup = bytes[5] === 3;
    if (isStartup) {
      this.#isStart = false;
      maskParameters(bytes.subarray(8, length));
    }
    return length;
  }

  #message(bytes: Uint8Array, at: number, length: number): number {
    const body = at + HEADER_BYTES;
    const end = body + length;
    const isWhole = end <= bytes.length;
    this.#left = isWhole ? 0 : end - bytes.length;
    this.#isStart = false;
    const part = bytes.subarray(body, Math.min(end, bytes.length));
    if (!isWhole && bytes[at] !== QUERY && bytes[at] !== PARSE) part.fill(X);
    else maskBody(bytes[at] ?? 0, part);
    return Math.min(end, bytes.length);
  }
}

function maskBody(type: number, body: Uint8Array): void {
  if (KEPT.has(type) || body.length === 0) return;
  const first = body[0] ?? 0;
  if (type === QUERY) maskText(body, 0);
  else if (type === PARSE) maskText(body, afterNul(body, 0));
  else if (type === BIND) body.fill(X, afterNul(body, afterNul(body, 0)));
  else if (type === DESCRIBE && (first === 0x53 || first === 0x50)) return;
  else if (type === EXECUTE && body.length === afterNul(body, 0) + 4) return;
  else if (type === EXECUTE) maskErrorFields(body);
  else if (type === SYNC) body.fill(X, afterNul(body, 0));
  else if (type === 0x52) body.fill(X, 4);
  else body.fill(X);
}

function maskText(body: Uint8Array, start: number): void {
  const nul = body.indexOf(0, start);
  maskSql(body.subarray(start, nul < 0 ? body.length : nul), POSTGRESQL_DIALECT);
}

function afterNul(body: Uint8Array, start: number): number {
  const nul = body.indexOf(0, start);
  return nul < 0 ? body.length : nul + 1;
}

function maskErrorFields(body: Uint8Array): void {
  for (let at = 0; at < body.length && body[at] !== 0; ) {
    const end = afterNul(body, at + 1);
    if (!ERROR_FIELDS.has(body[at] ?? 0)) body.fill(X, at + 1, end - 1);
    at = end;
  }
}

/** `name NUL value NUL` of the startup packet: the database's name is all that is needed. */
function maskParameters(body: Uint8Array): void {
  for (let at = 0; at < body.length && body[at] !== 0; ) {
    const name = new TextDecoder("latin1").decode(body.subarray(at, afterNul(body, at) - 1));
    const value = afterNul(body, at);
    const end = afterNul(body, value);
    if (name !== "database") body.fill(X, value, Math.max(value, end - 1));
    at = end;
  }
}

function readInt32(bytes: Uint8Array, at: number): number {
  const high = (bytes[at] ?? 0) * 0x1000000;
  return high + ((bytes[at + 1] ?? 0) << 16) + ((bytes[at + 2] ?? 0) << 8) + (bytes[at + 3] ?? 0);
}
