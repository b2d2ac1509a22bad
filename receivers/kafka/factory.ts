// SPDX-License-Identifier: Apache-2.0
import { defineReceiver, type ReceiverFactory } from "../../src/component/component.ts";
import { configSchema } from "./config.ts";
import { KafkaReceiver } from "./kafka.ts";

export const factory: ReceiverFactory = defineReceiver({
  kind: "receiver",
  type: "kafka",
  stability: "alpha",
  signals: ["traces", "metrics", "logs"],
  configSchema,
  create: (settings, config) => new KafkaReceiver(settings, config),
});
