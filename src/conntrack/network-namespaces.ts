// SPDX-License-Identifier: Apache-2.0
import { readdirSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";

/** A network namespace by its inode, with a file to enter it by. */
export interface NetworkNamespace {
  readonly inode: number;
  /** Undefined for the agent's own. */
  readonly path: string | undefined;
}

export interface NamespaceFolders {
  readonly proc: string;
  /** Where named namespaces are mounted. */
  readonly named: readonly string[];
}

const FOLDERS: NamespaceFolders = { proc: "/proc", named: ["/run/netns", "/run/docker/netns"] };

/**
 * The namespaces that `names` mean: `self`, `all` (of every process and every named one) or a
 * file. Each one once, at most `countMax`; `leftOut` says how many more there are.
 */
export function findNamespaces(
  names: readonly string[],
  countMax: number,
  folders: NamespaceFolders = FOLDERS,
): { readonly found: readonly NetworkNamespace[]; readonly leftOut: number } {
  const own = inodeOf(join(folders.proc, "self/ns/net"));
  const byInode = new Map<number, NetworkNamespace>();
  const add = (path: string): void => {
    const inode = inodeOf(path);
    if (inode === undefined || byInode.has(inode)) return;
    byInode.set(inode, { inode, path: inode === own ? undefined : path });
  };
  for (const name of names) {
    if (name === "self") add(join(folders.proc, "self/ns/net"));
    else if (name !== "all") add(name);
  }
  if (names.includes("all")) {
    for (const folder of folders.named) {
      for (const file of listed(folder)) add(join(folder, file));
    }
    for (const pid of listed(folders.proc)) {
      if (/^\d+$/.test(pid)) add(join(folders.proc, pid, "ns/net"));
    }
  }
  const all = [...byInode.values()];
  return { found: all.slice(0, countMax), leftOut: Math.max(0, all.length - countMax) };
}

/** By the link `net:[4026531840]` of a process, else by the mounted file itself. */
function inodeOf(path: string): number | undefined {
  try {
    const inode = /^net:\[(\d+)\]$/.exec(readlinkSync(path))?.[1];
    if (inode !== undefined) return Number(inode);
  } catch {
    // A mounted file is no link.
  }
  try {
    return statSync(path).ino;
  } catch {
    return undefined;
  }
}

function listed(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
