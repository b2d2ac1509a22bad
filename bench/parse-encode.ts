// SPDX-License-Identifier: Apache-2.0
/**
 * CPU of one span from records to OTLP bytes: parse two records, pair, encode, batch; optionally
 * the duration histogram too. `node bench/parse-encode.ts [spans]` prints ns a span.
 */
import type { SelectedProcess } from "../src/model/process.ts";
import type { DataRecord, Direction, Exchange, ExchangeEvents } from "../src/model/protocol.ts";
import { RECEIVED, SENT } from "../src/model/protocol.ts";
import { HTTP1 } from "../src/protocols/http1/protocol.ts";
import { DurationMetrics } from "../src/spans/duration-metrics.ts";
import { EpochClock } from "../src/spans/epoch-clock.ts";
import { ResourceBatcher } from "../src/spans/resource-batcher.ts";
import { SpanConnection } from "../src/spans/span-connection.ts";
import { SpanEncoder } from "../src/spans/span-encoder.ts";

const SMALL =
  "GET /orders/1234 HTTP/1.1\r\nHost: shop.example:8080\r\nConnection: keep-alive\r\n\r\n";
const BROWSER = `GET /api/v1/customers/1234/orders?page=2 HTTP/1.1\r\nHost: shop.example:8080\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\nConnection: keep-alive\r\nCookie: session=8f14e45fceea167a5a36dedd4bea2543\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n`;
const RESPONSE =
  "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sun, 22 Nov 2026 15:14:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 12\r\nConnection: keep-alive\r\n\r\nhello world\n";

const CONNECTIONS = 64;
const DRAIN_SPANS = 400;

class Cursor implements DataRecord {
  direction: Direction = RECEIVED;
  timeNs = 0;
  position = 0;
  length = 0;
  bytes: Uint8Array = new Uint8Array(0);
  start = 0;
  captured = 0;
  tailStart = -1;
  pid = 4711;
  tid = 4712;
}

interface Workload {
  readonly request: string;
  readonly metrics: boolean;
}

function measure(workload: Workload, spans: number): { ns: number; bytes: number } {
  const request = Buffer.from(workload.request);
  const response = Buffer.from(RESPONSE);
  const ring = new Uint8Array(1 << 16);
  ring.set(request, 64);
  ring.set(response, 4096);
  const process: SelectedProcess = {
    pid: 4711,
    serviceName: "shop",
    attributes: new Map<string, string | number>([["process.pid", 4711]]),
  };
  const batcher = new ResourceBatcher({ version: "0.1.0" });
  const clock = new EpochClock(1_790_000_000_000_000_000n);
  const encoder = new SpanEncoder({ clock, batcher });
  const metrics = new DurationMetrics({ version: "0.1.0", clock, seriesMax: 2000 });
  const stitch = {
    flags: 0,
    triggerKind: 0,
    triggerSpan: new Uint32Array(2),
    openServerRequests: 0,
    openInProcess: 0,
  };
  const options = {
    headBytesMax: 16384,
    pipelinedMax: 64,
    urlQuery: false,
    requestHeaders: [],
    responseHeaders: [],
    routesMax: 200,
    rawStatements: false,
  };
  const parsers = Array.from({ length: CONNECTIONS }, (_, index) => {
    const connection = new SpanConnection({
      role: "server",
      clientStart: index * 7919,
      serverStart: index * 104729,
      positionExcess: 0,
      family: 4,
      localAddress: "10.1.2.3",
      localPort: 8080,
      remoteAddress: "10.9.8.7",
      remotePort: 40000 + index,
    });
    const events: ExchangeEvents = {
      begin(exchange: Exchange): void {
        exchange.link = connection;
      },
      end(exchange: Exchange): void {
        encoder.encode(process, connection, exchange, stitch);
        if (workload.metrics) metrics.record(process, connection, exchange);
      },
      abandon(): void {
        throw new Error("Abandoned.");
      },
      lost(): void {
        throw new Error("Lost.");
      },
    };
    return HTTP1.createParser(options, events);
  });
  const cursor = new Cursor();
  cursor.bytes = ring;
  let bytes = 0;
  let timeNs = 1e12;
  const before = globalThis.process.cpuUsage();
  for (let count = 0; count < spans; count++) {
    const parser = parsers[count % CONNECTIONS];
    const round = Math.floor(count / CONNECTIONS);
    cursor.direction = RECEIVED;
    cursor.timeNs = timeNs += 1000;
    cursor.position = round * request.length;
    cursor.start = 64;
    cursor.length = cursor.captured = request.length;
    parser?.data(cursor);
    cursor.direction = SENT;
    cursor.timeNs = timeNs += 1000;
    cursor.position = round * response.length;
    cursor.start = 4096;
    cursor.length = cursor.captured = response.length;
    parser?.data(cursor);
    if (count % DRAIN_SPANS === 0) bytes += batcher.take()?.bytes ?? 0;
  }
  bytes += batcher.take()?.bytes ?? 0;
  const used = globalThis.process.cpuUsage(before);
  return { ns: ((used.user + used.system) * 1000) / spans, bytes: bytes / spans };
}

const spans = Number(globalThis.process.argv[2] ?? 1_000_000);
const workloads: readonly (readonly [string, Workload])[] = [
  ["small request", { request: SMALL, metrics: false }],
  ["browser request", { request: BROWSER, metrics: false }],
  ["small request, with histogram", { request: SMALL, metrics: true }],
];
for (const [name, workload] of workloads) {
  measure(workload, spans / 5);
  const { ns, bytes } = measure(workload, spans);
  console.log(`${name}: ${ns.toFixed(0)} ns/span, ${bytes.toFixed(0)} bytes/span`);
}
