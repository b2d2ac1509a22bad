// SPDX-License-Identifier: Apache-2.0
import {
  ByteFeed,
  type CaptureClock,
  CaptureFormatError,
  FIRST_PACKET_NS,
  PACKET_BYTES_MAX,
  Packet,
  type PacketListener,
  type PacketReader,
} from "./packet.ts";

/** Block types of draft-ietf-opsawg-pcapng. */
const SECTION_HEADER = 0x0a0d0d0a;
const INTERFACE = 1;
const OLD_PACKET = 2;
const SIMPLE_PACKET = 3;
const ENHANCED_PACKET = 6;

const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const SECTION_BYTES_MIN = 28;
const BLOCK_BYTES_MIN = 12;
/** Type and length. */
const BLOCK_HEAD_BYTES = 8;
/** Other blocks (names, secrets, statistics) may be larger and are passed over. */
const BLOCK_BYTES_MAX = PACKET_BYTES_MAX + 64 * 1024;
const INTERFACES_MAX = 65_536;

const OPTION_TSRESOL = 9;
const OPTION_TSOFFSET = 14;

const NS_PER_SECOND = 1e9;

interface Interface {
  readonly linkType: number;
  /** 0: no limit. */
  readonly snapLength: number;
  readonly ticksPerSecond: bigint;
  readonly offsetSeconds: number;
}

/** Splits a time of 64 bits into seconds and nanoseconds; exact. */
class TickSplitter {
  seconds = 0;
  nanoseconds = 0;

  split(high: number, low: number, ticksPerSecond: bigint): void {
    const perSecond = Number(ticksPerSecond);
    if (perSecond <= NS_PER_SECOND && NS_PER_SECOND % perSecond === 0) {
      this.#divide(high, low, perSecond);
      this.nanoseconds *= NS_PER_SECOND / perSecond;
      return;
    }
    const ticks = (BigInt(high) << 32n) | BigInt(low);
    this.seconds = Number(ticks / ticksPerSecond);
    this.nanoseconds = Number(((ticks % ticksPerSecond) * 1_000_000_000n) / ticksPerSecond);
  }

  /** Long division by digits of 16 bits: no intermediate result exceeds 2^53. */
  #divide(high: number, low: number, divisor: number): void {
    let rest = high >>> 16;
    let quotient = Math.floor(rest / divisor);
    rest -= quotient * divisor;
    for (const digit of [high & 0xffff, low >>> 16, low & 0xffff]) {
      const value = rest * 0x10000 + digit;
      const part = Math.floor(value / divisor);
      rest = value - part * divisor;
      quotient = quotient * 0x10000 + part;
    }
    this.seconds = quotient;
    this.nanoseconds = rest;
  }
}

/** pcapng with any number of sections and interfaces; options but those of time are not read. */
export class PcapngReader implements PacketReader {
  readonly #feed = new ByteFeed();
  readonly #packet = new Packet();
  readonly #clock: CaptureClock;
  readonly #listener: PacketListener;
  readonly #ticks = new TickSplitter();
  #littleEndian: boolean | undefined;
  #interfaces: Interface[] = [];
  /** Simple packets have no time: that of the packet before. */
  #lastNs = FIRST_PACKET_NS;

  constructor(clock: CaptureClock, listener: PacketListener) {
    this.#clock = clock;
    this.#listener = listener;
  }

  get pendingBytes(): number {
    return this.#feed.pendingBytes;
  }

  push(chunk: Uint8Array): void {
    this.#feed.push(chunk);
    while (this.#readBlock());
  }

  #readBlock(): boolean {
    const feed = this.#feed;
    if (feed.available < BLOCK_BYTES_MIN) return false;
    const { view, at } = feed;
    // The same in either byte order.
    const isSection = view.getUint32(at, true) === SECTION_HEADER;
    if (isSection) this.#startSection(view, at);
    const littleEndian = this.#littleEndian;
    if (littleEndian === undefined) throw new CaptureFormatError("not a pcapng file");
    const type = view.getUint32(at, littleEndian);
    const length = view.getUint32(at + 4, littleEndian);
    if (length < (isSection ? SECTION_BYTES_MIN : BLOCK_BYTES_MIN) || length % 4 !== 0) {
      throw new CaptureFormatError(`a block of ${length} bytes`);
    }
    if (type !== INTERFACE && !isPacket(type)) {
      feed.skip(length);
      return true;
    }
    if (length > BLOCK_BYTES_MAX) throw new CaptureFormatError(`a block of ${length} bytes`);
    if (feed.available < length) return false;
    const end = at + length - 4;
    feed.skip(length);
    if (type === INTERFACE) this.#readInterface(at + BLOCK_HEAD_BYTES, end, littleEndian);
    else this.#readPacket({ type, start: at + BLOCK_HEAD_BYTES, end, littleEndian });
    return true;
  }

  #startSection(view: DataView, at: number): void {
    if (view.getUint32(at + 8, true) === BYTE_ORDER_MAGIC) this.#littleEndian = true;
    else if (view.getUint32(at + 8, false) === BYTE_ORDER_MAGIC) this.#littleEndian = false;
    else throw new CaptureFormatError("a section without a byte order");
    this.#interfaces = [];
  }

  #readInterface(start: number, end: number, littleEndian: boolean): void {
    if (end - start < 8) throw new CaptureFormatError("an interface without a link type");
    if (this.#interfaces.length >= INTERFACES_MAX) {
      throw new CaptureFormatError("too many interfaces");
    }
    const { view } = this.#feed;
    let ticksPerSecond = 1_000_000n;
    let offsetSeconds = 0;
    let at = start + 8;
    while (at + 4 <= end) {
      const code = view.getUint16(at, littleEndian);
      const length = view.getUint16(at + 2, littleEndian);
      const value = at + 4;
      if (code === 0 || value + length > end) break;
      if (code === OPTION_TSRESOL && length === 1) {
        const resolution = view.getUint8(value);
        const exponent = BigInt(resolution & 0x7f);
        ticksPerSecond = resolution < 0x80 ? 10n ** exponent : 1n << exponent;
      } else if (code === OPTION_TSOFFSET && length === 8) {
        offsetSeconds = Number(view.getBigInt64(value, littleEndian));
      }
      at = value + length + ((4 - (length % 4)) % 4);
    }
    this.#interfaces.push({
      linkType: view.getUint16(start, littleEndian),
      snapLength: view.getUint32(start + 4, littleEndian),
      ticksPerSecond,
      offsetSeconds,
    });
  }

  #readPacket(block: {
    readonly type: number;
    readonly start: number;
    readonly end: number;
    readonly littleEndian: boolean;
  }): void {
    const { type, start, end, littleEndian } = block;
    const { view, bytes } = this.#feed;
    const packet = this.#packet;
    const isSimple = type === SIMPLE_PACKET;
    const headBytes = isSimple ? 4 : 20;
    if (end - start < headBytes) throw new CaptureFormatError("a packet block that is too short");
    const from = this.#interfaces[isSimple ? 0 : interfaceId(view, block)];
    if (from === undefined) throw new CaptureFormatError("a packet of an unknown interface");
    packet.bytes = bytes;
    packet.linkType = from.linkType;
    packet.start = start + headBytes;
    const room = end - packet.start;
    if (isSimple) {
      packet.wireLength = view.getUint32(start, littleEndian);
      const limit = from.snapLength === 0 ? room : Math.min(room, from.snapLength);
      packet.end = packet.start + Math.min(packet.wireLength, limit);
      packet.timeNs = this.#lastNs;
    } else {
      const captured = view.getUint32(start + 12, littleEndian);
      if (captured > room) throw new CaptureFormatError("a packet longer than its block");
      packet.end = packet.start + captured;
      packet.wireLength = Math.max(captured, view.getUint32(start + 16, littleEndian));
      const high = view.getUint32(start + 4, littleEndian);
      this.#ticks.split(high, view.getUint32(start + 8, littleEndian), from.ticksPerSecond);
      const seconds = this.#ticks.seconds + from.offsetSeconds;
      packet.timeNs = this.#clock.toNs(seconds, this.#ticks.nanoseconds);
      this.#lastNs = packet.timeNs;
    }
    this.#listener(packet);
  }
}

function isPacket(type: number): boolean {
  return type === ENHANCED_PACKET || type === SIMPLE_PACKET || type === OLD_PACKET;
}

function interfaceId(
  view: DataView,
  block: { readonly type: number; readonly start: number; readonly littleEndian: boolean },
): number {
  return block.type === ENHANCED_PACKET
    ? view.getUint32(block.start, block.littleEndian)
    : view.getUint16(block.start, block.littleEndian);
}

export function isPcapng(head: Uint8Array): boolean {
  return head[0] === 0x0a && head[1] === 0x0d && head[2] === 0x0d && head[3] === 0x0a;
}
