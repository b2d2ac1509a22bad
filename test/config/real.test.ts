// SPDX-License-Identifier: Apache-2.0
/** Configurations as people write them, over the components of the registry. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { loadConfig } from "../../src/config/load.ts";
import { Service } from "../../src/pipeline/service.ts";
import { FACTORIES } from "../../src/registry.ts";
import { createMemoryTelemetry } from "../../src/telemetry/memory-telemetry.ts";

const REAL = fileURLToPath(new URL("real/", import.meta.url));
const EXAMPLE = fileURLToPath(new URL("../../config.example.yaml", import.meta.url));
const FILES = [EXAMPLE, ...readdirSync(REAL).map((name) => REAL + name)];

for (const path of FILES) {
  test(`${path.split("/").at(-1)} is valid and its pipelines can be built`, async () => {
    const { config } = loadConfig({
      uris: [path],
      sets: [],
      env: {},
      factories: FACTORIES,
      readFile: (file) => readFileSync(file, "utf8"),
    });
    const { telemetry } = createMemoryTelemetry();
    const topology = new Service({
      config,
      buildInfo: { version: "0" },
      telemetryFor: () => telemetry,
      logger: telemetry.logger,
      onBroken: (id, error) => assert.fail(`${id}: ${String(error)}`),
    });
    await topology.shutdown(AbortSignal.abort());
  });
}
