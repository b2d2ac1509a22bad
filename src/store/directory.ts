// SPDX-License-Identifier: Apache-2.0
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";

export type FileKind = "spans" | "series";

/** A file of the store. */
export interface StoreFile {
  readonly kind: FileKind;
  readonly name: string;
  readonly path: string;
  /** Ascending with time; one sequence for both kinds. */
  readonly number: number;
}

const NAME = /^(spans|series)-(\d{10})\.seg$/;
export const SET_ASIDE_SUFFIX = ".corrupt";

export function fileName(kind: FileKind, number: number): string {
  return `${kind}-${String(number).padStart(10, "0")}.seg`;
}

/** The store's files, oldest first; none when the directory is not there. */
export function listFiles(directory: string): readonly StoreFile[] {
  const files = namesIn(directory).flatMap((name): StoreFile[] => {
    const match = NAME.exec(name);
    if (match === null) return [];
    const kind = match[1] === "spans" ? "spans" : "series";
    return [{ kind, name, path: join(directory, name), number: Number(match[2]) }];
  });
  return files.sort((one, other) => one.number - other.number);
}

/** Names of the files that were set aside. */
export function listSetAside(directory: string): readonly string[] {
  return namesIn(directory).filter((name) => name.endsWith(SET_ASIDE_SUFFIX));
}

/** Undefined when the file has gone. */
export function fileStatus(
  path: string,
): { readonly bytes: number; readonly changedMs: number } | undefined {
  const status = statSync(path, { throwIfNoEntry: false });
  return status && { bytes: status.size, changedMs: status.mtimeMs };
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
