// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { describe, type TestContext, test } from "node:test";
import { GrpcClient } from "./grpc-client.ts";
import { GrpcServer } from "./grpc-server.ts";
import { HttpServer } from "./http-server.ts";

const NEVER = new AbortController().signal;
const ADDRESS = { host: "127.0.0.1", port: 0 };
const LIMIT_MS = 60_000;

function grpcServer(): GrpcServer {
  return new GrpcServer({
    address: ADDRESS,
    tls: undefined,
    methods: new Map(),
    messageBytesMax: 1_000,
    concurrentStreamsMax: 10,
    openBytesMax: 1_000,
    receiveTimeoutMs: LIMIT_MS,
  });
}

function httpServer(): HttpServer {
  return new HttpServer({
    address: ADDRESS,
    tls: undefined,
    routes: new Map(),
    bodyBytesMax: 1_000,
    openBytesMax: 1_000,
    receiveTimeoutMs: LIMIT_MS,
  });
}

/** Sends `text` and then nothing: does not close its half when the other end does. */
async function halfOpen(context: TestContext, port: number, text: string): Promise<Socket> {
  const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true }).resume();
  context.after(() => socket.destroy());
  socket.on("error", () => undefined);
  await once(socket, "connect");
  if (text !== "") await new Promise((resolve) => socket.write(text, "latin1", resolve));
  return socket;
}

/** Resolves when the other end has closed, in good order or by a reset. */
function endOf(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.once("end", () => resolve()).once("close", () => resolve());
  });
}

const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS = "\0\0\0\x04\0\0\0\0\0";

describe("a client that never closes does not hold up the end", { concurrency: true }, () => {
  for (const [what, create, text] of [
    ["gRPC: says nothing", grpcServer, ""],
    ["gRPC: stops after the preface", grpcServer, PREFACE],
    ["gRPC: stops after its settings", grpcServer, `${PREFACE}${SETTINGS}`],
    ["HTTP: says nothing", httpServer, ""],
    ["HTTP: stops within the head", httpServer, "POST /x HTTP/1.1\r\nhost: a\r\n"],
  ] as const) {
    test(what, async (context) => {
      const server = create();
      const port = await server.start();
      const socket = await halfOpen(context, port, text);
      const ended = endOf(socket);
      await server.shutdown(NEVER);
      await ended;
    });
  }
});

test("a client ends although the server reads nothing and never closes", async (context) => {
  const sockets: Socket[] = [];
  const deaf = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
    sockets.push(socket.on("error", () => undefined));
  });
  context.after(() => {
    for (const socket of sockets) socket.destroy();
    deaf.close();
  });
  deaf.listen(0, "127.0.0.1");
  await once(deaf, "listening");
  const address = deaf.address();
  assert.ok(typeof address === "object" && address !== null);
  const client = new GrpcClient({
    host: "127.0.0.1",
    port: address.port,
    tls: undefined,
    compression: "none",
    headers: {},
    userAgent: "test",
    authority: undefined,
  });
  const call = { timeoutMs: 200, signal: AbortSignal.timeout(200) };
  const { code } = await client.unary("/a.B/C", [new Uint8Array(8_000_000)], call);
  assert.equal(code, 4);
  client.close();
  const [socket] = sockets;
  assert.ok(socket !== undefined);
  const ended = endOf(socket);
  socket.resume();
  await ended;
});
