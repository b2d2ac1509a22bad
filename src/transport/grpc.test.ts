// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer as createHttp2Server, type Http2Server } from "node:http2";
import { connect as connectTcp, createServer, type Server } from "node:net";
import { type TestContext, test } from "node:test";
import { gzipSync } from "node:zlib";
import { eventually } from "../../test/support/eventually.ts";
import type { Encoding } from "./compression.ts";
import { GrpcClient, type GrpcResult } from "./grpc-client.ts";
import { GrpcServer, OK, type UnaryHandler } from "./grpc-server.ts";
import {
  decodeGrpcMessage,
  decodeStatus,
  encodeGrpcMessage,
  encodeStatus,
  GRPC,
  parseGrpcTimeout,
} from "./grpc-status.ts";

const PATH = "/test.Service/Echo";

async function serve(
  context: TestContext,
  handler: UnaryHandler,
  limits: { readonly messageBytesMax?: number; readonly receiveTimeoutMs?: number } = {},
): Promise<number> {
  const server = new GrpcServer({
    address: { host: "127.0.0.1", port: 0 },
    tls: undefined,
    methods: new Map([[PATH, handler]]),
    messageBytesMax: limits.messageBytesMax ?? 1024 * 1024,
    concurrentStreamsMax: 100,
    openBytesMax: 64 * 1024 * 1024,
    receiveTimeoutMs: limits.receiveTimeoutMs ?? 10_000,
  });
  const port = await server.start();
  context.after(() => server.shutdown(AbortSignal.timeout(100)));
  return port;
}

function clientTo(context: TestContext, port: number, compression: Encoding = "none"): GrpcClient {
  const client = new GrpcClient({
    host: "127.0.0.1",
    port,
    tls: undefined,
    compression,
    headers: { "x-key": "v" },
    userAgent: "test",
    authority: undefined,
  });
  context.after(() => client.close());
  return client;
}

function call(
  client: GrpcClient,
  chunks: readonly Uint8Array[],
  timeoutMs = 5_000,
): Promise<GrpcResult> {
  return client.unary(PATH, chunks, { timeoutMs, signal: AbortSignal.timeout(timeoutMs) });
}

async function rawServer(context: TestContext, server: Server | Http2Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  context.after(() => server.close());
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return address.port;
}

const echo: UnaryHandler = (message, reply) => reply(OK, message);

for (const compression of ["none", "gzip", "zstd", "snappy"] as const) {
  test(`chunks arrive as one message with compression ${compression}`, async (context) => {
    const port = await serve(context, echo, { messageBytesMax: 2 ** 20 });
    const client = clientTo(context, port, compression);
    const chunks = [Buffer.from("one"), Buffer.alloc(600_000, 7), Buffer.from("three")];
    const result = await call(client, chunks);
    assert.equal(result.code, GRPC.ok, result.message);
    assert.deepEqual(Buffer.from(result.body), Buffer.concat(chunks));
  });
}

test("many calls at once keep their bytes apart although buffers are used again", async (context) => {
  const port = await serve(context, echo);
  const client = clientTo(context, port);
  for (let round = 0; round < 5; round++) {
    const messages = Array.from({ length: 40 }, () =>
      randomBytes(1 + Math.floor(Math.random() * 300_000)),
    );
    const results = await Promise.all(messages.map((message) => call(client, [message])));
    results.forEach((result, index) => {
      assert.equal(result.code, GRPC.ok, result.message);
      assert.ok(messages[index]?.equals(result.body), `message ${index}`);
    });
  }
});

test("a status comes with its text and retry delay, later answers are ignored", async (context) => {
  const port = await serve(context, (_, reply) => {
    reply({ code: GRPC.unavailable, message: "queue is full: 100 % ä\n", retryAfterMs: 1500 });
    reply(OK);
  });
  const result = await call(clientTo(context, port), [Buffer.from("x")]);
  assert.deepEqual(
    { code: result.code, message: result.message, retryAfterMs: result.retryAfterMs },
    { code: 14, message: "queue is full: 100 % ä\n", retryAfterMs: 1500 },
  );
});

test("a message over the limit is refused, compressed or not", async (context) => {
  const port = await serve(context, echo, { messageBytesMax: 100_000 });
  for (const compression of ["none", "gzip"] as const) {
    const result = await call(clientTo(context, port, compression), [Buffer.alloc(200_000)]);
    assert.equal(result.code, GRPC.resourceExhausted);
    assert.match(result.message, /larger than max/);
  }
});

test("a gzip bomb costs no more than the limit", async (context) => {
  const port = await serve(context, echo, { messageBytesMax: 100_000 });
  const bomb = gzipSync(Buffer.alloc(50_000_000));
  const client = clientTo(context, port, "gzip");
  const before = process.memoryUsage().rss;
  const result = await call(client, [Buffer.alloc(50_000_000)]);
  assert.equal(result.code, GRPC.resourceExhausted);
  assert.ok(bomb.length < 100_000, "the bomb itself is below the limit");
  assert.ok(process.memoryUsage().rss - before < 300_000_000);
});

test("an unknown method is unimplemented", async (context) => {
  const port = await serve(context, echo);
  const result = await clientTo(context, port).unary("/a.B/C", [], {
    timeoutMs: 0,
    signal: AbortSignal.timeout(5_000),
  });
  assert.equal(result.code, GRPC.unimplemented);
  assert.equal(result.message, "unknown service a.B");
});

test("a call that gets no answer ends by its signal and frees the server's call", async (context) => {
  const port = await serve(context, () => undefined);
  const result = await call(clientTo(context, port), [Buffer.from("x")], 50);
  assert.equal(result.code, GRPC.deadlineExceeded);
});

test("nobody listening is unavailable in the words of gRPC, then the way back is found", async (context) => {
  const placeholder = createServer();
  const port = await rawServer(context, placeholder);
  placeholder.close();
  await once(placeholder, "close");
  const client = clientTo(context, port);
  const first = await call(client, []);
  assert.equal(first.code, GRPC.unavailable);
  assert.match(first.message, /dial tcp 127\.0\.0\.1:\d+: connect: connection refused/);
  const server = new GrpcServer({
    address: { host: "127.0.0.1", port },
    tls: undefined,
    methods: new Map([[PATH, echo]]),
    messageBytesMax: 1000,
    concurrentStreamsMax: 10,
    openBytesMax: 10_000,
    receiveTimeoutMs: 1000,
  });
  await server.start();
  context.after(() => server.shutdown(AbortSignal.timeout(100)));
  assert.equal((await call(client, [])).code, GRPC.unavailable, "still in back-off");
  const answer = await eventually(
    () => call(client, []),
    ({ code }) => code === GRPC.ok,
  );
  assert.equal(answer.code, GRPC.ok);
});

test("a peer that answers garbage or resets is unavailable or internal, and no crash", async (context) => {
  const garbage = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
  });
  const reset = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.resetAndDestroy();
  });
  for (const server of [garbage, reset]) {
    const port = await rawServer(context, server);
    const result = await call(clientTo(context, port), [Buffer.from("x")]);
    assert.ok(
      [GRPC.unavailable, GRPC.internal].some((code) => code === result.code),
      result.message,
    );
  }
});

test("an HTTP answer without a gRPC status is mapped by gRPC's table", async (context) => {
  const server = createHttp2Server();
  server.on("stream", (stream, headers) => {
    const status = Number(headers["x-key"]);
    stream.respond({ ":status": status }, { endStream: true });
  });
  const port = await rawServer(context, server);
  const expected: readonly (readonly [number, number])[] = [
    [503, GRPC.unavailable],
    [401, GRPC.unauthenticated],
    [404, GRPC.unimplemented],
    [200, GRPC.internal],
  ];
  for (const [status, code] of expected) {
    const client = new GrpcClient({
      host: "127.0.0.1",
      port,
      tls: undefined,
      compression: "none",
      headers: { "x-key": String(status) },
      userAgent: "test",
      authority: undefined,
    });
    assert.equal((await call(client, [])).code, code);
    client.close();
  }
});

test("after GOAWAY the next call makes a new connection", async (context) => {
  let sessions = 0;
  const server = createHttp2Server();
  server.on("session", (session) => {
    sessions++;
    session.on("stream", (stream) => {
      stream.respond({ ":status": 200 }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      stream.end(Buffer.alloc(5));
      session.goaway();
    });
  });
  const port = await rawServer(context, server);
  const client = clientTo(context, port);
  assert.equal((await call(client, [])).code, GRPC.ok);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal((await call(client, [])).code, GRPC.ok);
  assert.equal(sessions, 2);
});

test("a request that never ends is given up", async (context) => {
  const port = await serve(context, echo, { receiveTimeoutMs: 200 });
  const { connect } = await import("node:http2");
  const session = connect(`http://127.0.0.1:${port}`);
  context.after(() => session.destroy());
  const stream = session.request({
    ":method": "POST",
    ":path": PATH,
    "content-type": "application/grpc",
  });
  stream.on("error", () => undefined);
  stream.write(Buffer.alloc(3));
  const [headers] = await once(stream, "response");
  assert.equal(headers["grpc-status"], "4");
});

test("messages are percent-encoded as gRPC asks", () => {
  assert.equal(encodeGrpcMessage("a%b\nä"), "a%25b%0A%C3%A4");
  assert.equal(decodeGrpcMessage("a%25b%0A%C3%A4"), "a%b\nä");
  assert.equal(decodeGrpcMessage("100%"), "100%");
});

test("the retry delay survives google.rpc.Status, and timeouts have units", () => {
  const status = { code: 8, message: "slow down", retryAfterMs: 2_250 };
  assert.deepEqual(decodeStatus(encodeStatus(status)), status);
  assert.equal(decodeStatus(Uint8Array.of(0xff)), undefined);
  assert.equal(parseGrpcTimeout("2S"), 2_000);
  assert.equal(parseGrpcTimeout("100u"), 0.1);
  assert.equal(parseGrpcTimeout("5"), undefined);
});

test("bytes that are not gRPC cost their connection and nothing else", async (context) => {
  const port = await serve(context, echo);
  const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  for (let round = 0; round < 60; round++) {
    const noise = randomBytes(1 + Math.floor(Math.random() * 400));
    const socket = connectTcp(port, "127.0.0.1");
    socket.on("error", () => undefined);
    socket.end(round % 2 === 0 ? noise : Buffer.concat([preface, noise]));
    socket.resume();
    await once(socket, "close");
  }
  const result = await call(clientTo(context, port), [Buffer.from("still here")]);
  assert.equal(Buffer.from(result.body).toString(), "still here");
});
