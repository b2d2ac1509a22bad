// SPDX-License-Identifier: Apache-2.0
import { type ConnectorFactory, defineConnector } from "../../src/component/component.ts";
import { configSchema } from "./config.ts";
import { SpanMetrics } from "./span-metrics.ts";

export const factory: ConnectorFactory = defineConnector({
  kind: "connector",
  type: "span_metrics",
  aliases: ["spanmetrics"],
  stability: "alpha",
  pairs: [{ from: "traces", to: "metrics" }],
  configSchema,
  create: (settings, config) =>
    new SpanMetrics(settings, config, () => BigInt(Date.now()) * 1_000_000n),
});
