// SPDX-License-Identifier: Apache-2.0
import type { ForcedReason } from "./counts.ts";
import { EVIDENCE_BYTE_NAME } from "./evidence/judge.ts";
import { evidenceOf, HELD, type Nodes, WAITS_PARENT } from "./nodes.ts";
import type { Sources } from "./sources.ts";

/** A longer chain of held spans is cut: looking for a cycle must stay cheap. */
const DEPTH_MAX = 4096;

/** Whether `row` is above `below`, or so far that we do not look. */
export function isAbove(nodes: Nodes, row: number, below: number): boolean {
  if (nodes.firstChild[row] === 0) return false;
  let at = below;
  for (let depth = 0; depth < DEPTH_MAX; depth++) {
    if (at === row) return true;
    if (nodes.state[at] !== HELD || nodes.waits[at] !== WAITS_PARENT) return false;
    at = nodes.parent[at] ?? 0;
  }
  return true;
}

/** Moves a row's bytes out of the chunk that brought them, to other old ones. */
export function moveBytes(nodes: Nodes, sources: Sources, row: number): void {
  const from = nodes.source[row] ?? 0;
  const start = nodes.bodyAt[row] ?? 0;
  nodes.source[row] = sources.move(from, start, nodes.bodyEnd[row] ?? 0);
  const shift = sources.copiedAt - start;
  nodes.bodyAt[row] = start + shift;
  nodes.keyAt[row] = (nodes.keyAt[row] ?? 0) + shift;
  nodes.bodyEnd[row] = (nodes.bodyEnd[row] ?? 0) + shift;
  sources.release(from);
}

export function isByteName(proof: number): boolean {
  return evidenceOf(proof) === EVIDENCE_BYTE_NAME;
}

/**
 * A client span ends when its server span does, so one that has not come by then was lost. A
 * server span may be in flight for hours.
 */
export function hasWaitedEnough(reason: ForcedReason): boolean {
  return reason === "wait_max" || reason === "shutdown";
}
