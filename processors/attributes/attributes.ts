// SPDX-License-Identifier: Apache-2.0
import { applyActions } from "../../src/attributes/actions.ts";
import { AttributeList } from "../../src/attributes/attribute-list.ts";
import { ItemView } from "../../src/attributes/item-view.ts";
import { createMatcher, type Matcher, matchProblem } from "../../src/attributes/match.ts";
import { rewriteBatch } from "../../src/attributes/rewrite-batch.ts";
import { Rewriter, type Visitor } from "../../src/attributes/rewriter.ts";
import type { PipelineSettings, Processor } from "../../src/component/component.ts";
import { AgentError } from "../../src/component/errors.ts";
import type { Signal } from "../../src/model/batch.ts";
import { itemPath } from "../../src/pdata/levels.ts";
import type { ProtoWriter } from "../../src/pdata/proto-writer.ts";
import { perBatch } from "../../src/pipeline/per-batch.ts";
import type { AttributesConfig } from "./config.ts";

const SPAN_ATTRIBUTES = 9;
const LOG_ATTRIBUTES = 6;
/** Attributes of a data point, by the field of the metric that it stands in. */
const POINT_ATTRIBUTES: Readonly<Record<number, number>> = { 5: 7, 7: 7, 9: 9, 10: 1, 11: 7 };

/** Changes attributes of spans, data points and log records; all else stays the bytes it was. */
export function createAttributesProcessor(
  settings: PipelineSettings,
  config: AttributesConfig,
): Processor {
  const { signal } = settings;
  const visitor = new AttributesVisitor(signal, config, matcherOf(signal, config));
  const rewriter = new Rewriter({ path: itemPath(signal), visitor });
  return {
    process: (input) => input.pipe(perBatch(settings, (batch) => rewriteBatch(batch, rewriter))),
    start: async () => {},
    shutdown: async () => {},
  };
}

/** Undefined: every item is changed. */
function matcherOf(signal: Signal, config: AttributesConfig): Matcher | undefined {
  const compiled = (["include", "exclude"] as const).map((name) => {
    const properties = config[name];
    if (properties === undefined) return undefined;
    const problem = matchProblem(signal, properties);
    if (problem !== undefined) throw new AgentError("BS_CONFIG", `${name}: ${problem}`);
    return createMatcher(properties);
  });
  const [include, exclude] = compiled;
  if (include === undefined && exclude === undefined) return undefined;
  return (item) => include?.(item) !== false && exclude?.(item) !== true;
}

class AttributesVisitor implements Visitor {
  readonly #list = new AttributeList();
  readonly #signal: Signal;
  readonly #config: AttributesConfig;
  readonly #matches: Matcher | undefined;
  readonly #view: ItemView;

  constructor(signal: Signal, config: AttributesConfig, matches: Matcher | undefined) {
    this.#signal = signal;
    this.#config = config;
    this.#matches = matches;
    this.#view = new ItemView(signal);
  }

  enter(level: number, bytes: Uint8Array, start: number, stop: number): boolean {
    if (this.#matches === undefined) return true;
    if (level === 0) this.#view.enterResource(bytes, start, stop);
    else if (level === 1) this.#view.enterScope(start, stop);
    else if (level === 2) {
      this.#view.enterItem(start, stop);
      return this.#matches(this.#view);
    }
    return true;
  }

  visit(bytes: Uint8Array, start: number, stop: number, parentField: number): boolean {
    if (this.#matches !== undefined && this.#signal !== "metrics") {
      this.#view.enterItem(start, stop);
      if (!this.#matches(this.#view)) return false;
    }
    this.#list.read(bytes, start, stop, this.#attributesField(parentField));
    applyActions(this.#config.actions, this.#list);
    return this.#list.isChanged;
  }

  write(out: ProtoWriter): void {
    this.#list.writeTo(out);
  }

  #attributesField(parentField: number): number {
    if (this.#signal === "traces") return SPAN_ATTRIBUTES;
    return this.#signal === "logs" ? LOG_ATTRIBUTES : (POINT_ATTRIBUTES[parentField] ?? 7);
  }
}
