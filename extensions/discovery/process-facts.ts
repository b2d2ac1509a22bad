// SPDX-License-Identifier: Apache-2.0
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
} from "node:fs";
import { type Container, type ContainerNames, findContainer } from "./container.ts";
import type { Matchable } from "./matcher.ts";

/** Arguments and environments are read this far. */
const FILE_BYTES_MAX = 1 << 20;
const UNTRUSTED = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;
const INIT_NAMES = new Set(["systemd", "init"]);

/** What a process says about itself by variables of OpenTelemetry's specification. */
export interface ProcessEnvironment {
  readonly OTEL_SERVICE_NAME: string | undefined;
  readonly OTEL_RESOURCE_ATTRIBUTES: string | undefined;
}

/** The fields of `/proc/PID/stat` in use (proc_pid_stat(5)). */
export interface ProcessStat {
  readonly name: string;
  /** Since boot, in clock ticks (100 a second); with the id it names a process for good. */
  readonly startTicks: number;
}

/**
 * Reads processes from `/proc`. Every read may fail because the process has ended: that is an
 * answer ("" or undefined), not an error. What the agent may not read is counted.
 */
export class ProcFs {
  readonly #root: string;
  readonly #buffer: Buffer = Buffer.allocUnsafeSlow(FILE_BYTES_MAX);
  readonly #containerNames: ContainerNames;
  #deniedCount = 0;

  constructor(root: string, containerNames: ContainerNames) {
    this.#root = root;
    this.#containerNames = containerNames;
  }

  /** Files of processes that could not be read for want of permission. */
  get deniedCount(): number {
    return this.#deniedCount;
  }

  pids(): number[] {
    const pids: number[] = [];
    for (const name of readdirSync(this.#root)) {
      const pid = Number(name);
      if (Number.isInteger(pid) && pid > 0) pids.push(pid);
    }
    return pids;
  }

  stat(pid: number): ProcessStat | undefined {
    const bytes = this.#read(pid, "stat");
    return bytes === undefined ? undefined : parseStat(bytes.toString("latin1"));
  }

  /** The process's facts, read as they are asked for. */
  facts(pid: number, stat: ProcessStat, ports: ReadonlySet<number>): ProcessFacts {
    return new ProcessFacts({ procFs: this, pid, stat, ports, names: this.#containerNames });
  }

  /** Path of the executable as the process's own mount namespace has it. */
  exe(pid: number): string {
    return this.link(pid, "exe").replace(/ \(deleted\)$/, "");
  }

  link(pid: number, name: "exe" | "cwd"): string {
    try {
      return readlinkSync(`${this.#root}/${pid}/${name}`);
    } catch (cause) {
      this.#noteFailure(cause);
      return "";
    }
  }

  args(pid: number): string[] {
    const bytes = this.#read(pid, "cmdline");
    if (bytes === undefined || bytes.length === 0) return [];
    const end = bytes.at(-1) === 0 ? bytes.length - 1 : bytes.length;
    return bytes.toString("utf8", 0, end).split("\0");
  }

  cgroups(pid: number): string[] {
    return parseCgroups(this.#read(pid, "cgroup")?.toString("utf8") ?? "");
  }

  /** Takes two variables out; the others never become strings. */
  environment(pid: number): ProcessEnvironment {
    const bytes = this.#read(pid, "environ");
    return {
      OTEL_SERVICE_NAME: environmentValue(bytes, "OTEL_SERVICE_NAME"),
      OTEL_RESOURCE_ATTRIBUTES: environmentValue(bytes, "OTEL_RESOURCE_ATTRIBUTES"),
    };
  }

  /**
   * A regular file by its path in the process's own root, at most 1 MiB. What lies there is
   * the process's to choose: links are not followed, and a pipe does not block.
   */
  fileOf(pid: number, path: string): string | undefined {
    return this.#read(pid, `root${path}`, UNTRUSTED)?.toString("utf8");
  }

  /** The bytes are valid until the next read. */
  #read(pid: number, name: string, flags: number = constants.O_RDONLY): Buffer | undefined {
    let fd: number | undefined;
    try {
      fd = openSync(`${this.#root}/${pid}/${name}`, flags);
      if (flags === UNTRUSTED && !fstatSync(fd).isFile()) return undefined;
      let length = 0;
      for (;;) {
        const got = readSync(fd, this.#buffer, length, FILE_BYTES_MAX - length, null);
        length += got;
        if (got === 0 || length === FILE_BYTES_MAX) return this.#buffer.subarray(0, length);
      }
    } catch (cause) {
      this.#noteFailure(cause);
      return undefined;
    } finally {
      if (fd !== undefined) closeSync(fd);
    }
  }

  #noteFailure(cause: unknown): void {
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    if (code === "EACCES" || code === "EPERM") this.#deniedCount++;
  }
}

interface FactsOptions {
  readonly procFs: ProcFs;
  readonly pid: number;
  readonly stat: ProcessStat;
  readonly ports: ReadonlySet<number>;
  readonly names: ContainerNames;
}

/** One process as of now. Each fact is read once, when it is first asked for. */
export class ProcessFacts implements Matchable {
  readonly pid: number;
  readonly stat: ProcessStat;
  readonly ports: ReadonlySet<number>;
  readonly #procFs: ProcFs;
  readonly #names: ContainerNames;
  #exe: string | undefined;
  #args: readonly string[] | undefined;
  #cgroups: readonly string[] | undefined;
  #environment: ProcessEnvironment | undefined;
  #container: Container | undefined;
  #isContainerKnown = false;

  constructor(options: FactsOptions) {
    this.pid = options.pid;
    this.stat = options.stat;
    this.ports = options.ports;
    this.#procFs = options.procFs;
    this.#names = options.names;
  }

  get isInit(): boolean {
    return this.pid === 1 && INIT_NAMES.has(this.stat.name);
  }

  /** Kernel threads and processes that have ended but are not yet waited for. */
  get hasNoProgram(): boolean {
    return this.exe === "" && this.args.length === 0;
  }

  get exe(): string {
    this.#exe ??= this.#procFs.exe(this.pid);
    return this.#exe;
  }

  get args(): readonly string[] {
    this.#args ??= this.#procFs.args(this.pid);
    return this.#args;
  }

  get command(): string {
    return this.args.join(" ");
  }

  get cgroups(): readonly string[] {
    this.#cgroups ??= this.#procFs.cgroups(this.pid);
    return this.#cgroups;
  }

  get environment(): ProcessEnvironment {
    this.#environment ??= this.#procFs.environment(this.pid);
    return this.#environment;
  }

  get container(): Container | undefined {
    if (!this.#isContainerKnown) {
      this.#isContainerKnown = true;
      this.#container = findContainer(this.cgroups, this.#names);
    }
    return this.#container;
  }

  get workingDirectory(): string {
    return this.#procFs.link(this.pid, "cwd");
  }

  /** A text file by its path in the process's own root. */
  readText(path: string): string | undefined {
    return this.#procFs.fileOf(this.pid, path);
  }

  /** False once the process has ended, also when another has its id now. */
  isStillThere(): boolean {
    return this.#procFs.stat(this.pid)?.startTicks === this.stat.startTicks;
  }
}

/** The name stands in parentheses and may itself hold blanks and parentheses. */
export function parseStat(text: string): ProcessStat | undefined {
  const open = text.indexOf("(");
  const close = text.lastIndexOf(")");
  if (open < 0 || close < open) return undefined;
  const fields = text.slice(close + 2).split(" ");
  const startTicks = Number(fields[19]);
  if (!Number.isInteger(startTicks)) return undefined;
  return { name: text.slice(open + 1, close), startTicks };
}

/** The distinct paths of `/proc/PID/cgroup` (cgroups(7)), that of cgroup v2 first. */
export function parseCgroups(text: string): string[] {
  const unified: string[] = [];
  const others: string[] = [];
  for (const line of text.split("\n")) {
    const match = /^\d+:([^:]*):(.*)$/.exec(line);
    if (match === null) continue;
    (match[1] === "" ? unified : others).push(match[2] ?? "");
  }
  return [...new Set([...unified, ...others])];
}

function environmentValue(bytes: Buffer | undefined, name: string): string | undefined {
  if (bytes === undefined) return undefined;
  const marker = `${name}=`;
  let at = bytes.indexOf(marker);
  while (at > 0 && bytes[at - 1] !== 0) at = bytes.indexOf(marker, at + 1);
  if (at < 0) return undefined;
  const start = at + marker.length;
  const end = bytes.indexOf(0, start);
  return bytes.toString("utf8", start, end < 0 ? bytes.length : end);
}
