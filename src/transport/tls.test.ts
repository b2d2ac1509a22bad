// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { ConnectionOptions } from "node:tls";
import { GrpcClient, type GrpcResult } from "./grpc-client.ts";
import { GrpcServer, OK } from "./grpc-server.ts";
import { GRPC } from "./grpc-status.ts";
import { HttpClient } from "./http-client.ts";
import { HttpServer } from "./http-server.ts";
import { createSelfSigned } from "./testing/self-signed.ts";
import { loadClientTls, loadServerTls } from "./tls.ts";

const NO_FILES = { ca_file: "", cert_file: "", key_file: "" };
const CLIENT = { ...NO_FILES, insecure_skip_verify: false, server_name_override: "" };

interface Files {
  readonly cert: string;
  readonly key: string;
  readonly other: string;
}

async function files(context: TestContext): Promise<Files> {
  const folder = await mkdtemp(join(tmpdir(), "backstitch-tls-"));
  context.after(() => rm(folder, { recursive: true }));
  const path = (name: string): string => join(folder, name);
  const { cert, key } = createSelfSigned();
  await writeFile(path("cert.pem"), cert);
  await writeFile(path("key.pem"), key);
  await writeFile(path("other.pem"), createSelfSigned().cert);
  return { cert: path("cert.pem"), key: path("key.pem"), other: path("other.pem") };
}

async function grpcServer(
  context: TestContext,
  { cert, key }: Files,
  clientCa = "",
): Promise<number> {
  const tls = await loadServerTls({
    ...NO_FILES,
    cert_file: cert,
    key_file: key,
    client_ca_file: clientCa,
  });
  const server = new GrpcServer({
    address: { host: "127.0.0.1", port: 0 },
    tls,
    methods: new Map([["/a.B/C", (message, reply) => reply(OK, message)]]),
    messageBytesMax: 1_000,
    concurrentStreamsMax: 10,
    openBytesMax: 10_000,
    receiveTimeoutMs: 1_000,
  });
  context.after(() => server.shutdown(AbortSignal.timeout(100)));
  return server.start();
}

async function callOver(
  context: TestContext,
  port: number,
  tls: ConnectionOptions,
): Promise<GrpcResult> {
  const client = new GrpcClient({
    host: "127.0.0.1",
    port,
    tls,
    compression: "none",
    headers: {},
    userAgent: "test",
    authority: undefined,
  });
  context.after(() => client.close());
  const signal = AbortSignal.timeout(5_000);
  return client.unary("/a.B/C", [Buffer.from("hi")], { timeoutMs: 5_000, signal });
}

test("gRPC over TLS works with the certificate's authority, and not without", async (context) => {
  const paths = await files(context);
  const port = await grpcServer(context, paths);
  const trusting = await loadClientTls({ ...CLIENT, ca_file: paths.cert });
  assert.equal((await callOver(context, port, trusting)).code, GRPC.ok);
  const strange = await callOver(
    context,
    port,
    await loadClientTls({ ...CLIENT, ca_file: paths.other }),
  );
  assert.equal(strange.code, GRPC.unavailable);
  assert.match(strange.message, /certificate|self-signed/i);
  const blind = await loadClientTls({ ...CLIENT, insecure_skip_verify: true });
  assert.equal((await callOver(context, port, blind)).code, GRPC.ok);
});

test("a server with client_ca_file takes only clients with a certificate", async (context) => {
  const paths = await files(context);
  const port = await grpcServer(context, paths, paths.cert);
  const anonymous = await loadClientTls({ ...CLIENT, ca_file: paths.cert });
  assert.equal((await callOver(context, port, anonymous)).code, GRPC.unavailable);
  const known = await loadClientTls({
    ...CLIENT,
    ca_file: paths.cert,
    cert_file: paths.cert,
    key_file: paths.key,
  });
  assert.equal((await callOver(context, port, known)).code, GRPC.ok);
});

test("HTTP over TLS works", async (context) => {
  const paths = await files(context);
  const server = new HttpServer({
    address: { host: "127.0.0.1", port: 0 },
    tls: await loadServerTls({
      ...NO_FILES,
      cert_file: paths.cert,
      key_file: paths.key,
      client_ca_file: "",
    }),
    routes: new Map([
      [
        "/x",
        {
          contentTypes: ["text/plain"],
          handle: (post, respond) =>
            respond({ status: 200, contentType: "text/plain", body: post.body }),
          failure: (_, status, message) => ({ status, contentType: "text/plain", body: message }),
        },
      ],
    ]),
    bodyBytesMax: 1_000,
    openBytesMax: 10_000,
    receiveTimeoutMs: 1_000,
  });
  const port = await server.start();
  context.after(() => server.shutdown(AbortSignal.timeout(100)));
  const client = new HttpClient({
    tls: await loadClientTls({ ...CLIENT, ca_file: paths.cert }),
    idleTimeoutMs: 1_000,
    idleSocketsMax: 1,
  });
  context.after(() => client.close());
  const answer = await client.post(
    new URL(`https://127.0.0.1:${port}/x`),
    { "content-type": "text/plain" },
    Buffer.from("hello"),
    AbortSignal.timeout(5_000),
  );
  assert.deepEqual([answer.status, Buffer.from(answer.body).toString()], [200, "hello"]);
});

test("a certificate that cannot be read is named", async () => {
  const missing = { ...CLIENT, ca_file: "/nowhere/ca.pem" };
  await assert.rejects(
    loadClientTls(missing),
    /failed to load TLS config: ca_file \/nowhere\/ca\.pem: ENOENT/,
  );
});
