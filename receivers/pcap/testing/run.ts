// SPDX-License-Identifier: Apache-2.0
/** Runs the receiver over files as the agent would, for tests. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Observable, of } from "rxjs";
import type { Batch, Signal } from "../../../src/model/batch.ts";
import { toOtlpJson } from "../../../src/pdata/json-encode.ts";
import { REQUESTS } from "../../../src/pdata/requests.ts";
import { createMemoryTelemetry, type LogLine } from "../../../src/telemetry/memory-telemetry.ts";
import { type FlatSpan, parseTraces } from "../../../test/support/otlp-json.ts";
import { configSchema } from "../config.ts";
import { PcapReceiver } from "../receiver.ts";

export interface RunOptions {
  /** Keys of the configuration besides `path`. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly signals?: readonly Signal[];
  readonly demand?: Observable<boolean>;
  /** Called for every batch when it comes. */
  readonly onBatch?: (batch: Batch) => void;
}

export interface RunResult {
  readonly spans: readonly FlatSpan[];
  readonly batches: readonly Batch[];
  /** Own metrics by name and labels without `receiver`: `gap_bytes`, `unpaired{reason="gap"}`. */
  metric(name: string): number;
  readonly log: readonly LogLine[];
}

const ID = "pcap";

/** Reads files until all their outputs have completed. Rejects as `start` does. */
export async function readPaths(
  paths: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const memory = createMemoryTelemetry();
  const signals: ReadonlySet<Signal> = new Set(options.signals ?? ["traces"]);
  const config = configSchema.parse({ path: paths, ...options.config });
  const receiver = new PcapReceiver(
    {
      id: ID,
      telemetry: memory.telemetry,
      buildInfo: { version: "0" },
      signals,
      demand: options.demand ?? of(true),
    },
    config,
  );
  const batches: Batch[] = [];
  const completed = [...signals].map(
    (signal) =>
      new Promise<void>((resolve, reject) => {
        receiver.output(signal).subscribe({
          next: (batch) => {
            batches.push(batch);
            options.onBatch?.(batch);
          },
          complete: resolve,
          error: reject,
        });
      }),
  );
  const broken = Promise.withResolvers<never>();
  await receiver.start({ extension: () => undefined, fatal: (_id, error) => broken.reject(error) });
  await Promise.race([Promise.all(completed), broken.promise]);
  const text = await memory.scrape();
  await receiver.shutdown(AbortSignal.timeout(1000));
  return {
    log: memory.lines,
    spans: batches.filter(({ signal }) => signal === "traces").flatMap(spansOf),
    batches,
    metric: (name) => metricOf(text, fullName(name)),
  };
}

/** The same for one file with this content. */
export async function readBytes(content: Uint8Array, options: RunOptions = {}): Promise<RunResult> {
  const folder = mkdtempSync(join(tmpdir(), "backstitch-pcap-"));
  try {
    const path = join(folder, "test.pcap");
    writeFileSync(path, content);
    return await readPaths([path], options);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function metricOf(text: string, series: string): number {
  const line = text.split("\n").find((one) => one.startsWith(`${series} `));
  return line === undefined ? 0 : Number(line.slice(series.length + 1));
}

function fullName(name: string): string {
  const [base = "", labels = ""] = name.split("{");
  const all = [...labels.replace("}", "").split(",").filter(Boolean), `receiver="${ID}"`];
  return `backstitch_pcap_${base}{${all.toSorted().join(",")}}`;
}

function spansOf({ chunks }: Batch): readonly FlatSpan[] {
  const result = toOtlpJson(REQUESTS.traces.request, Buffer.concat(chunks));
  if (!result.ok) throw new Error(`The receiver's spans are malformed at byte ${result.offset}.`);
  return parseTraces(result.json);
}
