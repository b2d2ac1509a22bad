// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fromOtlpJson } from "../src/pdata/json-decode.ts";
import { REQUESTS } from "../src/pdata/requests.ts";
import { QueryClock } from "../src/store/query-clock.ts";
import { type SearchQuery, searchSpans } from "../src/store/search.ts";
import { sumSeries } from "../src/store/series-query.ts";
import { StoreReader } from "../src/store/store-reader.ts";
import { StoreWriter } from "../src/store/store-writer.ts";
import { traceIdBytes, visitTrace } from "../src/store/trace.ts";
import { residentMib } from "./support/machine.ts";

const SPANS_PER_TRACE = 10;
const SPANS_PER_CHUNK = 500;
/** More than a block holds, so that no block compresses the same values twice. */
const TEMPLATES = 8;
const SERVICES = 20;
const HOUR_NS = 3_600_000_000_000n;
const TIMEOUT_MS = 60_000;
const ROUNDS = 20;

interface Template {
  readonly bytes: Buffer;
  readonly traceIds: readonly number[];
  readonly spanIds: readonly number[];
  /** Where the number of each span's order stands. */
  readonly orders: readonly number[];
}

const ORDER_DIGITS = 5;
const ORDERS = 10 ** ORDER_DIGITS;

function pick(values: number): number {
  return Math.floor(Math.random() * values);
}

/** HTTP server and client spans with eight attributes each, about 330 bytes. */
function template(number: number): Template {
  const ids = Array.from({ length: SPANS_PER_CHUNK }, () => randomBytes(8).toString("hex"));
  const traces = Array.from({ length: SPANS_PER_CHUNK / SPANS_PER_TRACE }, () =>
    randomBytes(16).toString("hex"),
  );
  const spans = ids.map((spanId, at) => {
    const attributes = Object.entries({
      "http.request.method": "GET",
      "http.route": `/orders/{id}/${at % 5}`,
      "url.path": `/orders/${"0".repeat(ORDER_DIGITS)}`,
      "http.response.status_code": 200,
      "server.address": `10.0.${number}.${pick(20)}`,
      "server.port": 8080,
      "network.peer.address": `10.1.${number}.${pick(200)}`,
      "network.peer.port": 30_000 + pick(30_000),
    }).map(([key, value]) => ({
      key,
      value: typeof value === "number" ? { intValue: String(value) } : { stringValue: value },
    }));
    return {
      traceId: traces[Math.floor(at / SPANS_PER_TRACE)],
      spanId,
      parentSpanId: at % SPANS_PER_TRACE === 0 ? "" : ids[at - 1],
      name: `GET /orders/{id}/${at % 5}`,
      kind: 2 + (at % 2),
      startTimeUnixNano: "1",
      endTimeUnixNano: "1",
      status: at % 100 === 7 ? { code: 2 } : {},
      attributes,
    };
  });
  const resourceSpans = Array.from({ length: SERVICES }, (_, service) => ({
    resource: {
      attributes: [{ key: "service.name", value: { stringValue: `service-${service}` } }],
    },
    scopeSpans: [{ spans: spans.filter((_, at) => at % SERVICES === service) }],
  }));
  const encoded = fromOtlpJson(REQUESTS.traces.request, JSON.stringify({ resourceSpans }));
  if (!encoded.ok) throw new Error("the request is valid");
  const bytes = Buffer.from(encoded.bytes);
  const spanIds = ids.map((id) => bytes.indexOf(Buffer.from(`1208${id}`, "hex")) + 2);
  const orders = spanIds.map((at) => bytes.indexOf("/orders/0", bytes.indexOf("url.path", at)) + 8);
  // A span id stands right behind its trace id.
  return { bytes, spanIds, traceIds: spanIds.map((at) => at - 2 - 16), orders };
}

const START_TAG = 0x39;

/** A copy with ids and times of its own. */
function fresh(
  { bytes, traceIds, spanIds, orders }: Template,
  part: number,
  startNs: bigint,
): Buffer {
  const copy = Buffer.from(bytes);
  for (const [at, idAt] of spanIds.entries()) {
    const trace = part * (SPANS_PER_CHUNK / SPANS_PER_TRACE) + Math.floor(at / SPANS_PER_TRACE);
    // Random ids, made by mixing: as incompressible as real ones.
    copy.writeUInt32LE(Math.imul(trace + 1, 0x9e3779b1) >>> 0, traceIds[at] ?? 0);
    copy.writeUInt32LE(Math.imul(trace + 1, 0x85ebca6b) >>> 0, (traceIds[at] ?? 0) + 4);
    copy.writeUInt32LE(Math.imul(part * SPANS_PER_CHUNK + at + 1, 0xc2b2ae35) >>> 0, idAt);
    const order = pick(ORDERS);
    for (let digit = 0, rest = order; digit < ORDER_DIGITS; digit++) {
      copy[(orders[at] ?? 0) + digit] = 0x30 + (rest % 10);
      rest = Math.floor(rest / 10);
    }
    const timeAt = copy.indexOf(START_TAG, idAt + 8 + (at % SPANS_PER_TRACE === 0 ? 0 : 10));
    const offsetNs = BigInt(pick(10_000_000));
    copy.writeBigUInt64LE(startNs + offsetNs, timeAt + 1);
    copy.writeBigUInt64LE(startNs + offsetNs + BigInt(10_000 + pick(50_000_000)), timeAt + 10);
  }
  return copy;
}

function cpu(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

interface Timed {
  /** By the clock, the 95th percentile. */
  readonly p95Ms: number;
  /** Of the processor, the mean: what a machine without other work would take. */
  readonly cpuMs: number;
}

async function timed(work: (round: number) => Promise<unknown>): Promise<Timed> {
  const times: number[] = [];
  const before = cpu();
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    await work(round);
    times.push(performance.now() - start);
  }
  const cpuMs = Number(((1000 * (cpu() - before)) / ROUNDS).toFixed(2));
  times.sort((one, other) => one - other);
  return { p95Ms: Number((times[Math.ceil(ROUNDS * 0.95) - 1] ?? 0).toFixed(2)), cpuMs };
}

/** Writes an hour of spans, then searches them. The figures are of one process and one core. */
export async function benchStore(
  folder: string,
  { spans }: { readonly spans: number },
): Promise<object> {
  const templates = Array.from({ length: TEMPLATES }, (_, number) => template(number));
  const parts = Math.ceil(spans / SPANS_PER_CHUNK);
  const firstNs = BigInt(Date.now()) * 1_000_000n - HOUR_NS;
  const chunkOf = (part: number): Buffer => {
    const one = templates[part % TEMPLATES];
    if (one === undefined) throw new Error("no template");
    return fresh(one, part, firstNs + (HOUR_NS * BigInt(part)) / BigInt(parts));
  };
  const making = cpu();
  for (let part = 0; part < 200; part++) chunkOf(part);
  const makeSeconds = ((cpu() - making) / 200) * parts;

  const quiet = (): void => undefined;
  let lost = 0;
  const writer = await StoreWriter.open({
    directory: folder,
    bytesMax: 2 ** 36,
    ageMaxMs: 0,
    logger: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    nowMs: Date.now,
    onDropped: (_, count) => {
      lost += count;
    },
    onFailed: quiet,
  });
  const start = { cpu: cpu(), ms: performance.now() };
  let peakMib = 0;
  for (let part = 0; part < parts; part++) {
    await writer.append({ chunks: [chunkOf(part)] });
    if (part % 500 === 0) peakMib = Math.max(peakMib, residentMib(process.pid));
  }
  await writer.close();
  const writeCpuSeconds = cpu() - start.cpu - makeSeconds;
  const wallSeconds = (performance.now() - start.ms) / 1000;
  const files = readdirSync(folder).map((name) => statSync(join(folder, name)).size);
  const bytes = files.reduce((sum, size) => sum + size, 0);
  return {
    spans: parts * SPANS_PER_CHUNK,
    lost,
    otlpBytesPerSpan: Math.round((templates[0]?.bytes.length ?? 0) / SPANS_PER_CHUNK),
    spansPerCpuSecond: Math.round((parts * SPANS_PER_CHUNK) / writeCpuSeconds),
    spansPerSecond: Math.round((parts * SPANS_PER_CHUNK) / wallSeconds),
    diskBytesPerSpan: Number((bytes / (parts * SPANS_PER_CHUNK)).toFixed(1)),
    writeMib: Math.round(peakMib),
    ...(await readBench(folder)),
  };
}

async function readBench(folder: string): Promise<object> {
  const beforeMib = residentMib(process.pid);
  const opening = performance.now();
  const reader = new StoreReader(folder, Date.now);
  reader.facts();
  const openMs = Math.round(performance.now() - opening);
  const hour = { attributes: [], startUs: Date.now() * 1000 - 3.6e9, endUs: 2 ** 52, limit: 100 };
  const search = (query: Partial<SearchQuery>): Promise<Timed> =>
    timed(() => searchSpans(reader, { ...hour, ...query }, new QueryClock(TIMEOUT_MS)));
  const searches = {
    newest: await search({}),
    service: await search({ service: "service-3" }),
    errorsOfOperation: await search({ status: 2, operation: "GET /orders/{id}/2" }),
    slow: await search({ service: "service-3", minDurationNs: 49_900_000 }),
    nothing: await search({ service: "service-3", operation: "no such operation" }),
    rare: await search({ service: "service-3", minDurationNs: 50_009_000, limit: 1_000 }),
  };
  const withOrder = (order: string): Promise<Timed> =>
    search({ attributes: [{ key: "url.path", value: `/orders/${order}` }] });
  const attributeSearches = { rare: await withOrder("12345"), nothing: await withOrder("1234x") };
  const sample = await searchSpans(reader, { ...hour, limit: 1_000 }, new QueryClock(TIMEOUT_MS));
  const ids = sample.spans.map(({ traceId }) => traceIdBytes(traceId) ?? Buffer.alloc(16));
  const traceById = await timed((round) => {
    const traceId = ids[(round * 37) % ids.length] ?? Buffer.alloc(16);
    return visitTrace(reader, { traceId, clock: new QueryClock(TIMEOUT_MS) }, () => true);
  });
  const range = { startMs: Date.now() - 3.6e6, endMs: Date.now() + 60_000 };
  const rates = await timed(() => sumSeries(reader, { range, clock: new QueryClock(TIMEOUT_MS) }));
  const segments = reader.segments();
  const blocks = segments.reduce((sum, segment) => sum + segment.blocks.count, 0);
  const readMib = Math.round(residentMib(process.pid) - beforeMib);
  reader.close();
  return {
    segments: segments.length,
    blocks,
    openMs,
    searches,
    attributeSearches,
    traceById,
    rates,
    readMib,
  };
}
