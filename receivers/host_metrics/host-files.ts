// SPDX-License-Identifier: Apache-2.0
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";

/** USER_HZ: the kernel's unit of CPU time towards programs, on every architecture of Linux. */
export const TICKS_PER_SECOND = 100;

/** The files of the host, below `root_path`. */
export class HostFiles {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  path(path: string): string {
    return this.root === "" ? path : join(this.root, path);
  }

  /** Throws what Node's `readFileSync` throws. */
  read(path: string): string {
    return readFileSync(this.path(path), "utf8");
  }

  /** Undefined when it cannot be read. */
  tryRead(path: string): string | undefined {
    try {
      return this.read(path);
    } catch {
      return undefined;
    }
  }

  lines(path: string): readonly string[] {
    return this.read(path)
      .split("\n")
      .filter((line) => line !== "");
  }

  list(path: string): readonly string[] {
    return readdirSync(this.path(path));
  }

  link(path: string): string {
    return readlinkSync(this.path(path));
  }

  /** `Key: 12 kB` or `key 12` lines as numbers. */
  numbers(path: string): ReadonlyMap<string, number> {
    const found = new Map<string, number>();
    for (const line of this.lines(path)) {
      const match = /^([^\s:]+):?\s+(\d+)/.exec(line);
      if (match !== null) found.set(match[1] ?? "", Number(match[2]));
    }
    return found;
  }

  /** When the machine started, seconds of the epoch. */
  bootSeconds(): number {
    return this.numbers("/proc/stat").get("btime") ?? 0;
  }

  pids(): readonly number[] {
    return this.list("/proc")
      .filter((name) => /^\d+$/.test(name))
      .map(Number);
  }
}

/** Fields of /proc/PID/stat behind the name, which may hold anything: `field(stat, 3)` is the state. */
export function statField(stat: string, number: number): string {
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[number - 3] ?? "";
}
