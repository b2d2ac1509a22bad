// SPDX-License-Identifier: Apache-2.0
import { defineProcessor, type ProcessorFactory } from "../../src/component/component.ts";
import { configSchema } from "./config.ts";
import { MemoryLimiter } from "./memory-limiter.ts";
import { createProcessMemory } from "./process-memory.ts";

export const factory: ProcessorFactory = defineProcessor({
  kind: "processor",
  type: "memory_limiter",
  stability: "beta",
  signals: ["traces", "metrics", "logs"],
  configSchema,
  create: (settings, config) => new MemoryLimiter(settings, config, createProcessMemory()),
});
