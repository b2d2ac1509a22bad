// SPDX-License-Identifier: Apache-2.0
// A service with an OpenTelemetry SDK of its own, which sends traceparent and its own spans, in
// front of one that knows nothing of tracing.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { startTestAgent } from "../support/agent.ts";
import { runLoad } from "../support/load.ts";
import type { FlatSpan, SpanKind } from "../support/otlp-json.ts";
import { freePorts } from "../support/proc-net.ts";
import { startProcess } from "../support/process.ts";
import { buildStock, stock } from "../support/services.ts";

const REQUESTS = 20;
/** The SDK's two and our client and two server spans. */
const SPANS_PER_TRACE = 5;
const CLOCKS_DIFFER_NS_MAX = 5_000_000n;

function byTrace(spans: readonly FlatSpan[]): ReadonlyMap<string, readonly FlatSpan[]> {
  return Map.groupBy(spans, (span) => span.traceId);
}

/** The one span of this service and kind, of ours (they carry the peer) or of the SDK. */
function only(
  spans: readonly FlatSpan[],
  wanted: { readonly service: string; readonly kind: SpanKind; readonly ours: boolean },
): FlatSpan {
  const found = spans.filter(
    (span) =>
      span.kind === wanted.kind &&
      span.service === wanted.service &&
      span.attributes.has("network.peer.address") === wanted.ours,
  );
  const [first] = found;
  if (first === undefined || found.length > 1) {
    assert.fail(`${found.length} spans for ${JSON.stringify(wanted)}`);
  }
  return first;
}

test("an application's own spans and ours are one trace", async () => {
  const [grpc = 0, http = 0, port = 0] = await freePorts(3);
  const binary = await buildStock();
  await using leaf = await startProcess(stock({ listen: "127.0.0.1:0" }, binary));
  await using app = await startProcess({
    command: process.execPath,
    args: [
      join(import.meta.dirname, "../apps/instrumented.mjs"),
      ...["--listen", `127.0.0.1:${port}`, "--downstream", `http://127.0.0.1:${leaf.port}`],
      ...["--otlp", `http://127.0.0.1:${grpc}`],
    ],
    readyPort: port,
  });
  await using agent = await startTestAgent({
    targets: `[{pids: [${app.pid}], name: instrumented}, {pids: [${leaf.pid}], name: stock}]`,
    receivers: {
      yaml: `otlp: {protocols: {grpc: {endpoint: "127.0.0.1:${grpc}"}, http: {endpoint: "127.0.0.1:${http}"}}}`,
      ids: ["otlp"],
    },
  });
  await runLoad({
    ...{ host: "127.0.0.1", port, requests: REQUESTS, concurrency: 4 },
    paths: ["/order/{id}"],
  });
  const traces = byTrace(await agent.spansWhen(REQUESTS * SPANS_PER_TRACE));
  assert.equal(traces.size, REQUESTS, agent.process.output());
  for (const spans of traces.values()) {
    assert.equal(spans.length, SPANS_PER_TRACE);
    const sdkClient = only(spans, { service: "instrumented", kind: "client", ours: false });
    const client = only(spans, { service: "instrumented", kind: "client", ours: true });
    const server = only(spans, { service: "stock", kind: "server", ours: true });
    assert.equal(client.parentSpanId, sdkClient.spanId);
    assert.equal(client.attributes.get("stitch.evidence"), "trace_header");
    assert.equal(server.parentSpanId, client.spanId);
    assert.equal(server.attributes.get("stitch.evidence"), "byte_name");
    // The request came without a header: our span of it joins the trace that the SDK began.
    const incoming = only(spans, { service: "instrumented", kind: "server", ours: true });
    const handled = only(spans, { service: "instrumented", kind: "server", ours: false });
    assert.equal(incoming.parentSpanId, "");
    assert.equal(sdkClient.parentSpanId, handled.spanId);
    // Both clocks are the system's; the SDK's counts in milliseconds.
    assert.ok(incoming.startNs - handled.startNs < CLOCKS_DIFFER_NS_MAX);
    assert.ok(handled.startNs - client.startNs < CLOCKS_DIFFER_NS_MAX);
  }
});
