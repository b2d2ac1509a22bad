// SPDX-License-Identifier: Apache-2.0
import {
  ByteFeed,
  type CaptureClock,
  CaptureFormatError,
  PACKET_BYTES_MAX,
  Packet,
  type PacketListener,
  type PacketReader,
} from "./packet.ts";

const FILE_HEADER_BYTES = 24;
const LINK_TYPE = 20;
const RECORD_HEADER_BYTES = 16;
/** Of "modified" pcap, with interface, protocol and packet type behind the lengths. */
const MODIFIED_HEADER_BYTES = 24;

interface Variant {
  readonly littleEndian: boolean;
  readonly nsPerUnit: number;
  readonly recordHeaderBytes: number;
}

const MICROSECONDS = { nsPerUnit: 1000, recordHeaderBytes: RECORD_HEADER_BYTES };
const NANOSECONDS = { nsPerUnit: 1, recordHeaderBytes: RECORD_HEADER_BYTES };
const MODIFIED = { nsPerUnit: 1000, recordHeaderBytes: MODIFIED_HEADER_BYTES };
const VARIANTS: ReadonlyMap<number, Omit<Variant, "littleEndian">> = new Map([
  [0xa1b2c3d4, MICROSECONDS],
  [0xa1b23c4d, NANOSECONDS],
  [0xa1b2cd34, MODIFIED],
]);

/** By the first four bytes; undefined when they start no classic pcap. */
export function classicVariant(head: Uint8Array): Variant | undefined {
  if (head.length < 4) return undefined;
  const view = new DataView(head.buffer, head.byteOffset, head.length);
  for (const littleEndian of [true, false]) {
    const variant = VARIANTS.get(view.getUint32(0, littleEndian));
    if (variant !== undefined) return { ...variant, littleEndian };
  }
  return undefined;
}

/** Classic pcap (draft-ietf-opsawg-pcap), either byte order, micro- or nanoseconds. */
export class ClassicReader implements PacketReader {
  readonly #feed = new ByteFeed();
  readonly #packet = new Packet();
  readonly #clock: CaptureClock;
  readonly #listener: PacketListener;
  #variant: Variant | undefined;

  constructor(clock: CaptureClock, listener: PacketListener) {
    this.#clock = clock;
    this.#listener = listener;
  }

  get pendingBytes(): number {
    return this.#feed.pendingBytes;
  }

  push(chunk: Uint8Array): void {
    this.#feed.push(chunk);
    const variant = this.#variant ?? this.#readHeader();
    if (variant === undefined) return;
    while (this.#readRecord(variant));
  }

  #readHeader(): Variant | undefined {
    const feed = this.#feed;
    if (feed.available < FILE_HEADER_BYTES) return undefined;
    const variant = classicVariant(feed.bytes.subarray(feed.at));
    if (variant === undefined) throw new CaptureFormatError("not a pcap file");
    // The upper bits say whether frames carry their checksum, which nobody reads.
    const linkType = feed.view.getUint32(feed.at + LINK_TYPE, variant.littleEndian);
    this.#packet.linkType = linkType & 0xffff;
    this.#variant = variant;
    feed.skip(FILE_HEADER_BYTES);
    return variant;
  }

  #readRecord({ littleEndian, nsPerUnit, recordHeaderBytes }: Variant): boolean {
    const feed = this.#feed;
    if (feed.available < recordHeaderBytes) return false;
    const { view, at } = feed;
    const captured = view.getUint32(at + 8, littleEndian);
    if (captured > PACKET_BYTES_MAX) {
      throw new CaptureFormatError(`a packet of ${captured} bytes`);
    }
    if (feed.available < recordHeaderBytes + captured) return false;
    const packet = this.#packet;
    packet.bytes = feed.bytes;
    packet.start = at + recordHeaderBytes;
    packet.end = packet.start + captured;
    packet.wireLength = Math.max(captured, view.getUint32(at + 12, littleEndian));
    const fraction = view.getUint32(at + 4, littleEndian) * nsPerUnit;
    packet.timeNs = this.#clock.toNs(view.getUint32(at, littleEndian), fraction);
    feed.skip(recordHeaderBytes + captured);
    this.#listener(packet);
    return true;
  }
}
