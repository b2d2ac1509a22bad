// SPDX-License-Identifier: Apache-2.0
import { readFileSync, statSync } from "node:fs";

import { PerfMap } from "./perf-map.ts";

/** A part of a process's address space. */
export interface ProcessMapping {
  readonly start: number;
  readonly end: number;
  /** Bytes from the start of the file that is mapped. */
  readonly offset: number;
  /** Device and inode; `00:00 0` when no file is mapped. */
  readonly fileId: string;
  /** As the process sees it, perhaps in another mount namespace; `[heap]` and the like. */
  readonly path: string;
}

const NO_FILE = "00:00 0";
const PERF_MAP_BYTES_MAX = 256 << 20;
const LINE = /^([0-9a-f]+)-([0-9a-f]+) (\S{4}) ([0-9a-f]+) (\S+) (\d+) *(.*)$/gm;

/** Parses `/proc/<pid>/maps` (`proc_pid_maps(5)`); of the executable mappings only. */
export function parseMappings(text: string): readonly ProcessMapping[] {
  const all: ProcessMapping[] = [];
  for (const [
    ,
    start = "",
    end = "",
    mode = "",
    offset = "",
    device,
    inode,
    path = "",
  ] of text.matchAll(LINE)) {
    if (mode.includes("x")) {
      all.push({
        start: Number.parseInt(start, 16),
        end: Number.parseInt(end, 16),
        offset: Number.parseInt(offset, 16),
        fileId: `${device} ${inode}`,
        path,
      });
    }
  }
  return all;
}

export function hasFile(mapping: ProcessMapping): boolean {
  return mapping.fileId !== NO_FILE;
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/** Field 22 of `/proc/<pid>/stat`, which tells two processes of one pid apart. */
function startTime(pid: number): string | undefined {
  const stat = readText(`/proc/${pid}/stat`);
  return stat?.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
}

/** A process's pid in its own innermost namespace, by which it names its perf map. */
function innermostPid(pid: number): string {
  const status = readText(`/proc/${pid}/status`) ?? "";
  return /^NSpid:.*?(\d+)$/m.exec(status)?.[1] ?? String(pid);
}

/** What is known of a process: its mappings and its runtime's own functions. Outlives the process. */
export class ProcessMemory {
  readonly pid: number;
  readonly #startTime: string | undefined;
  #mappings: readonly ProcessMapping[] = [];
  #perfMap: PerfMap | undefined;
  #perfMapVersion = "";

  constructor(pid: number) {
    this.pid = pid;
    this.#startTime = startTime(pid);
    this.#readMappings();
  }

  /** Whether the pid has gone to another process since. An ended process is not another. */
  get isReplaced(): boolean {
    const now = startTime(this.pid);
    return now !== undefined && now !== this.#startTime;
  }

  get isEmpty(): boolean {
    return this.#mappings.length === 0;
  }

  /** The mapping of an address; read anew when there is none, for what was mapped since. */
  find(address: number): ProcessMapping | undefined {
    const known = this.#lookUp(address);
    if (known !== undefined) {
      return known;
    }
    this.#readMappings();
    return this.#lookUp(address);
  }

  /** The name that a runtime gives to its own code at an address. */
  runtimeFunction(address: number): { readonly name: string; readonly start: number } | undefined {
    const known = this.#perfMap?.find(address);
    if (known !== undefined) {
      return known;
    }
    this.#readPerfMap();
    return this.#perfMap?.find(address);
  }

  #lookUp(address: number): ProcessMapping | undefined {
    return this.#mappings.find((each) => address >= each.start && address < each.end);
  }

  #readMappings(): void {
    const text = readText(`/proc/${this.pid}/maps`);
    if (text !== undefined && text !== "" && !this.isReplaced) {
      this.#mappings = parseMappings(text);
    }
  }

  #readPerfMap(): void {
    const path = `/proc/${this.pid}/root/tmp/perf-${innermostPid(this.pid)}.map`;
    try {
      const { size, mtimeMs } = statSync(path);
      const version = `${size} ${mtimeMs}`;
      if (version !== this.#perfMapVersion && size <= PERF_MAP_BYTES_MAX) {
        this.#perfMap = PerfMap.parse(readFileSync(path, "utf8"));
        this.#perfMapVersion = version;
      }
    } catch {
      // No perf map, or the process has ended: what was read before still holds.
    }
  }
}
