// SPDX-License-Identifier: Apache-2.0
import type { Counter, Telemetry } from "../../src/component/telemetry.ts";

export interface Counts {
  readonly byConntrack: Counter;
  readonly byName: Counter;
  readonly byKubernetes: Counter;
  readonly ambiguous: Counter;
  /** Batches that went on before their wait was over, for want of room. */
  readonly forcedOut: Counter;
}

export function createCounts(telemetry: Telemetry, processor: string): Counts {
  const counter = (name: string, unit: string, description: string, evidence?: string): Counter =>
    telemetry.counter(
      `backstitch_nat_rewrite_${name}`,
      { description, unit },
      evidence === undefined ? { processor } : { processor, evidence },
    );
  const rewritten = "Spans and data points whose addresses were rewritten.";
  return {
    byConntrack: counter("rewritten_items", "{item}", rewritten, "conntrack"),
    byName: counter("rewritten_items", "{item}", rewritten, "byte_name"),
    byKubernetes: counter("rewritten_items", "{item}", rewritten, "kubernetes"),
    ambiguous: counter(
      "ambiguous_items",
      "{item}",
      "Spans and data points left as they are because several answers fit.",
    ),
    forcedOut: counter(
      "forced_out_batches",
      "{batch}",
      "Batches that did not wait for the other ends because of max_held_mib.",
    ),
  };
}
