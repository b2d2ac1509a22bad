// SPDX-License-Identifier: Apache-2.0
import { encodeAnyValue } from "../../src/attributes/any-value.ts";
import { AttributeList } from "../../src/attributes/attribute-list.ts";
import { rewriteBatch } from "../../src/attributes/rewrite-batch.ts";
import { Rewriter } from "../../src/attributes/rewriter.ts";
import type { PipelineSettings, Processor } from "../../src/component/component.ts";
import { messageOf } from "../../src/component/errors.ts";
import { perBatch } from "../../src/pipeline/per-batch.ts";
import type { ResourceDetectionConfig } from "./config.ts";
import { detect } from "./detection.ts";
import { processWorld, type World } from "./world.ts";

/** Field 1 of the request is a resource with its data, and field 1 of that the resource. */
const PATH = [1 << 1, 1 << 1];
const RESOURCE_FIELD = 1;
const ATTRIBUTES_FIELD = 1;

/** Adds to each resource what is found once of the place where the agent runs. */
export function createResourceDetectionProcessor(
  settings: PipelineSettings,
  config: ResourceDetectionConfig,
  world: World = processWorld(),
): Processor {
  const { logger } = settings.telemetry;
  const list = new AttributeList();
  let attributes: readonly (readonly [Uint8Array, Uint8Array])[] = [];
  let refreshing: NodeJS.Timeout | undefined;
  const stop = new AbortController();
  const rewriter = new Rewriter({
    path: PATH,
    missingField: RESOURCE_FIELD,
    visitor: {
      enter: () => true,
      visit: (bytes, start, stop) => {
        list.read(bytes, start, stop, ATTRIBUTES_FIELD);
        for (const [key, value] of attributes) {
          const at = list.find(key);
          if (at === -1) list.add(key, value);
          else if (config.override) list.replace(at, value);
        }
        return list.isChanged;
      },
      write: (out) => list.writeTo(out),
    },
  });
  const refresh = async (): Promise<void> => {
    const found = await detect(config, { world, logger, signal: stop.signal });
    attributes = [...found].map(([name, value]) => [Buffer.from(name), encodeAnyValue(value)]);
  };
  return {
    process: (input) => input.pipe(perBatch(settings, (batch) => rewriteBatch(batch, rewriter))),
    start: async () => {
      await refresh();
      if (config.refresh_interval <= 0 || stop.signal.aborted) return;
      refreshing = setInterval(() => {
        refresh().catch((error: unknown) => {
          logger.warn("Resource detection failed. What was found before stays.", {
            error: messageOf(error),
          });
        });
      }, config.refresh_interval).unref();
    },
    shutdown: async () => {
      stop.abort();
      clearInterval(refreshing);
    },
  };
}
