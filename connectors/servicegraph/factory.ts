// SPDX-License-Identifier: Apache-2.0
import { type ConnectorFactory, defineConnector } from "../../src/component/component.ts";
import { configSchema } from "./config.ts";
import { ServiceGraph } from "./service-graph.ts";

export const factory: ConnectorFactory = defineConnector({
  kind: "connector",
  type: "servicegraph",
  stability: "alpha",
  pairs: [{ from: "traces", to: "metrics" }],
  configSchema,
  create: (settings, config) => new ServiceGraph(settings, config),
});
