// SPDX-License-Identifier: Apache-2.0
import type { Signal } from "../model/batch.ts";

/** What one item of a signal is called in the Collector's metric names, and its UCUM unit. */
export interface ItemName {
  readonly name: string;
  readonly unit: string;
}

const ITEM_NAMES: Readonly<Record<Signal, ItemName>> = {
  traces: { name: "spans", unit: "{span}" },
  metrics: { name: "metric_points", unit: "{datapoint}" },
  logs: { name: "log_records", unit: "{record}" },
  profiles: { name: "profile_samples", unit: "{sample}" },
};

export function itemName(signal: Signal): ItemName {
  return ITEM_NAMES[signal];
}
