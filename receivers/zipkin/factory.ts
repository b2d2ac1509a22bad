// SPDX-License-Identifier: Apache-2.0
import { defineReceiver, type ReceiverFactory } from "../../src/component/component.ts";
import { configSchema } from "./config.ts";
import { ZipkinReceiver } from "./zipkin.ts";

export const factory: ReceiverFactory = defineReceiver({
  kind: "receiver",
  type: "zipkin",
  stability: "beta",
  signals: ["traces"],
  configSchema,
  create: (settings, config) => new ZipkinReceiver(settings, config),
});
