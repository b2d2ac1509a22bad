// SPDX-License-Identifier: Apache-2.0
import { zstdCompressSync } from "node:zlib";
import type { BlockSummary } from "./columns.ts";

/** First bytes of every file, with the version of the format behind them. */
const FILE_MAGIC = Buffer.from("BSTORE");
/** What is written. */
export const FORMAT_VERSION = 2;
/** What is read. */
export const FORMAT_VERSIONS: readonly number[] = [1, 2];
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
  readonly blocks: BlockDirectory;
  readonly index: TraceIndex;
}

/** The footer frame's sections: names, directory of blocks, index by trace id. */
export function encodeFooter({ names, blocks, index }: Footer): Uint8Array[] {
  return [
    zstdCompressSync(Buffer.from(JSON.stringify(names))),
    blocks.encoded(),
    Buffer.concat([bytesOf(index.hashes), bytesOf(index.blocks)]),
  ];
}

/** The blocks of a segment, as numbers in one array: a store may have hundreds of thousands. */
export class BlockDirectory {
  #values: Float64Array;
  #count: number;

  constructor(section: Uint8Array = new Uint8Array(0)) {
    this.#count = Math.floor(section.length / (8 * DIRECTORY_FIELDS));
    // A copy: wider arrays must be aligned.
    const bytes = new Uint8Array(section.subarray(0, 8 * DIRECTORY_FIELDS * this.#count));
    this.#values = new Float64Array(bytes.buffer);
  }

  get count(): number {
    return this.#count;
  }

  add({ at, lengths, count, startUsMin, startUsMax, durationNsMax, errors }: BlockEntry): void {
    const from = DIRECTORY_FIELDS * this.#count;
    if (from === this.#values.length) {
      const larger = new Float64Array(Math.max(2 * from, 32 * DIRECTORY_FIELDS));
      larger.set(this.#values);
      this.#values = larger;
    }
    const values = [at, ...lengths, count, startUsMin, startUsMax, durationNsMax, errors];
    this.#values.set(values, from);
    this.#count++;
  }

  at(block: number): number {
    return this.#field(block, 0);
  }

  /** Of one of the three sections. */
  length(block: number, section: number): number {
    return this.#field(block, 1 + section);
  }

  spans(block: number): number {
    return this.#field(block, 4);
  }

  startUsMin(block: number): number {
    return this.#field(block, 5);
  }

  startUsMax(block: number): number {
    return this.#field(block, 6);
  }

  durationNsMax(block: number): number {
    return this.#field(block, 7);
  }

  errors(block: number): number {
    return this.#field(block, 8);
  }

  encoded(): Uint8Array {
    const { buffer, byteOffset } = this.#values;
    return new Uint8Array(buffer, byteOffset, 8 * DIRECTORY_FIELDS * this.#count);
  }

  #field(block: number, index: number): number {
    return this.#values[DIRECTORY_FIELDS * block + index] ?? 0;
  }
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
