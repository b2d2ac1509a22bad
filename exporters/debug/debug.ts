// SPDX-License-Identifier: Apache-2.0
import type { Exporter, ExporterSettings } from "../../src/component/component.ts";
import { AgentError } from "../../src/component/errors.ts";
import type { Batch } from "../../src/model/batch.ts";
import { isOtlpSignal, type OtlpSignal } from "../../src/pdata/requests.ts";
import {
  createQueuedExporter,
  retrySchema,
  sendingQueueSchema,
} from "../../src/pipeline/export-helper.ts";
import type { DebugConfig } from "./config.ts";
import { createStyle } from "./style.ts";
import { summaryOf } from "./summary.ts";
import { detailedText, normalText } from "./text.ts";
import { TraceCollector } from "./trace-collector.ts";
import { drawTree, legend, type TreeLook } from "./tree.ts";

/** Where the text goes; standard output, or a test's. */
export interface Output {
  readonly isColoured: boolean;
  /** Characters a line. */
  readonly width: number;
  write(text: string): void;
}

const TICK_MS = 200;

/** Prints what passes. */
export function createDebugExporter(
  settings: ExporterSettings,
  config: DebugConfig,
  output: Output,
): Exporter {
  const { signal } = settings;
  if (!isOtlpSignal(signal)) throw new AgentError("BS_CONFIG", `debug has no ${signal}`);
  const isTree = config.verbosity === "tree" && signal === "traces";
  const printer = isTree
    ? new TreePrinter(config, output)
    : new BatchPrinter(settings, signal, config, output);
  const helper = {
    timeoutMs: 0,
    sendingQueue: sendingQueueSchema().parse({ enabled: false }),
    retryOnFailure: retrySchema().parse({ enabled: false }),
  };
  return createQueuedExporter(settings, helper, async (batch) => printer.print(batch), {
    start: async () => printer.start(),
    shutdown: async () => printer.stop(),
  });
}

interface Printer {
  start(): void;
  print(batch: Batch): void;
  stop(): void;
}

/** Draws each trace when it seems complete. */
class TreePrinter implements Printer {
  readonly #collector: TraceCollector;
  readonly #output: Output;
  readonly #look: TreeLook;
  #timer: NodeJS.Timeout | undefined;
  #hasLegend = false;

  constructor(config: DebugConfig, output: Output) {
    this.#collector = new TraceCollector(config.tree);
    this.#output = output;
    this.#look = { style: createStyle(output.isColoured), width: output.width };
  }

  start(): void {
    this.#timer = setInterval(() => this.#flush(false), TICK_MS);
  }

  print(batch: Batch): void {
    const nowMs = performance.now();
    for (const chunk of batch.chunks) this.#collector.add(chunk, nowMs);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#flush(true);
  }

  #flush(all: boolean): void {
    if (!this.#collector.isWaiting) return;
    const { trees, tracesLeftOut } = this.#collector.take(performance.now(), all);
    let text = "";
    for (const tree of trees) text += drawTree(tree, this.#look);
    if (text !== "" && tracesLeftOut > 0) {
      const { style } = this.#look;
      text += `${style.dim(`… ${tracesLeftOut} more traces not printed`)}\n\n`;
    }
    if (text === "") return;
    if (!this.#hasLegend) text = legend(this.#look.style) + text;
    this.#hasLegend = true;
    this.#output.write(text);
  }
}

/** Prints batches one by one, with the Collector's sampling. */
class BatchPrinter implements Printer {
  readonly #settings: ExporterSettings;
  readonly #signal: OtlpSignal;
  readonly #config: DebugConfig;
  readonly #output: Output;
  #secondStartMs = Number.NEGATIVE_INFINITY;
  #inSecond = 0;

  constructor(settings: ExporterSettings, signal: OtlpSignal, config: DebugConfig, output: Output) {
    this.#settings = settings;
    this.#signal = signal;
    this.#config = config;
    this.#output = output;
  }

  start(): void {}
  stop(): void {}

  print(batch: Batch): void {
    if (!this.#isSampled(performance.now())) return;
    const { title, fields } = summaryOf(this.#signal, batch);
    this.#settings.telemetry.logger.info(title, fields);
    const { verbosity } = this.#config;
    if (verbosity === "normal") this.#output.write(normalText(this.#signal, batch));
    else if (verbosity === "detailed") this.#output.write(detailedText(this.#signal, batch));
  }

  #isSampled(nowMs: number): boolean {
    if (nowMs - this.#secondStartMs >= 1_000) {
      this.#secondStartMs = nowMs;
      this.#inSecond = 0;
    }
    const { sampling_initial: initial, sampling_thereafter: thereafter } = this.#config;
    const later = this.#inSecond++ - initial;
    if (later < 0) return true;
    return thereafter > 0 && later % thereafter === 0;
  }
}
