// SPDX-License-Identifier: Apache-2.0

/** What a pipeline carries. */
export type Signal = "traces" | "metrics" | "logs" | "profiles";

export const SIGNALS: readonly Signal[] = ["traces", "metrics", "logs", "profiles"];

/**
 * What became of a batch. `refused` was not taken and may be sent again when `retryable`;
 * `dropped` was taken and lost on purpose (the reason is counted).
 */
export type Outcome =
  | { readonly kind: "accepted" }
  | {
      readonly kind: "refused";
      readonly retryable: boolean;
      readonly message: string;
      readonly retryAfterMs?: number;
    }
  | { readonly kind: "dropped"; readonly reason: string };

/** Settled exactly once by whoever ends a batch's way; later calls are ignored. */
export interface Receipt {
  settle(outcome: Outcome): void;
}

/**
 * The unit on every edge: OTLP bytes. `chunks` are bodies of the signal's
 * `Export…ServiceRequest` message (repeated field 1: resource_spans, resource_metrics, …);
 * any concatenation of them is one such message again, so batching is joining lists.
 * Never empty. Whoever receives a batch must not write into `chunks`.
 */
export interface Batch {
  readonly signal: Signal;
  readonly chunks: readonly Uint8Array[];
  /** Spans, data points, log records or profile samples. */
  readonly items: number;
  /** Sum of the chunks' lengths, bytes. */
  readonly bytes: number;
  /** How a receiver got it (`grpc`, `http`), for the receiver's counters. */
  readonly transport?: string;
  /** The IP address that it came from; what merges batches of several senders leaves it out. */
  readonly sender?: string;
  /**
   * Headers of the request that brought it, by lower-case name, where the receiver has
   * `include_metadata`; what merges batches leaves it out.
   */
  readonly metadata?: Readonly<Record<string, readonly string[]>> | undefined;
  /** Present when the producer waits for what becomes of the batch. */
  readonly receipt?: Receipt;
  /**
   * The producer can send the batch again and waits for the receipt as long as it takes (a log
   * such as Kafka): who holds batches back passes the receipt on in place of settling it.
   */
  readonly isReplayable?: boolean;
}
