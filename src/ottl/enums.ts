// SPDX-License-Identifier: Apache-2.0
import type { ContextName } from "./paths.ts";

function numbered(prefix: string, names: string): Record<string, number> {
  return Object.fromEntries(names.split(" ").map((name, index) => [prefix + name, index]));
}

const SPAN = {
  ...numbered("SPAN_KIND_", "UNSPECIFIED INTERNAL SERVER CLIENT PRODUCER CONSUMER"),
  ...numbered("STATUS_CODE_", "UNSET OK ERROR"),
};

const METRIC = {
  ...numbered("METRIC_DATA_TYPE_", "NONE GAUGE SUM HISTOGRAM EXPONENTIAL_HISTOGRAM SUMMARY"),
  ...numbered("AGGREGATION_TEMPORALITY_", "UNSPECIFIED DELTA CUMULATIVE"),
};

const SEVERITIES = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"].flatMap((name) =>
  ["", "2", "3", "4"].map((number) => name + number),
);

const ENUMS: Readonly<Record<ContextName, Readonly<Record<string, number>>>> = {
  resource: {},
  scope: {},
  span: SPAN,
  spanevent: SPAN,
  metric: METRIC,
  datapoint: {
    ...METRIC,
    FLAG_NONE: 0,
    FLAG_NO_RECORDED_VALUE: 1,
  },
  log: numbered("SEVERITY_NUMBER_", ["UNSPECIFIED", ...SEVERITIES].join(" ")),
};

export function enumValue(context: ContextName, name: string): number | undefined {
  const known = ENUMS[context];
  return Object.hasOwn(known, name) ? known[name] : undefined;
}
