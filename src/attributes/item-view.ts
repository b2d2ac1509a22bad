// SPDX-License-Identifier: Apache-2.0
import type { Signal } from "../model/batch.ts";
import { type AttributeValue, attributesOf, decodeAnyValue } from "../pdata/span-view.ts";
import { FieldReader, WIRE_BYTES, WIRE_VARINT } from "../pdata/wire.ts";
import type { Matched } from "./match.ts";

const KINDS = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"];
const decoder = new TextDecoder();

/** Fields of Span, LogRecord and Metric (opentelemetry-proto). */
const RESOURCE = 1;
const SCOPE = 1;
const SPAN = { name: 5, kind: 6, attributes: 9 };
const LOG = { severityNumber: 2, severityText: 3, body: 5, attributes: 6 };
const METRIC = { name: 1 };

/** The messages that stand around an item, and the item, as byte ranges; read when asked. */
export class ItemView implements Matched {
  readonly #signal: Signal;
  readonly #reader = new FieldReader();
  #bytes: Uint8Array = new Uint8Array(0);
  #resource: readonly [number, number] = [0, 0];
  #scope: readonly [number, number] = [0, 0];
  #item: readonly [number, number] = [0, 0];
  #resourceMap: ReadonlyMap<string, AttributeValue> | undefined;

  constructor(signal: Signal) {
    this.#signal = signal;
  }

  enterResource(bytes: Uint8Array, start: number, stop: number): void {
    this.#bytes = bytes;
    this.#resource = [start, stop];
    this.#resourceMap = undefined;
  }

  enterScope(start: number, stop: number): void {
    this.#scope = [start, stop];
  }

  enterItem(start: number, stop: number): void {
    this.#item = [start, stop];
  }

  resource(): ReadonlyMap<string, AttributeValue> {
    if (this.#resourceMap === undefined) {
      const range = this.#bytesField(this.#resource, RESOURCE);
      this.#resourceMap =
        range === undefined
          ? new Map()
          : attributesOf({ bytes: this.#bytes, start: range[0], end: range[1] }, 1);
    }
    return this.#resourceMap;
  }

  scope(): { readonly name: string; readonly version: string } {
    const range = this.#bytesField(this.#scope, SCOPE);
    if (range === undefined) return { name: "", version: "" };
    return { name: this.#text(range, 1), version: this.#text(range, 2) };
  }

  attributes(): ReadonlyMap<string, AttributeValue> {
    const [start, end] = this.#item;
    const { attributes } = this.#signal === "traces" ? SPAN : LOG;
    return attributesOf({ bytes: this.#bytes, start, end }, attributes);
  }

  name(): string {
    return this.#text(this.#item, this.#signal === "traces" ? SPAN.name : METRIC.name);
  }

  spanKind(): string {
    return `SPAN_KIND_${KINDS[this.#number(this.#item, SPAN.kind)] ?? "UNSPECIFIED"}`;
  }

  logBody(): string | undefined {
    const range = this.#bytesField(this.#item, LOG.body);
    if (range === undefined) return undefined;
    const body = decodeAnyValue(this.#bytes, range[0], range[1]);
    return typeof body === "string" ? body : undefined;
  }

  severityText(): string {
    return this.#text(this.#item, LOG.severityText);
  }

  severityNumber(): number {
    return this.#number(this.#item, LOG.severityNumber);
  }

  #text(range: readonly [number, number], field: number): string {
    const found = this.#bytesField(range, field);
    return found === undefined ? "" : decoder.decode(this.#bytes.subarray(found[0], found[1]));
  }

  #number([start, stop]: readonly [number, number], field: number): number {
    const reader = this.#reader.reset(this.#bytes, start, stop);
    let value = 0;
    while (reader.next()) {
      if (reader.field === field && reader.wireType === WIRE_VARINT) value = reader.low;
    }
    return value;
  }

  #bytesField(
    [start, stop]: readonly [number, number],
    field: number,
  ): readonly [number, number] | undefined {
    const reader = this.#reader.reset(this.#bytes, start, stop);
    while (reader.next()) {
      if (reader.field === field && reader.wireType === WIRE_BYTES) {
        return [reader.start, reader.stop];
      }
    }
    return undefined;
  }
}
