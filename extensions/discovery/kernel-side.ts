// SPDX-License-Identifier: Apache-2.0
import { fileURLToPath } from "node:url";
import {
  BpfError,
  type BpfMap,
  hasTracepoint,
  type Link,
  type LoadedObject,
  type MappedGlobals,
  type MappedMemory,
  NotSupportedError,
  openObject,
  type RingReader,
} from "libbpf-ts";
import {
  WIRE_HEADER_KIND,
  WIRE_LISTEN,
  WIRE_LISTEN_BYTES,
  WIRE_LISTEN_PORT,
  WIRE_LISTEN_TGID,
  WIRE_PROCESS_BYTES,
  WIRE_PROCESS_EXEC,
  WIRE_PROCESS_EXIT,
  WIRE_PROCESS_FORK,
  WIRE_PROCESS_NAME,
  WIRE_PROCESS_NAME_COUNT,
  WIRE_PROCESS_PARENT,
  WIRE_PROCESS_PENDING,
  WIRE_PROCESS_SEEDED,
  WIRE_PROCESS_SELECTED,
  WIRE_PROCESS_START_TIME_NS,
  WIRE_PROCESS_TGID,
} from "../../bpf/generated/wire.ts";
import { AgentError } from "../../src/component/errors.ts";

const OBJECT_PATH = fileURLToPath(new URL("../../build/bpf/selection.bpf.o", import.meta.url));
const RECORDS_PER_DRAIN_MAX = 16_384;
/** Of the map `wanted`. */
const WANTED_MAX = 4096;
const NS_PER_TICK = 1e7;
const LOST_COUNTS = 2;

export interface KernelOptions {
  readonly selfPid: number;
  /** Hold back what an exec'ed program does until it was looked at. */
  readonly confirmExecs: boolean;
  readonly reportExecs: boolean;
  readonly reportForks: boolean;
  readonly reportMoves: boolean;
  readonly reportListens: boolean;
}

export interface ProcessEvent {
  readonly pid: number;
  /** Of a fork; else 0. */
  readonly parent: number;
  readonly startTicks: number;
  /** The target number in the kernel's selection; 0 for none. */
  readonly target: number;
  /** Held back until userspace confirms it. */
  readonly isPending: boolean;
  /** The kernel's short name of the program. */
  readonly name: string;
}

export interface ProcessEvents {
  forked(event: ProcessEvent): void;
  execed(event: ProcessEvent): void;
  exited(event: ProcessEvent): void;
  listening(pid: number, port: number): void;
}

export interface SeedResult {
  /** Threads marked or cleared, as their processes; one entry a thread. */
  readonly changed: readonly ProcessEvent[];
  /**
   * Processes that are not marked while their parent is, with the parent's `target`; on a
   * rescan also those that are marked and were not wanted, with their own.
   */
  readonly others: readonly ProcessEvent[];
}

/** What the tracker needs of the kernel; a fake in tests. */
export interface KernelSelection {
  /** Reports what happened since the last call, in order. */
  drain(events: ProcessEvents): void;
  /** Sets the target of all threads of these processes, 0 to deselect; one pass. */
  seed(wanted: ReadonlyMap<number, number>, isRescan: boolean): SeedResult;
  /** Who listens on which TCP port, in all network namespaces. */
  listeners(report: (pid: number, port: number) => void): void;
  /** Events and inherited selections that were lost since the start. */
  lostCount(): number;
}

/** The programs of `bpf/selection.bpf.c`, loaded and attached. */
export class BpfSelection implements KernelSelection {
  readonly #object: LoadedObject;
  readonly #ring: RingReader;
  readonly #wanted: BpfMap;
  readonly #lost: MappedMemory;
  readonly #globals: MappedGlobals;
  readonly #seedTasks: Link;
  readonly selectedTasks: BpfMap;

  /** Takes over a loaded and attached object. */
  constructor(object: LoadedObject) {
    this.#object = object;
    this.#ring = object.ring("process_events");
    this.#wanted = object.map("wanted");
    this.#lost = object.map("process_events_lost").mmap();
    this.#globals = object.mapGlobal(".bss");
    this.#seedTasks = object.attach("seed_tasks");
    this.selectedTasks = object.map("selected_tasks");
  }

  /** @throws AgentError when this kernel or this user may not do what is needed. */
  static load(options: KernelOptions): BpfSelection {
    try {
      return loadObject(options);
    } catch (cause) {
      throw toAgentError(cause);
    }
  }

  drain(events: ProcessEvents): void {
    const { view } = this.#ring;
    this.#ring.drain((offset) => reportRecord(view, offset, events), RECORDS_PER_DRAIN_MAX);
  }

  seed(wanted: ReadonlyMap<number, number>, isRescan: boolean): SeedResult {
    this.#globals.set({ list_marked: isRescan ? 1 : 0 });
    const changed: ProcessEvent[] = [];
    const others: ProcessEvent[] = [];
    const entries = [...wanted];
    for (let at = 0; at === 0 || at < entries.length; at += WANTED_MAX) {
      const portion = entries.slice(at, at + WANTED_MAX);
      others.length = 0;
      this.#seedPortion(portion, changed, others);
    }
    return { changed, others };
  }

  listeners(report: (pid: number, port: number) => void): void {
    const output = this.#object.runIterator("list_listeners");
    const view = viewOf(output);
    for (let at = 0; at + WIRE_LISTEN_BYTES <= output.length; at += WIRE_LISTEN_BYTES) {
      report(
        view.getUint32(at + WIRE_LISTEN_TGID, true),
        view.getUint16(at + WIRE_LISTEN_PORT, true),
      );
    }
  }

  lostCount(): number {
    let count = 0;
    for (let at = 0; at < LOST_COUNTS; at++) count += uint64(this.#lost.view, at * 8);
    return count;
  }

  /** Detaches and frees. Capturing programs that use the map keep it alive. */
  close(): void {
    this.#ring.close();
    this.#lost.close();
    this.#globals.close();
    this.#object.close();
  }

  #seedPortion(
    portion: readonly (readonly [number, number])[],
    changed: ProcessEvent[],
    others: ProcessEvent[],
  ): void {
    for (const [pid, target] of portion) this.#wanted.set(uint32(pid), uint32(target));
    try {
      const output = this.#seedTasks.readIter();
      const view = viewOf(output);
      for (let at = 0; at + WIRE_PROCESS_BYTES <= output.length; at += WIRE_PROCESS_BYTES) {
        const isSeeded = view.getUint16(at + WIRE_HEADER_KIND, true) === WIRE_PROCESS_SEEDED;
        (isSeeded ? changed : others).push(processEvent(view, at));
      }
    } finally {
      for (const [pid] of portion) this.#wanted.delete(uint32(pid));
    }
  }
}

function loadObject(options: KernelOptions): BpfSelection {
  const object = openObject(OBJECT_PATH);
  object.rodata.set({
    self_tgid: options.selfPid,
    confirm_execs: options.confirmExecs ? 1 : 0,
    report_execs: options.reportExecs ? 1 : 0,
    report_forks: options.reportForks ? 1 : 0,
  });
  const isLoaded = {
    process_moved: options.reportMoves && hasTracepoint("cgroup_attach_task"),
    socket_listens: options.reportListens,
    list_listeners: options.reportListens,
  };
  for (const [name, isWanted] of Object.entries(isLoaded)) {
    object.program(name).setAutoload(isWanted);
  }
  const loaded = object.load();
  try {
    loaded.attachAll();
    return new BpfSelection(loaded);
  } catch (cause) {
    loaded.close();
    throw cause;
  }
}

function reportRecord(view: DataView, offset: number, events: ProcessEvents): void {
  switch (view.getUint16(offset + WIRE_HEADER_KIND, true)) {
    case WIRE_PROCESS_FORK:
      events.forked(processEvent(view, offset));
      return;
    case WIRE_PROCESS_EXEC:
      events.execed(processEvent(view, offset));
      return;
    case WIRE_PROCESS_EXIT:
      events.exited(processEvent(view, offset));
      return;
    case WIRE_LISTEN:
      events.listening(
        view.getUint32(offset + WIRE_LISTEN_TGID, true),
        view.getUint16(offset + WIRE_LISTEN_PORT, true),
      );
      return;
    default:
  }
}

function processEvent(view: DataView, offset: number): ProcessEvent {
  return {
    pid: view.getUint32(offset + WIRE_PROCESS_TGID, true),
    parent: view.getUint32(offset + WIRE_PROCESS_PARENT, true),
    startTicks: Math.floor(uint64(view, offset + WIRE_PROCESS_START_TIME_NS) / NS_PER_TICK),
    target: view.getUint32(offset + WIRE_PROCESS_SELECTED, true),
    isPending: view.getUint32(offset + WIRE_PROCESS_PENDING, true) !== 0,
    name: shortName(view, offset + WIRE_PROCESS_NAME),
  };
}

function shortName(view: DataView, offset: number): string {
  const bytes = Buffer.from(view.buffer, view.byteOffset + offset, WIRE_PROCESS_NAME_COUNT);
  const end = bytes.indexOf(0);
  return bytes.toString("utf8", 0, end < 0 ? bytes.length : end);
}

function uint64(view: DataView, offset: number): number {
  return view.getUint32(offset + 4, true) * 2 ** 32 + view.getUint32(offset, true);
}

function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function toAgentError(cause: unknown): unknown {
  if (!(cause instanceof BpfError)) return cause;
  const isRefused = cause.errno === "EPERM" || cause.errno === "EACCES";
  const code =
    cause instanceof NotSupportedError
      ? "BS_KERNEL_UNSUPPORTED"
      : isRefused
        ? "BS_PRIVILEGE"
        : "BS_START";
  return new AgentError(code, `discovery: ${cause.message}`, { cause });
}
