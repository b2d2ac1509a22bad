// SPDX-License-Identifier: Apache-2.0
import { type FileHandle, mkdir, open, readdir, rename, stat, unlink } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import type { FileConfig, RotationConfig } from "./config.ts";

const MIB = 1024 ** 2;
const MEGABYTES_DEFAULT = 100;
const DAY_MS = 86_400_000;

export interface OutputOptions
  extends Pick<FileConfig, "append" | "create_directory" | "directory_permissions" | "rotation"> {
  /** Old files could not be removed. */
  readonly onCleanupFailed: (error: unknown) => void;
  readonly now: () => Date;
}

/** One file that is written to, and that another takes the place of when it is full. */
export class OutputFile {
  readonly #path: string;
  readonly #options: OutputOptions;
  #file: FileHandle | undefined;
  #bytes = 0;

  constructor(path: string, options: OutputOptions) {
    this.#path = path;
    this.#options = options;
  }

  /** Emptied first and then opened for appending: several signals may write to one file. */
  async open(): Promise<void> {
    const { create_directory: makes, directory_permissions: mode, append } = this.#options;
    if (makes) await mkdir(dirname(this.#path), { recursive: true, mode });
    const file = await open(this.#path, "a");
    // A file that turns goes on where it was, as the Collector's does.
    const isKept = append || isRotation(this.#options.rotation);
    if (!isKept) await file.truncate();
    this.#bytes = isKept ? (await file.stat()).size : 0;
    this.#file = file;
  }

  /** One at a time. Rejects with what the system says. */
  async write(bytes: Uint8Array): Promise<void> {
    const { rotation } = this.#options;
    if (isRotation(rotation) && this.#bytes > 0) {
      const max = (rotation.max_megabytes || MEGABYTES_DEFAULT) * MIB;
      if (this.#bytes + bytes.length > max) await this.#turn(rotation);
    }
    if (this.#file === undefined) await this.open();
    await this.#file?.appendFile(bytes);
    this.#bytes += bytes.length;
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  async #turn(rotation: RotationConfig): Promise<void> {
    await this.close();
    await rename(this.#path, await this.#freeName(rotation));
    try {
      await this.#removeOld(rotation);
    } catch (error) {
      this.#options.onCleanupFailed(error);
    }
  }

  /** `out-2006-01-02T15-04-05.000.jsonl`; two in a millisecond must not become one. */
  async #freeName({ localtime }: RotationConfig): Promise<string> {
    for (let timeMs = this.#options.now().getTime(); ; timeMs++) {
      const { prefix, suffix } = this.#parts();
      const name = `${prefix}${timestamp(new Date(timeMs), localtime)}${suffix}`;
      const path = join(dirname(this.#path), name);
      if ((await stat(path).catch(() => undefined)) === undefined) return path;
    }
  }

  #parts(): { readonly prefix: string; readonly suffix: string } {
    const suffix = extname(this.#path);
    return { prefix: `${basename(this.#path, suffix)}-`, suffix };
  }

  async #removeOld({ max_backups: kept, max_days: days }: RotationConfig): Promise<void> {
    if (kept === 0 && days === 0) return;
    const { prefix, suffix } = this.#parts();
    const directory = dirname(this.#path);
    const names = (await readdir(directory)).filter(
      (name) =>
        name.startsWith(prefix) &&
        name.endsWith(suffix) &&
        TIMESTAMP.test(name.slice(prefix.length, name.length - suffix.length)),
    );
    // The names sort as the times do.
    const newestFirst = names.sort().reverse();
    const oldestMs = this.#options.now().getTime() - days * DAY_MS;
    for (const [at, name] of newestFirst.entries()) {
      const path = join(directory, name);
      const isTooMany = kept > 0 && at >= kept;
      const isTooOld = days > 0 && (await stat(path)).mtimeMs < oldestMs;
      if (isTooMany || isTooOld) await unlink(path);
    }
  }
}

const TIMESTAMP = /^\d{4}-\d{2}-\d{2}T\d{2}-\d{2}-\d{2}\.\d{3}$/;

function isRotation(rotation: RotationConfig | null | undefined): rotation is RotationConfig {
  return rotation !== undefined && rotation !== null;
}

function timestamp(time: Date, isLocal: boolean): string {
  const shiftMs = isLocal ? time.getTimezoneOffset() * 60_000 : 0;
  const text = new Date(time.getTime() - shiftMs).toISOString();
  return text.slice(0, -1).replaceAll(":", "-");
}
