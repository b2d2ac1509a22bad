// SPDX-License-Identifier: Apache-2.0
/** Clients that are slow, silent, many, or say more than they send. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { connect, type Socket } from "node:net";
import { describe, type TestContext, test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { GrpcClient, type GrpcResult } from "./grpc-client.ts";
import type { ServerKeepalive } from "./grpc-keepalive.ts";
import { GrpcServer, OK, type UnaryHandler } from "./grpc-server.ts";
import { GRPC } from "./grpc-status.ts";
import { type HttpRoute, HttpServer } from "./http-server.ts";
import { snappyEncode, snappyStreamEncode } from "./snappy.ts";

const MIB = 1024 ** 2;
const PATH = "/test.Service/Echo";
const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS = "\0\0\0\x04\0\0\0\0\0";
/** Below the backlog of a listening socket, and many. */
const CLIENTS_AT_ONCE = 200;
const CLIENTS = 2_000;
const NEVER = Number.POSITIVE_INFINITY;
const QUIET: ServerKeepalive = {
  maxIdleMs: NEVER,
  maxAgeMs: NEVER,
  maxAgeGraceMs: NEVER,
  pingEveryMs: NEVER,
  pingTimeoutMs: NEVER,
  clientPingMinMs: 0,
  clientPingsWithoutCalls: false,
};

interface Limits {
  readonly receiveTimeoutMs?: number;
  readonly keepalive?: Partial<ServerKeepalive>;
  readonly handler?: UnaryHandler;
}

async function grpc(context: TestContext, limits: Limits = {}): Promise<number> {
  const server = new GrpcServer({
    address: { host: "127.0.0.1", port: 0 },
    tls: undefined,
    methods: new Map([[PATH, limits.handler ?? ((_message, reply) => reply(OK))]]),
    messageBytesMax: MIB,
    concurrentStreamsMax: 100,
    openBytesMax: 8 * MIB,
    receiveTimeoutMs: limits.receiveTimeoutMs ?? 60_000,
    keepalive: { ...QUIET, ...limits.keepalive },
  });
  const port = await server.start();
  context.after(() => server.shutdown(AbortSignal.abort()));
  return port;
}

async function http(context: TestContext, receiveTimeoutMs = 60_000): Promise<number> {
  const route: HttpRoute = {
    contentTypes: ["a/b"],
    handle: (_post, respond) => respond({ status: 200, contentType: "a/b", body: "" }),
    failure: (_type, status, message) => ({ status, contentType: "a/b", body: message }),
  };
  const server = new HttpServer({
    address: { host: "127.0.0.1", port: 0 },
    tls: undefined,
    routes: new Map([["/x", route]]),
    bodyBytesMax: MIB,
    openBytesMax: 8 * MIB,
    receiveTimeoutMs,
  });
  const port = await server.start();
  context.after(() => server.shutdown(AbortSignal.abort()));
  return port;
}

async function opened(context: TestContext, port: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1").resume();
  context.after(() => socket.destroy());
  socket.on("error", () => undefined);
  await once(socket, "connect");
  return socket;
}

/** Also when the other end resets it: `once` would reject with that. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed) resolve();
    else socket.once("close", () => resolve());
  });
}

async function call(context: TestContext, port: number): Promise<GrpcResult> {
  const client = new GrpcClient({
    host: "127.0.0.1",
    port,
    tls: undefined,
    compression: "none",
    headers: {},
    userAgent: "test",
    authority: undefined,
  });
  context.after(() => client.close());
  const options = { timeoutMs: 30_000, signal: AbortSignal.timeout(30_000) };
  return await client.unary(PATH, [Buffer.from("x")], options);
}

describe("a client that takes its time is cut off", { concurrency: true }, () => {
  for (const [what, start, text] of [
    ["HTTP, within the head", http, "POST /x HTTP/1.1\r\nhost: a\r\nx-long: "],
    [
      "HTTP, within the body",
      http,
      "POST /x HTTP/1.1\r\nhost: a\r\ncontent-type: a/b\r\ncontent-length: 100000\r\n\r\n",
    ],
    ["gRPC, says nothing", (context: TestContext) => grpc(context, { receiveTimeoutMs: 300 }), ""],
    [
      "gRPC, within the preface",
      (context: TestContext) => grpc(context, { receiveTimeoutMs: 300 }),
      "PRI * HTTP",
    ],
  ] as const) {
    test(what, async (context) => {
      const port = await start(context, 300);
      const socket = await opened(context, port);
      socket.write(text);
      // A byte now and then does not help.
      const drip = what.startsWith("HTTP") ? setInterval(() => socket.write("a"), 50) : undefined;
      context.after(() => clearInterval(drip));
      await closed(socket);
    });
  }

  test("gRPC, within a call; the connection's other calls go on", async (context) => {
    const port = await grpc(context, { receiveTimeoutMs: 300 });
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    context.after(() => session.destroy());
    const headers = { ":method": "POST", ":path": PATH, "content-type": "application/grpc" };
    const slow = session.request(headers);
    slow.write(Buffer.from([0, 0, 0, 0]));
    const [answer] = await once(slow, "response");
    assert.equal(answer["grpc-status"], String(GRPC.deadlineExceeded));
    const quick = session.request(headers);
    quick.end(Buffer.from([0, 0, 0, 0, 0]));
    const [good] = await once(quick.resume(), "response");
    assert.equal(good[":status"], 200);
    assert.equal(good["grpc-status"], undefined, "no error in the head");
  });
});

describe("connections end when keepalive says so", { concurrency: true }, () => {
  test("idle, and of age", async (context) => {
    for (const keepalive of [{ maxIdleMs: 100 }, { maxAgeMs: 100, maxAgeGraceMs: 100 }]) {
      const port = await grpc(context, { keepalive });
      const session = connectHttp2(`http://127.0.0.1:${port}`);
      // A connection that is of age may be reset.
      session.on("error", () => undefined);
      const gone = new Promise((resolve) => session.once("close", resolve));
      const codes: number[] = [];
      session.on("goaway", (code) => codes.push(code));
      await gone;
      assert.equal(codes[0], 0);
    }
  });

  test("without an answer to a ping", async (context) => {
    const port = await grpc(context, { keepalive: { pingEveryMs: 100, pingTimeoutMs: 100 } });
    const socket = await opened(context, port);
    socket.write(`${PREFACE}${SETTINGS}`, "latin1");
    await closed(socket);
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    context.after(() => session.destroy());
    for (let pings = 0; pings < 2; pings++) await once(session, "ping");
    assert.equal(session.closed, false, "one that answers stays");
  });

  test("a client that pings too often is sent away", async (context) => {
    const port = await grpc(context, {
      keepalive: { clientPingMinMs: 3_600_000, clientPingsWithoutCalls: true },
    });
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    context.after(() => session.destroy());
    session.on("error", () => undefined);
    const away = once(session, "goaway");
    await once(session, "connect");
    for (let pings = 0; pings < 5; pings++) session.ping(() => undefined);
    const [code, , reason] = await away;
    assert.equal(code, 11);
    assert.equal(String(reason), "too_many_pings");
  });
});

test("compressed bombs are refused whatever they are packed with", async (context) => {
  const [grpcPort, httpPort] = [await grpc(context), await http(context)];
  const zeros = Buffer.alloc(64 * MIB);
  const before = process.memoryUsage().rss;
  const packed = {
    gzip: gzipSync(zeros),
    zstd: zstdCompressSync(zeros),
    snappy: snappyEncode(zeros.subarray(0, 20 * MIB)),
    "x-snappy-framed": snappyStreamEncode(zeros.subarray(0, 20 * MIB)),
  };
  for (const [encoding, body] of Object.entries(packed)) {
    if (body.length > MIB) continue;
    const headers = { "content-type": "a/b", "content-encoding": encoding };
    const url = `http://127.0.0.1:${httpPort}/x`;
    const response = await fetch(url, { method: "POST", headers, body });
    assert.equal(`${response.status} ${await response.text()}`, "400 http: request body too large");
  }
  const session = connectHttp2(`http://127.0.0.1:${grpcPort}`);
  context.after(() => session.destroy());
  for (const [encoding, body] of [
    ["gzip", packed.gzip],
    ["zstd", packed.zstd],
    ["snappy", packed["x-snappy-framed"]],
  ] as const) {
    const stream = session.request({
      ":method": "POST",
      ":path": PATH,
      "content-type": "application/grpc",
      "grpc-encoding": encoding,
    });
    const head = Buffer.alloc(5);
    head[0] = 1;
    head.writeUInt32BE(body.length, 1);
    stream.end(Buffer.concat([head, body]));
    const [answer] = await once(stream, "response");
    assert.equal(answer["grpc-status"], String(GRPC.resourceExhausted), encoding);
  }
  assert.ok(process.memoryUsage().rss - before < 200 * MIB, "nothing was unpacked whole");
});

test(`${CLIENTS} clients that only stay leave room for one that sends`, async (context) => {
  const port = await grpc(context);
  const sockets: Socket[] = [];
  context.after(() => {
    for (const socket of sockets) socket.destroy();
  });
  for (let at = 0; at < CLIENTS; at += CLIENTS_AT_ONCE) {
    const some = Array.from({ length: CLIENTS_AT_ONCE }, () => connect(port, "127.0.0.1").resume());
    sockets.push(...some);
    await Promise.all(some.map((socket) => once(socket, "connect")));
    for (const socket of some) socket.write(`${PREFACE}${SETTINGS}`, "latin1");
  }
  const result = await call(context, port);
  assert.equal(result.code, GRPC.ok, result.message);
  assert.equal(sockets.filter((socket) => socket.destroyed).length, 0);
});
