// SPDX-License-Identifier: Apache-2.0
import { readFileSync, statSync } from "node:fs";

/** A file that a process runs code of. */
export interface MappedFile {
  /** As the process names it. */
  readonly name: string;
  /** As this process can open it, in whatever mount namespace it lies. */
  readonly path: string;
  /** Which file it is, whatever its name: device, inode, size and time of change. */
  readonly identity: string;
}

const EXECUTABLE = /^([0-9a-f]+-[0-9a-f]+) ..x. \S+ (\S+) (\d+) +(\/.*)$/;
/** Files looked at in one process. */
const FILES_MAX = 512;

/** The files that a process has mapped to run code of; none when it is gone. */
export function mappedFiles(pid: number): readonly MappedFile[] {
  const files = new Map<string, MappedFile>();
  for (const line of mapsOf(pid).split("\n")) {
    const [, range = "", device = "", inode = "", name = ""] = EXECUTABLE.exec(line) ?? [];
    const key = `${device} ${inode}`;
    if (inode === "" || inode === "0" || files.has(key)) continue;
    if (files.size >= FILES_MAX) break;
    const file = locate(pid, range, inode, name);
    if (file !== undefined) files.set(key, file);
  }
  return [...files.values()];
}

function mapsOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/maps`, "utf8");
  } catch {
    return "";
  }
}

/** By its name in the process's root; where that is another file now, or none, by the mapping. */
function locate(pid: number, range: string, inode: string, name: string): MappedFile | undefined {
  for (const path of [`/proc/${pid}/root${name}`, `/proc/${pid}/map_files/${range}`]) {
    try {
      const { dev, ino, size, mtimeMs } = statSync(path);
      const isNamed = path.endsWith(range);
      if (isNamed || String(ino) === inode) {
        return { name, path, identity: `${dev}:${ino}:${size}:${mtimeMs}` };
      }
    } catch {
      // The next way to it.
    }
  }
  return undefined;
}
