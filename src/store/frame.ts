// SPDX-License-Identifier: Apache-2.0
import { crc32 } from "node:zlib";

/** What a frame holds; docs/store-format.md has the sections of each. */
export const FRAME_BLOCK = 1;
export const FRAME_NAMES = 2;
export const FRAME_FOOTER = 3;
export const FRAME_SERIES = 4;
export const FRAME_METRICS = 5;

export const FRAME_HEADER_BYTES = 36;
/** "BSF1", little-endian. */
const MAGIC = 0x31465342;
const MAGIC_BYTES = Buffer.from("BSF1");
const SECTIONS = 3;
const LENGTHS_AT = 8;
const SUMS_AT = 20;
const HEADER_SUM_AT = 32;
/** Of one section; longer ones are damage. */
const SECTION_BYTES_MAX = 256 * 1024 * 1024;

export interface FrameHeader {
  readonly kind: number;
  /** Lengths and CRC-32 of the three sections, which follow the header in this order. */
  readonly lengths: readonly number[];
  readonly sums: readonly number[];
  /** Header and sections. */
  readonly bytes: number;
}

/** A frame's pieces in the order in which they are written. */
export function encodeFrame(kind: number, sections: readonly Uint8Array[]): Uint8Array[] {
  const header = Buffer.alloc(FRAME_HEADER_BYTES);
  header.writeUInt32LE(MAGIC, 0);
  header.writeUInt32LE(kind, 4);
  for (const [at, section] of sections.slice(0, SECTIONS).entries()) {
    header.writeUInt32LE(section.length, LENGTHS_AT + 4 * at);
    header.writeUInt32LE(crc32(section), SUMS_AT + 4 * at);
  }
  header.writeUInt32LE(crc32(header.subarray(0, HEADER_SUM_AT)), HEADER_SUM_AT);
  return [header, ...sections];
}

/** Undefined when no whole and undamaged header stands at `at`. */
export function decodeFrameHeader(bytes: Buffer, at: number): FrameHeader | undefined {
  if (at + FRAME_HEADER_BYTES > bytes.length || bytes.readUInt32LE(at) !== MAGIC) return undefined;
  const sum = crc32(bytes.subarray(at, at + HEADER_SUM_AT));
  if (sum !== bytes.readUInt32LE(at + HEADER_SUM_AT)) return undefined;
  const words = (from: number): number[] =>
    [0, 1, 2].map((index) => bytes.readUInt32LE(at + from + 4 * index));
  const lengths = words(LENGTHS_AT);
  if (lengths.some((length) => length > SECTION_BYTES_MAX)) return undefined;
  return {
    kind: bytes.readUInt32LE(at + 4),
    lengths,
    sums: words(SUMS_AT),
    bytes: FRAME_HEADER_BYTES + lengths.reduce((sum, length) => sum + length, 0),
  };
}

/** Where the next thing that looks like a frame starts, or -1. */
export function findFrame(bytes: Buffer, from: number): number {
  let at = bytes.indexOf(MAGIC_BYTES, from);
  while (at >= 0 && decodeFrameHeader(bytes, at) === undefined) {
    at = bytes.indexOf(MAGIC_BYTES, at + 1);
  }
  return at;
}

/** Where a section starts in the file. */
export function sectionAt(header: FrameHeader, frameAt: number, section: number): number {
  let at = frameAt + FRAME_HEADER_BYTES;
  for (let before = 0; before < section; before++) at += header.lengths[before] ?? 0;
  return at;
}

/** The section of a frame that is in memory; undefined when it is cut or damaged. */
export function sectionOf(
  bytes: Buffer,
  { header, frameAt }: { readonly header: FrameHeader; readonly frameAt: number },
  section: number,
): Buffer | undefined {
  const at = sectionAt(header, frameAt, section);
  const stop = at + (header.lengths[section] ?? 0);
  if (stop > bytes.length) return undefined;
  const content = bytes.subarray(at, stop);
  return crc32(content) === header.sums[section] ? content : undefined;
}
