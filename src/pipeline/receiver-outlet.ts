// SPDX-License-Identifier: Apache-2.0
import type { Subscription } from "rxjs";
import type { Receiver, Settings } from "../component/component.ts";
import type { OwnSpan } from "../component/telemetry.ts";
import type { Batch, Signal } from "../model/batch.ts";
import type { Pipeline } from "./pipeline.ts";
import { createReceipt, splitReceipt } from "./receipt.ts";
import { createReceiverCounts, type ReceiverCounts } from "./receiver-counts.ts";
import { itemName } from "./signal-items.ts";

/** How the Collector calls its spans of what was received. */
const RECEIVED: Readonly<Record<Signal, string>> = {
  traces: "TraceDataReceived",
  metrics: "MetricsReceived",
  logs: "LogsReceived",
  profiles: "ProfilesReceived",
};

export interface OutletInputs {
  readonly settings: Pick<Settings, "id" | "telemetry">;
  readonly receiver: Receiver;
  readonly signal: Signal;
  readonly pipelines: readonly Pipeline[];
  readonly onBroken: (componentId: string, error: unknown) => void;
  /** The receiver has completed this signal's output. */
  readonly onFinished?: () => void;
}

/** One signal of one receiver: counts what it emits and hands it to every pipeline. */
export class ReceiverOutlet {
  readonly #inputs: OutletInputs;
  readonly #counts = new Map<string, ReceiverCounts>();
  readonly #itemFields: { readonly accepted: string; readonly refused: string };

  constructor(inputs: OutletInputs) {
    this.#inputs = inputs;
    const { name } = itemName(inputs.signal);
    this.#itemFields = { accepted: `accepted_${name}`, refused: `refused_${name}` };
  }

  wire(): Subscription {
    const { receiver, signal, settings, onBroken, onFinished } = this.#inputs;
    return receiver.output(signal).subscribe({
      next: (batch) => this.#deliver(batch),
      error: (error) => onBroken(settings.id, error),
      complete: () => onFinished?.(),
    });
  }

  #deliver(batch: Batch): void {
    const counts = this.#countsOf(batch.transport ?? "");
    const { pipelines } = this.#inputs;
    const { receipt } = batch;
    const span = this.#span(batch);
    if (receipt === undefined) {
      counts.accepted.add(batch.items);
      for (const pipeline of pipelines) pipeline.push(batch);
      span?.end({ [this.#itemFields.accepted]: batch.items });
      return;
    }
    const watched = createReceipt((outcome) => {
      const isRefused = outcome.kind === "refused";
      const counter = isRefused ? counts.refused : counts.accepted;
      counter.add(batch.items);
      receipt.settle(outcome);
      if (span === undefined) return;
      const { accepted, refused } = this.#itemFields;
      const fields = { [isRefused ? refused : accepted]: batch.items };
      span.end(fields, isRefused ? outcome.message : undefined);
    });
    const shares = pipelines.length === 1 ? [watched] : splitReceipt(watched, pipelines.length);
    pipelines.forEach((pipeline, at) => {
      const share = shares[at];
      if (share !== undefined) pipeline.push({ ...batch, receipt: share });
    });
  }

  #span({ transport = "" }: Batch): OwnSpan | undefined {
    const { settings, signal } = this.#inputs;
    const { tracer } = settings.telemetry;
    if (tracer === undefined) return undefined;
    const name = `receiver/${settings.id}/${RECEIVED[signal]}`;
    return tracer.start(name, { receiver: settings.id, transport });
  }

  #countsOf(transport: string): ReceiverCounts {
    let counts = this.#counts.get(transport);
    if (counts === undefined) {
      const { settings, signal } = this.#inputs;
      counts = createReceiverCounts(settings, signal, transport);
      this.#counts.set(transport, counts);
    }
    return counts;
  }
}
