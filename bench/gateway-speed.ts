// SPDX-License-Identifier: Apache-2.0
// How many spans a second `span_stitch` in gateway mode joins on one core.
import { Gateway } from "../processors/span_stitch/gateway/gateway.ts";
import type { Batch } from "../src/model/batch.ts";
import { fromOtlpJson } from "../src/pdata/json-decode.ts";
import { REQUESTS } from "../src/pdata/requests.ts";
import { createMemoryTelemetry } from "../src/telemetry/memory-telemetry.ts";

const BATCHES = 400;
const TRACES_A_BATCH = 128;

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, "0");
const text = (key: string, stringValue: string) => ({ key, value: { stringValue } });
const USUAL = [
  text("http.request.method", "GET"),
  text("url.path", "/orders/7"),
  text("server.address", "10.0.0.1"),
  text("network.peer.address", "10.0.0.2"),
  text("network.protocol.version", "1.1"),
];

/** Two spans in one agent: a server's and its call; or the other agent's two for the same. */
function batchOf(first: number, isCaller: boolean): Batch {
  const spans = Array.from({ length: TRACES_A_BATCH }, (_, index) => {
    const n = first + index + 1;
    const traceId = hex(isCaller ? n : n + 2 ** 40, 32);
    const own = isCaller ? 1 : 3;
    const ids = [own, own + 1].map((digit) => `${digit}${hex(n, 15)}`);
    const [serverId = "", clientId = ""] = ids;
    const times = {
      startTimeUnixNano: "1700000000000000000",
      endTimeUnixNano: "1700000000001000000",
    };
    const peer = text("stitch.peer_span_id", isCaller ? hex(n, 16) : `2${hex(n, 15)}`);
    return [
      { traceId, spanId: serverId, name: "GET", kind: 2, ...times, attributes: [...USUAL, peer] },
      ...[
        { traceId, spanId: clientId, parentSpanId: serverId, name: "GET", kind: 3, ...times },
      ].map((span) => ({ ...span, attributes: USUAL })),
    ];
  }).flat();
  const resource = { attributes: [text("host.name", isCaller ? "one" : "two")] };
  const body = { resourceSpans: [{ resource, scopeSpans: [{ spans }] }] };
  const encoded = fromOtlpJson(REQUESTS.traces.request, JSON.stringify(body));
  if (!encoded.ok) throw new Error("the bench's own spans are right");
  const { bytes } = encoded;
  return { signal: "traces", chunks: [bytes], items: spans.length, bytes: bytes.length };
}

export interface GatewayResult {
  readonly spans: number;
  readonly cpuUsPerSpan: number;
  readonly spansPerCpuSecond: number;
  readonly joinedPieces: number;
}

/** All pieces are joined; CPU time, so that other load on the machine matters little. */
export async function benchGateway(): Promise<GatewayResult> {
  const { telemetry, value } = createMemoryTelemetry();
  const gateway = new Gateway(
    {
      ...{ id: "bench", telemetry, buildInfo: { version: "0" } },
      ...{ signal: "traces", pipelineId: "traces" },
    },
    524_288,
  );
  const pairs = Array.from({ length: BATCHES }, (_, index) =>
    [false, true].map((isCaller) => batchOf(index * TRACES_A_BATCH, isCaller)),
  );
  const before = process.cpuUsage();
  let spans = 0;
  for (const batches of pairs) {
    for (const batch of batches) gateway.learn(batch);
    for (const batch of batches) spans += gateway.join(batch).items;
  }
  const { user, system } = process.cpuUsage(before);
  const each = (user + system) / spans;
  const joined = 'backstitch_span_stitch_gateway_joined_pieces{processor="bench"}';
  return {
    spans,
    cpuUsPerSpan: Number(each.toFixed(3)),
    spansPerCpuSecond: Math.round(1e6 / each),
    joinedPieces: (await value(joined)) ?? 0,
  };
}
