// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "./eventually.ts";

const KINDS = ["programs", "links", "maps"] as const;
type Kind = (typeof KINDS)[number];

/** Kernel-wide ids, never used twice before they wrap. */
export type BpfIds = Readonly<Record<Kind, readonly number[]>>;

/** What a process holds open of BPF; all empty when it never did, or is gone. */
export function bpfIdsOf(pid: number): BpfIds {
  const found = { programs: new Set<number>(), links: new Set<number>(), maps: new Set<number>() };
  const add = (kind: Kind, text: string, field: string): void => {
    const id = new RegExp(`^${field}:\\s*(\\d+)`, "m").exec(text)?.[1];
    if (id !== undefined) found[kind].add(Number(id));
  };
  for (const text of descriptors(pid)) {
    add("programs", text, "prog_id");
    add("links", text, "link_id");
    add("maps", text, "map_id");
  }
  return { programs: [...found.programs], links: [...found.links], maps: [...found.maps] };
}

function descriptors(pid: number): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/fdinfo`).map((fd) => content(`/proc/${pid}/fdinfo/${fd}`));
  } catch {
    return [];
  }
}

function content(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

/** Of these, what the kernel still has. It frees after a grace period: waits up to 5 s for it. */
export async function bpfLeftOf(ids: BpfIds): Promise<BpfIds> {
  return await eventually(
    async () => stillThere(ids),
    (left) => KINDS.every((kind) => left[kind].length === 0),
    5_000,
  );
}

function stillThere(ids: BpfIds): BpfIds {
  const script = join(import.meta.dirname, "bpf-ids.py");
  const all: BpfIds = JSON.parse(execFileSync("python3", [script], { encoding: "utf8" }));
  const left = (kind: Kind): readonly number[] => ids[kind].filter((id) => all[kind].includes(id));
  return { programs: left("programs"), links: left("links"), maps: left("maps") };
}
