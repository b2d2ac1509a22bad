// SPDX-License-Identifier: Apache-2.0
import { zstdCompressSync } from "node:zlib";
import type { BlockSummary } from "./columns.ts";

/** First bytes of every file, with the version of the format behind them. */
const FILE_MAGIC = Buffer.from("BSTORE");
export const FORMAT_VERSION = 1;
export const FILE_HEADER_BYTES = 16;
/** Last bytes of a sealed segment: where the footer stands (float64) and this. */
const SEAL = Buffer.from("BSSEALED");
export const TRAILER_BYTES = 16;
export const BLOCKS_PER_SEGMENT_MAX = 8192;
/** Numbers of a block in the directory, float64 each. */
const DIRECTORY_FIELDS = 9;

/** Where a block stands, and what is known of it without reading it. */
export interface BlockEntry extends BlockSummary {
  /** Of its frame. */
  readonly at: number;
  /** Of the frame's three sections. */
  readonly lengths: readonly number[];
}

export function encodeFileHeader(): Buffer {
  const header = Buffer.alloc(FILE_HEADER_BYTES);
  FILE_MAGIC.copy(header);
  header.writeUInt16LE(FORMAT_VERSION, 6);
  return header;
}

/** The format's version; undefined when the file is none of ours. */
export function decodeFileHeader(bytes: Buffer): number | undefined {
  if (bytes.length < FILE_HEADER_BYTES || !bytes.subarray(0, 6).equals(FILE_MAGIC))
    return undefined;
  return bytes.readUInt16LE(6);
}

export function encodeTrailer(footerAt: number): Buffer {
  const trailer = Buffer.alloc(TRAILER_BYTES);
  trailer.writeDoubleLE(footerAt, 0);
  SEAL.copy(trailer, 8);
  return trailer;
}

/** Where the footer stands; undefined when the segment is not sealed. */
export function decodeTrailer(bytes: Buffer): number | undefined {
  if (bytes.length !== TRAILER_BYTES || !bytes.subarray(8).equals(SEAL)) return undefined;
  const at = bytes.readDoubleLE(0);
  return Number.isSafeInteger(at) && at >= FILE_HEADER_BYTES ? at : undefined;
}

/** Trace hashes in ascending order, each with a block that has spans of the trace. */
export interface TraceIndex {
  readonly hashes: Uint32Array;
  readonly blocks: Uint16Array;
}

/** `hashes` of the spans of each block, by block. */
export function buildTraceIndex(hashes: readonly Uint32Array[]): TraceIndex {
  // A float64 holds hash and block exactly, and sorts faster than objects.
  const all: Float64Array[] = [];
  let count = 0;
  for (const [block, ofBlock] of hashes.entries()) {
    const keys = Float64Array.from(new Set(ofBlock), (hash) => hash * 65_536 + block);
    all.push(keys);
    count += keys.length;
  }
  const keys = new Float64Array(count);
  let at = 0;
  for (const some of all) {
    keys.set(some, at);
    at += some.length;
  }
  keys.sort();
  const index = { hashes: new Uint32Array(count), blocks: new Uint16Array(count) };
  for (const [place, key] of keys.entries()) {
    index.hashes[place] = Math.floor(key / 65_536);
    index.blocks[place] = key % 65_536;
  }
  return index;
}

export interface Footer {
  readonly names: readonly string[];
  readonly blocks: readonly BlockEntry[];
  readonly index: TraceIndex;
}

/** The footer frame's sections: names, directory of blocks, index by trace id. */
export function encodeFooter({ names, blocks, index }: Footer): Uint8Array[] {
  const directory = new Float64Array(blocks.length * DIRECTORY_FIELDS);
  for (const [number, block] of blocks.entries()) {
    const { at, lengths, count, startUsMin, startUsMax, durationNsMax, errors } = block;
    const values = [at, ...lengths, count, startUsMin, startUsMax, durationNsMax, errors];
    directory.set(values, number * DIRECTORY_FIELDS);
  }
  return [
    zstdCompressSync(Buffer.from(JSON.stringify(names))),
    new Uint8Array(directory.buffer),
    Buffer.concat([bytesOf(index.hashes), bytesOf(index.blocks)]),
  ];
}

export function decodeDirectory(section: Uint8Array): readonly BlockEntry[] {
  const view = new DataView(section.buffer, section.byteOffset, section.length);
  const count = Math.floor(section.length / (8 * DIRECTORY_FIELDS));
  return Array.from({ length: count }, (_, number): BlockEntry => {
    const field = (index: number): number =>
      view.getFloat64(8 * (number * DIRECTORY_FIELDS + index), true);
    return {
      at: field(0),
      lengths: [field(1), field(2), field(3)],
      count: field(4),
      startUsMin: field(5),
      startUsMax: field(6),
      durationNsMax: field(7),
      errors: field(8),
    };
  });
}

/** The names of a section that holds a list of text as JSON; undefined of anything else. */
export function decodeNames(json: Buffer): readonly string[] | undefined {
  try {
    const names: unknown = JSON.parse(json.toString());
    return Array.isArray(names) ? names.map(String) : undefined;
  } catch {
    return undefined;
  }
}

function bytesOf(array: Uint32Array | Uint16Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
