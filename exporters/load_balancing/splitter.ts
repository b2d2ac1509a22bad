// SPDX-License-Identifier: Apache-2.0
import { ATTR_SERVICE_NAME } from "@opentelemetry/semantic-conventions";
import { malformed } from "../../src/attributes/attribute-list.ts";
import { TraceRegrouper } from "../../src/attributes/trace-regrouper.ts";
import type { Batch } from "../../src/model/batch.ts";
import { countItems } from "../../src/pdata/count.ts";
import { attributesOf } from "../../src/pdata/span-view.ts";
import { FieldReader, WIRE_BYTES } from "../../src/pdata/wire.ts";
import type { HashRing } from "./hash-ring.ts";

const RESOURCE = 1;
const RESOURCE_ATTRIBUTES = 1;

/** Which spans or points are told apart. */
export type RoutingKey = "traceID" | "service" | "resource";

/** Takes batches apart by where their parts go. Made once. */
export class Splitter {
  readonly #key: RoutingKey;
  readonly #regrouper = new TraceRegrouper();
  readonly #outer = new FieldReader();
  readonly #inner = new FieldReader();

  constructor(key: RoutingKey) {
    this.#key = key;
  }

  /** By the index of the endpoint. Throws on malformed bytes. */
  split(batch: Batch, ring: HashRing): Map<number, Batch> {
    const parts = new Map<number, { chunks: Uint8Array[]; items: number; bytes: number }>();
    const add = (key: string, bytes: Uint8Array, items: number): void => {
      const owner = ring.ownerOf(key);
      const part = parts.get(owner) ?? { chunks: [], items: 0, bytes: 0 };
      part.chunks.push(bytes);
      part.items += items;
      part.bytes += bytes.length;
      parts.set(owner, part);
    };
    for (const chunk of batch.chunks) {
      if (this.#key === "traceID") {
        for (const { id, bytes, spans } of this.#regrouper.pieces(chunk)) add(id, bytes, spans);
      } else this.#resources(batch, chunk, add);
    }
    const { signal } = batch;
    return new Map([...parts].map(([owner, part]) => [owner, { signal, ...part }]));
  }

  #resources(
    { signal }: Batch,
    chunk: Uint8Array,
    add: (key: string, bytes: Uint8Array, items: number) => void,
  ): void {
    const reader = this.#outer.reset(chunk, 0, chunk.length);
    while (reader.next()) {
      if (reader.field !== RESOURCE || reader.wireType !== WIRE_BYTES) continue;
      const bytes = chunk.subarray(reader.tagAt, reader.stop);
      add(this.#keyOf(chunk, reader.start, reader.stop), bytes, countItems(signal, bytes));
    }
    if (reader.errorAt >= 0) throw malformed(reader.errorAt);
  }

  #keyOf(bytes: Uint8Array, start: number, stop: number): string {
    const reader = this.#inner.reset(bytes, start, stop);
    while (reader.next()) {
      if (reader.field !== RESOURCE || reader.wireType !== WIRE_BYTES) continue;
      const view = { bytes, start: reader.start, end: reader.stop };
      if (this.#key === "service") {
        return String(attributesOf(view, RESOURCE_ATTRIBUTES).get(ATTR_SERVICE_NAME) ?? "");
      }
      return Buffer.from(
        bytes.buffer,
        bytes.byteOffset + view.start,
        view.end - view.start,
      ).toString("latin1");
    }
    return "";
  }
}
