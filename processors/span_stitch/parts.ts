// SPDX-License-Identifier: Apache-2.0
import type { Counts } from "./counts.ts";
import type { Groups } from "./groups.ts";
import type { InferenceLimits } from "./inference/inference.ts";
import type { Tables } from "./settler.ts";

export interface StitchLimits {
  readonly waitMaxMs: number;
  readonly reorderWaitMs: number;
  readonly rememberMs: number;
  readonly percentMin: number;
  readonly spansPerTraceMax: number;
  readonly traceSecondsMax: number;
  readonly rememberedMax: number;
  /** Undefined: nothing is inferred. */
  readonly inference: InferenceLimits | undefined;
}

export interface StitcherParts {
  readonly tables: Tables;
  readonly groups: Groups;
  readonly counts: Counts;
  readonly limits: StitchLimits;
  readonly send: (row: number) => void;
}
