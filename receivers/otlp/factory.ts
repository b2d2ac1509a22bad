// SPDX-License-Identifier: Apache-2.0
import { defineReceiver, type ReceiverFactory } from "../../src/component/component.ts";
import { configSchema } from "./config.ts";
import { OtlpReceiver } from "./otlp.ts";

export const factory: ReceiverFactory = defineReceiver({
  kind: "receiver",
  type: "otlp",
  stability: "beta",
  signals: ["traces", "metrics", "logs"],
  configSchema,
  create: (settings, config) => new OtlpReceiver(settings, config),
});
