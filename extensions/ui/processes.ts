// SPDX-License-Identifier: Apache-2.0
import { readdir, readFile, readlink } from "node:fs/promises";
import type { MetricSample } from "../../src/component/agent-view.ts";
import type { Extension, Host } from "../../src/component/component.ts";
import type { ProcessSelection } from "../../src/model/process.ts";

const PROCESSES_MAX = 1_000;
const PIDS_MAX = 8_192;
const PORTS_MAX = 16;
const DESCRIPTORS_MAX = 1_024;
const TABLE_BYTES_MAX = 8 * 1024 * 1024;
const LISTEN = "0A";
const UNSEEN_METRIC = "backstitch_ebpf_l7_records_without_payload";

interface ProcessRow {
  readonly pid: number;
  readonly name: string;
  readonly exe: string;
  readonly ports: readonly number[];
  readonly watched: boolean;
  readonly service: string;
  readonly reason: string;
  readonly targets: readonly object[];
}

/** What the agent watches and what it does not. Only names, paths and ports are read. */
export async function processes(host: Host): Promise<object> {
  const watched = watchedProcesses(host);
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const tables = new Map<string, ReadonlyMap<string, number>>();
  const rows: ProcessRow[] = [];
  for (const pid of pids.slice(0, PIDS_MAX)) {
    const row = await processRow(pid, watched, tables);
    if (row !== undefined) rows.push(row);
    if (rows.length === PROCESSES_MAX) break;
  }
  const unseen = unseenOf((await host.agent?.metrics()) ?? []);
  const truncated = rows.length === PROCESSES_MAX || pids.length > PIDS_MAX;
  return { processes: rows, unseen, truncated };
}

/** Undefined of what neither listens nor is watched. */
async function processRow(
  pid: number,
  watched: ReadonlyMap<number, string>,
  tables: Map<string, ReadonlyMap<string, number>>,
): Promise<ProcessRow | undefined> {
  const service = watched.get(pid);
  const found = await listeningPorts(pid, tables);
  if (service === undefined && (found === undefined || found.length === 0)) return undefined;
  const ports = found ?? [];
  const name = (await readFile(`/proc/${pid}/comm`, "utf8").catch(() => "")).trim();
  const exe = await readlink(`/proc/${pid}/exe`).catch(() => "");
  const targets = [
    ...(ports.length === 0 ? [] : [{ ports: ports.join(",") }]),
    ...(exe === "" ? [] : [{ exe }]),
  ];
  const isWatched = service !== undefined;
  const reason = isWatched ? "" : reasonOf(pid, exe);
  return { pid, name, exe, ports, watched: isWatched, service: service ?? "", reason, targets };
}

function reasonOf(pid: number, exe: string): string {
  if (pid === process.pid) return "agent";
  return exe === "" ? "not_permitted" : "not_selected";
}

/** `service.name` by pid, of the extension that selects processes. */
function watchedProcesses(host: Host): ReadonlyMap<number, string> {
  const { agent } = host;
  const watched = new Map<number, string>();
  for (const id of agent?.extensions ?? []) {
    const selection = agent?.extensionType(id) === "discovery" ? host.extension(id) : undefined;
    if (selection === undefined || !isSelection(selection)) continue;
    for (const { pid, serviceName } of selection.selected()) watched.set(pid, serviceName);
  }
  return watched;
}

function isSelection(extension: Extension): extension is Extension & ProcessSelection {
  return "selected" in extension && typeof extension.selected === "function";
}

/** Undefined when the process may not be looked at. */
async function listeningPorts(
  pid: number,
  tables: Map<string, ReadonlyMap<string, number>>,
): Promise<readonly number[] | undefined> {
  const fds = await readdir(`/proc/${pid}/fd`).catch(() => undefined);
  if (fds === undefined) return undefined;
  const netns = await readlink(`/proc/${pid}/ns/net`).catch(() => "");
  let table = tables.get(netns);
  if (table === undefined) {
    table = await listeningSockets(pid);
    tables.set(netns, table);
  }
  if (table.size === 0) return [];
  const ports = new Set<number>();
  for (const fd of fds.slice(0, DESCRIPTORS_MAX)) {
    const target = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => "");
    const port = table.get(target);
    if (port !== undefined && ports.size < PORTS_MAX) ports.add(port);
  }
  return [...ports].sort((one, other) => one - other);
}

/** Ports by `socket:[inode]` in the network namespace of a process. */
async function listeningSockets(pid: number): Promise<ReadonlyMap<string, number>> {
  const sockets = new Map<string, number>();
  for (const file of ["tcp", "tcp6"]) {
    const text = await readFile(`/proc/${pid}/net/${file}`, "latin1").catch(() => "");
    for (const line of text.slice(0, TABLE_BYTES_MAX).split("\n").slice(1)) {
      const [, local = "", , state, , , , , , inode] = line.trim().split(/\s+/);
      if (state !== LISTEN || inode === undefined) continue;
      sockets.set(`socket:[${inode}]`, Number.parseInt(local.split(":")[1] ?? "0", 16));
    }
  }
  return sockets;
}

/** Calls of the watched processes whose bytes were not read, as the receivers count them. */
function unseenOf(metrics: readonly MetricSample[]): readonly object[] {
  return metrics
    .filter(({ name, value }) => name === UNSEEN_METRIC && value > 0)
    .map(({ labels, value }) => ({ reason: labels["reason"] ?? "", count: value }));
}
