// SPDX-License-Identifier: Apache-2.0
import { applyActions } from "../../src/attributes/actions.ts";
import { AttributeList } from "../../src/attributes/attribute-list.ts";
import { rewriteBatch } from "../../src/attributes/rewrite-batch.ts";
import { Rewriter } from "../../src/attributes/rewriter.ts";
import type { PipelineSettings, Processor } from "../../src/component/component.ts";
import { perBatch } from "../../src/pipeline/per-batch.ts";
import type { ResourceConfig } from "./config.ts";

/** Field 1 of the request is a resource with its data, and field 1 of that the resource. */
const PATH = [1 << 1, 1 << 1];
const RESOURCE_FIELD = 1;
const ATTRIBUTES_FIELD = 1;

/** Changes the attributes of resources; the spans, points and records below stay as they are. */
export function createResourceProcessor(
  settings: PipelineSettings,
  config: ResourceConfig,
): Processor {
  const list = new AttributeList();
  const rewriter = new Rewriter({
    path: PATH,
    missingField: RESOURCE_FIELD,
    visitor: {
      enter: () => true,
      visit: (bytes, start, stop) => {
        list.read(bytes, start, stop, ATTRIBUTES_FIELD);
        applyActions(config.attributes, list);
        return list.isChanged;
      },
      write: (out) => list.writeTo(out),
    },
  });
  return {
    process: (input) => input.pipe(perBatch(settings, (batch) => rewriteBatch(batch, rewriter))),
    start: async () => {},
    shutdown: async () => {},
  };
}
