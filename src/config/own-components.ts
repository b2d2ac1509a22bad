// SPDX-License-Identifier: Apache-2.0
import { dirname } from "node:path";
import type { Factory } from "../component/component.ts";
import { messageOf } from "../component/errors.ts";
import { type ConfigNode, locate, nodeAt } from "./node.ts";
import type { Problem } from "./problem.ts";

const PATH = ["service", "components"];

/** Gives a module's components; throws what is wrong with it. */
export type ReadComponents = (specifier: string, directory: string) => readonly Factory[];

/** Those of the build, and those of the modules in `service::components`. */
export function withOwnComponents(
  root: ConfigNode,
  built: readonly Factory[],
  inputs: { readonly read: ReadComponents | undefined; readonly problems: Problem[] },
): readonly Factory[] {
  const node = nodeAt(root, PATH);
  if (node === undefined || (node.kind === "scalar" && node.value === null)) return built;
  const refuse = (path: readonly (string | number)[], message: string): void => {
    inputs.problems.push({ at: locate(root, path), path, message });
  };
  if (node.kind !== "list") {
    refuse(PATH, "expected a list of modules, such as [./my-exporter.ts]");
    return built;
  }
  const all = [...built];
  node.items.forEach((item, at) => {
    const path = [...PATH, at];
    if (item.kind !== "scalar" || typeof item.value !== "string" || item.value === "") {
      refuse(path, "expected a path such as ./my-exporter.ts, or the name of a package");
      return;
    }
    try {
      const found = inputs.read?.(item.value, directoryOf(item.at.source.name)) ?? [];
      for (const factory of found) {
        const twin = all.find(({ kind, type, aliases = [] }) => {
          return kind === factory.kind && [type, ...aliases].includes(factory.type);
        });
        if (twin === undefined) all.push(factory);
        else refuse(path, `there is a ${factory.kind} "${factory.type}" already`);
      }
    } catch (error) {
      refuse(path, `cannot use "${item.value}": ${messageOf(error)}`);
    }
  });
  return all;
}

/** Paths are from the file on in which they stand, else from where the agent was started. */
function directoryOf(source: string): string {
  return /^([A-Za-z][A-Za-z0-9+.-]+:|--set )/.test(source) ? "." : dirname(source);
}
