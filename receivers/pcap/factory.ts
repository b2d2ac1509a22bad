// SPDX-License-Identifier: Apache-2.0
import { defineReceiver, type ReceiverFactory } from "../../src/component/component.ts";
import { configSchema, type PcapConfig } from "./config.ts";
import { PcapReceiver } from "./receiver.ts";

export const factory: ReceiverFactory = Object.freeze(
  defineReceiver<PcapConfig>({
    kind: "receiver",
    type: "pcap",
    stability: "alpha",
    signals: ["traces", "metrics"],
    configSchema,
    create: (settings, config) => new PcapReceiver(settings, config),
  }),
);
