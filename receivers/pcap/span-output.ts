// SPDX-License-Identifier: Apache-2.0
import type { Batch } from "../../src/model/batch.ts";
import type { SelectedProcess } from "../../src/model/process.ts";
import type { Exchange } from "../../src/model/protocol.ts";
import { KEY_PEER_OBSERVED, TRIGGER_NONE } from "../../src/model/stitch-key.ts";
import type { DurationMetrics } from "../../src/spans/duration-metrics.ts";
import type { ResourceBatcher } from "../../src/spans/resource-batcher.ts";
import type { SpanConnection } from "../../src/spans/span-connection.ts";
import type { SpanEncoder, StitchFacts } from "../../src/spans/span-encoder.ts";

export interface SpanOutputOptions {
  /** Undefined without a pipeline of that signal. */
  readonly encoder: SpanEncoder | undefined;
  readonly metrics: DurationMetrics | undefined;
  readonly batcher: ResourceBatcher;
  /** Both ends of every exchange become a span: they are linked. */
  readonly arePeersObserved: boolean;
  readonly emit: (batch: Batch) => void;
}

const PEER_OBSERVED: StitchFacts = {
  flags: KEY_PEER_OBSERVED,
  triggerKind: TRIGGER_NONE,
  triggerSpan: new Uint32Array(2),
  openServerRequests: 0,
  openInProcess: 0,
};

/** Exchanges to spans and measurements, in batches. */
export class SpanOutput {
  readonly #options: SpanOutputOptions;

  constructor(options: SpanOutputOptions) {
    this.#options = options;
  }

  readonly write = (
    process: SelectedProcess,
    connection: SpanConnection,
    exchange: Exchange,
  ): void => {
    const { encoder, metrics, batcher, arePeersObserved } = this.#options;
    encoder?.encode(process, connection, exchange, arePeersObserved ? PEER_OBSERVED : undefined);
    metrics?.record(process, connection, exchange);
    if (batcher.full) this.flush();
  };

  /** `endNs`: the last packet's time, when it was the last; then measurements are sent too. */
  flush(endNs?: number): void {
    const { batcher, metrics, emit } = this.#options;
    const spans = batcher.take();
    if (spans !== undefined) emit(spans);
    const measured = endNs === undefined ? undefined : metrics?.collect(endNs);
    if (measured !== undefined) emit(measured);
  }
}
