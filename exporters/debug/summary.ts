// SPDX-License-Identifier: Apache-2.0
import type { Fields } from "../../src/component/telemetry.ts";
import type { Batch } from "../../src/model/batch.ts";
import { inMask, itemPath } from "../../src/pdata/levels.ts";
import type { OtlpSignal } from "../../src/pdata/requests.ts";
import { FieldReader, WIRE_BYTES } from "../../src/pdata/wire.ts";

interface Words {
  readonly title: string;
  readonly resources: string;
  readonly items: string;
}

const WORDS: Readonly<Record<OtlpSignal, Words>> = {
  traces: { title: "Traces", resources: "resource spans", items: "spans" },
  metrics: { title: "Metrics", resources: "resource metrics", items: "data points" },
  logs: { title: "Logs", resources: "resource logs", items: "log records" },
};

export interface Summary {
  readonly title: string;
  readonly fields: Fields;
}

/** What the Collector's debug exporter says of a batch at verbosity basic. */
export function summaryOf(signal: OtlpSignal, batch: Batch): Summary {
  const words = WORDS[signal];
  const resources = countAt(signal, batch, 0);
  const metrics = signal === "metrics" ? { metrics: countAt(signal, batch, 2) } : {};
  return {
    title: words.title,
    fields: { [words.resources]: resources, ...metrics, [words.items]: batch.items },
  };
}

/** Messages at a level of the signal's path: 0 resources, 1 scopes, 2 spans or metrics. */
function countAt(signal: OtlpSignal, batch: Batch, level: number): number {
  const path = itemPath(signal);
  const count = (bytes: Uint8Array, at: number, start: number, end: number): number => {
    const reader = new FieldReader().reset(bytes, start, end);
    let sum = 0;
    while (reader.next()) {
      if (!inMask(path[at] ?? 0, reader.field) || reader.wireType !== WIRE_BYTES) continue;
      sum += at === level ? 1 : count(bytes, at + 1, reader.start, reader.stop);
    }
    return sum;
  };
  return batch.chunks.reduce((sum, chunk) => sum + count(chunk, 0, 0, chunk.length), 0);
}
