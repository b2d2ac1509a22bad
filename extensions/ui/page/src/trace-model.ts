// SPDX-License-Identifier: Apache-2.0
// A trace as a forest that is safe to draw, whatever its spans claim: every span is in it once,
// parents that are not there have a row of their own, rings are cut, and spans whose clock is
// far off do not stretch the time axis.
import type { Trace, TraceSpan } from "./api-types.ts";

export interface TraceNode {
  /** Index in `TraceModel.nodes`; spans first, in the trace's order. */
  readonly index: number;
  /** Undefined for a parent that is not in the trace. */
  readonly span: TraceSpan | undefined;
  readonly spanId: string;
  readonly service: string;
  /** Bounded: never before 0, never longer than the axis may be. */
  readonly startNs: number;
  readonly endNs: number;
  parent: number;
  readonly children: number[];
  depth: number;
  /** Spans below it. */
  below: number;
  errorsBelow: number;
  /** Why it is shown with care; words of docs/store-api.md. */
  readonly problems: string[];
}

/** A part of the time from the trace's start to its end in which this span was what was waited for. */
export interface CriticalPart {
  readonly node: number;
  readonly startNs: number;
  readonly endNs: number;
}

export interface TraceModel {
  readonly nodes: readonly TraceNode[];
  readonly roots: readonly number[];
  /** The axis, in nanoseconds from the trace's start. */
  readonly startNs: number;
  readonly endNs: number;
  /** By time; parts of the longest root. */
  readonly critical: readonly CriticalPart[];
  readonly services: readonly string[];
  readonly errors: number;
}

const DAY_NS = 86_400e9;

export function createTraceModel(trace: Trace): TraceModel {
  const nodes = trace.spans.map((span, index) => nodeOf(trace, span, index));
  link(nodes);
  cutRings(nodes);
  const roots = nodes.filter(({ parent }) => parent === -1).map(({ index }) => index);
  for (const { children } of nodes) children.sort((a, b) => byStart(nodes, a, b));
  roots.sort((a, b) => byStart(nodes, a, b));
  measure(nodes, roots);
  const [startNs, endNs] = axisOf(nodes);
  return {
    nodes,
    roots,
    startNs,
    endNs,
    critical: criticalPath(nodes, { startNs, endNs }),
    services: [...new Set(trace.resources.map(({ service }) => service))],
    errors: trace.spans.reduce((sum, { status }) => sum + Number(status === "error"), 0),
  };
}

function nodeOf(trace: Trace, span: TraceSpan, index: number): TraceNode {
  const startNs = Number.isFinite(span.offsetNs) ? span.offsetNs : 0;
  const durationNs = Number.isFinite(span.durationNs) ? span.durationNs : 0;
  const problems = [...span.warnings];
  if (durationNs < 0) problems.push("negative_duration");
  if (durationNs > DAY_NS) problems.push("clock");
  return {
    index,
    span,
    spanId: span.spanId,
    service: trace.resources[span.resource]?.service ?? "",
    startNs,
    endNs: startNs + Math.max(0, durationNs),
    parent: -1,
    children: [],
    depth: 0,
    below: 0,
    errorsBelow: 0,
    problems: [...new Set(problems)],
  };
}

function addProblem(node: TraceNode, problem: string): void {
  if (!node.problems.includes(problem)) node.problems.push(problem);
}

function link(nodes: TraceNode[]): void {
  const byId = new Map<string, TraceNode>();
  for (const node of nodes) {
    if (byId.has(node.spanId)) addProblem(node, "duplicate_id");
    else byId.set(node.spanId, node);
  }
  const spanCount = nodes.length;
  for (const node of nodes.slice(0, spanCount)) {
    const parentId = node.span?.parentSpanId ?? "";
    if (parentId === "") continue;
    let parent = byId.get(parentId);
    if (parent === node || parentId === node.spanId) {
      addProblem(node, "self_parent");
      continue;
    }
    if (parent === undefined) {
      parent = missingParent(nodes.length, parentId, node);
      nodes.push(parent);
      byId.set(parentId, parent);
    }
    if (parent.span === undefined) addProblem(node, "missing_parent");
    node.parent = parent.index;
    parent.children.push(node.index);
  }
}

function missingParent(index: number, spanId: string, child: TraceNode): TraceNode {
  return {
    index,
    span: undefined,
    spanId,
    service: "",
    startNs: child.startNs,
    endNs: child.startNs,
    parent: -1,
    children: [],
    depth: 0,
    below: 0,
    errorsBelow: 0,
    problems: [],
  };
}

/** A span that is its own ancestor is cut from its parent: the earliest of each ring. */
function cutRings(nodes: readonly TraceNode[]): void {
  const state = new Uint8Array(nodes.length);
  for (const { index: start } of nodes) {
    const path: number[] = [];
    let at = start;
    while (at !== -1 && state[at] === 0) {
      state[at] = 1;
      path.push(at);
      at = nodes[at]?.parent ?? -1;
    }
    if (at !== -1 && state[at] === 1) {
      const ring = path.slice(path.indexOf(at));
      const first = ring.reduce((a, b) => (byStart(nodes, a, b) <= 0 ? a : b));
      detach(nodes, first);
    }
    for (const index of path) state[index] = 2;
  }
}

function detach(nodes: readonly TraceNode[], index: number): void {
  const node = nodes[index];
  const siblings = nodes[node?.parent ?? -1]?.children;
  if (node === undefined || siblings === undefined) return;
  siblings.splice(siblings.indexOf(index), 1);
  node.parent = -1;
  addProblem(node, "cycle");
}

function byStart(nodes: readonly TraceNode[], a: number, b: number): number {
  return (nodes[a]?.startNs ?? 0) - (nodes[b]?.startNs ?? 0) || a - b;
}

/** Depths downwards, then sums upwards, without recursion: a chain may be 100,000 deep. */
function measure(nodes: readonly TraceNode[], roots: readonly number[]): void {
  const order = [...roots];
  for (let at = 0; at < order.length; at += 1) {
    const node = nodes[order[at] ?? -1];
    for (const child of node?.children ?? []) {
      const below = nodes[child];
      if (below !== undefined) below.depth = (node?.depth ?? 0) + 1;
      order.push(child);
    }
  }
  for (const index of order.reverse()) {
    const node = nodes[index];
    const parent = nodes[node?.parent ?? -1];
    if (node === undefined || parent === undefined) continue;
    parent.below += node.below + 1;
    parent.errorsBelow += node.errorsBelow + Number(node.span?.status === "error");
  }
}

/** From the first start to the last end of the largest group of spans that no day separates. */
function axisOf(nodes: readonly TraceNode[]): readonly [number, number] {
  const spans = nodes.filter(({ span }) => span !== undefined);
  const ordered = spans.toSorted((a, b) => a.startNs - b.startNs);
  let best: readonly TraceNode[] = [];
  let first = 0;
  for (let at = 1; at <= ordered.length; at += 1) {
    const gapNs = (ordered[at]?.startNs ?? 0) - (ordered[at - 1]?.startNs ?? 0);
    if (at < ordered.length && gapNs < DAY_NS) continue;
    if (at - first > best.length) best = ordered.slice(first, at);
    first = at;
  }
  for (const node of spans) {
    const isOutside =
      node.startNs < (best[0]?.startNs ?? 0) || node.startNs > (best.at(-1)?.startNs ?? 0);
    if (isOutside) addProblem(node, "clock");
  }
  const startNs = best[0]?.startNs ?? 0;
  let endNs = startNs;
  for (const node of best) {
    if (node.endNs - node.startNs <= DAY_NS) endNs = Math.max(endNs, node.endNs);
  }
  // More than nothing, also where doubles have no nanoseconds.
  const leastNs = Math.max(1, Math.abs(startNs) * 2 ** -50);
  return [startNs, endNs > startNs ? endNs : startNs + leastNs];
}

interface Axis {
  readonly startNs: number;
  readonly endNs: number;
}

/** One span on the way back from the end. */
interface Step {
  readonly node: TraceNode;
  /** Where it began to be waited for: its start, but not before its caller's. */
  readonly floorNs: number;
  /** What is after it has been told. */
  cursorNs: number;
  /** Children, last end last. */
  readonly left: TraceNode[];
}

/**
 * Back from the end of the longest root: the child that ended last is what was waited for, before
 * it the one that had ended last when it began; what no child covers is the span's own.
 */
function criticalPath(nodes: readonly TraceNode[], axis: Axis): CriticalPart[] {
  const root = longestRoot(nodes, axis);
  if (root === undefined) return [];
  const parts: CriticalPart[] = [];
  const open = [stepInto(nodes, root, axis)];
  for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
    const child = nextBefore(top);
    if (child === undefined) {
      addPart(parts, { node: top.node.index, startNs: top.floorNs, endNs: top.cursorNs });
      open.pop();
      const above = open.at(-1);
      if (above !== undefined) above.cursorNs = top.floorNs;
      continue;
    }
    const endNs = Math.min(child.endNs, top.cursorNs);
    addPart(parts, { node: top.node.index, startNs: endNs, endNs: top.cursorNs });
    top.cursorNs = endNs;
    open.push(stepInto(nodes, child, { startNs: top.floorNs, endNs }));
  }
  return parts.reverse();
}

function stepInto(nodes: readonly TraceNode[], node: TraceNode, within: Axis): Step {
  const left = node.children
    .flatMap((index) => nodes[index] ?? [])
    .sort((a, b) => a.endNs - b.endNs || a.startNs - b.startNs);
  return {
    node,
    floorNs: Math.max(node.startNs, within.startNs),
    cursorNs: Math.min(node.endNs, within.endNs),
    left,
  };
}

function nextBefore({ left, cursorNs, floorNs }: Step): TraceNode | undefined {
  for (let child = left.pop(); child !== undefined; child = left.pop()) {
    if (child.startNs < cursorNs && child.endNs > floorNs) return child;
  }
  return undefined;
}

function longestRoot(nodes: readonly TraceNode[], axis: Axis): TraceNode | undefined {
  const lengthOf = (node: TraceNode): number =>
    Math.min(node.endNs, axis.endNs) - Math.max(node.startNs, axis.startNs);
  let best: TraceNode | undefined;
  for (const node of nodes) {
    const isTop = node.parent === -1 || nodes[node.parent]?.span === undefined;
    if (!isTop || node.span === undefined) continue;
    if (best === undefined || lengthOf(node) > lengthOf(best)) best = node;
  }
  return best !== undefined && lengthOf(best) > 0 ? best : undefined;
}

function addPart(parts: CriticalPart[], part: CriticalPart): void {
  if (part.endNs > part.startNs) parts.push(part);
}

/** Rows from top to bottom with what is folded left out. */
export function visibleRows(model: TraceModel, folded: ReadonlySet<number>): number[] {
  const rows: number[] = [];
  const open = model.roots.toReversed();
  for (let index = open.pop(); index !== undefined; index = open.pop()) {
    rows.push(index);
    const children = folded.has(index) ? [] : (model.nodes[index]?.children ?? []);
    for (let at = children.length - 1; at >= 0; at -= 1) open.push(children[at] ?? 0);
  }
  return rows;
}
