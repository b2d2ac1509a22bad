// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { type TestContext, test } from "node:test";
import { gzipSync } from "node:zlib";
import { BehaviorSubject } from "rxjs";
import type { Host } from "../../src/component/component.ts";
import type { Batch, Outcome, Signal } from "../../src/model/batch.ts";
import { fromOtlpJson } from "../../src/pdata/json-decode.ts";
import { OTLP_SIGNALS, REQUESTS } from "../../src/pdata/requests.ts";
import {
  createMemoryTelemetry,
  type MemoryTelemetry,
} from "../../src/telemetry/memory-telemetry.ts";
import { GrpcClient, type GrpcResult } from "../../src/transport/grpc-client.ts";
import { decodeStatus, GRPC } from "../../src/transport/grpc-status.ts";
import { snappyEncode, snappyStreamEncode } from "../../src/transport/snappy.ts";
import { configSchema } from "./config.ts";
import { factory } from "./factory.ts";
import { OtlpReceiver } from "./otlp.ts";

const HOST: Host = { extension: () => undefined, fatal: () => assert.fail() };

interface Running {
  readonly receiver: OtlpReceiver;
  readonly batches: Batch[];
  readonly demand: BehaviorSubject<boolean>;
  readonly memory: MemoryTelemetry;
  outcome: Outcome;
}

async function run(
  context: TestContext,
  signals: readonly Signal[] = OTLP_SIGNALS,
  http: Readonly<Record<string, unknown>> = {},
): Promise<Running> {
  const demand = new BehaviorSubject(true);
  const memory = createMemoryTelemetry();
  const endpoint = "127.0.0.1:0";
  const receiver = new OtlpReceiver(
    {
      id: "otlp",
      telemetry: memory.telemetry,
      buildInfo: { version: "1" },
      signals: new Set(signals),
      demand,
    },
    configSchema.parse({ protocols: { grpc: { endpoint }, http: { endpoint, ...http } } }),
  );
  const running: Running = { receiver, batches: [], demand, memory, outcome: { kind: "accepted" } };
  for (const signal of signals) {
    receiver.output(signal).subscribe((batch) => {
      running.batches.push(batch);
      batch.receipt?.settle(running.outcome);
    });
  }
  await receiver.start(HOST);
  context.after(() => receiver.shutdown(AbortSignal.timeout(200)));
  return running;
}

function golden(signal: Signal, ending: "bin" | "json"): Buffer {
  return readFileSync(new URL(`../../src/pdata/goldens/${signal}.${ending}`, import.meta.url));
}

function post(
  running: Running,
  path: string,
  body: Buffer | string,
  headers: Record<string, string> = { "content-type": "application/x-protobuf" },
): Promise<Response> {
  const url = `http://127.0.0.1:${running.receiver.ports.http}${path}`;
  return fetch(url, { method: "POST", body, headers });
}

async function exportGrpc(
  context: TestContext,
  running: Running,
  body: Uint8Array,
): Promise<GrpcResult> {
  const client = new GrpcClient({
    host: "127.0.0.1",
    port: running.receiver.ports.grpc ?? 0,
    tls: undefined,
    compression: "gzip",
    headers: {},
    userAgent: "test",
    authority: undefined,
  });
  context.after(() => client.close());
  const signal = AbortSignal.timeout(5_000);
  return client.unary(REQUESTS.traces.grpcPath, [body], { timeoutMs: 5_000, signal });
}

const JSON_TYPE = { "content-type": "application/json; charset=utf-8" };

test("every signal arrives as the bytes that were sent, by HTTP and by gRPC", async (context) => {
  const running = await run(context);
  for (const signal of OTLP_SIGNALS) {
    const body = golden(signal, "bin");
    const answer = await post(running, `/v1/${signal}`, body);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get("content-type"), "application/x-protobuf");
    assert.equal((await answer.arrayBuffer()).byteLength, 0);
    const batch = running.batches.at(-1);
    assert.equal(batch?.signal, signal);
    assert.equal(batch?.transport, "http");
    assert.equal(batch?.sender, "127.0.0.1");
    assert.deepEqual(Buffer.concat(batch?.chunks ?? []), body);
  }
  const traces = golden("traces", "bin");
  assert.equal((await exportGrpc(context, running, traces)).code, GRPC.ok);
  const batch = running.batches.at(-1);
  assert.equal(batch?.transport, "grpc");
  assert.equal(batch?.sender, "127.0.0.1");
  assert.deepEqual(Buffer.concat(batch?.chunks ?? []), traces);
  assert.equal(batch?.bytes, traces.length);
});

test("JSON and compressed bodies arrive as protobuf", async (context) => {
  const running = await run(context);
  const answer = await post(running, "/v1/logs", golden("logs", "json"), JSON_TYPE);
  assert.equal(answer.status, 200);
  assert.equal(await answer.text(), '{"partialSuccess":{}}');
  const expected = fromOtlpJson(REQUESTS.logs.request, golden("logs", "json"));
  assert.ok(expected.ok);
  assert.deepEqual(Buffer.from(running.batches[0]?.chunks[0] ?? []), Buffer.from(expected.bytes));
  const zipped = await post(running, "/v1/traces", gzipSync(golden("traces", "bin")), {
    "content-type": "application/x-protobuf",
    "content-encoding": "gzip",
  });
  assert.equal(zipped.status, 200);
  assert.deepEqual(Buffer.from(running.batches[1]?.chunks[0] ?? []), golden("traces", "bin"));
});

test("an empty request is a success and makes no batch", async (context) => {
  const running = await run(context);
  assert.equal((await post(running, "/v1/traces", "")).status, 200);
  assert.equal((await post(running, "/v1/traces", "{}", JSON_TYPE)).status, 200);
  assert.equal((await exportGrpc(context, running, new Uint8Array(0))).code, GRPC.ok);
  assert.equal(running.batches.length, 0);
});

test("what cannot be taken is answered as the Collector does", async (context) => {
  const running = await run(context, ["traces"], { max_request_body_size: 1000 });
  const bad = await post(running, "/v1/traces", "\xff\xff");
  assert.equal(bad.status, 400);
  assert.equal(decodeStatus(new Uint8Array(await bad.arrayBuffer()))?.code, 3);
  const badJson = await post(running, "/v1/traces", "{", JSON_TYPE);
  assert.equal(badJson.status, 400);
  assert.match(await badJson.text(), /^\{"code":3,"message":"not JSON/);
  const url = `http://127.0.0.1:${running.receiver.ports.http}/v1/traces`;
  const get = await fetch(url);
  assert.deepEqual(
    [get.status, await get.text()],
    [405, "405 method not allowed, supported: [POST]"],
  );
  const type = await post(running, "/v1/traces", "x", { "content-type": "text/plain" });
  assert.deepEqual(
    [type.status, await type.text()],
    [415, "415 unsupported media type, supported: [application/json, application/x-protobuf]"],
  );
  assert.equal((await post(running, "/v1/logs", "")).status, 404);
  const encoded = await post(running, "/v1/traces", "x", {
    ...JSON_TYPE,
    "content-encoding": "br",
  });
  assert.equal(await encoded.text(), '{"code":3,"message":"unsupported Content-Encoding: br"}');
  for (const body of [Buffer.alloc(2_000), gzipSync(Buffer.alloc(100_000))]) {
    const headers = {
      ...JSON_TYPE,
      ...(body.length < 1_000 ? { "content-encoding": "gzip" } : {}),
    };
    const large = await post(running, "/v1/traces", body, headers);
    assert.equal(large.status, 400);
    assert.match(await large.text(), /http: request body too large/);
  }
  assert.equal((await exportGrpc(context, running, Uint8Array.of(255))).code, GRPC.invalidArgument);
  const malformed = 'backstitch_receiver_malformed_requests{receiver="otlp",transport="grpc"}';
  assert.equal(await running.memory.value(malformed), 1);
  assert.equal(running.batches.length, 0);
});

test("the answer says what became of the batch", async (context) => {
  const running = await run(context);
  const body = golden("traces", "bin");
  const message = "sending queue is full";
  running.outcome = { kind: "refused", retryable: true, message, retryAfterMs: 2_500 };
  const http = await post(running, "/v1/traces", golden("traces", "json"), JSON_TYPE);
  assert.deepEqual(
    [http.status, http.headers.get("retry-after"), await http.text()],
    [503, "3", '{"code":14,"message":"sending queue is full"}'],
  );
  const grpc = await exportGrpc(context, running, body);
  assert.deepEqual([grpc.code, grpc.message, grpc.retryAfterMs], [14, message, 2_500]);
  running.outcome = { kind: "refused", retryable: false, message: "no" };
  assert.equal((await post(running, "/v1/traces", body)).status, 500);
  assert.equal((await exportGrpc(context, running, body)).code, GRPC.internal);
  running.outcome = { kind: "dropped", reason: "sampled" };
  assert.equal((await post(running, "/v1/traces", body)).status, 200);
});

test("while the pipeline is full, requests are refused, counted and told when to come back", async (context) => {
  const running = await run(context);
  running.demand.next(false);
  const body = golden("traces", "bin");
  const answer = await post(running, "/v1/traces", body);
  assert.deepEqual([answer.status, answer.headers.get("retry-after")], [503, "1"]);
  assert.equal((await exportGrpc(context, running, body)).code, GRPC.unavailable);
  assert.equal(running.batches.length, 0);
  const series = 'otelcol_receiver_refused_spans{receiver="otlp",transport="http"}';
  assert.ok((await running.memory.value(series)) > 0);
  running.demand.next(true);
  assert.equal((await post(running, "/v1/traces", body)).status, 200);
});

test("a port in use is an error in the Collector's words and leaves nothing open", async (context) => {
  const first = await run(context);
  const taken = `127.0.0.1:${first.receiver.ports.http}`;
  const config = { protocols: { grpc: { endpoint: "127.0.0.1:0" }, http: { endpoint: taken } } };
  const second = factory.create(
    {
      id: "otlp/2",
      telemetry: first.memory.telemetry,
      buildInfo: { version: "1" },
      signals: new Set(["traces"]),
      demand: first.demand,
    },
    configSchema.parse(config),
  );
  await assert.rejects(second.start({ extension: () => undefined, fatal: () => undefined }), {
    message: `listen tcp ${taken}: bind: address already in use`,
  });
});

test("open requests end before the shutdown does, and it may be called twice", async (context) => {
  const running = await run(context, ["traces"]);
  const { receiver } = running;
  const open = connect(running.receiver.ports.http ?? 0, "127.0.0.1");
  context.after(() => open.destroy());
  open.write("POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n");
  await new Promise((resolve) => setTimeout(resolve, 50));
  let completed = 0;
  receiver.output("traces").subscribe({ complete: () => completed++ });
  await Promise.all([
    receiver.shutdown(AbortSignal.timeout(100)),
    receiver.shutdown(AbortSignal.timeout(100)),
  ]);
  assert.equal(completed, 1);
});

test("the configuration takes the Collector's forms and refuses the others", () => {
  const both = configSchema.parse({ protocols: { grpc: null, http: {} } });
  assert.equal(both.protocols.grpc?.endpoint.text, "localhost:4317");
  assert.equal(both.protocols.http?.endpoint.text, "localhost:4318");
  const off = configSchema.parse({ protocols: { grpc: { enabled: false }, http: null } });
  assert.equal(off.protocols.grpc, undefined);
  const messages = (input: unknown): string =>
    configSchema
      .safeParse(input)
      .error?.issues.map((issue) => issue.message)
      .join() ?? "";
  assert.match(messages({}), /must specify at least one protocol when using the OTLP receiver/);
  assert.match(messages({ protocols: { grpc: { endpont: "x" } } }), /endpont/);
  assert.match(
    messages({ protocols: { http: { tls: { cert_file: "x" } } } }),
    /both certificate and key for server connections/,
  );
});

test("bytes that are not HTTP, cut-off and slow bodies do not stop the others", async (context) => {
  const running = await run(context);
  const port = running.receiver.ports.http ?? 0;
  const head = "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n";
  const texts = [
    "\x00\x01\x02",
    "GET / HTTP/9.9\r\n\r\n",
    `${head}content-length: 100\r\n\r\nshort`,
    `${head}transfer-encoding: chunked\r\n\r\nzz\r\n`,
    `${head}content-length: -1\r\n\r\n`,
    `${head}content-encoding: gzip\r\ncontent-length: 4\r\n\r\nnope`,
  ];
  for (const text of texts) {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => undefined);
    socket.resume();
    socket.end(text);
    await once(socket, "close");
  }
  assert.equal((await post(running, "/v1/traces", golden("traces", "bin"))).status, 200);
  assert.equal(running.batches.length, 1);
});

test("with include_metadata a batch carries the request's headers, else not", async (context) => {
  const running = await run(context, ["traces"], { include_metadata: true });
  const headers = { "content-type": "application/x-protobuf", "X-Tenant": "acme" };
  await post(running, "/v1/traces", golden("traces", "bin"), headers);
  assert.deepEqual(running.batches[0]?.metadata?.["x-tenant"], ["acme"]);
  const plain = await run(context, ["traces"]);
  await post(plain, "/v1/traces", golden("traces", "bin"), headers);
  assert.equal(plain.batches[0]?.metadata, undefined);
});

for (const [encoding, packed] of [
  ["snappy", snappyEncode(golden("traces", "bin"))],
  ["x-snappy-framed", snappyStreamEncode(golden("traces", "bin"))],
] as const) {
  test(`a body in ${encoding} is taken over HTTP`, async (context) => {
    const running = await run(context, ["traces"]);
    const headers = { "content-type": "application/x-protobuf", "content-encoding": encoding };
    assert.equal((await post(running, "/v1/traces", packed, headers)).status, 200);
    assert.deepEqual(running.batches[0]?.chunks, [golden("traces", "bin")]);
  });
}
