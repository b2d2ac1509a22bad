// SPDX-License-Identifier: Apache-2.0
import { readdir, readFile, readlink } from "node:fs/promises";

const DESCRIPTORS_MAX = 4_096;
const NS_PER_SECOND = 1e9;

export interface OwnPrograms {
  readonly probes: readonly {
    readonly name: string;
    readonly attached: boolean;
    readonly reason: string;
  }[];
  /** Null where the kernel does not count it (`kernel.bpf_stats_enabled`). */
  readonly kernelSeconds: number | null;
}

/** BPF links and programs that this process holds, as the kernel describes their descriptors. */
export async function ownPrograms(): Promise<OwnPrograms> {
  const probes = new Map<string, number>();
  const runTimes = new Map<string, number>();
  const names = await readdir("/proc/self/fd").catch(() => []);
  for (const fd of names.slice(0, DESCRIPTORS_MAX)) {
    const target = await readlink(`/proc/self/fd/${fd}`).catch(() => "");
    const isLink = target.includes("bpf_link") || target.includes("bpf-link");
    if (!isLink && !target.includes("bpf-prog")) continue;
    const facts = factsOf(await readFile(`/proc/self/fdinfo/${fd}`, "utf8").catch(() => ""));
    if (isLink) {
      const name = linkName(facts);
      probes.set(name, (probes.get(name) ?? 0) + 1);
    } else {
      const ns = Number(facts.get("run_time_ns") ?? 0);
      runTimes.set(facts.get("prog_id") ?? "", Number.isFinite(ns) ? ns : 0);
    }
  }
  const totalNs = [...runTimes.values()].reduce((sum, ns) => sum + ns, 0);
  return {
    probes: [...probes]
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([name, count]) => ({
        name: count > 1 ? `${name} ×${count}` : name,
        attached: true,
        reason: "",
      })),
    kernelSeconds: totalNs > 0 ? totalNs / NS_PER_SECOND : null,
  };
}

/** `bpf_attach_type` of the kernel's uapi, of those that we attach. */
const ATTACH_TYPES: Readonly<Record<string, string>> = {
  19: "udp4_recvmsg",
  20: "udp6_recvmsg",
  34: "inet_sock_release",
};

function linkName(facts: ReadonlyMap<string, string>): string {
  const type = facts.get("link_type") ?? "link";
  const attachType = facts.get("attach_type") ?? "";
  const target =
    facts.get("tp_name") ?? facts.get("target_name") ?? ATTACH_TYPES[attachType] ?? attachType;
  return target === "" ? type : `${type}/${target}`;
}

/** The lines `name: value` of a descriptor. */
function factsOf(text: string): ReadonlyMap<string, string> {
  const facts = new Map<string, string>();
  for (const line of text.split("\n")) {
    const at = line.indexOf(":");
    if (at > 0) facts.set(line.slice(0, at).trim(), line.slice(at + 1).trim());
  }
  return facts;
}
