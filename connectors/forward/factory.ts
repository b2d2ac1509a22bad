// SPDX-License-Identifier: Apache-2.0
import { type ConnectorFactory, defineConnector } from "../../src/component/component.ts";
import { configSchema } from "./config.ts";

export const factory: ConnectorFactory = defineConnector({
  kind: "connector",
  type: "forward",
  stability: "beta",
  pairs: [
    { from: "traces", to: "traces" },
    { from: "metrics", to: "metrics" },
    { from: "logs", to: "logs" },
  ],
  configSchema,
  create: () => ({
    connect: (input) => input,
    start: async () => {},
    shutdown: async () => {},
  }),
});
