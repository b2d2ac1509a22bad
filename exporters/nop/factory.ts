// SPDX-License-Identifier: Apache-2.0
import { BehaviorSubject } from "rxjs";
import {
  defineExporter,
  type Exporter,
  type ExporterFactory,
} from "../../src/component/component.ts";
import { SIGNALS } from "../../src/model/batch.ts";
import { configSchema, type NopConfig } from "./config.ts";

/** Takes everything and sends nothing: for benches and for trying a pipeline. */
function createNop(): Exporter {
  return {
    ready: new BehaviorSubject(true),
    accept: (batch) => {
      batch.receipt?.settle({ kind: "accepted" });
      return true;
    },
    start: async () => {},
    shutdown: async () => {},
  };
}

export const factory: ExporterFactory = defineExporter<NopConfig>({
  kind: "exporter",
  type: "nop",
  stability: "stable",
  signals: SIGNALS,
  configSchema,
  create: createNop,
});
