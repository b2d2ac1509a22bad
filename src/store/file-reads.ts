// SPDX-License-Identifier: Apache-2.0
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { decodeFileHeader, FILE_HEADER_BYTES, FORMAT_VERSIONS } from "./segment-format.ts";

/** A file that cannot be read as one of the store's. */
export class SegmentError extends Error {}

/** One of the store's files, opened for reading. It stays readable when it is deleted. */
export class FileReads {
  /** Of the format. */
  readonly version: number;
  readonly #fd: number;

  /** Throws `SegmentError` when the header is not ours, and what `open` throws. */
  constructor(path: string) {
    this.#fd = openSync(path, "r");
    try {
      const version = decodeFileHeader(this.read(0, FILE_HEADER_BYTES));
      if (version === undefined) throw new SegmentError("its header is damaged or missing");
      if (!FORMAT_VERSIONS.includes(version)) {
        const known = FORMAT_VERSIONS.join(" and ");
        throw new SegmentError(`format ${version}; this version reads formats ${known}`);
      }
      this.version = version;
    } catch (error) {
      closeSync(this.#fd);
      throw error;
    }
  }

  get bytes(): number {
    return fstatSync(this.#fd).size;
  }

  /** Less than `length` at the end of the file. */
  read(at: number, length: number): Buffer {
    return this.readInto(Buffer.allocUnsafe(length), at, length);
  }

  /** The same into the beginning of memory that is used again. */
  readInto(bytes: Buffer, at: number, length: number): Buffer {
    let filled = 0;
    while (filled < length) {
      const count = readSync(this.#fd, bytes, filled, length - filled, at + filled);
      if (count === 0) break;
      filled += count;
    }
    return bytes.subarray(0, filled);
  }

  close(): void {
    closeSync(this.#fd);
  }
}
