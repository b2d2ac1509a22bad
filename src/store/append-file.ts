// SPDX-License-Identifier: Apache-2.0
import { type FileHandle, open, rm } from "node:fs/promises";
import { encodeFileHeader } from "./segment-format.ts";

/** A file that only grows: what could not be written whole is cut off again. */
export class AppendFile {
  readonly path: string;
  readonly #file: FileHandle;
  #end: number;

  private constructor(path: string, file: FileHandle, end: number) {
    this.path = path;
    this.#file = file;
    this.#end = end;
  }

  /** Fails when the file exists. */
  static async create(path: string): Promise<AppendFile> {
    const appended = new AppendFile(path, await open(path, "wx+", 0o600), 0);
    try {
      await appended.append([encodeFileHeader()]);
    } catch (error) {
      await appended.close();
      // Without its header it is no file of the store.
      await rm(path, { force: true }).catch(() => undefined);
      throw error;
    }
    return appended;
  }

  /** Goes on behind `end` of a file that exists; the rest is cut off. */
  static async continue(path: string, end: number): Promise<AppendFile> {
    const file = await open(path, "r+");
    await file.truncate(end);
    return new AppendFile(path, file, end);
  }

  /** Where the next piece goes. */
  get end(): number {
    return this.#end;
  }

  /** All or nothing; rejects with the system's error. One call at a time. */
  async append(pieces: readonly Uint8Array[]): Promise<void> {
    const bytes = Buffer.concat(pieces);
    try {
      let written = 0;
      while (written < bytes.length) {
        const rest = bytes.length - written;
        const { bytesWritten } = await this.#file.write(bytes, written, rest, this.#end + written);
        written += bytesWritten;
      }
    } catch (error) {
      await this.#file.truncate(this.#end).catch(() => undefined);
      throw error;
    }
    this.#end += bytes.length;
  }

  async sync(): Promise<void> {
    await this.#file.datasync();
  }

  async close(): Promise<void> {
    await this.#file.close().catch(() => undefined);
  }
}
