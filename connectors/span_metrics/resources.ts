// SPDX-License-Identifier: Apache-2.0
import { encodeAnyValue } from "../../src/attributes/any-value.ts";
import { AttributeList } from "../../src/attributes/attribute-list.ts";
import type { MessageView } from "../../src/pdata/span-view.ts";
import type { Pair } from "../../src/series/pairs.ts";
import { SeriesTable } from "../../src/series/series.ts";
import { SeriesKey } from "./dimensions.ts";

const SERVICE_NAME = Buffer.from("service.name");
const NONE = encodeAnyValue("");

/** What is kept of one resource. */
export class ResourceMetrics {
  /** The Resource message as it came first. */
  readonly resource: Uint8Array;
  readonly serviceName: Pair;
  readonly calls: SeriesTable;
  readonly durations: SeriesTable;
  readonly events: SeriesTable;

  constructor(id: number, resource: Uint8Array, serviceName: Uint8Array | undefined) {
    this.calls = new SeriesTable(`${id} calls `);
    this.durations = new SeriesTable(`${id} durations `);
    this.events = new SeriesTable(`${id} events `);
    this.resource = resource;
    this.serviceName = { key: SERVICE_NAME, value: serviceName ?? NONE };
  }
}

/** Resources by what they have in common; the one that was not seen for longest goes first. */
export class ResourceTable {
  readonly #byKey = new Map<string, ResourceMetrics>();
  readonly #max: number;
  #nextId = 0;
  readonly #keyAttributes: readonly Uint8Array[];
  readonly #onEvicted: () => void;
  readonly #key = new SeriesKey();
  /** Attributes of the resource that was found last. */
  readonly attributes: AttributeList = new AttributeList();

  constructor(max: number, keyAttributes: readonly string[], onEvicted: () => void) {
    this.#max = max;
    this.#keyAttributes = keyAttributes.map((name) => Buffer.from(name));
    this.#onEvicted = onEvicted;
  }

  find({ bytes, start, end }: MessageView): ResourceMetrics {
    const list = this.attributes;
    list.read(bytes, start, end, 1);
    const key = this.#keyOf(bytes, start, end);
    let found = this.#byKey.get(key);
    if (found === undefined) {
      const entry = list.entryAt(list.find(SERVICE_NAME));
      const name = entry?.valueBytes.slice(entry.valueStart, entry.valueStop);
      found = new ResourceMetrics(this.#nextId++, bytes.slice(start, end), name);
    } else this.#byKey.delete(key);
    // The order of a map is that of its insertions.
    this.#byKey.set(key, found);
    if (this.#byKey.size > this.#max) {
      const [oldest] = this.#byKey.keys();
      if (oldest !== undefined) this.#byKey.delete(oldest);
      this.#onEvicted();
    }
    return found;
  }

  #keyOf(bytes: Uint8Array, start: number, end: number): string {
    this.#key.begin(0, 0);
    if (this.#keyAttributes.length === 0) {
      this.#key.bytes(bytes, start, end);
      return this.#key.take();
    }
    const list = this.attributes;
    for (const name of this.#keyAttributes) {
      const entry = list.entryAt(list.find(name));
      if (entry === undefined) this.#key.none();
      else this.#key.bytes(entry.valueBytes, entry.valueStart, entry.valueStop);
    }
    return this.#key.take();
  }

  all(): Iterable<ResourceMetrics> {
    return this.#byKey.values();
  }

  remove(resource: ResourceMetrics): void {
    for (const [key, value] of this.#byKey) if (value === resource) this.#byKey.delete(key);
  }

  get size(): number {
    return this.#byKey.size;
  }
}
