// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { fromOtlpJson } from "../../src/pdata/json-decode.ts";
import { REQUESTS } from "../../src/pdata/requests.ts";
import { createMemoryTelemetry } from "../../src/telemetry/memory-telemetry.ts";
import { decodeZipkinProto } from "../../src/zipkin/protobuf.ts";
import { configSchema } from "./config.ts";
import { createZipkinExporter } from "./zipkin.ts";

const IDS = { traceId: "5af7183fb1d4cf5f0102030405060708", spanId: "6b221d5bc9e6496c" };
const TRACES = { resourceSpans: [{ scopeSpans: [{ spans: [{ ...IDS, name: "a", kind: 2 }] }] }] };

for (const format of ["json", "proto"] as const) {
  test(`spans arrive as ${format}, again after a 503, and not after a 400`, async (context) => {
    const bodies: Buffer[] = [];
    const types: (string | undefined)[] = [];
    const answers = [503, 202, 400];
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        bodies.push(gunzipSync(Buffer.concat(chunks)));
        types.push(request.headers["content-type"]);
        response.writeHead(answers.shift() ?? 500).end();
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    context.after(() => {
      server.close();
      server.closeAllConnections();
    });
    const address = server.address();
    assert.ok(typeof address === "object" && address !== null);
    const memory = createMemoryTelemetry();
    const { telemetry } = memory;
    const exporter = createZipkinExporter(
      { id: "zipkin", signal: "traces", telemetry, buildInfo: { version: "0" } },
      configSchema.parse({
        endpoint: `http://127.0.0.1:${address.port}/api/v2/spans`,
        format,
        compression: "gzip",
        default_service_name: "nobody",
        sending_queue: { enabled: false },
        retry_on_failure: { initial_interval: "1ms", max_interval: "1ms" },
      }),
    );
    await exporter.start({ extension: () => undefined, fatal: () => assert.fail() });
    const encoded = fromOtlpJson(REQUESTS.traces.request, JSON.stringify(TRACES));
    assert.ok(encoded.ok);
    const { bytes } = encoded;
    for (const expected of ["accepted", "refused"]) {
      const { promise, resolve } = Promise.withResolvers<string>();
      const receipt = { settle: ({ kind }: { kind: string }) => resolve(kind) };
      exporter.accept({
        signal: "traces",
        chunks: [bytes],
        items: 1,
        bytes: bytes.length,
        receipt,
      });
      assert.equal(await promise, expected);
    }
    await exporter.shutdown(AbortSignal.timeout(30_000));
    assert.equal(types[0], format === "json" ? "application/json" : "application/x-protobuf");
    const [body] = bodies;
    assert.ok(body !== undefined && bodies.length === 3);
    const spans = format === "json" ? JSON.parse(body.toString()) : decodeZipkinProto(body);
    assert.equal(spans[0].traceId, IDS.traceId);
    assert.equal(spans[0].kind, "SERVER");
    assert.equal(spans[0].localEndpoint.serviceName, "nobody");
    assert.equal(await memory.value('otelcol_exporter_sent_spans{exporter="zipkin"}'), 1);
    assert.equal(await memory.value('otelcol_exporter_send_failed_spans{exporter="zipkin"}'), 1);
  });
}
