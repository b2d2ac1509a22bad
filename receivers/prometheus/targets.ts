// SPDX-License-Identifier: Apache-2.0
import { globSync, readFileSync } from "node:fs";
import { parse } from "yaml";
import { z } from "zod";
import { messageOf } from "../../src/component/errors.ts";
import type { ScrapeConfig, StaticTargets } from "./config.ts";

/** One page to scrape. */
export interface Target {
  readonly url: URL;
  /** What its series get: `job`, `instance` and those of the configuration. */
  readonly labels: ReadonlyMap<string, string>;
}

const groups: z.ZodType<readonly StaticTargets[]> = z.array(
  z.object({
    targets: z.array(z.string()),
    labels: z.record(z.string(), z.coerce.string()).default({}),
  }),
);

/** Lists of targets from files; a file that is broken keeps what it had. */
export class TargetFiles {
  readonly #patterns: readonly string[];
  readonly #warn: (message: string) => void;
  readonly #known = new Map<string, readonly StaticTargets[]>();

  constructor(config: ScrapeConfig, warn: (message: string) => void) {
    this.#patterns = config.file_sd_configs.flatMap(({ files }) => files);
    this.#warn = warn;
  }

  read(): readonly StaticTargets[] {
    const paths = this.#patterns.flatMap((pattern) => globSync(pattern)).sort();
    for (const path of this.#known.keys()) if (!paths.includes(path)) this.#known.delete(path);
    return paths.flatMap((path) => {
      try {
        const found = groups.parse(parse(readFileSync(path, "utf8")) ?? []);
        this.#known.set(path, found);
      } catch (error) {
        this.#warn(
          `cannot read the targets in ${path}, which stay as they were: ${messageOf(error)}`,
        );
      }
      const meta = { __meta_filepath: path };
      return (this.#known.get(path) ?? []).map((group) => ({
        targets: group.targets,
        labels: { ...group.labels, ...meta },
      }));
    });
  }
}

/** Targets after relabelling, each once; those that are dropped or have no address are left out. */
export function targetsOf(config: ScrapeConfig, found: readonly StaticTargets[]): Target[] {
  const targets = new Map<string, Target>();
  for (const group of found) {
    for (const address of group.targets) {
      const target = targetOf(config, address, group.labels);
      if (target === undefined) continue;
      targets.set(JSON.stringify([target.url.href, ...target.labels]), target);
    }
  }
  return [...targets.values()];
}

function targetOf(
  config: ScrapeConfig,
  address: string,
  given: Readonly<Record<string, string>>,
): Target | undefined {
  const labels = new Map(Object.entries(given));
  const defaults: Record<string, string> = {
    job: config.job_name,
    __scheme__: config.scheme,
    __metrics_path__: config.metrics_path,
  };
  for (const [name, values] of Object.entries(config.params)) {
    defaults[`__param_${name}`] = values[0] ?? "";
  }
  for (const [name, value] of Object.entries(defaults))
    if (!labels.has(name)) labels.set(name, value);
  labels.set("__address__", address);
  if (!config.relabel_configs(labels)) return undefined;
  const at = labels.get("__address__") ?? "";
  const url = URL.parse(`${labels.get("__scheme__")}://${at}${labels.get("__metrics_path__")}`);
  if (at === "" || url === null) return undefined;
  for (const [name, values] of Object.entries(config.params)) {
    const [first, ...more] = values;
    for (const value of [labels.get(`__param_${name}`) ?? first ?? "", ...more]) {
      url.searchParams.append(name, value);
    }
  }
  if (!labels.has("instance")) labels.set("instance", at);
  for (const name of labels.keys()) if (name.startsWith("__")) labels.delete(name);
  return { url, labels };
}
