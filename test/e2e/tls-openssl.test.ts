// SPDX-License-Identifier: Apache-2.0
// Clear text of OpenSSL's and GnuTLS's sessions: nginx, curl and wget, none of them told anything.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { prepareNginx } from "../apps/nginx.ts";
import { startTestAgent, type TestAgent } from "../support/agent.ts";
import { makeCertificate } from "../support/certificate.ts";
import { eventually } from "../support/eventually.ts";
import type { FlatSpan } from "../support/otlp-json.ts";
import { freePorts } from "../support/proc-net.ts";
import { type RunningProcess, startProcess } from "../support/process.ts";

const NODE_APP = join(import.meta.dirname, "../apps/tls-session.mjs");
const REQUESTS = 20;

/** A process whose clear text is to be read, and where. */
type Followed = readonly [pid: number, kind: "openssl" | "gnutls"];

/** Until these libraries are probed: of some processes others are as well. */
async function following(agent: TestAgent, wanted: readonly Followed[]): Promise<void> {
  const lines = wanted.map(
    ([pid, kind]) => new RegExp(`TLS followed.*"pid":${pid},.*"kind":"${kind}"`),
  );
  await eventually(
    async () => agent.process.output(),
    (text) => lines.every((line) => line.test(text)),
  );
}

/** nginx's only worker. */
function workerOf({ pid }: RunningProcess): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim());
}

interface Asking {
  readonly agent: TestAgent;
  readonly client: RunningProcess;
  readonly port: number;
  readonly followed: readonly Followed[];
  /** The pipe that the client reads what it is to ask for from, so that it is observed before. */
  readonly orders: string;
  readonly line: (url: string) => string;
}

/** Returns the paths that were asked for. */
async function ask({
  agent,
  client,
  port,
  followed,
  orders,
  line,
}: Asking): Promise<readonly string[]> {
  await following(agent, followed);
  const paths = Array.from({ length: REQUESTS }, (_, index) => `/orders/${index}`);
  const pipe = openSync(orders, "w");
  for (const path of paths) writeSync(pipe, `${line(`https://127.0.0.1:${port}${path}`)}\n`);
  closeSync(pipe);
  assert.equal((await client.ended).code, 0);
  return paths;
}

function assertLinked(spans: readonly FlatSpan[], paths: readonly string[], port: number): void {
  const clients = spans.filter(({ kind }) => kind === "client");
  const servers = spans.filter(({ kind }) => kind === "server");
  const urlOf = (path: unknown): string => `https://127.0.0.1:${port}${path}`;
  const urls = clients.map(({ attributes }) => attributes.get("url.full"));
  assert.deepEqual(urls.sort(), paths.map(urlOf).sort());
  assert.equal(servers.length, paths.length);
  const asked = new Map(clients.map((span) => [span.spanId, span.attributes.get("url.full")]));
  for (const { parentSpanId, attributes } of servers) {
    assert.equal(attributes.get("url.scheme"), "https");
    assert.equal(asked.get(parentSpanId), urlOf(attributes.get("url.path")));
  }
}

for (const version of ["--http1.1", "--http2"]) {
  test(`nginx and curl ${version}: each request's two spans, linked`, async () => {
    using tls = makeCertificate();
    const [port = 0] = await freePorts(1);
    const nginx = prepareNginx({ directory: tls.folder, listen: [`127.0.0.1:${port}`], tls });
    await using server = await startProcess({ ...nginx, readyPort: port });
    const orders = join(tls.folder, "orders");
    execFileSync("mkfifo", [orders]);
    await using client = await startProcess({
      command: "curl",
      args: ["--insecure", "--silent", version, "-K", orders],
    });
    await using agent = await startTestAgent({
      targets: `[{pids: [${server.pid}], name: web}, {pids: [${client.pid}], name: curl}]`,
    });
    const line = (url: string): string => `url = "${url}"`;
    const followed: readonly Followed[] = [
      [workerOf(server), "openssl"],
      [client.pid, "openssl"],
    ];
    const paths = await ask({ agent, client, port, followed, orders, line });
    assertLinked(await agent.spansWhen(2 * REQUESTS), paths, port);
  });
}

test("GnuTLS, in wget: each request's two spans, linked", async () => {
  using tls = makeCertificate();
  const [port = 0] = await freePorts(1);
  const nginx = prepareNginx({ directory: tls.folder, listen: [`127.0.0.1:${port}`], tls });
  await using server = await startProcess({ ...nginx, readyPort: port });
  const orders = join(tls.folder, "orders");
  execFileSync("mkfifo", [orders]);
  await using client = await startProcess({
    command: "wget",
    args: ["--no-check-certificate", "--quiet", "-O", "/dev/null", "-i", orders],
  });
  await using agent = await startTestAgent({
    targets: `[{pids: [${server.pid}], name: web}, {pids: [${client.pid}], name: wget}]`,
  });
  const followed: readonly Followed[] = [
    [workerOf(server), "openssl"],
    [client.pid, "gnutls"],
  ];
  const paths = await ask({ agent, client, port, followed, orders, line: (url) => url });
  assertLinked(await agent.spansWhen(2 * REQUESTS), paths, port);
});

test("TLS that is not read gives a span for each connection, with its bytes, if wanted", async () => {
  using tls = makeCertificate();
  const [port = 0] = await freePorts(1);
  const nginx = prepareNginx({ directory: tls.folder, listen: [`127.0.0.1:${port}`], tls });
  await using server = await startProcess({ ...nginx, readyPort: port });
  await using agent = await startTestAgent({
    targets: `[{pids: [${server.pid}], name: web}]`,
    capture: "{tls: {openssl: false, opaque_spans: true}}",
  });
  for (let connection = 0; connection < 3; connection++) {
    const url = `https://127.0.0.1:${port}/`;
    const asking = await startProcess({ command: "curl", args: ["-sk", "-o", "/dev/null", url] });
    assert.equal((await asking.ended).code, 0);
  }
  const spans = await agent.spansWhen(3);
  assert.equal(spans.length, 3);
  for (const { kind, name, attributes, parentSpanId } of spans) {
    assert.deepEqual([kind, name, parentSpanId], ["server", "TLS", ""]);
    assert.equal(attributes.get("tls.protocol.name"), "tls");
    // A handshake with a certificate.
    assert.ok(Number(attributes.get("backstitch.connection.sent")) > 500);
    assert.ok(Number(attributes.get("backstitch.connection.received")) > 200);
  }
});

test("through nginx to Node, TLS on each way: one trace a request", async () => {
  using tls = makeCertificate();
  const [port = 0, upstreamPort = 0] = await freePorts(2);
  await using upstream = await startProcess({
    command: process.execPath,
    args: [NODE_APP, "serve", String(upstreamPort), tls.certificate, tls.key],
    readyPort: upstreamPort,
  });
  const nginx = prepareNginx({
    ...{ directory: tls.folder, listen: [`127.0.0.1:${port}`], tls, upstreamTls: true },
    upstream: `127.0.0.1:${upstreamPort}`,
  });
  await using server = await startProcess({ ...nginx, readyPort: port });
  await using agent = await startTestAgent({
    targets: `[{pids: [${server.pid}], name: web}, {pids: [${upstream.pid}], name: orders}]`,
  });
  await following(agent, [
    [workerOf(server), "openssl"],
    [upstream.pid, "openssl"],
  ]);
  await Promise.all(
    Array.from({ length: REQUESTS }, async (_, index) => {
      const url = `https://127.0.0.1:${port}/orders/${index}`;
      const asking = await startProcess({ command: "curl", args: ["-sk", "-o", "/dev/null", url] });
      assert.equal((await asking.ended).code, 0);
    }),
  );
  const spans = await agent.spansWhen(3 * REQUESTS);
  assert.equal(spans.length, 3 * REQUESTS);
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  const handlers = spans.filter(({ kind, service }) => kind === "server" && service === "orders");
  assert.equal(handlers.length, REQUESTS);
  for (const handler of handlers) {
    const call = byId.get(handler.parentSpanId);
    const entry = byId.get(call?.parentSpanId ?? "");
    assert.deepEqual([call?.kind, entry?.kind], ["client", "server"]);
    const path = handler.attributes.get("url.path");
    // nginx sends the name of its upstream block.
    assert.equal(call?.attributes.get("url.full"), `https://next${path}`);
    assert.equal(entry?.attributes.get("url.path"), path);
    assert.deepEqual(new Set([handler, call, entry].map((span) => span?.traceId)).size, 1);
  }
});
