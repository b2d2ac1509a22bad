// SPDX-License-Identifier: Apache-2.0
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

export interface SmallDisk {
  enlarge(): Promise<void>;
  /** Rejects while a file there is open for writing. */
  readOnly(): Promise<void>;
  remove(): Promise<void>;
}

/** A file system in memory of 256 KiB at this path. */
export async function smallDisk(path: string): Promise<SmallDisk> {
  await run("mount", ["-t", "tmpfs", "-o", "size=256k,mode=0700", "backstitch-test", path]);
  return {
    enlarge: async () => void (await run("mount", ["-o", "remount,size=4m", path])),
    readOnly: async () => void (await run("mount", ["-o", "remount,ro", path])),
    remove: async () => void (await run("umount", ["-l", path])),
  };
}
