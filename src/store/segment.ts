// SPDX-License-Identifier: Apache-2.0
import { crc32, zstdDecompressSync } from "node:zlib";
import { BlockSpans } from "./block-spans.ts";
import { summarize, traceHashesOf } from "./columns.ts";
import { DETAIL_BYTES, type DetailColumns, decodeDetails } from "./detail-columns.ts";
import { FileReads } from "./file-reads.ts";
import { decodeDetails1, decodeSearch1, traceHashes1 } from "./format-1.ts";
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
import { decodeSearch, errorsIn, type SearchColumns } from "./search-columns.ts";
import {
  BlockDirectory,
  decodeNames,
  decodeTrailer,
  FILE_HEADER_BYTES,
  TRAILER_BYTES,
} from "./segment-format.ts";
import { blocksOfHash, type IndexPlace } from "./trace-index.ts";

/** What a section may become; more is damage. */
const UNPACKED_BYTES_MAX = 256 * 1024 * 1024;
const FOOTER_INDEX = 2;
const SCRATCH_BYTES = 16 * 1024;
const CHUNK_BYTES = 16 * 1024;

/** The index of a segment that is still written, which is in memory. */
interface OpenIndex {
  /** Trace hashes of each block's spans. */
  readonly hashes: Uint32Array[];
  readonly names: string[];
}

/** Where a sealed segment's names and index by trace id stand. */
interface SealedIndex extends IndexPlace {
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
  #blocks = new BlockDirectory();
  #sealed: SealedIndex | undefined;
  #open: OpenIndex = { hashes: [], names: [] };
  /** What was taken from a growing file so far. */
  #end = FILE_HEADER_BYTES;
  #damagedBytes = 0;
  /** The beginning of the block that was looked at last. */
  #scratch = Buffer.allocUnsafeSlow(0);

  /** Throws `SegmentError` when the file is no segment, and what `open` throws. */
  constructor(path: string) {
    this.path = path;
    this.#file = new FileReads(path);
    if (!this.#loadFooter()) this.refresh();
  }

  get isSealed(): boolean {
    return this.#sealed !== undefined;
  }

  get blocks(): BlockDirectory {
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
    if (this.#blocks.count > 0 && this.#loadFooter()) return;
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
    if (this.#sealed !== undefined) return blocksOfHash(this.#file, this.#sealed, hash).reverse();
    const found: number[] = [];
    for (const [block, hashes] of this.#open.hashes.entries()) {
      if (hashes.includes(hash)) found.push(block);
    }
    return found.reverse();
  }

  /** Valid until the next call. Undefined when the block is damaged. */
  search(block: number): SearchColumns | undefined {
    const length = this.#blocks.length(block, 0);
    const bytes = FRAME_HEADER_BYTES + length;
    if (this.#scratch.length < bytes) {
      this.#scratch = Buffer.allocUnsafeSlow(Math.max(SCRATCH_BYTES, bytes));
    }
    const read = this.#file.readInto(this.#scratch, this.#blocks.at(block), bytes);
    const header = decodeFrameHeader(read, 0);
    if (header?.kind !== FRAME_BLOCK) return undefined;
    const section = sectionOf(read, { header, frameAt: 0 }, 0);
    return section === undefined ? undefined : this.#decodeSearch(section);
  }

  details(block: number): DetailColumns | undefined {
    const count = this.#blocks.spans(block);
    const section = this.#section(block, 1, DETAIL_BYTES * count);
    return section && this.#decodeDetails(section, count);
  }

  /** The spans of the block; undefined when it is damaged. */
  spans(block: number): BlockSpans | undefined {
    const isFirst = this.#file.version === 1;
    const ids = isFirst ? undefined : this.details(block)?.ids;
    if (!isFirst && ids === undefined) return undefined;
    const bytes = this.#section(block, 2, this.search(block)?.spansBytes);
    return bytes && new BlockSpans(bytes, ids);
  }

  #decodeSearch(section: Buffer): SearchColumns | undefined {
    if (this.#file.version !== 1) return decodeSearch(section);
    return decodeSearch1(unpack(section) ?? Buffer.alloc(0));
  }

  #decodeDetails(section: Buffer, count: number): DetailColumns | undefined {
    const isFirst = this.#file.version === 1;
    return isFirst ? decodeDetails1(section, count) : decodeDetails(section, count);
  }

  /** A section unpacked, to so many bytes if that is known; undefined when it is damaged. */
  #section(block: number, section: number, bytes = 0): Buffer | undefined {
    if (block >= this.#blocks.count) return undefined;
    const frameAt = this.#blocks.at(block);
    const header = decodeFrameHeader(this.#file.read(frameAt, FRAME_HEADER_BYTES), 0);
    if (header === undefined || header.kind !== FRAME_BLOCK) return undefined;
    const at = sectionAt(header, frameAt, section);
    const packed = this.#file.read(at, header.lengths[section] ?? 0);
    return crc32(packed) === header.sums[section] ? unpack(packed, bytes) : undefined;
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
    this.#blocks = new BlockDirectory(directory);
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
    const [first, second] = [sectionOf(bytes, frame, 0), sectionOf(bytes, frame, 1)];
    if (!first || !second || !sectionOf(bytes, frame, 2)) return false;
    // A copy: wider arrays must be aligned.
    const search = this.#decodeSearch(Buffer.from(new Uint8Array(first).buffer));
    const unpacked = unpack(second);
    if (search === undefined || unpacked === undefined) return false;
    const { count } = search;
    const details = this.#decodeDetails(unpacked, count);
    if (details === undefined) return false;
    const summary = summarize(details, { count, errors: errorsIn(search) });
    this.#blocks.add({ at: this.#end + at, lengths: header.lengths, ...summary });
    const { ids } = details;
    this.#open.hashes.push(ids ? traceHashesOf(ids) : traceHashes1(unpacked, count));
    return true;
  }
}

/** Undefined of bytes that do not unpack. In one piece when they become `bytes`. */
function unpack(packed: Buffer, bytes = 0): Buffer | undefined {
  const chunkSize = Math.min(Math.max(bytes + 64, CHUNK_BYTES), UNPACKED_BYTES_MAX);
  try {
    return zstdDecompressSync(packed, { maxOutputLength: UNPACKED_BYTES_MAX, chunkSize });
  } catch {
    return undefined;
  }
}
