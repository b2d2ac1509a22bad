// SPDX-License-Identifier: Apache-2.0
import type { Factory } from "../component/component.ts";
import type { Configured } from "./agent-config.ts";
import { parseComponentId } from "./component-id.ts";
import { decodeAt } from "./decode.ts";
import { nearest } from "./nearest.ts";
import { type ConfigNode, childOf, locate, locateKey } from "./node.ts";
import type { Problem } from "./problem.ts";
import type { Warning } from "./providers.ts";

export interface SectionInputs<F extends Factory> {
  readonly root: ConfigNode;
  /** `receivers`, `processors`, `exporters`, `connectors` or `extensions`. */
  readonly section: string;
  readonly factories: readonly F[];
  readonly problems: Problem[];
  readonly warnings: Warning[];
}

/**
 * Every component of a section, used or not, is checked. The keys of the result are also the
 * ids that references may use when the body is wrong, so that one mistake is one problem.
 */
export function parseSection<F extends Factory>(
  inputs: SectionInputs<F>,
): Map<string, Configured<F> | undefined> {
  const { root, section, problems } = inputs;
  const found = new Map<string, Configured<F> | undefined>();
  const node = childOf(root, section);
  if (node === undefined || (node.kind === "scalar" && node.value === null)) return found;
  if (node.kind !== "map") {
    const message = `expected a map of ${section}. Write their ids as keys`;
    problems.push({ at: locate(root, [section]), path: [section], message });
    return found;
  }
  for (const key of node.entries.keys()) {
    const path = [section, key];
    const id = parseComponentId(key);
    if (typeof id === "string") {
      problems.push({ at: locateKey(root, path), path, message: id });
    } else if (found.has(id.text)) {
      const message = `duplicate name "${id.text}" after unmarshaling ${key}. Give it another name`;
      problems.push({ at: locateKey(root, path), path, message });
    } else {
      found.set(id.text, parseBody(inputs, key, { type: id.type, text: id.text }));
    }
  }
  return found;
}

function parseBody<F extends Factory>(
  inputs: SectionInputs<F>,
  key: string,
  id: { readonly type: string; readonly text: string },
): Configured<F> | undefined {
  const { root, section, factories, problems, warnings } = inputs;
  const path = [section, key];
  const factory = factories.find(
    ({ type, aliases }) => type === id.type || aliases?.includes(id.type) === true,
  );
  if (factory === undefined) {
    const at = locateKey(root, path);
    problems.push({ at, path, message: unknownType(id.type, id.text, factories) });
    return undefined;
  }
  if (factory.type !== id.type) {
    warnings.push({
      level: "warn",
      message: `"${id.type}" alias is deprecated; use "${factory.type}" instead`,
      fields: { "otelcol.component.id": id.text, "otelcol.component.kind": factory.kind },
    });
  }
  const result = decodeAt(factory.configSchema, { root, path });
  if ("problems" in result) {
    problems.push(...result.problems);
    return undefined;
  }
  return { id: id.text, factory, config: result.value, input: result.input };
}

function unknownType(type: string, id: string, factories: readonly Factory[]): string {
  if (type === "logging") {
    return "the logging exporter has been deprecated, use the debug exporter instead";
  }
  const types = factories.map((factory) => factory.type);
  const accepted = factories.flatMap((factory) => [factory.type, ...(factory.aliases ?? [])]);
  const near = nearest(type, accepted);
  const hint = near === undefined ? "" : ` Did you mean "${near}"?`;
  return `unknown type: "${type}" for id: "${id}" (valid values: [${types.sort().join(" ")}]).${hint}`;
}
