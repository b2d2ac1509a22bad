// SPDX-License-Identifier: Apache-2.0
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { z } from "zod";
import type { Factory } from "../component/component.ts";
import { messageOf } from "../component/errors.ts";
import { type ComponentsOf, KIT } from "./kit.ts";

const KINDS = ["receiver", "processor", "exporter", "connector", "extension"] as const;
const factorySchema = z.looseObject({
  kind: z.enum(KINDS, { error: `kind must be one of ${KINDS.join(", ")}` }),
  type: z.string().regex(/^[a-z][a-z0-9_]{0,62}$/, { error: "type must be in snake_case" }),
  stability: z.enum(["development", "alpha", "beta", "stable"]),
  configSchema: z.custom((schema) => schema instanceof z.ZodType, {
    error: "configSchema must be made with the kit's z",
  }),
  create: z.custom((create) => typeof create === "function", { error: "create is missing" }),
});

/**
 * The components of a module: a path, from `directory` on, or a package that is installed there.
 * Rejects with what is wrong with it.
 */
export async function importComponents(
  specifier: string,
  directory: string,
): Promise<readonly Factory[]> {
  const module: unknown = await import(urlOf(specifier, directory));
  const made = componentsOf(module)?.(KIT);
  if (!Array.isArray(made)) {
    throw new Error("it exports no function components(kit) that gives a list of factories");
  }
  made.forEach((factory: unknown, at) => {
    const checked = factorySchema.safeParse(factory);
    if (checked.success) return;
    const [issue] = checked.error.issues;
    throw new Error(`component ${at}: ${issue?.path.join(".")}: ${issue?.message}`);
  });
  return made;
}

function componentsOf(module: unknown): ComponentsOf | undefined {
  if (typeof module !== "object" || module === null || !("components" in module)) return undefined;
  const { components } = module;
  return typeof components === "function" ? unsafeComponents(components) : undefined;
}

/** Relies on what it gives being checked by the caller. */
function unsafeComponents(components: object): ComponentsOf {
  return components as ComponentsOf;
}

function urlOf(specifier: string, directory: string): string {
  if (/^(\.{0,2}\/)/.test(specifier)) return pathToFileURL(resolve(directory, specifier)).href;
  try {
    const path = createRequire(join(resolve(directory), "config.yaml")).resolve(specifier);
    return pathToFileURL(path).href;
  } catch (cause) {
    const advice = "Write ./ in front of a file, or install the package beside the configuration";
    throw new Error(`${messageOf(cause).split("\n", 1)[0]}. ${advice}`, { cause });
  }
}
