// SPDX-License-Identifier: Apache-2.0
import { type Observable, Subject } from "rxjs";
import type { Connector, ConnectorSettings } from "../component/component.ts";
import type { Batch } from "../model/batch.ts";
import type { Pipeline } from "./pipeline.ts";
import { splitReceipt } from "./receipt.ts";

export interface ConnectorInputs {
  readonly settings: ConnectorSettings;
  readonly connector: Connector;
  readonly targets: readonly Pipeline[];
  /** Is there room behind all targets? */
  readonly ready: Observable<boolean>;
  readonly onBroken: (componentId: string, error: unknown) => void;
}

/** Where a connector stands in the graph: an exporter of its sources, a receiver of its targets. */
export class ConnectorNode {
  readonly ready: Observable<boolean>;
  readonly #inputs: ConnectorInputs;
  readonly #input = new Subject<Batch>();
  readonly #done = Promise.withResolvers<void>();
  #isWired = false;

  constructor(inputs: ConnectorInputs) {
    this.#inputs = inputs;
    this.ready = inputs.ready;
  }

  /** Connects the connector with its targets. Before it nothing is taken. */
  wire(): void {
    if (this.#isWired) return;
    this.#isWired = true;
    const { connector, settings, onBroken } = this.#inputs;
    connector.connect(this.#input).subscribe({
      next: (batch) => this.#deliver(batch),
      error: (error) => {
        this.#done.resolve();
        onBroken(settings.id, error);
      },
      complete: () => this.#done.resolve(),
    });
  }

  accept(batch: Batch): boolean {
    this.#input.next(batch);
    return true;
  }

  /** Ends the input; resolves when the connector has given out what it held. */
  complete(): Promise<void> {
    if (!this.#isWired) return Promise.resolve();
    this.#input.complete();
    return this.#done.promise;
  }

  #deliver(batch: Batch): void {
    const { targets } = this.#inputs;
    const { receipt } = batch;
    if (receipt === undefined || targets.length === 1) {
      for (const target of targets) target.push(batch);
      return;
    }
    splitReceipt(receipt, targets.length).forEach((share, at) => {
      targets[at]?.push({ ...batch, receipt: share });
    });
  }
}
