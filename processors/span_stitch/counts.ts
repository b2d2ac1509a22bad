// SPDX-License-Identifier: Apache-2.0
import type { Counter, Labels, MetricOptions, Telemetry } from "../../src/component/telemetry.ts";
import { EVIDENCE, type UnlinkedReason } from "./evidence/judge.ts";

/** Why a span was sent before its trace was known: the `reason` of `…_forced_out_spans`. */
export type ForcedReason = "wait_max" | "held_spans" | "held_bytes" | "shutdown";

const PREFIX = "backstitch_span_stitch_";

interface Names {
  readonly name: string;
  readonly options: MetricOptions;
}

function spans(name: string, description: string): Names {
  return { name: `${PREFIX}${name}`, options: { description, unit: "{span}" } };
}

const LINKED = spans("linked_spans", "Spans sent with a parent, by evidence.");
const UNLINKED = spans("unlinked_spans", "Spans sent without a parent, by reason.");
const FORCED = spans("forced_out_spans", "Spans sent before their root was known, by reason.");

/** The processor's counters; README.md lists them. */
export interface Counts {
  /** By row value of `EVIDENCE`; the first is unused. */
  readonly linked: readonly Counter[];
  readonly unlinked: Readonly<Record<UnlinkedReason, Counter>>;
  readonly forced: Readonly<Record<ForcedReason, Counter>>;
  /** Spans whose parent had been sent before they came. */
  readonly late: Counter;
  /** Traces that an ancestor should have taken over and could not. */
  readonly conflicts: Counter;
  readonly duplicates: Counter;
  readonly brokenKeys: Counter;
  readonly malformedChunks: Counter;
  readonly passed: Counter;
  /** Calls whose inference was cut short by the bound on spans in windows. */
  readonly inferenceForced: Counter;
  /** Calls that were not inferred because the processor's share of a core was used up. */
  readonly inferenceSkipped: Counter;
}

export function createCounts(telemetry: Telemetry, id: string): Counts {
  const common: Labels = { processor: id };
  const counter = (names: Names, labels: Labels = {}): Counter =>
    telemetry.counter(names.name, names.options, { ...common, ...labels });
  const linked = EVIDENCE.map((kind) => counter(LINKED, { evidence: kind.name }));
  const unlinked = (reason: UnlinkedReason): Counter => counter(UNLINKED, { reason });
  const forced = (reason: ForcedReason): Counter => counter(FORCED, { reason });
  return {
    linked,
    unlinked: {
      no_client: unlinked("no_client"),
      no_trigger: unlinked("no_trigger"),
      trigger_closed: unlinked("trigger_closed"),
      slept: unlinked("slept"),
      low_confidence: unlinked("low_confidence"),
      trigger_unlinked: unlinked("trigger_unlinked"),
      not_nested: unlinked("not_nested"),
      ambiguous: unlinked("ambiguous"),
      duplicate: unlinked("duplicate"),
      cycle: unlinked("cycle"),
      trace_limit: unlinked("trace_limit"),
      trace_too_long: unlinked("trace_too_long"),
      unsure: unlinked("unsure"),
      timeout: unlinked("timeout"),
    },
    forced: {
      wait_max: forced("wait_max"),
      held_spans: forced("held_spans"),
      held_bytes: forced("held_bytes"),
      shutdown: forced("shutdown"),
    },
    late: counter(spans("late_spans", "Spans that came after their parent was sent.")),
    conflicts: counter(
      spans("conflicting_traces", "Late ancestors that were bound to another trace already."),
    ),
    duplicates: counter(spans("duplicate_spans", "Spans with an id that was taken.")),
    brokenKeys: counter(spans("broken_keys", "Spans passed on with an unusable stitch.key.")),
    malformedChunks: counter({
      name: `${PREFIX}malformed_chunks`,
      options: { description: "Chunks passed on unread: not OTLP.", unit: "{chunk}" },
    }),
    passed: counter(spans("passed_spans", "Spans without stitch.key, passed on unchanged.")),
    inferenceForced: counter(
      spans("inference_forced_spans", "Calls inferred early: too many spans in windows."),
    ),
    inferenceSkipped: counter(
      spans("inference_skipped_spans", "Calls not inferred: no CPU time left for it."),
    ),
  };
}
