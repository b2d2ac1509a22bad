// SPDX-License-Identifier: Apache-2.0
import { defineReceiver, type ReceiverFactory } from "../../src/component/component.ts";
import { configSchema, type EbpfL7Config } from "./config.ts";
import { EbpfL7Receiver } from "./receiver.ts";

export const ebpfL7Factory: ReceiverFactory = Object.freeze(
  defineReceiver<EbpfL7Config>({
    kind: "receiver",
    type: "ebpf_l7",
    stability: "alpha",
    signals: ["traces", "metrics"],
    configSchema,
    create: (settings, config) => new EbpfL7Receiver(settings, config),
  }),
);
