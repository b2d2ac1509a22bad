// SPDX-License-Identifier: Apache-2.0
import { type Stats, unwatchFile, watchFile } from "node:fs";

/** By looking, not by events: mounted configuration changes by its links being replaced. */
const INTERVAL_MS = 2_000;

/** Calls `onChange` when the content of a file, or whether it is there, has changed. */
export class FileWatch {
  readonly #onChange: () => void;
  readonly #paths = new Set<string>();

  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  /** These files from now on. */
  set(paths: Iterable<string>): void {
    const wanted = new Set(paths);
    for (const path of this.#paths) if (!wanted.has(path)) unwatchFile(path, this.#onStat);
    for (const path of wanted) {
      if (this.#paths.has(path)) continue;
      watchFile(path, { interval: INTERVAL_MS, persistent: false }, this.#onStat);
    }
    this.#paths.clear();
    for (const path of wanted) this.#paths.add(path);
  }

  readonly #onStat = (now: Stats, before: Stats): void => {
    const isSame =
      now.mtimeMs === before.mtimeMs && now.size === before.size && now.ino === before.ino;
    if (!isSame) this.#onChange();
  };
}
