// SPDX-License-Identifier: Apache-2.0
import { type Observable, Subject, tap } from "rxjs";
import type { Exporter, PipelineSettings, Processor } from "../component/component.ts";
import { messageOf } from "../component/errors.ts";
import type { Counter } from "../component/telemetry.ts";
import type { Batch } from "../model/batch.ts";
import { splitReceipt } from "./receipt.ts";
import { itemName } from "./signal-items.ts";
import { ThrottledLog } from "./throttled-log.ts";

export interface ProcessorStage {
  readonly settings: PipelineSettings;
  readonly processor: Processor;
}
export interface ExporterStage {
  readonly id: string;
  readonly kind: "exporter" | "connector";
  readonly exporter: Pick<Exporter, "accept" | "ready">;
}

export interface PipelineInputs {
  /** The pipeline's own id, logger and counters. */
  readonly settings: PipelineSettings;
  readonly processors: readonly ProcessorStage[];
  readonly exporters: readonly ExporterStage[];
  /** A processor's stream ended with an error: the component is finished. */
  readonly onBroken: (componentId: string, error: unknown) => void;
}

/** One pipeline: what comes in goes through the processors in order and to every exporter. */
export class Pipeline {
  readonly #inputs: PipelineInputs;
  readonly #input = new Subject<Batch>();
  readonly #log: ThrottledLog;
  readonly #refused: readonly Counter[];
  readonly #done = Promise.withResolvers<void>();
  #isWired = false;

  constructor(inputs: PipelineInputs) {
    this.#inputs = inputs;
    const { telemetry, signal } = inputs.settings;
    this.#log = new ThrottledLog(telemetry.logger);
    const { name, unit } = itemName(signal);
    this.#refused = inputs.exporters.map(({ id, kind }) =>
      kind === "exporter"
        ? telemetry.counter(
            `otelcol_exporter_enqueue_failed_${name}`,
            { description: `Number of ${name} failed to be added to the sending queue.`, unit },
            { exporter: id },
          )
        : telemetry.counter(
            `backstitch_connector_failed_${name}`,
            { description: `Number of ${name} lost because a connector failed on them.`, unit },
            { connector: id },
          ),
    );
  }

  /** Connects the stages. Before it nothing is taken. */
  wire(): void {
    if (this.#isWired) return;
    this.#isWired = true;
    let stream: Observable<Batch> = this.#input;
    for (const stage of this.#inputs.processors) stream = counted(stage, stream);
    const last = this.#inputs.processors.at(-1)?.settings.id ?? this.#inputs.settings.pipelineId;
    stream.subscribe({
      next: (batch) => this.#fanOut(batch),
      error: (error) => {
        this.#done.resolve();
        this.#inputs.onBroken(last, error);
      },
      complete: () => this.#done.resolve(),
    });
  }

  push(batch: Batch): void {
    this.#input.next(batch);
  }

  /** Ends the input; resolves when the processors have given out what they held. */
  complete(): Promise<void> {
    if (!this.#isWired) return Promise.resolve();
    this.#input.complete();
    return this.#done.promise;
  }

  #fanOut(batch: Batch): void {
    const { exporters } = this.#inputs;
    const { receipt } = batch;
    if (exporters.length === 1 || receipt === undefined) {
      for (let at = 0; at < exporters.length; at++) this.#offer(at, batch);
      return;
    }
    splitReceipt(receipt, exporters.length).forEach((share, at) => {
      this.#offer(at, { ...batch, receipt: share });
    });
  }

  #offer(at: number, batch: Batch): void {
    const stage = this.#inputs.exporters[at];
    if (stage === undefined) return;
    let message = `${stage.kind} "${stage.id}": sending queue is full`;
    let retryable = true;
    try {
      if (stage.exporter.accept(batch)) return;
    } catch (error) {
      message = `${stage.kind} "${stage.id}" failed: ${messageOf(error)}`;
      retryable = false;
      const what = stage.kind === "exporter" ? "Exporter" : "Connector";
      this.#log.write("error", `${what} failed. Dropping the batch.`, {
        error: messageOf(error),
        [stage.kind]: stage.id,
        dropped_items: batch.items,
      });
    }
    this.#refused[at]?.add(batch.items);
    batch.receipt?.settle({ kind: "refused", retryable, message });
  }
}

function counted(stage: ProcessorStage, input: Observable<Batch>): Observable<Batch> {
  const { settings, processor } = stage;
  const labels = { processor: settings.id, otel_signal: settings.signal };
  const counter = (name: string, description: string): Counter =>
    settings.telemetry.counter(
      `otelcol_processor_${name}`,
      { description, unit: "{item}" },
      labels,
    );
  const incoming = counter("incoming_items", "Number of items passed to the processor.");
  const outgoing = counter("outgoing_items", "Number of items emitted from the processor.");
  return processor
    .process(input.pipe(tap((batch) => incoming.add(batch.items))))
    .pipe(tap((batch) => outgoing.add(batch.items)));
}
