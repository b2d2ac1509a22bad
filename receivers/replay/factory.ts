// SPDX-License-Identifier: Apache-2.0
import { defineReceiver, type ReceiverFactory } from "../../src/component/component.ts";
import { configSchema, type ReplayConfig } from "./config.ts";
import { ReplayReceiver } from "./receiver.ts";

export const factory: ReceiverFactory = Object.freeze(
  defineReceiver<ReplayConfig>({
    kind: "receiver",
    type: "replay",
    stability: "alpha",
    signals: ["traces", "metrics"],
    configSchema,
    create: (settings, config) => new ReplayReceiver(settings, config),
  }),
);
