// SPDX-License-Identifier: Apache-2.0
import { lookup } from "node:dns/promises";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { type FeatureReport, probeAll } from "libbpf-ts";
import { type ObjectFacts, readObjects } from "./bpf-objects.ts";
import type { Needs, Place } from "./needs.ts";

/** What the agent would find of other processes in `/proc`. */
export interface ProcFacts {
  readonly processes: number;
  /** Of these, those whose program this process may not see. */
  readonly refused: number;
  /** Whether `/proc` shows the processes of the whole host. */
  readonly isWholeHost: boolean;
}

export interface MemoryFacts {
  readonly availableBytes: number;
  /** Of the tightest control group above this process; infinite where there is none. */
  readonly limitBytes: number;
}

/** How an attempt at a place in the network ended: undefined when it worked, else the errno. */
export interface Attempt {
  readonly place: Place;
  readonly failure: string | undefined;
}

/** All that the checks judge by; fakes of it in tests. */
export interface HostFacts {
  readonly kernel: FeatureReport;
  readonly userId: number;
  /** The agent's compiled BPF programs, each loaded once and freed. */
  readonly objects: readonly ObjectFacts[];
  /** Folders in which container runtimes keep what the agent reads names from. */
  readonly runtimeFolders: readonly { readonly path: string; readonly isReadable: boolean }[];
  readonly proc: ProcFacts;
  readonly memory: MemoryFacts;
  readonly listens: readonly Attempt[];
  readonly connects: readonly Attempt[];
}

/** The id of the first pid namespace: `PROC_PID_INIT_INO` of `linux/proc_ns.h`. */
const HOST_PID_NAMESPACE = "pid:[4026531836]";
const PROCESSES_LOOKED_AT_MAX = 2_000;
const CONNECT_TIMEOUT_MS = 2_000;
/** Those that `extensions/discovery` reads container names from. */
const RUNTIME_FOLDERS = [
  "/var/lib/docker/containers",
  "/run/containerd/io.containerd.runtime.v2.task",
  "/var/lib/containers/storage/overlay-containers",
];

/** Looks at this host; loads programs and attaches none, opens ports and sends nothing. */
export async function readHost(needs: Needs, objectFolder: string): Promise<HostFacts> {
  const kernel = probeAll();
  return {
    kernel,
    userId: process.geteuid?.() ?? -1,
    objects: readObjects(objectFolder, kernel),
    runtimeFolders: RUNTIME_FOLDERS.flatMap(folderFacts),
    proc: readProc(),
    memory: readMemory(),
    listens: await inTurn(needs.listens, tryListen),
    connects: await inTurn(needs.connects, tryConnect),
  };
}

async function inTurn(
  places: readonly Place[],
  attempt: (place: Place) => Promise<string | undefined>,
): Promise<readonly Attempt[]> {
  const attempts: Attempt[] = [];
  for (const place of places) attempts.push({ place, failure: await attempt(place) });
  return attempts;
}

function errnoOf(error: unknown): string {
  if (error instanceof Error && "code" in error) return String(error.code);
  return String(error);
}

function folderFacts(path: string): HostFacts["runtimeFolders"] {
  try {
    readdirSync(path);
    return [{ path, isReadable: true }];
  } catch (error) {
    return errnoOf(error) === "ENOENT" ? [] : [{ path, isReadable: false }];
  }
}

function readProc(): ProcFacts {
  const pids = listOf("/proc").filter((name) => /^\d+$/.test(name));
  let refused = 0;
  for (const pid of pids.slice(0, PROCESSES_LOOKED_AT_MAX)) {
    try {
      readlinkSync(`/proc/${pid}/exe`);
    } catch (error) {
      // Kernel threads have no program, and processes end.
      if (["EACCES", "EPERM"].includes(errnoOf(error))) refused++;
    }
  }
  return {
    processes: pids.length,
    refused,
    isWholeHost: linkOf("/proc/self/ns/pid") === HOST_PID_NAMESPACE,
  };
}

function listOf(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function readMemory(): MemoryFacts {
  const available = /^MemAvailable:\s+(\d+) kB$/m.exec(textOf("/proc/meminfo"))?.[1];
  const groups = textOf("/proc/self/cgroup");
  const limits = [
    ...limitsAbove("/sys/fs/cgroup", /^0::(.*)$/m.exec(groups)?.[1], "memory.max"),
    ...limitsAbove(
      "/sys/fs/cgroup/memory",
      /^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(.*)$/m.exec(groups)?.[1],
      "memory.limit_in_bytes",
    ),
  ];
  return {
    availableBytes: Number(available ?? 0) * 1024,
    limitBytes: Math.min(Number.POSITIVE_INFINITY, ...limits),
  };
}

/** The limits of a control group and of those above it. */
function limitsAbove(root: string, path: string | undefined, file: string): readonly number[] {
  if (path === undefined) return [];
  const parts = path.split("/").filter((part) => part !== "");
  return parts.concat("").flatMap((_, count) => {
    const text = textOf(join(root, ...parts.slice(0, count), file)).trim();
    // Version 1 writes a number near 2^63 for none, version 2 `max`.
    return /^\d+$/.test(text) && Number(text) < 2 ** 60 ? [Number(text)] : [];
  });
}

/** Opens the port as the agent would, and closes it at once. */
async function tryListen({ host, port }: Place): Promise<string | undefined> {
  if (port === 0) return undefined;
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ port, exclusive: true, ...(host === "" ? {} : { host }) }, resolve);
    });
    await new Promise<void>((resolve) => server.close(() => resolve()));
    return undefined;
  } catch (error) {
    return errnoOf(error);
  }
}

/** Connects and sends nothing. */
async function tryConnect({ host, port }: Place): Promise<string | undefined> {
  try {
    await lookup(host);
    await new Promise<void>((resolve, reject) => {
      const socket = connect({ host, port, timeout: CONNECT_TIMEOUT_MS });
      socket.once("connect", () => {
        socket.destroy();
        resolve();
      });
      socket.once("timeout", () => {
        socket.destroy();
        reject(new Error("no answer within 2 s"));
      });
      socket.once("error", reject);
    });
    return undefined;
  } catch (error) {
    return error instanceof Error && !("code" in error) ? error.message : errnoOf(error);
  }
}
