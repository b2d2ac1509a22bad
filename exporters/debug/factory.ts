// SPDX-License-Identifier: Apache-2.0
import { defineExporter, type ExporterFactory } from "../../src/component/component.ts";
import { configSchema } from "./config.ts";
import { createDebugExporter, type Output } from "./debug.ts";

const WIDTH_WITHOUT_TERMINAL = 140;

/** Colours only on a terminal, and never when NO_COLOR asks for none (no-color.org). */
function standardOutput(): Output {
  const { stdout } = process;
  const noColor = process.env["NO_COLOR"] ?? "";
  let isOpen = true;
  // A reader that went away (`| head`) ends the printing, not the agent.
  stdout.on("error", () => {
    isOpen = false;
  });
  return {
    isColoured: stdout.isTTY === true && noColor === "",
    width: stdout.columns ?? WIDTH_WITHOUT_TERMINAL,
    write: (text) => {
      if (isOpen) stdout.write(text);
    },
  };
}

export const factory: ExporterFactory = defineExporter({
  kind: "exporter",
  type: "debug",
  stability: "alpha",
  signals: ["traces", "metrics", "logs"],
  configSchema,
  create: (settings, config) => createDebugExporter(settings, config, standardOutput()),
});
