// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type TestContext, test } from "node:test";
import { gunzipSync } from "node:zlib";
import type { Exporter } from "../../src/component/component.ts";
import type { Batch, Outcome, Signal } from "../../src/model/batch.ts";
import { fromOtlpJson } from "../../src/pdata/json-decode.ts";
import { REQUESTS } from "../../src/pdata/requests.ts";
import {
  createMemoryTelemetry,
  type MemoryTelemetry,
} from "../../src/telemetry/memory-telemetry.ts";
import { parseRetryAfter } from "../../src/transport/http-post.ts";
import { configSchema } from "./config.ts";
import { factory } from "./factory.ts";
import { signalUrl } from "./otlp-http.ts";

const HOST = { extension: () => undefined, fatal: () => undefined };
const SPANS_JSON = '{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a"}]}]}]}';

interface Seen {
  readonly url: string;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: Buffer;
}

interface Backend {
  readonly port: number;
  readonly requests: Seen[];
  readonly connections: () => number;
}

/** A plain node:http server. */
async function backend(
  context: TestContext,
  answer: (response: ServerResponse, call: number) => void,
): Promise<Backend> {
  const requests: Seen[] = [];
  let connections = 0;
  const server = createServer(async (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const { url = "", headers } = request;
    requests.push({ url, headers: { ...headers }, body: Buffer.concat(chunks) });
    answer(response, requests.length);
  });
  server.on("connection", () => connections++);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return { port: address.port, requests, connections: () => connections };
}

interface Running {
  readonly exporter: Exporter;
  readonly memory: MemoryTelemetry;
  send(): Promise<Outcome>;
}

async function run(context: TestContext, port: number, extra: object = {}): Promise<Running> {
  const memory = createMemoryTelemetry();
  const config = configSchema.parse({
    endpoint: `http://127.0.0.1:${port}`,
    timeout: "300ms",
    sending_queue: { wait_for_result: true },
    retry_on_failure: { initial_interval: "20ms", max_interval: "50ms", max_elapsed_time: "2s" },
    ...extra,
  });
  const settings = { id: "otlp_http", telemetry: memory.telemetry, buildInfo: { version: "1.2" } };
  const exporter = factory.create({ ...settings, signal: "traces" }, config);
  await exporter.start(HOST);
  context.after(() => exporter.shutdown(AbortSignal.timeout(50)));
  const send = (): Promise<Outcome> =>
    new Promise((resolve) => {
      assert.ok(exporter.accept({ ...spans(), receipt: { settle: resolve } }));
    });
  return { exporter, memory, send };
}

function spans(): Batch {
  const result = fromOtlpJson(REQUESTS.traces.request, SPANS_JSON);
  assert.ok(result.ok);
  const { bytes } = result;
  return { signal: "traces", chunks: [bytes, bytes], items: 2, bytes: bytes.length * 2 };
}

const joined = Buffer.concat(spans().chunks);

test("protobuf is posted gzipped to the signal's path over one connection", async (context) => {
  const { port, requests, connections } = await backend(context, (response) => response.end());
  const { send } = await run(context, port, { headers: { "X-Tenant": "t" } });
  assert.deepEqual(await send(), { kind: "accepted" });
  assert.deepEqual(await send(), { kind: "accepted" });
  const [first] = requests;
  assert.equal(first?.url, "/v1/traces");
  assert.equal(first?.headers["content-type"], "application/x-protobuf");
  assert.equal(first?.headers["content-encoding"], "gzip");
  assert.equal(first?.headers["x-tenant"], "t");
  assert.match(String(first?.headers["user-agent"]), /^Backstitch\/1\.2 \(/);
  assert.deepEqual(gunzipSync(first?.body ?? ""), joined);
  assert.equal(connections(), 1);
});

test("JSON is OTLP/JSON and goes to an endpoint of its own as it is", async (context) => {
  const { port, requests } = await backend(context, (response) => {
    response.setHeader("content-type", "application/json");
    response.end('{"partialSuccess":{"rejectedSpans":"2","errorMessage":"old"}}');
  });
  const { send, memory } = await run(context, port, {
    encoding: "json",
    compression: "none",
    traces_endpoint: `http://127.0.0.1:${port}/custom?x=1`,
  });
  assert.deepEqual(await send(), { kind: "accepted" });
  assert.equal(requests[0]?.url, "/custom?x=1");
  const span = '{"scopeSpans":[{"spans":[{"name":"a"}]}]}';
  assert.equal(requests[0]?.body.toString(), `{"resourceSpans":[${span},${span}]}`);
  const line = memory.lines.find(({ message }) => message === "Partial success response");
  assert.deepEqual(line?.fields, { message: "old", dropped_spans: 2 });
});

test("429, 502, 503 and 504 are tried again, others are not", async (context) => {
  for (const status of [429, 502, 503, 504]) {
    const { port, requests } = await backend(context, (response, call) => {
      response.statusCode = call === 1 ? status : 200;
      response.end();
    });
    const { send } = await run(context, port);
    assert.deepEqual(await send(), { kind: "accepted" });
    assert.equal(requests.length, 2);
  }
  for (const status of [400, 401, 404, 500]) {
    const { port, requests } = await backend(context, (response) => {
      response.statusCode = status;
      response.end();
    });
    const { send } = await run(context, port);
    const outcome = await send();
    assert.ok(outcome.kind === "refused" && !outcome.retryable);
    assert.match(
      outcome.message,
      new RegExp(`/v1/traces responded with HTTP Status Code ${status}`),
    );
    assert.equal(requests.length, 1);
  }
});

test("Retry-After is waited for", async (context) => {
  const startMs = performance.now();
  const { port } = await backend(context, (response, call) => {
    if (call === 1) response.writeHead(503, { "retry-after": "1" });
    response.end();
  });
  const { send } = await run(context, port);
  assert.deepEqual(await send(), { kind: "accepted" });
  assert.ok(performance.now() - startMs >= 990);
});

test("a backend that hangs, resets or answers garbage is tried again", async (context) => {
  const answers: readonly ((response: ServerResponse) => void)[] = [
    () => undefined,
    (response) => response.socket?.resetAndDestroy(),
    (response) => response.socket?.end("no HTTP\r\n\r\n"),
  ];
  for (const answer of answers) {
    const { port, requests } = await backend(context, (response, call) => {
      if (call === 1) answer(response);
      else response.end();
    });
    const { send } = await run(context, port, { timeout: "100ms" });
    assert.deepEqual(await send(), { kind: "accepted" });
    assert.equal(requests.length, 2);
  }
});

test("nobody listening is a retryable error that names the URL without its query", async (context) => {
  const { port } = await backend(context, (response) => response.end());
  const { send } = await run(context, port, {
    traces_endpoint: "http://127.0.0.1:9/v1/traces?key=secret",
    retry_on_failure: { enabled: false },
  });
  const outcome = await send();
  assert.ok(outcome.kind === "refused" && outcome.retryable);
  assert.match(outcome.message, /Post "http:\/\/127\.0\.0\.1:9\/v1\/traces": .*ECONNREFUSED/);
  assert.doesNotMatch(outcome.message, /secret/);
});

test("the URL of a signal is the base with its path", () => {
  const url = (endpoint: string, signal: "metrics" | "logs"): string =>
    signalUrl(signal, configSchema.parse({ endpoint })).href;
  assert.equal(url("http://h:4318", "metrics"), "http://h:4318/v1/metrics");
  assert.equal(url("https://h/base/", "logs"), "https://h/base/v1/logs");
  const onlyTraces = configSchema.parse({ traces_endpoint: "http://h/t" });
  const signal: Signal = "logs";
  assert.throws(
    () => signalUrl(signal, onlyTraces),
    /either endpoint or logs_endpoint must be specified/,
  );
});

test("the configuration asks for an endpoint that is a URL", () => {
  const messages = (input: unknown): string =>
    configSchema
      .safeParse(input)
      .error?.issues.map((issue) => issue.message)
      .join() ?? "";
  assert.match(messages({}), /at least one endpoint must be specified/);
  assert.match(messages({ endpoint: "localhost:4318" }), /endpoint must be a valid URL/);
  assert.equal(configSchema.parse({ endpoint: "http://h" }).timeout, 30_000);
});

test("Retry-After is read as seconds or as a date", () => {
  assert.equal(parseRetryAfter("7"), 7_000);
  const inOneMinute = parseRetryAfter(new Date(Date.now() + 60_000).toUTCString());
  assert.ok(inOneMinute !== undefined && inOneMinute > 58_000 && inOneMinute <= 60_000);
  assert.equal(parseRetryAfter("soon"), undefined);
});
