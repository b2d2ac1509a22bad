// SPDX-License-Identifier: Apache-2.0

/** An attribute's key with its UTF-8 bytes, made once at module load: keys are never encoded per span. */
export interface AttributeKey {
  readonly name: string;
  readonly utf8: Uint8Array;
}

const encoder = new TextEncoder();

export function attributeKey(name: string): AttributeKey {
  return { name, utf8: encoder.encode(name) };
}

/** Takes attributes one by one; nothing is kept of `bytes` after the call. */
export interface AttributeSink {
  string(key: AttributeKey, value: string): void;
  /** The bytes are ASCII or UTF-8; invalid sequences are replaced. */
  bytes(key: AttributeKey, bytes: Uint8Array, start: number, end: number): void;
  int(key: AttributeKey, value: number): void;
  double(key: AttributeKey, value: number): void;
  bool(key: AttributeKey, value: boolean): void;
  stringArray(key: AttributeKey, values: readonly string[]): void;
}

/**
 * What many descriptions have in common, said once: a protocol keeps one for each combination that
 * it meets often, and the sink keeps in `encoded` what it made of it. One kind of sink a block.
 */
export class SharedBlock<Sink> {
  readonly describe: (sink: Sink) => void;
  encoded: EncodedBlock | undefined = undefined;

  constructor(describe: (sink: Sink) => void) {
    this.describe = describe;
  }
}

export interface EncodedBlock {
  readonly bytes: Uint8Array;
  /** `server.address` is in it. */
  readonly hasServerAddress: boolean;
}

/** Where a protocol describes one exchange as a span. The engine adds ids, times, kind and peers. */
export interface SpanSink extends AttributeSink {
  /** Low-cardinality span name. Called once. */
  name(value: string): void;
  /** Status error; without a call the status stays unset. */
  error(description: string): void;
  /** All that the block describes: fast, because it is encoded once. */
  block(block: SharedBlock<SpanSink>): void;
}

/** Where a protocol describes one exchange as a measurement of its duration. */
export interface MeasurementSink extends AttributeSink {
  /** Instrument name by the semantic conventions, such as `http.server.request.duration` (s). */
  instrument(name: string): void;
  /** All of the measurement, instrument included; nothing else is described with it. */
  block(block: SharedBlock<MeasurementSink>): void;
}
