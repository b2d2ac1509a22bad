// SPDX-License-Identifier: Apache-2.0
import { crc32, zstdDecompressSync } from "node:zlib";
import {
  type Columns,
  decodeFilter,
  decodeValues,
  type FilterColumns,
  summarize,
  type ValueColumns,
} from "./columns.ts";
import { FileReads } from "./file-reads.ts";
import {
  decodeFrameHeader,
  FRAME_BLOCK,
  FRAME_FOOTER,
  FRAME_HEADER_BYTES,
  FRAME_NAMES,
  type FrameHeader,
  findFrame,
  sectionAt,
  sectionOf,
} from "./frame.ts";
import {
  type BlockEntry,
  decodeDirectory,
  decodeNames,
  decodeTrailer,
  FILE_HEADER_BYTES,
  TRAILER_BYTES,
} from "./segment-format.ts";

/** What a section may become; more is damage. */
const UNPACKED_BYTES_MAX = 256 * 1024 * 1024;
const FOOTER_INDEX = 2;
const PAGE_ENTRIES = 1024;

/** The index of a segment that is still written, which is in memory. */
interface OpenIndex {
  /** Trace hashes of each block's spans. */
  readonly hashes: Uint32Array[];
  readonly names: string[];
}

/** Where a sealed segment's index by trace id stands. */
interface SealedIndex {
  readonly at: number;
  readonly count: number;
  readonly namesAt: number;
  readonly namesBytes: number;
  readonly namesSum: number;
}

/**
 * Reads one file of spans, sealed or still growing. Reads are synchronous: what is asked for is
 * most often in the page cache, where a read costs less than handing it to another thread.
 */
export class Segment {
  readonly path: string;
  readonly #file: FileReads;
  #blocks: BlockEntry[] = [];
  #sealed: SealedIndex | undefined;
  #open: OpenIndex = { hashes: [], names: [] };
  /** What was taken from a growing file so far. */
  #end = FILE_HEADER_BYTES;
  #damagedBytes = 0;

  /** Throws `SegmentError` when the file is no segment, and what `open` throws. */
  constructor(path: string) {
    this.path = path;
    this.#file = new FileReads(path);
    if (!this.#loadFooter()) this.refresh();
  }

  get isSealed(): boolean {
    return this.#sealed !== undefined;
  }

  get blocks(): readonly BlockEntry[] {
    return this.#blocks;
  }

  /** Behind the last whole frame. */
  get end(): number {
    return this.#end;
  }

  /** Bytes between whole frames that are none. */
  get damagedBytes(): number {
    return this.#damagedBytes;
  }

  /** Trace hashes by block, of a segment that is not sealed. */
  get openHashes(): readonly Uint32Array[] {
    return this.#open.hashes;
  }

  get bytes(): number {
    return this.#file.bytes;
  }

  close(): void {
    this.#file.close();
  }

  /** Takes up what was written since. */
  refresh(): void {
    if (this.#sealed !== undefined) return;
    const size = this.bytes;
    if (size <= this.#end) return;
    if (this.#blocks.length > 0 && this.#loadFooter()) return;
    const bytes = this.#file.read(this.#end, size - this.#end);
    let at = 0;
    while (at < bytes.length) {
      const header = decodeFrameHeader(bytes, at);
      if (header !== undefined && this.#take(bytes, at, header)) {
        at += header.bytes;
        continue;
      }
      const next = findFrame(bytes, at + 1);
      if (next < 0) break;
      this.#damagedBytes += next - at;
      at = next;
    }
    this.#end += at;
  }

  /** Names by number. Of a sealed segment they are read each time: keep what you need. */
  names(): readonly string[] {
    const sealed = this.#sealed;
    if (sealed === undefined) return this.#open.names;
    const packed = this.#file.read(sealed.namesAt, sealed.namesBytes);
    if (crc32(packed) !== sealed.namesSum) return [];
    return decodeNames(unpack(packed) ?? Buffer.alloc(0)) ?? [];
  }

  /** Blocks that may have spans of a trace with this hash, the newest first. */
  blocksOfTrace(hash: number): readonly number[] {
    const found: number[] = [];
    const sealed = this.#sealed;
    if (sealed === undefined) {
      for (const [block, hashes] of this.#open.hashes.entries()) {
        if (hashes.includes(hash)) found.push(block);
      }
      return found.reverse();
    }
    for (let at = this.#lowerBound(sealed, hash); at < sealed.count; at++) {
      const entry = this.#file.read(sealed.at + 4 * at, 4);
      if (entry.length < 4 || entry.readUInt32LE() !== hash) break;
      const block = this.#file.read(sealed.at + 4 * sealed.count + 2 * at, 2);
      if (block.length === 2) found.push(block.readUInt16LE());
    }
    return found.reverse();
  }

  /** Undefined when the block is damaged. */
  filter(block: number): FilterColumns | undefined {
    const section = this.#section(block, 0);
    return section === undefined ? undefined : decodeFilter(section);
  }

  values(block: number): ValueColumns | undefined {
    const section = this.#section(block, 1);
    const count = this.#blocks[block]?.count ?? 0;
    return section === undefined ? undefined : decodeValues(section, count);
  }

  /** The chunks of the block, joined: the body of an OTLP request. */
  spans(block: number): Buffer | undefined {
    return this.#section(block, 2);
  }

  #lowerBound({ at, count }: SealedIndex, hash: number): number {
    let low = 0;
    let high = count;
    // Hashes are spread evenly: a first guess by proportion saves most reads.
    while (high - low > PAGE_ENTRIES) {
      const guess = (low + high) >> 1;
      const value = this.#file.read(at + 4 * guess, 4);
      if (value.length < 4) return count;
      if (value.readUInt32LE() < hash) low = guess + 1;
      else high = guess;
    }
    const page = this.#file.read(at + 4 * low, 4 * (high - low));
    let place = 0;
    while (4 * place < page.length && page.readUInt32LE(4 * place) < hash) place++;
    return low + place;
  }

  #section(block: number, section: number): Buffer | undefined {
    const entry = this.#blocks[block];
    if (entry === undefined) return undefined;
    const header = decodeFrameHeader(this.#file.read(entry.at, FRAME_HEADER_BYTES), 0);
    if (header === undefined || header.kind !== FRAME_BLOCK) return undefined;
    const at = sectionAt(header, entry.at, section);
    const packed = this.#file.read(at, header.lengths[section] ?? 0);
    return crc32(packed) === header.sums[section] ? unpack(packed) : undefined;
  }

  #loadFooter(): boolean {
    const size = this.#file.bytes;
    if (size < FILE_HEADER_BYTES + TRAILER_BYTES) return false;
    const footerAt = decodeTrailer(this.#file.read(size - TRAILER_BYTES, TRAILER_BYTES));
    if (footerAt === undefined || footerAt >= size) return false;
    const bytes = this.#file.read(footerAt, size - footerAt);
    const header = decodeFrameHeader(bytes, 0);
    if (header === undefined || header.kind !== FRAME_FOOTER) return false;
    const frame = { header, frameAt: 0 };
    const directory = sectionOf(bytes, frame, 1);
    if (directory === undefined || sectionOf(bytes, frame, FOOTER_INDEX) === undefined)
      return false;
    this.#blocks = [...decodeDirectory(directory)];
    this.#sealed = {
      at: sectionAt(header, footerAt, FOOTER_INDEX),
      count: Math.floor((header.lengths[FOOTER_INDEX] ?? 0) / 6),
      namesAt: sectionAt(header, footerAt, 0),
      namesBytes: header.lengths[0] ?? 0,
      namesSum: header.sums[0] ?? 0,
    };
    this.#open = { hashes: [], names: [] };
    this.#end = size;
    return true;
  }

  /** One frame of a growing file; false when it is cut or damaged. */
  #take(bytes: Buffer, at: number, header: FrameHeader): boolean {
    const frame = { header, frameAt: at };
    if (at + header.bytes > bytes.length) return false;
    if (header.kind === FRAME_NAMES) {
      const names = sectionOf(bytes, frame, 0);
      if (names === undefined) return false;
      this.#open.names.push(...(decodeNames(names) ?? []));
      return true;
    }
    if (header.kind !== FRAME_BLOCK) return sectionOf(bytes, frame, 0) !== undefined;
    if (sectionOf(bytes, frame, 2) === undefined) return false;
    const columns = columnsOf(sectionOf(bytes, frame, 0), sectionOf(bytes, frame, 1));
    if (columns === undefined) return false;
    const { lengths } = header;
    this.#blocks.push({ at: this.#end + at, lengths, ...summarize(columns) });
    this.#open.hashes.push(columns.traceHash);
    return true;
  }
}

function columnsOf(filter: Buffer | undefined, values: Buffer | undefined): Columns | undefined {
  if (filter === undefined || values === undefined) return undefined;
  const first = decodeFilter(unpack(filter) ?? Buffer.alloc(0));
  if (first === undefined) return undefined;
  const rest = decodeValues(unpack(values) ?? Buffer.alloc(0), first.count);
  return rest === undefined ? undefined : { ...first, ...rest };
}

/** Undefined of bytes that do not unpack. */
function unpack(packed: Buffer): Buffer | undefined {
  try {
    return zstdDecompressSync(packed, { maxOutputLength: UNPACKED_BYTES_MAX });
  } catch {
    return undefined;
  }
}
