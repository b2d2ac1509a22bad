// SPDX-License-Identifier: Apache-2.0
import { defineReceiver, type ReceiverFactory } from "../../src/component/component.ts";
import { configSchema } from "./config.ts";
import { PrometheusReceiver } from "./prometheus.ts";

export const factory: ReceiverFactory = defineReceiver({
  kind: "receiver",
  type: "prometheus",
  stability: "beta",
  signals: ["metrics"],
  configSchema,
  create: (settings, config) => new PrometheusReceiver(settings, config),
});
