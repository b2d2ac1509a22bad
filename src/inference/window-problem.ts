// SPDX-License-Identifier: Apache-2.0
import type { HandlerModel } from "./handler-model.ts";
import type { ChildColumns, Handled } from "./triggers.ts";

/** No parent. */
export const NONE = -1;

/** An incoming call and the model of its kind. */
export interface Parent extends Handled {
  readonly model: HandlerModel;
  /** Its place among the calls of its trace here, as `ServiceModel` numbers it. */
  readonly role: number;
}

/**
 * One service's calls in one stretch of time. Parents are its incoming calls, children its
 * outgoing ones, both by index; children are ordered by start, then kind. Times in µs.
 */
export interface WindowProblem extends ChildColumns {
  readonly parents: readonly Parent[];
  /** Parents each child may have, ascending. */
  readonly candidates: readonly (readonly number[])[];
  /** The parent that weaker evidence names, or NONE; and the nats by which that is likelier. */
  readonly hint: Int32Array;
  readonly hintNats: Float64Array;
  /** 1 where an earlier window decided: the child stays where `initial` says. */
  readonly fixed: Uint8Array;
  /** Parent by child, or NONE: where to start from; read for fixed children only. */
  readonly initial: Int32Array;
  /** Logarithm of the likelihood that a child has no parent here. */
  readonly logOrphan: Float64Array;
}

/** Children and parents that cannot influence any others. Indexes ascending. */
export interface Component {
  readonly parents: readonly number[];
  readonly children: readonly number[];
}

/** Splits a window into independent parts: parents are joined by a child that both may have made. */
export function components(problem: WindowProblem): Component[] {
  const root = Int32Array.from(problem.parents.keys());
  const find = (parent: number): number => {
    let at = parent;
    while (root[at] !== at) {
      const up = root[root[at] ?? 0] ?? 0;
      root[at] = up;
      at = up;
    }
    return at;
  };
  for (const [child, options] of problem.candidates.entries()) {
    if (problem.fixed[child] === 1) continue;
    for (const parent of options) root[find(parent)] = find(options[0] ?? 0);
  }
  const parts = new Map<number, { parents: number[]; children: number[] }>();
  for (const parent of problem.parents.keys()) {
    const top = find(parent);
    const part = parts.get(top);
    if (part === undefined) parts.set(top, { parents: [parent], children: [] });
    else part.parents.push(parent);
  }
  for (const [child, options] of problem.candidates.entries()) {
    const parent = problem.fixed[child] === 1 ? (problem.initial[child] ?? NONE) : options[0];
    if (parent === undefined || parent === NONE) continue;
    parts.get(find(parent))?.children.push(child);
  }
  return [...parts.values()];
}
