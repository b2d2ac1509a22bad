// SPDX-License-Identifier: Apache-2.0

/** What a reader tells of one direction; `offset` is into the bytes that it was fed. */
export interface MessageHandler {
  /** A message begins. `type` 0: a startup packet. */
  started(type: number, offset: number): void;
  /** How many bytes of the body are of use; asked when the length is known. */
  wanted(type: number, length: number): number;
  /**
   * The message is whole. `bytes[start … end)` is its body, or as much of the beginning as was
   * wanted and seen; valid during the call only.
   */
  ended(type: number, bytes: Uint8Array, start: number, end: number): void;
}

const NOTHING = new Uint8Array(0);
/** Protocol: a message's length is an Int32 that counts itself. PostgreSQL allocates up to 1 GB. */
const LENGTH_MAX = 2 ** 30;
const STARTUP_LENGTH_MAX = 10_000;
const HEADER_BYTES = 5;

/**
 * Frames one direction: a type byte, a length, a body; the first packets of a client have no type.
 * https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
export class MessageReader {
  readonly #handler: MessageHandler;
  readonly #types: Uint8Array;
  /** The next message has no type. */
  startup = false;
  #type = -1;
  #headerBytes = 0;
  #length = 0;
  /** Of the body. */
  #left = 0;
  #inBody = false;
  #wanted = 0;
  #kept: Uint8Array = NOTHING;
  #keptLength = 0;

  /** `types`: 1 for each byte that may be a message's type in this direction. */
  constructor(handler: MessageHandler, types: Uint8Array) {
    this.#handler = handler;
    this.#types = types;
  }

  get atBoundary(): boolean {
    return this.#type < 0;
  }

  /** Type of the message that is being read, -1 between messages. */
  get type(): number {
    return this.#type;
  }

  reset(): void {
    this.startup = false;
    this.#type = -1;
    this.#inBody = false;
    this.#kept = NOTHING;
    this.#keptLength = 0;
  }

  /** Reads up to `end` or the end of a message: returns the offset after it, -1 if malformed. */
  read(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    if (this.#type < 0) {
      if (at >= end) return at;
      const type = this.startup ? 0 : (bytes[at] ?? 0);
      if (type !== 0 && this.#types[type] !== 1) return -1;
      if (type === 0 && !this.startup) return -1;
      this.#type = type;
      this.#headerBytes = type === 0 ? 1 : 0;
      this.#length = 0;
      this.#handler.started(type, at);
    }
    if (!this.#inBody) {
      while (this.#headerBytes < HEADER_BYTES && at < end) {
        if (this.#headerBytes > 0) this.#length = this.#length * 256 + (bytes[at] ?? 0);
        this.#headerBytes++;
        at++;
      }
      if (this.#headerBytes < HEADER_BYTES) return at;
      const max = this.#type === 0 ? STARTUP_LENGTH_MAX : LENGTH_MAX;
      if (this.#length < 4 || this.#length > max) return -1;
      this.#inBody = true;
      this.#left = this.#length - 4;
      this.#wanted = Math.min(this.#left, this.#handler.wanted(this.#type, this.#left));
    }
    return this.#body(bytes, at, end);
  }

  #body(bytes: Uint8Array, at: number, end: number): number {
    const taken = Math.min(this.#left, end - at);
    if (taken === this.#left && this.#keptLength === 0) {
      this.#end(bytes, at, at + Math.min(taken, this.#wanted || 0));
      return at + taken;
    }
    this.#keep(bytes, at, Math.min(taken, this.#wanted - this.#keptLength));
    this.#left -= taken;
    if (this.#left === 0) this.#end(this.#kept, 0, this.#keptLength);
    return at + taken;
  }

  #keep(bytes: Uint8Array, at: number, count: number): void {
    if (count <= 0) return;
    const length = this.#keptLength + count;
    if (this.#kept.length < length) {
      const grown = new Uint8Array(Math.min(this.#wanted, Math.max(length, 2 * this.#kept.length)));
      grown.set(this.#kept.subarray(0, this.#keptLength));
      this.#kept = grown;
    }
    this.#kept.set(bytes.subarray(at, at + count), this.#keptLength);
    this.#keptLength = length;
  }

  #end(bytes: Uint8Array, start: number, end: number): void {
    const type = this.#type;
    this.#type = -1;
    this.#inBody = false;
    this.#kept = NOTHING;
    this.#keptLength = 0;
    this.#handler.ended(type, bytes, start, end);
  }

  /** Bytes that nobody saw. False when they are not all in one body. */
  hole(count: number): boolean {
    if (!this.#inBody || count > this.#left) return false;
    // What comes after the hole does not belong to the beginning any more.
    this.#wanted = this.#keptLength;
    this.#left -= count;
    if (this.#left === 0) this.#end(this.#kept, 0, this.#keptLength);
    return true;
  }
}
