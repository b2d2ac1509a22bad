// SPDX-License-Identifier: Apache-2.0
import type { AccountLine } from "./api-types.ts";

/** Items a second by `lineKey`. */
export type Rates = ReadonlyMap<string, number>;

function lineKey({ component, kind, metric, labels }: AccountLine): string {
  return JSON.stringify([component, kind, metric, labels]);
}

/** What the counters grew by, a second. A counter that fell began anew, with the agent. */
export function ratesBetween(
  before: readonly AccountLine[],
  now: readonly AccountLine[],
  seconds: number,
): Rates {
  const then = new Map(before.map((line) => [lineKey(line), line.value]));
  const rates = new Map<string, number>();
  if (seconds <= 0 || before.length === 0) return rates;
  for (const line of now) {
    const key = lineKey(line);
    const grown = line.value - (then.get(key) ?? 0);
    rates.set(key, (grown >= 0 ? grown : line.value) / seconds);
  }
  return rates;
}

interface Flow {
  readonly inRate: number | undefined;
  readonly outRate: number | undefined;
  readonly lost: number | undefined;
  readonly held: number | undefined;
}

const ITEMS: Readonly<Record<string, string>> = {
  traces: "spans",
  metrics: "metric_points",
  logs: "log_records",
  profiles: "profile_samples",
};

/** The lines that speak of this signal; a metric that names no signal speaks of all. */
function isOfSignal({ metric, labels }: AccountLine, signal: string): boolean {
  const named = labels["otel_signal"] ?? labels["data_type"];
  if (named !== undefined) return named === signal;
  const other = Object.values(ITEMS).find((items) => metric.endsWith(`_${items}`));
  return other === undefined || other === ITEMS[signal];
}

/** A component's part of the account; undefined where the account says nothing of it. */
export function flowOf(
  account: readonly AccountLine[],
  rates: Rates,
  of: { readonly component: string; readonly kind: string; readonly signal: string },
): Flow {
  const lines = account.filter(
    (line) =>
      line.component === of.component && line.kind === of.kind && isOfSignal(line, of.signal),
  );
  const total = (meaning: AccountLine["meaning"]): number | undefined => {
    const some = lines.filter((line) => line.meaning === meaning);
    return some.length === 0 ? undefined : some.reduce((sum, { value }) => sum + value, 0);
  };
  const rate = (meaning: AccountLine["meaning"]): number | undefined => {
    const some = lines.flatMap((line) =>
      line.meaning === meaning ? (rates.get(lineKey(line)) ?? []) : [],
    );
    return some.length === 0 ? undefined : some.reduce((sum, value) => sum + value, 0);
  };
  return { inRate: rate("in"), outRate: rate("out"), lost: total("lost"), held: total("held") };
}
