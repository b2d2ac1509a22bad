// SPDX-License-Identifier: Apache-2.0
import {
  KEY_SLEPT,
  KEY_TRIGGER_OPEN,
  TRIGGER_NONE,
  TRIGGER_RESPONSE,
} from "../../../src/model/stitch-key.ts";
import type { StitchKey } from "../key.ts";
import { proofOf } from "../nodes.ts";
import { byteName } from "./byte-name.ts";
import { eventLoop } from "./event-loop.ts";
import type { Evidence, Target } from "./evidence.ts";
import { asyncId, goroutine, javaTask, pythonContext, requestId } from "./runtime.ts";
import { sameThread } from "./same-thread.ts";
import { times } from "./times.ts";
import { traceHeader } from "./trace-header.ts";

/** Strongest first. A span's table row holds the index plus one; 0 is no evidence. */
export const EVIDENCE: readonly Evidence[] = [
  traceHeader,
  byteName,
  goroutine,
  pythonContext,
  javaTask,
  asyncId,
  requestId,
  sameThread,
  eventLoop,
  times,
];
export const EVIDENCE_NONE = 0;
export const EVIDENCE_HEADER = 1;
export const EVIDENCE_BYTE_NAME = 2;
export const EVIDENCE_INFERENCE = 10;
/** Not a link: some request of the process is the cause, and it is not known which. */
export const EVIDENCE_UNKNOWN = 11;
/** What `stitch.evidence` says then. */
export const UNKNOWN_NAME = "unknown";

/** Why a span got no parent: the `reason` of `backstitch_span_stitch_unlinked_spans`. */
export type UnlinkedReason =
  | "no_client"
  | "no_trigger"
  | "trigger_closed"
  | "slept"
  | "low_confidence"
  | "trigger_unlinked"
  | "not_nested"
  | "ambiguous"
  | "duplicate"
  | "cycle"
  | "trace_limit"
  | "trace_too_long"
  | "unsure"
  | "timeout";

/** Asks every kind of evidence and keeps the strongest that is strong enough. */
export class Judge {
  readonly #percentMin: number;
  /** Row value, see `EVIDENCE`. */
  evidence: number = EVIDENCE_NONE;
  percent = 0;

  constructor(percentMin: number) {
    this.#percentMin = percentMin;
  }

  isEnough(percent: number): boolean {
    return percent > 0 && percent >= this.#percentMin;
  }

  /** Both, as a table row holds them. */
  get proof(): number {
    return proofOf(this.evidence, this.percent);
  }

  /** The best offer that names `target`; sets `evidence` and `percent`, 0 when there is none. */
  consider(key: StitchKey, target: Target): boolean {
    this.evidence = EVIDENCE_NONE;
    this.percent = 0;
    for (let i = 0; i < EVIDENCE.length; i++) {
      const kind = EVIDENCE[i];
      if (kind === undefined || kind.target !== target) continue;
      const percent = kind.offer(key);
      if (percent > this.percent) {
        this.evidence = i + 1;
        this.percent = percent;
      }
    }
    return this.isEnough(this.percent);
  }

  /** Why the trigger proves nothing, after `consider(key, "trigger")` said no. */
  whyNoTrigger(key: StitchKey): UnlinkedReason {
    if (this.percent > 0) return "low_confidence";
    if (key.triggerKind === TRIGGER_NONE) return "no_trigger";
    if (key.triggerKind !== TRIGGER_RESPONSE && !key.has(KEY_TRIGGER_OPEN)) return "trigger_closed";
    if (key.openRequests === 0) return "trigger_closed";
    return key.has(KEY_SLEPT) ? "slept" : "low_confidence";
  }
}
