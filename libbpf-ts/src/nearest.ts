// SPDX-License-Identifier: Apache-2.0
import { BpfError } from "./errors.ts";

/** Levenshtein distance, by one row of the table. */
function distance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i++) {
    const next = [i];
    for (let j = 1; j <= right.length; j++) {
      const substitute = (row[j - 1] ?? 0) + (left[i - 1] === right[j - 1] ? 0 : 1);
      next.push(Math.min(substitute, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[right.length] ?? 0;
}

/** The candidate that is fewest edits away, when it is near enough to be a slip of the pen. */
function nearest(wanted: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(wanted.length / 3)) + 1;
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - wanted.length) >= bestDistance) {
      continue;
    }
    const edits = distance(wanted.toLowerCase(), candidate.toLowerCase());
    if (edits < bestDistance) {
      bestDistance = edits;
      best = candidate;
    }
  }
  return best;
}

const NAMES_SHOWN_MAX = 12;

/**
 * The one of that name.
 *
 * @throws BpfError `UNKNOWN_NAME` with the nearest of `shown`, which are all if not given.
 */
export function named<T extends { readonly name: string }>(
  kind: "program" | "map",
  wanted: string,
  all: readonly T[],
  shown: readonly T[] = all,
): T {
  const found = all.find((each) => each.name === wanted);
  if (found === undefined) {
    throw unknownName(
      kind,
      wanted,
      shown.map((each) => each.name),
    );
  }
  return found;
}

/** The error for a name that does not exist: with the nearest right one, else with all of them. */
export function unknownName(
  kind: "program" | "map" | "variable" | "section" | "function" | "type" | "field",
  wanted: string,
  candidates: readonly string[],
): BpfError {
  const near = nearest(wanted, candidates);
  const shown = candidates.slice(0, NAMES_SHOWN_MAX).map((name) => `"${name}"`);
  const rest = candidates.length > shown.length ? " …" : "";
  const advice =
    near === undefined
      ? `It has ${shown.length === 0 ? "none" : shown.join(", ")}${rest}.`
      : `Did you mean "${near}"?`;
  return new BpfError({
    code: "UNKNOWN_NAME",
    message: `${kind} "${wanted}": the object has none of that name. ${advice}`,
  });
}
