// SPDX-License-Identifier: Apache-2.0
import {
  closeSync,
  ftruncateSync,
  openSync,
  readSync,
  unlinkSync,
  writeSync,
  writevSync,
} from "node:fs";
import { crc32 } from "node:zlib";

/**
 * One file of a journal: a head, then records. Little-endian.
 *
 * head: "BSJRNL" + version "01". record: u32 kind, u32 length of the payload, u32 CRC-32 of the rest
 * of the record, u32 tag, u64 sequence; payload.
 */
const HEAD = Buffer.from("BSJRNL01");
const RECORD_HEAD_BYTES = 24;
/** Where the part of a record begins that its CRC covers. */
const COVERED_AT = 12;
const ADDED = 0x2b4a5342;
const REMOVED = 0x2d4a5342;
const PAYLOAD_BYTES_MAX = 0x7fffffff;
const READ_BYTES = 1 << 20;

export interface SegmentRecord {
  readonly isAdded: boolean;
  readonly sequence: number;
  readonly tag: number;
  /** Of the payload. */
  readonly offset: number;
  readonly bytes: number;
}

export class Segment {
  readonly path: string;
  readonly #fd: number;
  size: number;
  /** Entries in it that were not removed or moved. */
  live = 0;

  private constructor(path: string, fd: number, size: number) {
    this.path = path;
    this.#fd = fd;
    this.size = size;
  }

  /** Throws what Node's `openSync` and `writeSync` throw. */
  static create(path: string): Segment {
    const segment = new Segment(path, openSync(path, "wx+", 0o600), 0);
    segment.#write([HEAD]);
    return segment;
  }

  /**
   * An existing file up to its last whole record; what follows, torn or damaged, is cut off and
   * told to `onCut` with its length.
   */
  static open(
    path: string,
    onRecord: (segment: Segment, record: SegmentRecord) => void,
    onCut: (bytes: number) => void,
  ): Segment {
    const segment = new Segment(path, openSync(path, "r+"), 0);
    const end = segment.#scan((record) => onRecord(segment, record));
    if (end.size > end.whole) {
      ftruncateSync(segment.#fd, end.whole);
      onCut(end.size - end.whole);
    }
    segment.size = end.whole;
    if (end.whole === 0) segment.#write([HEAD]);
    return segment;
  }

  get fd(): number {
    return this.#fd;
  }

  /** Gives the payload's offset. Throws when the disk refuses; the file is as before then. */
  add(sequence: number, tag: number, chunks: readonly Uint8Array[]): number {
    let bytes = 0;
    for (const chunk of chunks) bytes += chunk.length;
    if (bytes > PAYLOAD_BYTES_MAX) throw new Error(`an entry of ${bytes} bytes is too large`);
    const head = recordHead({ kind: ADDED, bytes, tag, sequence });
    let crc = crc32(head.subarray(COVERED_AT));
    for (const chunk of chunks) crc = crc32(chunk, crc);
    head.writeUInt32LE(crc, 8);
    const offset = this.size + RECORD_HEAD_BYTES;
    this.#write([head, ...chunks]);
    return offset;
  }

  remove(sequence: number): void {
    const head = recordHead({ kind: REMOVED, bytes: 0, tag: 0, sequence });
    head.writeUInt32LE(crc32(head.subarray(COVERED_AT)), 8);
    this.#write([head]);
  }

  /** Undefined when the bytes are not those that were written. */
  read(record: Omit<SegmentRecord, "isAdded">): Uint8Array | undefined {
    const whole = Buffer.allocUnsafe(RECORD_HEAD_BYTES + record.bytes);
    const start = record.offset - RECORD_HEAD_BYTES;
    if (readWhole(this.#fd, whole, start) < whole.length) return undefined;
    const isGood =
      whole.readUInt32LE(8) === crc32(whole.subarray(COVERED_AT)) &&
      Number(whole.readBigUInt64LE(16)) === record.sequence;
    return isGood ? whole.subarray(RECORD_HEAD_BYTES) : undefined;
  }

  close(): void {
    closeSync(this.#fd);
  }

  delete(): void {
    this.close();
    unlinkSync(this.path);
  }

  #write(parts: readonly Uint8Array[]): void {
    const start = this.size;
    let length = 0;
    for (const part of parts) length += part.length;
    try {
      let written = writevSync(this.#fd, parts, start);
      // A file is written in part only when the disk is full; the next write says so.
      if (written < length) {
        const rest = Buffer.concat(parts).subarray(written);
        while (written < length) {
          written += writeSync(
            this.#fd,
            rest,
            rest.length - (length - written),
            length - written,
            start + written,
          );
        }
      }
    } catch (error) {
      ftruncateSync(this.#fd, start);
      throw error;
    }
    this.size = start + length;
  }

  #scan(onRecord: (record: SegmentRecord) => void): {
    readonly whole: number;
    readonly size: number;
  } {
    const reader = new FileReader(this.#fd);
    const first = reader.take(HEAD.length);
    if (first === undefined || !first.equals(HEAD)) return { whole: 0, size: reader.fileBytes };
    let whole = HEAD.length;
    for (;;) {
      const head = reader.take(RECORD_HEAD_BYTES);
      if (head === undefined) break;
      const kind = head.readUInt32LE(0);
      const bytes = head.readUInt32LE(4);
      const crc = head.readUInt32LE(8);
      const tag = head.readUInt32LE(12);
      const sequence = Number(head.readBigUInt64LE(16));
      const covered = crc32(head.subarray(COVERED_AT));
      if (kind !== ADDED && kind !== REMOVED) break;
      const found = reader.crcOf(bytes, covered);
      if (found !== crc) break;
      const offset = whole + RECORD_HEAD_BYTES;
      onRecord({ isAdded: kind === ADDED, sequence, tag, offset, bytes });
      whole = offset + bytes;
    }
    return { whole, size: reader.fileBytes };
  }
}

function recordHead(fields: {
  readonly kind: number;
  readonly bytes: number;
  readonly tag: number;
  readonly sequence: number;
}): Buffer {
  const head = Buffer.alloc(RECORD_HEAD_BYTES);
  head.writeUInt32LE(fields.kind, 0);
  head.writeUInt32LE(fields.bytes, 4);
  head.writeUInt32LE(fields.tag, 12);
  head.writeBigUInt64LE(BigInt(fields.sequence), 16);
  return head;
}

/** Reads a file from its start in large pieces. */
class FileReader {
  readonly #fd: number;
  readonly #buffer = Buffer.allocUnsafe(READ_BYTES);
  #start = 0;
  #end = 0;
  /** Bytes read so far; all of the file's at its end. */
  #position = 0;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** So many bytes, valid until the next call; undefined at the end of the file. */
  take(count: number): Buffer | undefined {
    while (this.#end - this.#start < count) if (!this.#fill()) return undefined;
    this.#start += count;
    return this.#buffer.subarray(this.#start - count, this.#start);
  }

  /** The CRC continued over the next `count` bytes; undefined when the file ends before. */
  crcOf(count: number, before: number): number | undefined {
    let crc = before;
    let left = count;
    while (left > 0) {
      if (this.#end === this.#start && !this.#fill()) return undefined;
      const part = Math.min(left, this.#end - this.#start);
      crc = crc32(this.#buffer.subarray(this.#start, this.#start + part), crc);
      this.#start += part;
      left -= part;
    }
    return crc;
  }

  /** Reads on to the end to know it. */
  get fileBytes(): number {
    this.#start = this.#end;
    while (this.#fill()) this.#start = this.#end;
    return this.#position;
  }

  #fill(): boolean {
    this.#buffer.copyWithin(0, this.#start, this.#end);
    this.#end -= this.#start;
    this.#start = 0;
    const room = this.#buffer.length - this.#end;
    const got = readSync(this.#fd, this.#buffer, this.#end, room, this.#position);
    this.#end += got;
    this.#position += got;
    return got > 0;
  }
}

function readWhole(fd: number, target: Uint8Array, position: number): number {
  let got = 0;
  while (got < target.length) {
    const count = readSync(fd, target, got, target.length - got, position + got);
    if (count === 0) break;
    got += count;
  }
  return got;
}
