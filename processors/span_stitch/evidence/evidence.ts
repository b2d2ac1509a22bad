// SPDX-License-Identifier: Apache-2.0
import type { StitchKey } from "../key.ts";

/** Which field of a span's key names the span that the evidence speaks of. */
export type Target =
  /** The span at the other end of the connection. */
  | "counterpart"
  /** What the thread read last before it wrote the request. */
  | "trigger"
  /** The trace context in the request's header. */
  | "context"
  /** No field: the times of the process' spans; see `inference/`. */
  | "times";

/**
 * One kind of evidence: what a span's key says by itself about its parent. Whether that parent
 * is there, and which evidence wins, is decided in `stitcher.ts`.
 */
export interface Evidence {
  /** The value of `stitch.evidence`. */
  readonly name: string;
  readonly target: Target;
  /** How sure, in percent; 0 when it says nothing of this span. */
  offer(key: StitchKey): number;
}
