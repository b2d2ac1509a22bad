// SPDX-License-Identifier: Apache-2.0
import type { TraceModel } from "./trace-model.ts";

/** What a person has made of the waterfall. */
export interface Look {
  readonly folded: ReadonlySet<number>;
  readonly chosen: number;
  readonly details: boolean;
  readonly critical: boolean;
}

const PAGE_ROWS = 20;

/** What a key makes of it; undefined when the key means nothing here. The keys are those of a tree. */
export function keyAction(
  key: string,
  model: TraceModel,
  rows: readonly number[],
  look: Look,
): Look | undefined {
  const at = Math.max(0, rows.indexOf(look.chosen));
  const step = stepOf(key, at, rows.length);
  if (step !== undefined) return { ...look, chosen: rows[step] ?? look.chosen };
  switch (key) {
    case "ArrowRight":
      return right(model, look);
    case "ArrowLeft":
      return left(model, look);
    case "Enter":
    case " ":
      return { ...look, details: true };
    case "Escape":
      return { ...look, details: false };
    case "c":
      return { ...look, critical: !look.critical };
    case "e":
      return { ...look, chosen: nextError(model, rows, at) ?? look.chosen };
    default:
      return undefined;
  }
}

function stepOf(key: string, at: number, count: number): number | undefined {
  const last = Math.max(0, count - 1);
  const steps: Readonly<Record<string, number>> = {
    ArrowDown: at + 1,
    ArrowUp: at - 1,
    PageDown: at + PAGE_ROWS,
    PageUp: at - PAGE_ROWS,
    Home: 0,
    End: last,
  };
  const step = Object.hasOwn(steps, key) ? steps[key] : undefined;
  return step === undefined ? undefined : Math.max(0, Math.min(last, step));
}

function right(model: TraceModel, look: Look): Look {
  const children = model.nodes[look.chosen]?.children ?? [];
  if (!look.folded.has(look.chosen)) return { ...look, chosen: children[0] ?? look.chosen };
  const folded = new Set(look.folded);
  folded.delete(look.chosen);
  return { ...look, folded };
}

function left(model: TraceModel, look: Look): Look {
  const node = model.nodes[look.chosen];
  if (node === undefined) return look;
  if (node.children.length > 0 && !look.folded.has(look.chosen)) {
    return { ...look, folded: new Set(look.folded).add(look.chosen) };
  }
  return { ...look, chosen: node.parent === -1 ? look.chosen : node.parent };
}

function nextError(model: TraceModel, rows: readonly number[], at: number): number | undefined {
  for (let step = 1; step <= rows.length; step += 1) {
    const index = rows[(at + step) % rows.length] ?? -1;
    if (model.nodes[index]?.span?.status === "error") return index;
  }
  return undefined;
}
