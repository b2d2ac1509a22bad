// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { type TestContext, test } from "node:test";
import type { Exporter } from "../../src/component/component.ts";
import type { Batch, Outcome } from "../../src/model/batch.ts";
import { fromOtlpJson } from "../../src/pdata/json-decode.ts";
import { REQUESTS } from "../../src/pdata/requests.ts";
import {
  createMemoryTelemetry,
  type MemoryTelemetry,
} from "../../src/telemetry/memory-telemetry.ts";
import { GrpcServer, OK, type Reply } from "../../src/transport/grpc-server.ts";
import { GRPC } from "../../src/transport/grpc-status.ts";
import { configSchema } from "./config.ts";
import { factory } from "./factory.ts";

const HOST = { extension: () => undefined, fatal: () => undefined };

interface Backend {
  readonly port: number;
  readonly messages: Uint8Array[];
}

async function backend(context: TestContext, answer: (reply: Reply) => void): Promise<Backend> {
  const messages: Uint8Array[] = [];
  const server = new GrpcServer({
    address: { host: "127.0.0.1", port: 0 },
    tls: undefined,
    methods: new Map([
      [
        REQUESTS.traces.grpcPath,
        (message, reply) => {
          messages.push(message);
          answer(reply);
        },
      ],
    ]),
    messageBytesMax: 1024 * 1024,
    concurrentStreamsMax: 100,
    openBytesMax: 8 * 1024 * 1024,
    receiveTimeoutMs: 5_000,
  });
  context.after(() => server.shutdown(AbortSignal.timeout(100)));
  return { port: await server.start(), messages };
}

interface Running {
  readonly exporter: Exporter;
  readonly memory: MemoryTelemetry;
  send(batch?: Batch): Promise<Outcome>;
}

async function run(context: TestContext, port: number, extra: object = {}): Promise<Running> {
  const memory = createMemoryTelemetry();
  const config = configSchema.parse({
    endpoint: `127.0.0.1:${port}`,
    tls: { insecure: true },
    timeout: "300ms",
    sending_queue: { wait_for_result: true },
    retry_on_failure: { initial_interval: "20ms", max_interval: "50ms", max_elapsed_time: "2s" },
    ...extra,
  });
  const exporter = factory.create(
    { id: "otlp", telemetry: memory.telemetry, buildInfo: { version: "1.2" }, signal: "traces" },
    config,
  );
  await exporter.start(HOST);
  context.after(() => exporter.shutdown(AbortSignal.timeout(50)));
  const send = (batch = spans("a", "b")): Promise<Outcome> =>
    new Promise((resolve) => {
      assert.ok(exporter.accept({ ...batch, receipt: { settle: resolve } }));
    });
  return { exporter, memory, send };
}

/** One chunk for each name. */
function spans(...names: readonly string[]): Batch {
  const chunks = names.map((name) => {
    const json = { resourceSpans: [{ scopeSpans: [{ spans: [{ name }] }] }] };
    const result = fromOtlpJson(REQUESTS.traces.request, JSON.stringify(json));
    assert.ok(result.ok);
    return result.bytes;
  });
  const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  return { signal: "traces", chunks, items: names.length, bytes };
}

for (const compression of ["gzip", "none", "zstd"]) {
  test(`chunks arrive joined, unchanged, with compression ${compression}`, async (context) => {
    const { port, messages } = await backend(context, (reply) => reply(OK));
    const { send, memory } = await run(context, port, { compression });
    const batch = spans("a", "b", "c");
    assert.deepEqual(await send(batch), { kind: "accepted" });
    assert.deepEqual(messages, [Buffer.concat(batch.chunks)]);
    assert.equal(await memory.value('otelcol_exporter_sent_spans{exporter="otlp"}'), 3);
  });
}

test("an unavailable backend is tried again until it takes the batch", async (context) => {
  let calls = 0;
  const { port } = await backend(context, (reply) => {
    calls++;
    if (calls < 3) reply({ code: GRPC.unavailable, message: "not yet" });
    else reply(OK);
  });
  const { send } = await run(context, port);
  assert.deepEqual(await send(), { kind: "accepted" });
  assert.equal(calls, 3);
});

test("a permanent error is not tried again", async (context) => {
  const { port, messages } = await backend(context, (reply) =>
    reply({ code: GRPC.invalidArgument, message: "no" }),
  );
  const { send } = await run(context, port);
  const outcome = await send();
  assert.ok(outcome.kind === "refused" && !outcome.retryable);
  assert.match(outcome.message, /rpc error: code = InvalidArgument desc = no/);
  assert.equal(messages.length, 1);
});

test("resource exhausted is tried again only when the server says when, and not before", async (context) => {
  const startMs = performance.now();
  let calls = 0;
  const throttled = await backend(context, (reply) => {
    calls++;
    if (calls === 1) reply({ code: GRPC.resourceExhausted, message: "slow", retryAfterMs: 300 });
    else reply(OK);
  });
  const first = await run(context, throttled.port);
  assert.deepEqual(await first.send(), { kind: "accepted" });
  assert.ok(performance.now() - startMs >= 300);
  const exhausted = await backend(context, (reply) =>
    reply({ code: GRPC.resourceExhausted, message: "never" }),
  );
  const second = await run(context, exhausted.port);
  assert.equal((await second.send()).kind, "refused");
  assert.equal(exhausted.messages.length, 1);
});

test("a backend that hangs costs the timeout, then the retries run out", async (context) => {
  const { port } = await backend(context, () => undefined);
  const { send } = await run(context, port, {
    timeout: "50ms",
    retry_on_failure: { initial_interval: "20ms", max_interval: "20ms", max_elapsed_time: "200ms" },
  });
  const outcome = await send();
  assert.ok(outcome.kind === "refused" && outcome.retryable);
});

test("a backend that resets or answers garbage is tried again", async (context) => {
  for (const answer of ["reset", "garbage"]) {
    const server = createServer((socket) => {
      socket.on("error", () => undefined);
      if (answer === "reset") socket.resetAndDestroy();
      else socket.end("\x00\x01garbage\r\n\r\n");
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    context.after(() => server.close());
    const address = server.address();
    assert.ok(typeof address === "object" && address !== null);
    const { send } = await run(context, address.port, {
      retry_on_failure: {
        initial_interval: "20ms",
        max_interval: "20ms",
        max_elapsed_time: "150ms",
      },
    });
    const outcome = await send();
    assert.ok(outcome.kind === "refused", answer);
    assert.match(outcome.message, /no more retries left|Permanent error/);
  }
});

test("a partial success is logged and counts as sent", async (context) => {
  const body = fromOtlpJson(
    REQUESTS.traces.response,
    '{"partialSuccess":{"rejectedSpans":"1","errorMessage":"too old"}}',
  );
  assert.ok(body.ok);
  const { port } = await backend(context, (reply) => reply(OK, body.bytes));
  const { send, memory } = await run(context, port);
  assert.deepEqual(await send(), { kind: "accepted" });
  const line = memory.lines.find(({ message }) => message === "Partial success response");
  assert.deepEqual(line?.fields, { message: "too old", dropped_spans: 1 });
});

test("endpoints and options are taken as the Collector takes them", () => {
  const plain = configSchema.parse({ endpoint: "http://h:1" });
  assert.equal(plain.compression, "gzip");
  assert.equal(plain.timeout, 5_000);
  assert.equal(plain.sending_queue.queue_size, 1000);
  const messages = (input: unknown): string =>
    configSchema
      .safeParse(input)
      .error?.issues.map((issue) => issue.message)
      .join() ?? "";
  assert.match(messages({ endpoint: "localhost" }), /missing port in address/);
  assert.match(messages({ endpoint: "" }), /requires a non-empty "endpoint"/);
  assert.match(
    messages({ endpoint: "a:1", compression: "ggip" }),
    /unsupported compression type "ggip"/,
  );
  assert.equal(configSchema.parse({ endpoint: "a:1", compression: "" }).compression, "none");
});
