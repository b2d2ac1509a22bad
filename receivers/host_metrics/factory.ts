// SPDX-License-Identifier: Apache-2.0
import { defineReceiver, type ReceiverFactory } from "../../src/component/component.ts";
import { configSchema } from "./config.ts";
import { HostMetricsReceiver } from "./host-metrics.ts";

export const factory: ReceiverFactory = defineReceiver({
  kind: "receiver",
  type: "host_metrics",
  aliases: ["hostmetrics"],
  stability: "beta",
  signals: ["metrics"],
  configSchema,
  create: (settings, config) => new HostMetricsReceiver(settings, config),
});
