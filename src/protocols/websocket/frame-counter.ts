// SPDX-License-Identifier: Apache-2.0

/** RFC 6455 section 5.2. */
const CONTINUATION = 0;
const CLOSE = 8;
const FINAL = 0x80;
const RESERVED = 0x70;
const MASKED = 0x80;
const HEADER_BYTES_MAX = 14;
const LENGTH_16 = 126;
const LENGTH_64 = 127;
const CONTROL_BYTES_MAX = 125;

/** Counts the frames of one direction; payload is skipped by its length. */
export class FrameCounter {
  /** Data messages that began, frames of any kind, control frames, payload of data frames. */
  messages = 0;
  frames = 0;
  controls = 0;
  bytes = 0;
  /** Of a Close frame: 1005 when it has no code (RFC 6455 section 7.1.5); 0 before one. */
  closeCode = 0;
  /** Frames were missed, or what came is none: counts say nothing. */
  lost = false;
  /** Stream position after the last record. */
  expected: number;
  readonly #header = new Uint8Array(HEADER_BYTES_MAX);
  #headerBytes = 0;
  #rest = 0;
  #opcode = 0;
  /** Payload bytes of a Close frame seen so far. */
  #closeBytes = 0;
  #fragmented = false;

  constructor(position: number) {
    this.expected = position;
  }

  feed(bytes: Uint8Array, start: number, end: number): void {
    let at = start;
    while (at < end && !this.lost) {
      if (this.#rest === 0) {
        this.#header[this.#headerBytes++] = bytes[at++] ?? 0;
        if (this.#headerBytes === headerLength(this.#header, this.#headerBytes)) this.#start();
        continue;
      }
      const take = Math.min(this.#rest, end - at);
      if (this.#opcode === CLOSE) this.#readClose(bytes, at, at + take);
      this.#rest -= take;
      at += take;
    }
  }

  /** `count` bytes that were not captured. */
  hole(count: number): void {
    if (count > this.#rest) this.lost = true;
    else this.#rest -= count;
  }

  #start(): void {
    const header = this.#header;
    const first = header[0] ?? 0;
    const length = payloadLength(header);
    this.#headerBytes = 0;
    this.#opcode = first & 15;
    const isControl = this.#opcode >= CLOSE;
    const isContinuation = this.#opcode === CONTINUATION;
    const known = this.#opcode <= 2 || (this.#opcode >= CLOSE && this.#opcode <= 10);
    const fits = isControl ? length <= CONTROL_BYTES_MAX && (first & FINAL) !== 0 : true;
    // Only an extension sets the other reserved bits; compression sets the first.
    const reserved = first & RESERVED & ~0x40;
    const follows = isControl || isContinuation === this.#fragmented;
    if (!known || !fits || !follows || reserved !== 0 || length > Number.MAX_SAFE_INTEGER) {
      this.lost = true;
      return;
    }
    this.frames++;
    this.#rest = length;
    if (isControl) {
      this.controls++;
      this.#closeBytes = 0;
      if (this.#opcode === CLOSE) this.closeCode = 1005;
      return;
    }
    if (!isContinuation) this.messages++;
    this.#fragmented = (first & FINAL) === 0;
    this.bytes += length;
  }

  #readClose(bytes: Uint8Array, start: number, end: number): void {
    const header = this.#header;
    const masked = ((header[1] ?? 0) & MASKED) !== 0;
    for (let at = start; at < end && this.#closeBytes < 2; at++) {
      const key = masked ? (header[2 + this.#closeBytes] ?? 0) : 0;
      const byte = (bytes[at] ?? 0) ^ key;
      this.closeCode = this.#closeBytes === 0 ? byte << 8 : this.closeCode | byte;
      this.#closeBytes++;
    }
  }
}

/** Bytes of the header as far as its first bytes tell; what is missing is not yet told. */
function headerLength(header: Uint8Array, bytes: number): number {
  if (bytes < 2) return 2;
  const second = header[1] ?? 0;
  const short = second & 0x7f;
  const extended = short === LENGTH_64 ? 8 : short === LENGTH_16 ? 2 : 0;
  return 2 + extended + ((second & MASKED) === 0 ? 0 : 4);
}

function payloadLength(header: Uint8Array): number {
  const short = (header[1] ?? 0) & 0x7f;
  const view = new DataView(header.buffer);
  if (short === LENGTH_16) return view.getUint16(2);
  return short === LENGTH_64 ? view.getUint32(2) * 2 ** 32 + view.getUint32(6) : short;
}
