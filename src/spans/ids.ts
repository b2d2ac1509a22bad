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

/** What is mixed into the name's hash, so that each id of one request is another number. */
const CLIENT_SPAN = 0x1f0a27d5;
const SERVER_SPAN = 0x6b3c91e9;
const TRACE_FIRST_HALF = 0x93d7054b;
const TRACE_SECOND_HALF = 0xd8526fb1;

const SEED_A = 0x2545f491;
const SEED_B = 0x5bd1e995;

const TWO_TO_32 = 0x100000000;

/** A name's hash before it becomes one of its ids; computed once where several are needed. */
export class NameHash {
  #a = 0;
  #b = 0;

  set(name: RequestName): void {
    const positionHigh = Math.floor(name.position / TWO_TO_32);
    this.#a = SEED_A ^ name.clientStart;
    this.#b = SEED_B;
    this.#round();
    this.#a ^= name.serverStart;
    this.#round();
    this.#a ^= name.position - positionHigh * TWO_TO_32;
    this.#round();
    this.#a ^= positionHigh;
    this.#round();
  }

  /** Writes the 8 bytes of a span id. */
  writeSpanId(out: DataView, offset: number, role: Role): void {
    this.#write(out, offset, role === "client" ? CLIENT_SPAN : SERVER_SPAN);
  }

  /** Writes the 16 bytes of the request's provisional trace id: the same at both ends. */
  writeTraceId(out: DataView, offset: number): void {
    this.#write(out, offset, TRACE_FIRST_HALF);
    this.#write(out, offset + 8, TRACE_SECOND_HALF);
  }

  #write(out: DataView, offset: number, domain: number): void {
    const a = this.#a;
    const b = this.#b;
    this.#a = a ^ domain;
    // Two rounds: each bit of the domain and of the last word reaches every bit.
    this.#round();
    this.#round();
    // All zero is not a valid id (W3C trace context, OTLP).
    if (this.#a === 0 && this.#b === 0) this.#a = 1;
    out.setInt32(offset, this.#a, true);
    out.setInt32(offset + 4, this.#b, true);
    this.#a = a;
    this.#b = b;
  }

  /** One bijective step of both lanes: multiply, fold, hand over. */
  #round(): void {
    let a = Math.imul(this.#a, 0x9e3779b1);
    a ^= a >>> 15;
    let b = Math.imul((this.#b + a) | 0, 0x85ebca77);
    b ^= b >>> 13;
    a = Math.imul(a ^ ((b << 11) | (b >>> 21)), 0xc2b2ae3d);
    a ^= a >>> 16;
    this.#a = a;
    this.#b = b ^ ((a << 7) | (a >>> 25));
  }
}
