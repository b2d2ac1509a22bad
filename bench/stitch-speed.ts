// SPDX-License-Identifier: Apache-2.0
// `node bench/stitch-speed.ts [SECONDS]`: processor span_stitch alone, on spans as ebpf_l7 makes
// them. First as fast as one core goes, then, in a process of its own, paced at 20,000 spans/s to
// see memory.
import { execFile } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { Subject } from "rxjs";
import { configSchema } from "../processors/span_stitch/config.ts";
import { createSpanStitch } from "../processors/span_stitch/processor.ts";
import {
  encodeChunk,
  keyBytes,
  stringAttribute,
  type TestKey,
} from "../processors/span_stitch/testing/otlp.ts";
import type { PipelineSettings } from "../src/component/component.ts";
import type { Batch } from "../src/model/batch.ts";
import {
  KEY_PEER_OBSERVED,
  KEY_TRIGGER_OPEN,
  TRIGGER_REQUEST,
  TRIGGER_RESPONSE,
} from "../src/model/stitch-key.ts";
import { createMemoryTelemetry } from "../src/telemetry/memory-telemetry.ts";
import { describeMachine, residentMib, summarise } from "./support/machine.ts";

/** Requests in flight at once: their spans come mixed, callees before callers. */
const CONCURRENCY = 64;
const REQUESTS_PER_CYCLE = 1024;
/** Fewer in the run that looks at memory: they count, too. */
const REQUESTS_PACED = 128;
const SPANS_PER_REQUEST = 7;
const PACE_SPANS_PER_SECOND = 20_000;

const ATTRIBUTES = [
  ...stringAttribute("url.path", "/orders/73619"),
  ...stringAttribute("url.scheme", "http"),
  ...stringAttribute("http.route", "/orders/{id}"),
  ...stringAttribute("network.protocol.version", "1.1"),
  ...stringAttribute("server.address", "10.201.9.9"),
  ...stringAttribute("network.peer.address", "10.201.1.2"),
  ...stringAttribute("network.type", "ipv4"),
];

interface Owned {
  readonly service: string;
  readonly key: TestKey;
}

/** Ids as even as the hashes that the receiver makes. */
function spread(value: number): number {
  return Number((BigInt(value) * 0x5851f42d4c957f2dn) & 0xfffffffffffffn);
}

/** One request through three services: entry, two calls one after the other, one of them deeper. */
function requestSpans(first: number): readonly Owned[] {
  const id = (offset: number): number => spread(first + offset);
  const server = (offset: number, counterpart: number, flags = KEY_PEER_OBSERVED): TestKey => ({
    id: id(offset),
    role: "server",
    counterpart,
    flags,
  });
  const call = (offset: number, trigger: number, triggerKind: number): TestKey => ({
    id: id(offset),
    role: "client",
    counterpart: id(offset + 1),
    trigger: id(trigger),
    triggerKind,
    open: 3,
    flags: KEY_TRIGGER_OPEN,
  });
  return [
    { service: "stock", key: server(4, id(3)) },
    { service: "orders", key: call(3, 2, TRIGGER_REQUEST) },
    { service: "orders", key: server(2, id(1)) },
    { service: "nginx", key: call(1, 0, TRIGGER_REQUEST) },
    { service: "stock", key: server(6, id(5)) },
    { service: "nginx", key: call(5, 1, TRIGGER_RESPONSE) },
    { service: "nginx", key: server(0, id(900_000_000), 0) },
  ];
}

/** Batches of one cycle of ids, made anew by `renewed` for the next cycles. */
function encodeCycle(batchSpans: number, requests: number): readonly Batch[] {
  const open: Owned[][] = [];
  const order: Owned[] = [];
  for (let request = 0; request < requests || open.length > 0; request++) {
    if (request < requests) open.push([...requestSpans(1 + request * 8)]);
    while (open.length >= CONCURRENCY || (request >= requests && open.length > 0)) {
      const at = order.length % open.length;
      const next = open[at]?.shift();
      if (next === undefined) open.splice(at, 1);
      else order.push(next);
    }
  }
  const batches: Batch[] = [];
  for (let at = 0; at < order.length; at += batchSpans) {
    const part = order.slice(at, at + batchSpans);
    const chunks = [...new Set(part.map((span) => span.service))].map((service) =>
      encodeChunk(
        part.flatMap((span) =>
          span.service === service ? [{ key: span.key, tail: ATTRIBUTES }] : [],
        ),
        service,
      ),
    );
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    batches.push({ signal: "traces", chunks, items: part.length, bytes });
  }
  return batches;
}

const KEY_START = Buffer.from(keyBytes({ id: 0, role: "client" }).slice(0, 1));
const KEY_MARK = Buffer.concat([
  Buffer.from("stitch.key"),
  Buffer.from([0x12, 66, 0x3a, 64]),
  KEY_START,
]);

/** Copies a batch with other ids for each `cycle`. */
function renewed(batch: Batch, cycle: number): Batch {
  const mark = Math.imul(cycle, 0x9e3779b1);
  const chunks = batch.chunks.map((chunk) => {
    const copy = Buffer.from(chunk);
    for (let at = copy.indexOf(KEY_MARK); at >= 0; at = copy.indexOf(KEY_MARK, at + 1)) {
      const key = at + KEY_MARK.length - 1;
      for (const field of [8, 16, 24]) {
        copy.writeUInt32LE((copy.readUInt32LE(key + field) ^ mark) >>> 0, key + field);
      }
    }
    return new Uint8Array(copy.buffer, copy.byteOffset, copy.length);
  });
  return { ...batch, chunks };
}

function settings(): PipelineSettings {
  return {
    id: "span_stitch",
    telemetry: createMemoryTelemetry().telemetry,
    buildInfo: { version: "0" },
    signal: "traces",
    pipelineId: "traces",
  };
}

interface Sink {
  readonly input: Subject<Batch>;
  items: number;
  bytes: number;
}

function startSink(): Sink {
  const sink: Sink = { input: new Subject<Batch>(), items: 0, bytes: 0 };
  const processor = createSpanStitch(settings(), configSchema.parse({ reorder_wait: 0 }));
  processor.process(sink.input).subscribe((batch) => {
    sink.items += batch.items;
    sink.bytes += batch.bytes;
  });
  return sink;
}

function measureSpeed(rounds: number): unknown {
  const cycle = encodeCycle(512, REQUESTS_PER_CYCLE);
  const sink = startSink();
  const spans = REQUESTS_PER_CYCLE * SPANS_PER_REQUEST;
  const cyclesPerRound = 20;
  const nsPerSpan: number[] = [];
  let number = 0;
  for (let round = 0; round < rounds; round++) {
    let ns = 0;
    for (let i = 0; i < cyclesPerRound; i++) {
      number++;
      const batches = cycle.map((batch) => renewed(batch, number));
      const start = process.threadCpuUsage();
      for (const batch of batches) sink.input.next(batch);
      const used = process.threadCpuUsage(start);
      ns += (used.user + used.system) * 1000;
    }
    nsPerSpan.push(ns / (spans * cyclesPerRound));
  }
  sink.input.complete();
  const settled = summarise(nsPerSpan.slice(1));
  return {
    spans: spans * cyclesPerRound * rounds,
    sent: sink.items,
    bytesPerSpan: Math.round(sink.bytes / sink.items),
    nsPerSpan: settled,
    spansPerSecond: Math.round(1e9 / settled.median),
  };
}

async function measureMemory(seconds: number): Promise<unknown> {
  const cycle = encodeCycle(80, REQUESTS_PACED);
  const sink = startSink();
  globalThis.gc?.();
  const residentAtStart = residentMib(process.pid);
  const resident: number[] = [];
  const started = performance.now();
  const cpuStart = process.cpuUsage();
  let cycleNumber = 1_000_000;
  let at = 0;
  let added = 0;
  while (performance.now() - started < seconds * 1000) {
    const due = ((performance.now() - started) / 1000) * PACE_SPANS_PER_SECOND;
    while (added < due) {
      const batch = cycle[at++];
      if (batch === undefined) {
        at = 0;
        cycleNumber++;
        continue;
      }
      sink.input.next(renewed(batch, cycleNumber));
      added += batch.items;
    }
    resident.push(residentMib(process.pid));
    await new Promise((resolve) => setTimeout(resolve, 4));
  }
  const cpu = process.cpuUsage(cpuStart);
  sink.input.complete();
  return {
    seconds,
    spans: added,
    sent: sink.items,
    residentMib: { atStart: residentAtStart, ...summarise(resident) },
    cpuCoresWithGenerator: (cpu.user + cpu.system) / 1e6 / seconds,
  };
}

/** Both figures. */
export async function benchStitchSpeed(seconds: number): Promise<unknown> {
  const speed = measureSpeed(12);
  const child = await promisify(execFile)(process.execPath, [
    "--expose-gc",
    import.meta.filename,
    String(seconds),
    "paced",
  ]);
  const paced: unknown = JSON.parse(child.stdout);
  return { speed, paced };
}

if (import.meta.main) {
  const seconds = Number(process.argv[2] ?? 20);
  if (process.argv[3] === "paced") {
    process.stdout.write(JSON.stringify(await measureMemory(seconds)));
  } else {
    const machine = describeMachine();
    const text = `${JSON.stringify({ machine, result: await benchStitchSpeed(seconds) }, null, 2)}\n`;
    const folder = join(import.meta.dirname, "results");
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "stitch-speed.json"), text);
    process.stdout.write(text);
  }
}
