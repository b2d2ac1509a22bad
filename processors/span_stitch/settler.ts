// SPDX-License-Identifier: Apache-2.0
import type { Counts } from "./counts.ts";
import { type Deadlines, LIST_REMEMBERED } from "./deadlines.ts";
import { EVIDENCE_HEADER, EVIDENCE_NONE, type UnlinkedReason } from "./evidence/judge.ts";
import { contextWord } from "./key.ts";
import {
  AMBIGUOUS,
  EXTERNAL,
  evidenceOf,
  FREE,
  HAS_CONTEXT,
  HELD,
  NESTED,
  type Nodes,
  PROMISED,
  proofOf,
  SETTLED,
  UNSEEN,
  WAITS_NOTHING,
  WAITS_PARENT,
} from "./nodes.ts";
import type { Sources } from "./sources.ts";
import type { Traces } from "./traces.ts";

/** A call may be stamped so much after its cause ended: clocks are read at different moments. */
const NESTING_TOLERANCE_NS = 1e6;
const NS_PER_S = 1e9;

/** The tables that the parts of the processor share. */
export interface Tables {
  readonly nodes: Nodes;
  readonly deadlines: Deadlines;
  readonly traces: Traces;
  readonly sources: Sources;
}

export interface SettlerOptions {
  readonly rememberMs: number;
  readonly spansPerTraceMax: number;
  /** From the start of a trace's first span to that of its last, seconds. */
  readonly traceSecondsMax: number;
  /** Takes a settled row; its bytes stay until the taker gives them up. */
  readonly send: (row: number) => void;
  /** `row` waited at `at` for something else than its parent and is free to decide now. */
  readonly resume: (row: number, at: number, waits: number) => void;
}

/**
 * Gives held spans their trace and sends them, parents first. Work is queued and done in
 * `drain`, so that a deep tree is no deep recursion.
 */
export class Settler {
  readonly #tables: Tables;
  readonly #options: SettlerOptions;
  readonly #counts: Counts;
  readonly #ready: number[] = [];
  nowMs = 0;
  /** Spans sent so far. */
  sent = 0;

  constructor(tables: Tables, counts: Counts, options: SettlerOptions) {
    this.#tables = tables;
    this.#options = options;
    this.#counts = counts;
  }

  /** `row` has no parent among our spans: it is a root, or its header names its parent. */
  top(row: number, reason: UnlinkedReason, salt = 0): void {
    const { nodes, traces } = this.#tables;
    if (((nodes.flags[row] ?? 0) & HAS_CONTEXT) !== 0) {
      const bytes = this.#tables.sources.bytes(nodes.source[row] ?? 0);
      const keyAt = nodes.keyAt[row] ?? 0;
      nodes.flags[row] = (nodes.flags[row] ?? 0) | EXTERNAL;
      nodes.proof[row] = proofOf(EVIDENCE_HEADER, 100);
      nodes.parentLow[row] = contextWord(bytes, keyAt, 16);
      nodes.parentHigh[row] = contextWord(bytes, keyAt, 20);
      this.#settle(row, this.headerTrace(row));
      return;
    }
    nodes.proof[row] = proofOf(EVIDENCE_NONE, 0);
    nodes.parentLow[row] = 0;
    nodes.parentHigh[row] = 0;
    this.#counts.unlinked[reason].add(1);
    const asked = nodes.trace[row] ?? 0;
    const low = nodes.idLow[row] ?? 0;
    const high = nodes.idHigh[row] ?? 0;
    this.#settle(row, asked !== 0 ? traces.retain(asked) : traces.derive(low, high, salt));
  }

  /** The trace that the header of `row` names, with a reference. */
  headerTrace(row: number): number {
    const { nodes, traces, sources } = this.#tables;
    const bytes = sources.bytes(nodes.source[row] ?? 0);
    const keyAt = nodes.keyAt[row] ?? 0;
    return traces.create(
      contextWord(bytes, keyAt, 0),
      contextWord(bytes, keyAt, 4),
      contextWord(bytes, keyAt, 8),
      contextWord(bytes, keyAt, 12),
    );
  }

  /** The parent of `row` is the span at `parent`, whose trace is known. */
  under(row: number, parent: number): void {
    const { nodes } = this.#tables;
    if (((nodes.flags[parent] ?? 0) & AMBIGUOUS) !== 0) {
      this.top(row, "ambiguous");
      return;
    }
    const isNested = ((nodes.flags[row] ?? 0) & NESTED) !== 0;
    const startNs = nodes.startNs(row);
    const endNs = nodes.state[parent] === SETTLED ? nodes.endNs(parent) : 0;
    if (isNested && endNs > 0 && startNs > endNs + NESTING_TOLERANCE_NS) {
      this.top(row, "not_nested");
      return;
    }
    const low = nodes.idLow[parent] ?? 0;
    this.underId(row, low, nodes.idHigh[parent] ?? 0, nodes.trace[parent] ?? 0);
  }

  /** The parent of `row` is the span with this id in this trace. */
  underId(row: number, low: number, high: number, trace: number): void {
    const { nodes, traces } = this.#tables;
    if (traces.spans(trace) >= this.#options.spansPerTraceMax) {
      this.top(row, "trace_limit");
      return;
    }
    const startS = nodes.startNs(row) / NS_PER_S;
    const isOld = startS - traces.startS(trace) > this.#options.traceSecondsMax;
    if (isOld && traces.spans(trace) > 0) {
      this.top(row, "trace_too_long");
      return;
    }
    nodes.parentLow[row] = low;
    nodes.parentHigh[row] = high;
    this.#settle(row, traces.retain(trace));
  }

  /** A descendant asks that the tree of `row` be in `trace`; takes the reference. */
  ask(row: number, trace: number): void {
    const { nodes, traces } = this.#tables;
    const top = this.topOf(row);
    const asked = nodes.trace[top] ?? 0;
    if (asked === 0) {
      nodes.trace[top] = trace;
      return;
    }
    if (!traces.equal(asked, trace)) this.#counts.conflicts.add(1);
    traces.release(trace);
  }

  /** The row above `row` that is furthest known: held, or not seen yet. */
  topOf(row: number): number {
    const { nodes } = this.#tables;
    let top = row;
    while (nodes.state[top] === HELD && nodes.waits[top] === WAITS_PARENT) {
      top = nodes.parent[top] ?? 0;
    }
    return top;
  }

  /** Fixes the trace of a span that has not come, and lets go what waits for it. */
  promise(row: number): void {
    const { nodes, traces, deadlines } = this.#tables;
    if (nodes.trace[row] === 0) {
      nodes.trace[row] = traces.derive(nodes.idLow[row] ?? 0, nodes.idHigh[row] ?? 0);
    }
    nodes.state[row] = PROMISED;
    deadlines.push(row, LIST_REMEMBERED, this.nowMs + this.#options.rememberMs);
    this.#release(row);
  }

  /** Takes `row` away from what it waits for, which is freed when it was only a name. */
  loosen(row: number): void {
    const { nodes, traces } = this.#tables;
    const at = nodes.parent[row] ?? 0;
    const wasChild = nodes.waits[row] === WAITS_PARENT;
    nodes.detach(row);
    if (at === 0 || nodes.state[at] !== UNSEEN) return;
    const asked = nodes.trace[at] ?? 0;
    if (wasChild && asked !== 0 && nodes.trace[row] === 0) nodes.trace[row] = traces.retain(asked);
    if (nodes.firstChild[at] !== 0) return;
    traces.release(asked);
    nodes.release(at);
  }

  /** Sends what became ready, and what that makes ready. */
  drain(): void {
    const { nodes, deadlines } = this.#tables;
    for (let row = this.#ready.pop(); row !== undefined; row = this.#ready.pop()) {
      const evidence = evidenceOf(nodes.proof[row] ?? 0);
      if (evidence !== EVIDENCE_NONE) this.#counts.linked[evidence - 1]?.add(1);
      nodes.state[row] = SETTLED;
      deadlines.push(row, LIST_REMEMBERED, this.nowMs + this.#options.rememberMs);
      this.sent++;
      this.#options.send(row);
      this.#release(row);
    }
  }

  /** Forgets a settled, promised or context row. */
  forget(row: number): void {
    const { nodes, traces, deadlines } = this.#tables;
    this.#release(row);
    deadlines.remove(row);
    traces.release(nodes.trace[row] ?? 0);
    nodes.state[row] = FREE;
    nodes.release(row);
  }

  #release(row: number): void {
    const { nodes } = this.#tables;
    for (let child = nodes.firstChild[row] ?? 0; child !== 0; child = nodes.firstChild[row] ?? 0) {
      const waits = nodes.waits[child] ?? WAITS_NOTHING;
      nodes.detach(child);
      if (waits === WAITS_PARENT) this.under(child, row);
      else this.#options.resume(child, row, waits);
    }
  }

  #settle(row: number, trace: number): void {
    const { nodes, traces } = this.#tables;
    const asked = nodes.trace[row] ?? 0;
    if (asked !== 0) {
      if (!traces.equal(asked, trace)) this.#counts.conflicts.add(1);
      traces.release(asked);
    }
    nodes.trace[row] = trace;
    traces.addSpan(trace, nodes.startNs(row) / NS_PER_S);
    this.#ready.push(row);
  }
}
