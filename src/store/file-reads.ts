// SPDX-License-Identifier: Apache-2.0
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { decodeFileHeader, FILE_HEADER_BYTES, FORMAT_VERSION } from "./segment-format.ts";

/** A file that cannot be read as one of the store's. */
export class SegmentError extends Error {}

/** One of the store's files, opened for reading. It stays readable when it is deleted. */
export class FileReads {
  readonly #fd: number;

  /** Throws `SegmentError` when the header is not ours, and what `open` throws. */
  constructor(path: string) {
    this.#fd = openSync(path, "r");
    try {
      const version = decodeFileHeader(this.read(0, FILE_HEADER_BYTES));
      if (version === undefined) throw new SegmentError("its header is damaged or missing");
      if (version !== FORMAT_VERSION) {
        throw new SegmentError(`format ${version}; this version reads format ${FORMAT_VERSION}`);
      }
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
    const bytes = Buffer.allocUnsafe(length);
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
