// SPDX-License-Identifier: Apache-2.0
import type { Signal } from "../model/batch.ts";

/**
 * Where a signal's items are: field numbers from the request down to the item, as bit masks
 * because a metric's points stand in one of five fields
 * (opentelemetry-proto, `{trace,metrics,logs}/v1/*.proto`).
 */
export type ItemPath = readonly number[];

const RESOURCE_THEN_SCOPE: readonly number[] = [1 << 1, 1 << 2];
const METRIC_KINDS = (1 << 5) | (1 << 7) | (1 << 9) | (1 << 10) | (1 << 11);

const PATHS: Readonly<Record<Signal, ItemPath>> = {
  traces: [...RESOURCE_THEN_SCOPE, 1 << 2],
  logs: [...RESOURCE_THEN_SCOPE, 1 << 2],
  metrics: [...RESOURCE_THEN_SCOPE, 1 << 2, METRIC_KINDS, 1 << 1],
  profiles: [...RESOURCE_THEN_SCOPE, 1 << 2, 1 << 2],
};

export function itemPath(signal: Signal): ItemPath {
  return PATHS[signal];
}

/** Is `field` one of those in `mask`? */
export function inMask(mask: number, field: number): boolean {
  return field < 31 && (mask & (1 << field)) !== 0;
}
