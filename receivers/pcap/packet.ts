// SPDX-License-Identifier: Apache-2.0

/** LINKTYPE_ values: https://www.tcpdump.org/linktypes.html */
export const LINK = {
  null: 0,
  ethernet: 1,
  ppp: 9,
  rawBsd: 12,
  rawOpenBsd: 14,
  pppHdlc: 50,
  raw: 101,
  ciscoHdlc: 104,
  loop: 108,
  linuxSll: 113,
  ipv4: 228,
  ipv6: 229,
  nflog: 239,
  linuxSll2: 276,
} as const;

/** One packet as a cursor: the reader moves it on, so nothing of it is valid after the call. */
export class Packet {
  bytes: Uint8Array = new Uint8Array(0);
  /** Captured bytes are `bytes[start … end)`. */
  start = 0;
  end = 0;
  /** Bytes on the wire, at least `end - start`. */
  wireLength = 0;
  /** One of `LINK`, or what nobody knows. */
  linkType = 0;
  /** Nanoseconds on the capture's clock (`CaptureClock`). */
  timeNs = 0;
}

const SECONDS_BEFORE = 86_400;
const NS_PER_SECOND = 1e9;
/** Where the first packet stands on the capture's clock, give or take a second. */
export const FIRST_PACKET_NS: number = SECONDS_BEFORE * NS_PER_SECOND;

/**
 * Times of all files of a receiver as exact doubles: nanoseconds since one day before the first
 * packet, so that packets out of order are positive too.
 */
export class CaptureClock {
  #baseSeconds: number | undefined;

  readonly #onSet: (offsetNs: bigint) => void;

  /** `onSet` is told the epoch nanoseconds of the clock's zero, before the first time is given. */
  constructor(onSet: (offsetNs: bigint) => void) {
    this.#onSet = onSet;
  }

  /** `seconds` since the epoch, `nanoseconds` below 10^9. 1 to 2^53. */
  toNs(seconds: number, nanoseconds: number): number {
    if (this.#baseSeconds === undefined) {
      this.#baseSeconds = Math.max(0, seconds - SECONDS_BEFORE);
      this.#onSet(BigInt(this.#baseSeconds) * 1_000_000_000n);
    }
    const ns = (seconds - this.#baseSeconds) * NS_PER_SECOND + nanoseconds;
    return Math.min(Math.max(1, ns), Number.MAX_SAFE_INTEGER);
  }
}

export type PacketListener = (packet: Packet) => void;

/** What a file's content breaks; reading it ends there. */
export class CaptureFormatError extends Error {
  override readonly name: string = "CaptureFormatError";
}

/** Takes a capture in pieces, in file order, and calls the listener for each packet. */
export interface PacketReader {
  /** @throws CaptureFormatError where the content is not what the format says. */
  push(chunk: Uint8Array): void;
  /** Bytes of a record that never came complete: the file is cut. */
  readonly pendingBytes: number;
}

/** Larger records are damage: the largest snap length of any program is 256 KiB. */
export const PACKET_BYTES_MAX: number = 1024 * 1024;

/** Joins what was left of the last chunk with the next; bounded by one record and one chunk. */
export class ByteFeed {
  bytes: Uint8Array = new Uint8Array(0);
  view: DataView = new DataView(this.bytes.buffer);
  at = 0;
  #skip = 0;

  get available(): number {
    return this.bytes.length - this.at;
  }

  /** Of a record that waits for its rest; bytes that are skipped count as one. */
  get pendingBytes(): number {
    return this.available + (this.#skip > 0 ? 1 : 0);
  }

  push(chunk: Uint8Array): void {
    const skipped = Math.min(this.#skip, chunk.length);
    this.#skip -= skipped;
    const rest = this.bytes.subarray(this.at);
    const fresh = skipped === 0 ? chunk : chunk.subarray(skipped);
    this.bytes = rest.length === 0 ? fresh : Buffer.concat([rest, fresh]);
    this.view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.length);
    this.at = 0;
  }

  /** Passes over `count` bytes, also those that have not come yet. */
  skip(count: number): void {
    const here = Math.min(count, this.available);
    this.at += here;
    this.#skip += count - here;
  }
}
