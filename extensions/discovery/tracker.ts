// SPDX-License-Identifier: Apache-2.0
import type { SelectedProcess, SelectionChange } from "../../src/model/process.ts";
import { asChild, asProgram, identify, isSameIdentity } from "./identity.ts";
import type { KernelSelection, ProcessEvent, ProcessEvents } from "./kernel-side.ts";
import type { Matcher } from "./matcher.ts";
import { isSameTime, PortTable } from "./port-table.ts";
import type { ProcessFacts, ProcFs } from "./process-facts.ts";

/** How long `process` answers for processes that have ended. */
const ENDED_KEPT_MS = 60_000;
const ENDED_MAX = 4096;
/** Processes waiting to be looked at; one more, and all are looked at. */
const DIRTY_MAX = 16_384;
const EXCLUDED_MAX = 16_384;
/** A tree that forks faster than it can be followed is left to the next rescan. */
const SEED_PASSES_MAX = 16;

export interface TrackerOptions {
  readonly matcher: Matcher;
  readonly procFs: ProcFs;
  readonly kernel: KernelSelection;
  readonly selfPid: number;
  readonly hostName: string;
  readonly nowMs: () => number;
  readonly onChange: (change: SelectionChange) => void;
}

interface Entry {
  readonly process: SelectedProcess;
  readonly target: number;
  readonly startTicks: number;
}

interface Ended {
  readonly process: SelectedProcess;
  readonly atMs: number;
}

/** Why a process is looked at. */
export interface Reason {
  /** The target that it has inherited in the kernel, 0 for none. */
  readonly inherited: number;
  /** Its program may be another one: read its facts again. */
  readonly isRefresh: boolean;
}

interface Dirty extends Reason {
  /** The kernel's name of a program that it has executed, or "". */
  readonly name: string;
}

/**
 * Decides which processes are selected, and keeps the kernel's marks in step. A process is
 * selected when a target matches it, or when its parent is selected at the fork; it stays so
 * until it ends or an exclusion matches it. An excluded process passes nothing on.
 */
export class Tracker implements ProcessEvents {
  readonly #options: TrackerOptions;
  readonly #entries = new Map<number, Entry>();
  /** In the order of their end. */
  readonly #ended = new Map<number, Ended>();
  readonly #dirty = new Map<number, Dirty>();
  /** Decisions that the kernel does not know yet. */
  #wanted = new Map<number, number>();
  /** Process id to start time; so that they are not judged at each pass. */
  readonly #excluded = new Map<number, number>();
  readonly #ports = new PortTable();
  #isRescanDue = false;

  constructor(options: TrackerOptions) {
    this.#options = options;
  }

  get selectedCount(): number {
    return this.#entries.size;
  }

  askForRescan(): void {
    this.#isRescanDue = true;
  }

  /** True once after a bound was hit: look at all processes. */
  takeRescanDue(): boolean {
    const isDue = this.#isRescanDue;
    this.#isRescanDue = false;
    return isDue;
  }

  *selected(): Generator<SelectedProcess, void, void> {
    for (const entry of this.#entries.values()) yield entry.process;
  }

  process(pid: number): SelectedProcess | undefined {
    return this.#entries.get(pid)?.process ?? this.#ended.get(pid)?.process;
  }

  // --- events ---------------------------------------------------------------------------------

  forked(event: ProcessEvent): void {
    const { pid, parent, startTicks, target } = event;
    const known = this.#entries.get(pid);
    if (known !== undefined && isSameTime(known.startTicks, startTicks)) return;
    if (known !== undefined) this.#end(pid);
    const from = this.#entries.get(parent);
    const isPlain =
      target !== 0 && from?.target === target && !event.isPending && !this.#dirty.has(parent);
    if (!isPlain || from === undefined || this.#options.matcher.needs.forks) {
      this.#markDirty(pid, { inherited: target, isRefresh: true, name: "" });
      return;
    }
    this.#ports.copy(parent, pid, startTicks);
    this.#enter(pid, { process: asChild(from.process, pid), target, startTicks });
  }

  execed(event: ProcessEvent): void {
    const { pid, target, name } = event;
    this.#markDirty(pid, { inherited: target, isRefresh: true, name });
  }

  exited(event: ProcessEvent): void {
    const { pid, startTicks } = event;
    const entry = this.#entries.get(pid);
    if (entry !== undefined && !isSameTime(entry.startTicks, startTicks)) return;
    const dirty = this.#dirty.get(pid);
    this.#dirty.delete(pid);
    this.#ports.delete(pid);
    if (dirty !== undefined && dirty.name !== "") this.#rename(pid, dirty.name);
    this.#end(pid);
  }

  listening(pid: number, port: number): void {
    // A listen() without bind() has no port yet: the rescan finds it.
    if (port === 0) this.#isRescanDue = true;
    if (!this.#options.matcher.asksForPort(port)) return;
    this.#isRescanDue ||= !this.#ports.add(pid, port);
    this.#markDirty(pid, { inherited: 0, isRefresh: false, name: "" });
  }

  // --- work -----------------------------------------------------------------------------------

  /** Looks at processes of which something was heard, until `deadlineMs`; true when all are done. */
  judgeDirty(deadlineMs: number): boolean {
    for (const [pid, dirty] of this.#dirty) {
      this.#dirty.delete(pid);
      const isSeen = this.judge(pid, dirty);
      if (!isSeen && dirty.name !== "") this.#rename(pid, dirty.name);
      if (this.#options.nowMs() >= deadlineMs) break;
    }
    return this.#dirty.size === 0;
  }

  /** Reads anew who listens where. */
  refreshListeners(): void {
    const { matcher, kernel } = this.#options;
    if (!matcher.needs.ports) return;
    this.#ports.clear();
    kernel.listeners((pid, port) => {
      if (matcher.asksForPort(port)) this.#ports.add(pid, port);
    });
  }

  /**
   * Begins a rescan: forgets what is not among the running processes, should its end have been
   * missed, and has the kernel told again of all that is selected.
   */
  beginRescan(runningPids: ReadonlySet<number>): void {
    for (const pid of this.#entries.keys()) if (!runningPids.has(pid)) this.#end(pid);
    for (const [pid, entry] of this.#entries) this.#wanted.set(pid, entry.target);
    this.#excluded.clear();
  }

  /** Decides about one process by what it is now; false when it could not be looked at. */
  judge(pid: number, { inherited, isRefresh }: Reason): boolean {
    const { matcher, procFs, selfPid } = this.#options;
    if (pid === selfPid) return true;
    const stat = procFs.stat(pid);
    if (stat === undefined) return false;
    const facts = procFs.facts(pid, stat, this.#ports.of(pid, stat.startTicks));
    this.#excluded.delete(pid);
    let entry = this.#entries.get(pid);
    if (entry !== undefined && !isSameTime(entry.startTicks, facts.stat.startTicks)) {
      this.#end(pid);
      entry = undefined;
    }
    if (matcher.isExcluded(facts)) {
      this.#exclude(facts, entry !== undefined || inherited !== 0);
      return true;
    }
    const direct = matcher.targetOf(facts);
    const target = direct !== 0 ? direct : (entry?.target ?? inherited);
    if (target === 0) return true;
    if (facts.hasNoProgram) return false;
    if (entry !== undefined && entry.target === target && !isRefresh) return true;
    return this.#select(facts, target, entry);
  }

  /**
   * Tells the kernel, and takes up the children that selected processes had before. Repeats
   * until a pass changes nothing: threads and processes that start meanwhile are not missed.
   */
  applyToKernel(isRescan: boolean): void {
    for (let pass = 0; pass < SEED_PASSES_MAX; pass++) {
      const wanted = this.#wanted;
      this.#wanted = new Map();
      const { changed, others } = this.#options.kernel.seed(wanted, isRescan && pass === 0);
      for (const event of changed) this.#verifySeeded(event);
      for (const other of others) this.#adopt(other);
      if (changed.length === 0 && this.#wanted.size === 0) return;
      // A thread may have started while the pass ran.
      if (changed.length > 0) this.#repeat(wanted);
    }
    this.#isRescanDue = true;
  }

  get hasDecisions(): boolean {
    return this.#wanted.size > 0;
  }

  /** Forgets those that ended long ago. */
  prune(): void {
    const oldestMs = this.#options.nowMs() - ENDED_KEPT_MS;
    for (const [pid, ended] of this.#ended) {
      if (this.#ended.size <= ENDED_MAX && ended.atMs >= oldestMs) return;
      this.#ended.delete(pid);
    }
  }

  // --- helpers --------------------------------------------------------------------------------

  #select(facts: ProcessFacts, target: number, before: Entry | undefined): boolean {
    const { matcher, hostName } = this.#options;
    const process = identify(facts, {
      targetName: matcher.nameOf(target),
      protocols: matcher.protocolsOf(target),
      hostName,
    });
    // Read from another process's files when the id was given anew meanwhile.
    if (!facts.isStillThere()) return false;
    this.#wanted.set(facts.pid, target);
    if (before !== undefined && isSameIdentity(before.process, process)) {
      this.#entries.set(facts.pid, { ...before, target });
    } else {
      this.#enter(facts.pid, { process, target, startTicks: facts.stat.startTicks });
    }
    return true;
  }

  #exclude(facts: ProcessFacts, isMarked: boolean): void {
    const { pid, stat } = facts;
    if (this.#excluded.size >= EXCLUDED_MAX) this.#excluded.clear();
    this.#excluded.set(pid, stat.startTicks);
    this.#end(pid);
    if (isMarked) this.#wanted.set(pid, 0);
  }

  #adopt({ pid, startTicks, target }: ProcessEvent): void {
    const known = this.#entries.get(pid)?.startTicks ?? this.#excluded.get(pid);
    if (known !== undefined && isSameTime(known, startTicks)) return;
    this.judge(pid, { inherited: target, isRefresh: true });
  }

  /** The id was given to another process between the decision and its mark: take it back. */
  #verifySeeded(event: ProcessEvent): void {
    if (event.target === 0) return;
    const entry = this.#entries.get(event.pid);
    if (entry !== undefined && isSameTime(entry.startTicks, event.startTicks)) return;
    this.#wanted.set(event.pid, 0);
    this.#markDirty(event.pid, { inherited: 0, isRefresh: true, name: "" });
  }

  #repeat(wanted: ReadonlyMap<number, number>): void {
    for (const [pid, target] of wanted) {
      if (!this.#wanted.has(pid)) this.#wanted.set(pid, target);
    }
  }

  #enter(pid: number, entry: Entry): void {
    this.#ended.delete(pid);
    this.#entries.set(pid, entry);
    this.#options.onChange({ kind: "selected", process: entry.process });
  }

  #end(pid: number): void {
    const entry = this.#entries.get(pid);
    if (entry === undefined) return;
    this.#entries.delete(pid);
    this.#wanted.delete(pid);
    this.#ended.delete(pid);
    this.#ended.set(pid, { process: entry.process, atMs: this.#options.nowMs() });
    this.prune();
    this.#options.onChange({ kind: "deselected", process: entry.process });
  }

  /** A program that ended before it could be looked at: its name is all that is known. */
  #rename(pid: number, name: string): void {
    const entry = this.#entries.get(pid);
    if (entry === undefined) return;
    const process = asProgram(entry.process, name, this.#options.matcher.nameOf(entry.target));
    this.#entries.set(pid, { ...entry, process });
  }

  #markDirty(pid: number, dirty: Dirty): void {
    const before = this.#dirty.get(pid);
    if (before === undefined && this.#dirty.size >= DIRTY_MAX) {
      this.#dirty.clear();
      this.#isRescanDue = true;
      return;
    }
    this.#dirty.set(pid, {
      inherited: dirty.inherited !== 0 ? dirty.inherited : (before?.inherited ?? 0),
      isRefresh: dirty.isRefresh || before?.isRefresh === true,
      name: dirty.name !== "" ? dirty.name : (before?.name ?? ""),
    });
  }
}
