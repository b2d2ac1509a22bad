// SPDX-License-Identifier: Apache-2.0

/** One element of BER (X.690) with a definite length, as RFC 4511 section 5.1 requires. */
export class BerReader {
  #bytes: Uint8Array = new Uint8Array(0);
  #end = 0;
  /** Of the element that `next` has found; its content may go on past what is there. */
  tag = 0;
  start = 0;
  length = 0;
  #at = 0;

  over(bytes: Uint8Array, start: number, end: number): this {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    return this;
  }

  /** Passes to the next element. False at the end, or when its head is cut or none. */
  next(): boolean {
    const bytes = this.#bytes;
    let at = this.#at;
    if (this.#end - at < 2) return false;
    this.tag = bytes[at] ?? 0;
    const first = bytes[at + 1] ?? 0;
    at += 2;
    if (first < 0x80) this.length = first;
    else {
      const count = first & 0x7f;
      if (count === 0 || count > 4 || at + count > this.#end) return false;
      let length = 0;
      for (let left = count; left > 0; left--) length = length * 256 + (bytes[at++] ?? 0);
      this.length = length;
    }
    this.start = at;
    this.#at = at + this.length;
    return true;
  }

  /** Of the content, as far as it is there. */
  get end(): number {
    return Math.min(this.#end, this.start + this.length);
  }

  get isWhole(): boolean {
    return this.start + this.length <= this.#end;
  }

  /** The content as an integer of up to 4 bytes; -1 for another. */
  integer(): number {
    if (!this.isWhole || this.length < 1 || this.length > 4) return -1;
    let value = 0;
    for (let at = this.start; at < this.start + this.length; at++) {
      value = value * 256 + (this.#bytes[at] ?? 0);
    }
    return value;
  }
}
