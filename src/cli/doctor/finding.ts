// SPDX-License-Identifier: Apache-2.0

/**
 * - `works`: as it is.
 * - `falls_back`: less, or otherwise; `why` and `advice` say what and what would change it.
 * - `missing`: does not work here.
 * - `unused`: the given configuration does not need it.
 */
export type Verdict = "works" | "falls_back" | "missing" | "unused";

/** What was found out about one feature of the agent on this host. */
export interface Finding {
  /** Stable, for programs: `hooks`, `discovery`, `memory`. */
  readonly id: string;
  readonly title: string;
  readonly verdict: Verdict;
  /** Whether the agent cannot do its work when this is missing. */
  readonly isEssential: boolean;
  /** What was found. */
  readonly why: string;
  /** What to do; empty when nothing needs to be done. */
  readonly advice: string;
}

export function works(id: string, title: string, why: string): Finding {
  return { id, title, verdict: "works", isEssential: false, why, advice: "" };
}

export function unused(id: string, title: string): Finding {
  const why = "not used by this configuration";
  return { id, title, verdict: "unused", isEssential: false, why, advice: "" };
}

/** Without it the agent does not do what it is for. */
export function missing(
  id: string,
  title: string,
  said: { readonly why: string; readonly advice: string; readonly isEssential?: boolean },
): Finding {
  const { why, advice, isEssential = true } = said;
  return { id, title, verdict: "missing", isEssential, why, advice };
}

export function fallsBack(
  id: string,
  title: string,
  said: { readonly why: string; readonly advice: string },
): Finding {
  return { id, title, verdict: "falls_back", isEssential: false, ...said };
}

/** Whether nothing essential is missing. */
export function isSound(findings: readonly Finding[]): boolean {
  return !findings.some((each) => each.verdict === "missing" && each.isEssential);
}
