// SPDX-License-Identifier: Apache-2.0
import type { Settings } from "../component/component.ts";
import type { Counter } from "../component/telemetry.ts";
import type { Signal } from "../model/batch.ts";
import { itemName } from "./signal-items.ts";

export interface ReceiverCounts {
  readonly accepted: Counter;
  /** A receiver that refuses before it emits (valve closed) adds here itself. */
  readonly refused: Counter;
}

/**
 * `otelcol_receiver_accepted_spans` and `…_refused_spans`. The topology counts what receivers
 * emit, by `Batch.transport`; the same labels give the same counters.
 */
export function createReceiverCounts(
  settings: Pick<Settings, "id" | "telemetry">,
  signal: Signal,
  transport: string,
): ReceiverCounts {
  const { name, unit } = itemName(signal);
  const labels = { receiver: settings.id, transport };
  const counter = (outcome: string, description: string): Counter =>
    settings.telemetry.counter(
      `otelcol_receiver_${outcome}_${name}`,
      { description, unit },
      labels,
    );
  return {
    accepted: counter("accepted", `Number of ${name} successfully pushed into the pipeline.`),
    refused: counter("refused", `Number of ${name} that could not be pushed into the pipeline.`),
  };
}
