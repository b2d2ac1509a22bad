// SPDX-License-Identifier: Apache-2.0

/** A compression flag and a length of four bytes before each message (gRPC over HTTP/2, Connect). */
const PREFIX_BYTES = 5;
/** gRPC-Web: the message is a block of trailers. */
const TRAILERS = 0x80;
const TRAILERS_BYTES_MAX = 512;

/** Counts length-prefixed messages in a body of which parts may not have been captured. */
export class MessageCounter {
  count = 0;
  /** Where one message ended was not seen: the count says nothing. */
  lost = false;
  /** gRPC-Web's trailers, as far as they were captured. */
  trailers: Uint8Array = NOTHING;
  #rest = 0;
  #prefixBytes = 0;
  #length = 0;
  #inTrailers = false;

  /** Every byte of the last message was accounted for. */
  get complete(): boolean {
    return !this.lost && this.#rest === 0 && this.#prefixBytes === 0;
  }

  reset(): void {
    this.count = 0;
    this.lost = false;
    this.trailers = NOTHING;
    this.#rest = 0;
    this.#prefixBytes = 0;
    this.#length = 0;
    this.#inTrailers = false;
  }

  bytes(bytes: Uint8Array, start: number, end: number): void {
    let at = start;
    while (at < end && !this.lost) {
      if (this.#rest > 0) {
        const take = Math.min(this.#rest, end - at);
        if (this.#inTrailers) this.#keepTrailers(bytes, at, at + take);
        this.#rest -= take;
        at += take;
        continue;
      }
      this.#prefix(bytes[at++] ?? 0);
    }
  }

  #prefix(byte: number): void {
    if (this.#prefixBytes === 0) {
      this.#inTrailers = byte === TRAILERS;
      this.#length = 0;
      // Bit 0: compressed; bit 1: the end of a Connect stream; bit 7: trailers.
      if ((byte & 0x7c) !== 0) this.lost = true;
    } else this.#length = this.#length * 256 + byte;
    this.#prefixBytes++;
    if (this.#prefixBytes < PREFIX_BYTES) return;
    this.#prefixBytes = 0;
    this.#rest = this.#length;
    if (!this.#inTrailers) this.count++;
  }

  #keepTrailers(bytes: Uint8Array, start: number, end: number): void {
    const kept = this.trailers;
    const length = Math.min(end - start, TRAILERS_BYTES_MAX - kept.length);
    if (length <= 0) return;
    const grown = new Uint8Array(kept.length + length);
    grown.set(kept);
    grown.set(bytes.subarray(start, start + length), kept.length);
    this.trailers = grown;
  }

  /** Bytes that moved and were not captured. */
  hole(count: number): void {
    if (count <= this.#rest) this.#rest -= count;
    else this.lost = true;
  }
}

const NOTHING = new Uint8Array(0);
