// SPDX-License-Identifier: Apache-2.0
import { normalize, sep } from "node:path";
import type { Batch } from "../../src/model/batch.ts";
import { attributesOf, messagesIn, viewOf } from "../../src/pdata/span-view.ts";
import { splitResources } from "../../src/pdata/split.ts";
import type { FileConfig, GroupByConfig } from "./config.ts";

const RESOURCE_ENTRIES = 1;
const RESOURCE = 1;
const ATTRIBUTES = 1;
/** Of what has no such attribute. */
const NO_GROUP = "MISSING";
/** What a file name takes; the name of a service may be anything. */
const SEGMENT_LENGTH_MAX = 200;

export interface Group {
  readonly group: string;
  readonly chunks: readonly Uint8Array[];
}

/** The batch's resources by the value of an attribute, in the order in which they come. */
export function groupsOf({ chunks }: Batch, config: GroupByConfig): readonly Group[] {
  if (!config.enabled) return [{ group: "", chunks }];
  const groups = new Map<string, Uint8Array[]>();
  for (const chunk of chunks) {
    for (const part of splitResources(chunk)) {
      const group = groupOf(part, config.resource_attribute);
      const others = groups.get(group);
      if (others === undefined) groups.set(group, [part]);
      else others.push(part);
    }
  }
  return [...groups].map(([group, parts]) => ({ group, chunks: parts }));
}

function groupOf(part: Uint8Array, name: string): string {
  const [entry] = messagesIn(viewOf(part), RESOURCE_ENTRIES);
  const [resource] = entry === undefined ? [] : messagesIn(entry, RESOURCE);
  if (resource === undefined) return NO_GROUP;
  const value = attributesOf(resource, ATTRIBUTES).get(name);
  return typeof value === "string" && value !== "" ? value : NO_GROUP;
}

/**
 * The path with the group in place of its `*`. What comes from outside leads neither above the
 * directory before the `*` nor to odd names.
 */
export function pathOf({ path, group_by: groupBy }: FileConfig, group: string): string {
  if (!groupBy.enabled) return path;
  const segments = normalize(`${sep}${group}`)
    .split(sep)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is replaced.
    .map((segment) => segment.replace(/[\u0000-\u001f\u007f]/g, "_").slice(0, SEGMENT_LENGTH_MAX))
    .filter((segment) => segment !== "" && segment !== "..");
  return path.replace("*", () => segments.join(sep) || NO_GROUP);
}
