// SPDX-License-Identifier: Apache-2.0
import { encodeAnyValue } from "../../src/attributes/any-value.ts";
import type { AttributeList } from "../../src/attributes/attribute-list.ts";
import { ProtoWriter } from "../../src/pdata/proto-writer.ts";
import type { Dimension } from "./config.ts";

/** A dimension as bytes. */
export interface EncodedDimension {
  readonly key: Uint8Array;
  /** An encoded AnyValue. */
  readonly default: Uint8Array | undefined;
}

export function encodeDimensions(dimensions: readonly Dimension[]): readonly EncodedDimension[] {
  return dimensions.map((dimension) => ({
    key: Buffer.from(dimension.name),
    default: dimension.default === undefined ? undefined : encodeAnyValue(dimension.default),
  }));
}

/** The values that make a series, as one text that is the same for the same values. */
export class SeriesKey {
  readonly #out = new ProtoWriter(1024);

  begin(first: number, second: number): void {
    this.#out.reset();
    this.#out.reserve(8);
    this.#out.byte(first);
    this.#out.byte(second);
  }

  bytes(bytes: Uint8Array, start: number, stop: number): void {
    const out = this.#out;
    out.reserve(stop - start + 10);
    out.varint(stop - start + 1);
    out.copy(bytes, start, stop);
  }

  none(): void {
    this.#out.reserve(1);
    this.#out.byte(0);
  }

  take(): string {
    const { bytes, length } = this.#out;
    return Buffer.from(bytes.buffer, bytes.byteOffset, length).toString("latin1");
  }
}

/** Where a dimension's value stands: in the first of the lists that has it, or its default. */
export function addToKey(
  key: SeriesKey,
  dimension: EncodedDimension,
  lists: readonly AttributeList[],
): void {
  for (const list of lists) {
    const entry = list.entryAt(list.find(dimension.key));
    if (entry === undefined) continue;
    key.bytes(entry.valueBytes, entry.valueStart, entry.valueStop);
    return;
  }
  if (dimension.default === undefined) key.none();
  else key.bytes(dimension.default, 0, dimension.default.length);
}

/** As `addToKey`, for the series' own attributes: a copy, or undefined when it is left out. */
export function dimensionValue(
  dimension: EncodedDimension,
  lists: readonly AttributeList[],
): Uint8Array | undefined {
  for (const list of lists) {
    const entry = list.entryAt(list.find(dimension.key));
    if (entry !== undefined) return entry.valueBytes.slice(entry.valueStart, entry.valueStop);
  }
  return dimension.default;
}
