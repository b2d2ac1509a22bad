// SPDX-License-Identifier: Apache-2.0
import type { Role } from "../model/protocol.ts";

/**
 * Ids from the names of bytes: both ends of a connection compute the same ones without talking.
 * A request's name is its connection's name (where either stream starts, u32 sequence numbers)
 * and the offset of its first byte in the client's stream.
 *
 * The hash is two 32-bit lanes, each word mixed into one lane and spread over both by multiply and
 * rotate rounds that are bijective, so that names that differ in one word never collide.
 * It is public and unkeyed: ids name bytes, they guard nothing.
 */
export interface RequestName {
  /** Sequence number of the first byte of the client's and of the server's stream, u32. */
  readonly clientStart: number;
  readonly serverStart: number;
  /** Of the request's first byte in the client's stream, bytes, below 2^53. */
  readonly position: number;
}

/** What is hashed with the name, so that each id of one request is another number. */
const CLIENT_SPAN = 0x1f0a27d5;
const SERVER_SPAN = 0x6b3c91e9;
const TRACE_FIRST_HALF = 0x93d7054b;
const TRACE_SECOND_HALF = 0xd8526fb1;

const TWO_TO_32 = 0x100000000;

/** Writes a span id as two words at `words[index]`; in memory order its 8 bytes. Never all zero. */
export function writeSpanId(
  words: Uint32Array,
  index: number,
  role: Role,
  name: RequestName,
): void {
  hashName(words, index, role === "client" ? CLIENT_SPAN : SERVER_SPAN, name);
}

/** Writes the provisional trace id of a request as four words: the same at both ends. */
export function writeTraceId(words: Uint32Array, index: number, name: RequestName): void {
  hashName(words, index, TRACE_FIRST_HALF, name);
  hashName(words, index + 2, TRACE_SECOND_HALF, name);
}

function hashName(words: Uint32Array, index: number, domain: number, name: RequestName): void {
  const positionHigh = Math.floor(name.position / TWO_TO_32);
  let a = domain | 0;
  let b = 0x5bd1e995;
  for (let round = 0; round < 6; round++) {
    // Two extra rounds after the four words let the last word reach every bit.
    if (round === 0) a ^= name.clientStart;
    else if (round === 1) a ^= name.serverStart;
    else if (round === 2) a ^= name.position - positionHigh * TWO_TO_32;
    else if (round === 3) a ^= positionHigh;
    a = Math.imul(a, 0x9e3779b1);
    a ^= a >>> 15;
    b = (b + a) | 0;
    b = Math.imul(b, 0x85ebca77);
    b ^= b >>> 13;
    a ^= (b << 11) | (b >>> 21);
    a = Math.imul(a, 0xc2b2ae3d);
    a ^= a >>> 16;
    b = (b ^ ((a << 7) | (a >>> 25))) | 0;
  }
  // All zero is not a valid id (W3C trace context, OTLP).
  if ((a | b) === 0) b = 1;
  words[index] = a;
  words[index + 1] = b;
}
