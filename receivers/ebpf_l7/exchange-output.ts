// SPDX-License-Identifier: Apache-2.0
import type { SelectedProcess } from "../../src/model/process.ts";
import type { Exchange, Role } from "../../src/model/protocol.ts";
import type { SpanConnection } from "../../src/spans/span-connection.ts";
import type { SpanEncoder, StitchFacts } from "../../src/spans/span-encoder.ts";

/** Where a finished exchange goes: a span, a measurement, or both. */
export interface ExchangeOutput {
  spanId(connection: SpanConnection, position: number, role: Role, out: Uint32Array): void;
  write(
    process: SelectedProcess,
    connection: SpanConnection,
    exchange: Exchange,
    stitch: StitchFacts | undefined,
  ): void;
}

/** Takes the duration of exchanges; see src/spans for the histograms. */
export interface Measurements {
  record(process: SelectedProcess, connection: SpanConnection, exchange: Exchange): void;
}

export interface SignalOutputOptions {
  readonly encoder: SpanEncoder;
  /** False without a traces pipeline: ids are still computed, spans are not. */
  readonly traces: boolean;
  readonly measurements: Measurements | undefined;
}

export class SignalOutput implements ExchangeOutput {
  readonly #options: SignalOutputOptions;

  constructor(options: SignalOutputOptions) {
    this.#options = options;
  }

  spanId(connection: SpanConnection, position: number, role: Role, out: Uint32Array): void {
    this.#options.encoder.spanId(connection, position, role, out, 0);
  }

  write(
    process: SelectedProcess,
    connection: SpanConnection,
    exchange: Exchange,
    stitch: StitchFacts | undefined,
  ): void {
    const { encoder, traces, measurements } = this.#options;
    if (traces) encoder.encode(process, connection, exchange, stitch);
    measurements?.record(process, connection, exchange);
  }
}
