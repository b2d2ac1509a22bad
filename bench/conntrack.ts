// SPDX-License-Identifier: Apache-2.0
// What following connection tracking costs (needs root). CPU time but for the listing, so that other
// load on the machine matters little.
import { setTimeout as delay } from "node:timers/promises";
import { createCounts } from "../processors/nat_rewrite/counts.ts";
import { createSpanRewriter } from "../processors/nat_rewrite/rewrite.ts";
import { ConntrackWatcher } from "../src/conntrack/conntrack-watcher.ts";
import { Lookup, NatTable } from "../src/conntrack/nat-table.ts";
import { putAddress } from "../src/conntrack/testing.ts";
import { fromOtlpJson } from "../src/pdata/json-decode.ts";
import { REQUESTS } from "../src/pdata/requests.ts";
import { createMemoryTelemetry } from "../src/telemetry/memory-telemetry.ts";
import { ConntrackMaker } from "../test/nat/conntrack-maker.ts";

const ENTRIES = 100_000;
const LOOKUPS = 1_000_000;
const UDP = 17;

const cpuMs = (since?: NodeJS.CpuUsage): number => {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1000;
};

export interface ConntrackResult {
  readonly listedEntries: number;
  /** On the clock; of it the CPU time. */
  readonly listingMs: number;
  readonly listingCpuMs: number;
  readonly cpuUsPerEvent: number;
  readonly corePercentAt20000Events: number;
  readonly lookUpUs: number;
  readonly rewriteUsPerSpan: number;
}

export async function benchConntrack(): Promise<ConntrackResult> {
  const { telemetry } = createMemoryTelemetry();
  using maker = new ConntrackMaker();
  maker.add(0, ENTRIES);
  const table = new NatTable(262_144);
  const watcher = new ConntrackWatcher({
    ...{ telemetry, id: "bench", table, namespaces: [maker.path], namespacesMax: 8 },
    ...{ resyncMs: 600_000, rememberMs: 1, nowMs: Date.now },
  });
  const startMs = performance.now();
  const startCpu = process.cpuUsage();
  watcher.start();
  while (watcher.isListing) await new Promise(setImmediate);
  const listingMs = performance.now() - startMs;
  const listingCpuMs = cpuMs(startCpu);
  const listedEntries = table.live;
  const eventUs = await eventCost(maker, watcher);
  const lookUpUs = lookUpCost(table);
  const rewriteUs = rewriteCost(table);
  watcher.stop();
  const rounded = (value: number): number => Number(value.toFixed(2));
  return {
    listedEntries,
    listingMs: Math.round(listingMs),
    listingCpuMs: Math.round(listingCpuMs),
    cpuUsPerEvent: rounded(eventUs),
    corePercentAt20000Events: rounded((eventUs * 20_000) / 10_000),
    lookUpUs: rounded(lookUpUs),
    rewriteUsPerSpan: rounded(rewriteUs),
  };
}

/** Made and read in turns; only the reading is timed. */
async function eventCost(maker: ConntrackMaker, watcher: ConntrackWatcher): Promise<number> {
  let readMs = 0;
  let events = 0;
  for (let round = 0; round < 30; round++) {
    maker.add(ENTRIES + round * 1000, 1000);
    maker.remove(ENTRIES + round * 1000, 1000);
    const before = process.cpuUsage();
    watcher.catchUp();
    readMs += cpuMs(before);
    events += 2000;
    await delay(1);
  }
  return (readMs * 1000) / events;
}

function lookUpCost(table: NatTable): number {
  const lookup = new Lookup();
  putAddress(lookup.words, 4, "10.99.0.1");
  lookup.peerPort = 53;
  lookup.protocol = UDP;
  lookup.startNs = Date.now() * 1e6;
  let found = 0;
  const before = process.cpuUsage();
  for (let n = 0; n < LOOKUPS; n++) {
    const entry = (n * 7919) % ENTRIES;
    lookup.words[0] = 0;
    lookup.words[1] = 0;
    lookup.words[2] = 0xffff;
    lookup.words[3] = 0x0a010000 + (entry >>> 4);
    lookup.localPort = 1000 + (entry & 15);
    if (table.resolve(lookup) === "found") found++;
  }
  if (found !== LOOKUPS) throw new Error(`${found} of ${LOOKUPS} found`);
  return (cpuMs(before) * 1000) / LOOKUPS;
}

const text = (key: string, stringValue: string) => ({ key, value: { stringValue } });
const int = (key: string, value: number) => ({ key, value: { intValue: String(value) } });

function spansBehindNat(count: number): Uint8Array {
  const spans = Array.from({ length: count }, (_, n) => ({
    ...{ traceId: "1".repeat(32), spanId: "2".repeat(16), name: "GET /orders/{id}", kind: 3 },
    startTimeUnixNano: String(BigInt(Date.now()) * 1_000_000n),
    attributes: [
      text("server.address", "10.99.0.1"),
      int("server.port", 53),
      text("http.request.method", "GET"),
      text("url.full", "http://10.99.0.1:53/orders/7"),
      int("http.response.status_code", 200),
      text("network.transport", "udp"),
      text("network.peer.address", "10.99.0.1"),
      int("network.peer.port", 53),
      text("network.local.address", `10.1.${(n * 12) >> 8}.${(n * 12) & 255}`),
      int("network.local.port", 1000),
    ],
  }));
  const body = { resourceSpans: [{ scopeSpans: [{ spans }] }] };
  const encoded = fromOtlpJson(REQUESTS.traces.request, JSON.stringify(body));
  if (!encoded.ok) throw new Error("the bench's own spans are right");
  return encoded.bytes;
}

/** Reading, looking up and writing a span anew, all four attributes changed. */
function rewriteCost(table: NatTable): number {
  const { telemetry } = createMemoryTelemetry();
  const counts = createCounts(telemetry, "bench");
  const rewriter = createSpanRewriter({ table, pairs: undefined, counts });
  const bytes = spansBehindNat(512);
  for (let round = 0; round < 200; round++) rewriter.rewrite(bytes);
  const before = process.cpuUsage();
  for (let round = 0; round < 400; round++) rewriter.rewrite(bytes);
  if (counts.byConntrack.value !== 600 * 512) throw new Error("not all spans were rewritten");
  return (cpuMs(before) * 1000) / (400 * 512);
}
