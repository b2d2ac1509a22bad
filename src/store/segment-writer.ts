// SPDX-License-Identifier: Apache-2.0
import { promisify } from "node:util";
import { constants, zstdCompress, zstdCompressSync } from "node:zlib";
import { AppendFile } from "./append-file.ts";
import type { Block } from "./block-builder.ts";
import { type Columns, statusOf, summarize } from "./columns.ts";
import { encodeDetails } from "./detail-columns.ts";
import { encodeFrame, FRAME_BLOCK, FRAME_FOOTER, FRAME_NAMES } from "./frame.ts";
import { encodeSearch } from "./search-columns.ts";
import {
  BLOCKS_PER_SEGMENT_MAX,
  BlockDirectory,
  buildTraceIndex,
  encodeFooter,
  encodeTrailer,
} from "./segment-format.ts";

const compress = promisify(zstdCompress);
/** Of the pieces that compression gives. */
const CHUNK_BYTES = 64 * 1024;
const LEVEL = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };
const HEADER_LENGTHS = [0, 1, 2] as const;

/** A block compressed, ready to be written. */
export interface PackedBlock {
  readonly columns: Columns;
  readonly sections: readonly Uint8Array[];
}

/** Compresses on a thread of the pool. */
export async function packBlock(block: Block): Promise<PackedBlock> {
  const { spans, columns, attributes } = block;
  const packed = compress(spans, { ...LEVEL, chunkSize: CHUNK_BYTES });
  // What is small is sooner compressed than handed to another thread.
  const details = zstdCompressSync(encodeDetails(columns), LEVEL);
  const search = encodeSearch(columns, { attributes, spansBytes: spans.length });
  const section = await packed.finally(block.release);
  return { columns, sections: [search, details, section] };
}

/** Writes one segment of spans. One call at a time. */
export class SegmentWriter {
  readonly #file: AppendFile;
  readonly #blocks = new BlockDirectory();
  readonly #hashes: Uint32Array[] = [];
  #spans = 0;
  #names: string[] = [];

  private constructor(file: AppendFile) {
    this.#file = file;
  }

  static async create(path: string): Promise<SegmentWriter> {
    return new SegmentWriter(await AppendFile.create(path));
  }

  get path(): string {
    return this.#file.path;
  }

  get bytes(): number {
    return this.#file.end;
  }

  get spans(): number {
    return this.#spans;
  }

  get hasRoom(): boolean {
    return this.#blocks.count < BLOCKS_PER_SEGMENT_MAX;
  }

  /** How many names are in the file. */
  get namesWritten(): number {
    return this.#names.length;
  }

  /** `names` are those that came since the block before, in the order of their numbers. */
  async write(block: PackedBlock, names: readonly string[]): Promise<void> {
    const pieces: Uint8Array[] = [];
    if (names.length > 0) {
      pieces.push(...encodeFrame(FRAME_NAMES, [Buffer.from(JSON.stringify(names))]));
    }
    const at = this.#file.end + pieces.reduce((sum, piece) => sum + piece.length, 0);
    pieces.push(...encodeFrame(FRAME_BLOCK, block.sections));
    await this.#file.append(pieces);
    const lengths = HEADER_LENGTHS.map((index) => block.sections[index]?.length ?? 0);
    const { columns } = block;
    const { count } = columns;
    this.#blocks.add({ at, lengths, ...summarize(columns, { count, errors: errorsOf(columns) }) });
    this.#hashes.push(columns.traceHash.slice(0, count));
    this.#names.push(...names);
    this.#spans += count;
  }

  /** Writes the footer and closes the file. */
  async seal(): Promise<void> {
    const footer = {
      names: this.#names,
      blocks: this.#blocks,
      index: buildTraceIndex(this.#hashes),
    };
    await writeFooter(this.#file, footer);
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

function errorsOf({ count, flags }: Columns): number {
  let errors = 0;
  for (let row = 0; row < count; row++) if (statusOf(flags[row] ?? 0) === 2) errors++;
  return errors;
}

/** Seals a file behind its last whole frame. */
export async function writeFooter(
  file: AppendFile,
  footer: Parameters<typeof encodeFooter>[0],
): Promise<void> {
  try {
    const frame = encodeFrame(FRAME_FOOTER, encodeFooter(footer));
    await file.append([...frame, encodeTrailer(file.end)]);
    await file.sync();
  } finally {
    await file.close();
  }
}
