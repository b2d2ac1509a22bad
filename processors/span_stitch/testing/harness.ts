// SPDX-License-Identifier: Apache-2.0
import type { PipelineSettings } from "../../../src/component/component.ts";
import type { Batch } from "../../../src/model/batch.ts";
import { createMemoryTelemetry } from "../../../src/telemetry/memory-telemetry.ts";
import { configSchema } from "../config.ts";
import { SpanStitch } from "../span-stitch.ts";
import { encodeChunk, type ReadSpan, readChunk, type TestKey } from "./otlp.ts";

export function batchOf(chunks: readonly Uint8Array[], items: number): Batch {
  let bytes = 0;
  for (const chunk of chunks) bytes += chunk.length;
  return { signal: "traces", chunks, items, bytes };
}

/** Reads one of the processor's series: its short name and its label besides `processor`. */
export type CountReader = (
  name: string,
  labels?: Readonly<Record<string, string>>,
) => Promise<number>;

export function testSettings(): {
  readonly settings: PipelineSettings;
  readonly value: CountReader;
} {
  const { telemetry, value } = createMemoryTelemetry();
  return {
    settings: {
      id: "span_stitch",
      telemetry,
      buildInfo: { version: "0" },
      signal: "traces",
      pipelineId: "traces",
    },
    value: (name, labels = {}) => {
      const text = Object.entries({ ...labels, processor: "span_stitch" })
        .sort(([one], [other]) => (one < other ? -1 : 1))
        .map(([label, text]) => `${label}="${text}"`);
      return value(`backstitch_span_stitch_${name}{${text.join(",")}}`);
    },
  };
}

/** The stitching with a clock that the test moves. */
export class Harness {
  readonly stitch: SpanStitch;
  readonly count: CountReader;
  readonly batches: Batch[] = [];
  readonly #sent: ReadSpan[] = [];
  #read = 0;
  #nowMs = 1000;

  constructor(config: Readonly<Record<string, unknown>> = {}) {
    const { settings, value } = testSettings();
    this.count = value;
    // Inference has tests of its own: here what no evidence links goes out at once.
    const parsed = configSchema.parse({ inference: { enabled: false }, ...config });
    this.stitch = new SpanStitch(settings, parsed, {
      nowMs: () => this.#nowMs,
    });
  }

  /** Each key as a batch of its own, in order. */
  add(...keys: readonly TestKey[]): void {
    for (const key of keys) this.addChunk(encodeChunk([{ key }]), 1);
  }

  addChunk(chunk: Uint8Array, items: number): Batch | undefined {
    const passed = this.stitch.add(batchOf([chunk], items));
    this.#collect();
    return passed;
  }

  advance(ms: number): void {
    this.#nowMs += ms;
    this.stitch.turn();
    this.#collect();
  }

  finish(): void {
    while (this.stitch.finishSome()) this.#collect();
    this.#collect();
  }

  /** Everything that came out, in order. */
  get sent(): readonly ReadSpan[] {
    for (; this.#read < this.batches.length; this.#read++) {
      for (const chunk of this.batches[this.#read]?.chunks ?? []) {
        this.#sent.push(...readChunk(chunk));
      }
    }
    return this.#sent;
  }

  get sentItems(): number {
    return this.batches.reduce((sum, batch) => sum + batch.items, 0);
  }

  span(id: number): ReadSpan {
    const found = this.sent.filter((span) => span.spanId === id);
    const [span] = found;
    if (span === undefined || found.length > 1) throw new Error(`span ${id}: ${found.length} sent`);
    return span;
  }

  /** id → parent, for everything sent. */
  get links(): Readonly<Record<number, number>> {
    return Object.fromEntries(this.sent.map((span) => [span.spanId, span.parent]));
  }

  #collect(): void {
    this.batches.push(...this.stitch.takeBatches());
  }
}
