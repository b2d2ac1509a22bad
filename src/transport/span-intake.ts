// SPDX-License-Identifier: Apache-2.0
import { type Observable, Subject, type Subscription } from "rxjs";
import type { ReceiverSettings } from "../component/component.ts";
import type { Counter } from "../component/telemetry.ts";
import type { Batch, Outcome } from "../model/batch.ts";
import { fromOtlpJson } from "../pdata/json-decode.ts";
import { REQUESTS } from "../pdata/requests.ts";
import { createReceipt } from "../pipeline/receipt.ts";
import { createReceiverCounts } from "../pipeline/receiver-counts.ts";

/** Where a batch came from. */
export interface IntakeSource {
  readonly transport: string;
  readonly sender: string;
}

const FULL: Outcome = {
  kind: "refused",
  retryable: true,
  message: "data refused: the pipeline cannot take more now",
};

/** The way of foreign spans into a pipeline: turned into OTLP, counted, refused when it is full. */
export class SpanIntake {
  readonly #settings: ReceiverSettings;
  readonly #output = new Subject<Batch>();
  readonly #malformed = new Map<string, Counter>();
  #demand: Subscription | undefined;
  #isOpen = true;

  constructor(settings: ReceiverSettings) {
    this.#settings = settings;
  }

  get output(): Observable<Batch> {
    return this.#output;
  }

  open(): void {
    this.#demand = this.#settings.demand.subscribe((isOpen) => {
      this.#isOpen = isOpen;
    });
  }

  close(): void {
    this.#demand?.unsubscribe();
    this.#output.complete();
  }

  /** A request that cannot be read. */
  malformed(transport: string): void {
    let counter = this.#malformed.get(transport);
    if (counter === undefined) {
      const { telemetry, id: receiver } = this.#settings;
      counter = telemetry.counter(
        "backstitch_receiver_malformed_requests",
        { description: "Requests refused because the body cannot be read.", unit: "{request}" },
        { receiver, transport },
      );
      this.#malformed.set(transport, counter);
    }
    counter.add(1);
  }

  /** `request` in the form of OTLP/JSON. Gives what is wrong with it, if it is refused at once. */
  take(
    request: object,
    items: number,
    source: IntakeSource,
    done: (outcome: Outcome) => void,
  ): void {
    const { transport, sender } = source;
    if (!this.#isOpen) {
      createReceiverCounts(this.#settings, "traces", transport).refused.add(items);
      done(FULL);
      return;
    }
    const encoded = fromOtlpJson(REQUESTS.traces.request, JSON.stringify(request));
    if (!encoded.ok) {
      this.malformed(transport);
      done({ kind: "refused", retryable: false, message: encoded.message });
      return;
    }
    const { bytes } = encoded;
    this.#output.next({
      signal: "traces",
      chunks: [bytes],
      items,
      bytes: bytes.length,
      transport,
      sender,
      receipt: createReceipt(done),
    });
  }
}
