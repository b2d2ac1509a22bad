// SPDX-License-Identifier: Apache-2.0
// gRPC in Go and HTTP/2 in Node, client and server of each observed, none instrumented.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { startTestAgent } from "../support/agent.ts";
import { eventually } from "../support/eventually.ts";
import { buildGo } from "../support/go-app.ts";
import type { FlatSpan } from "../support/otlp-json.ts";
import { total } from "../support/own-metrics.ts";
import { freePorts } from "../support/proc-net.ts";
import { type RunningProcess, startProcess } from "../support/process.ts";

const PYTHON_APP = join(import.meta.dirname, "../apps/grpc-session.py");
const NODE_APP = join(import.meta.dirname, "../apps/http2-session.mjs");
const SERVICE = "grpc.testing.TestService/";

/** The script of test/apps/grpc-go: method, status, messages asked and answered, for either side. */
const CALLS = [
  ...[`${SERVICE}EmptyCall OK 1 1`, `${SERVICE}UnaryCall OK 1 1`],
  ...[`${SERVICE}UnaryCall NOT_FOUND 1 0`, `${SERVICE}UnimplementedCall UNIMPLEMENTED 1 0`],
  ...[`${SERVICE}StreamingOutputCall OK 1 3`, `${SERVICE}StreamingInputCall OK 5 1`],
  ...[`${SERVICE}StreamingOutputCall DEADLINE_EXCEEDED 1 0`],
  ...[`${SERVICE}StreamingOutputCall CANCELLED 1 0`],
  ...new Array<string>(100).fill(`${SERVICE}UnaryCall OK 1 1`),
].sort();

/** The script of test/apps/grpc-session.py. */
const PYTHON_CALLS = [
  ...new Array<string>(3).fill(`${SERVICE}EmptyCall OK 1 1`),
  ...[`${SERVICE}UnaryCall OK 1 1`, `${SERVICE}Missing UNIMPLEMENTED 1 0`],
  ...[`${SERVICE}StreamingOutputCall OK 1 3`],
  `${SERVICE}StreamingOutputCall DEADLINE_EXCEEDED 1 0`,
  ...new Array<string>(100).fill(`${SERVICE}UnaryCall OK 1 1`),
].sort();

/** The script of test/apps/http2-session.mjs as a server sees it. */
const REQUESTS = [
  ...["GET /orders/{id} 200", "POST /orders 201", "GET /early 200", "GET /trailers 200"],
  ...["GET /fail/{id} 500", "HEAD /orders/{id} 200", "GET /large 200", "GET /never -"],
  ...new Array<string>(100).fill("GET /together/{id} 200"),
].sort();

function callOf({ name, attributes }: FlatSpan): string {
  const parts = [name, attributes.get("rpc.status_code")];
  parts.push(attributes.get("rpc.request.message_count"));
  return [...parts, attributes.get("rpc.response.message_count")].map(String).join(" ");
}

function requestOf({ name, attributes }: FlatSpan): string {
  return `${name} ${String(attributes.get("http.response.status_code") ?? "-")}`;
}

async function run(client: RunningProcess): Promise<void> {
  process.kill(client.pid, "SIGUSR1");
  await eventually(
    async () => client.output(),
    (output) => /done|rror/.test(output),
  );
  assert.match(client.output(), /done/);
}

interface Sides {
  readonly clients: readonly FlatSpan[];
  readonly servers: readonly FlatSpan[];
}

/** Each request's two spans carry one name, whatever the order in which they were answered. */
function assertLinked({ clients, servers }: Sides): void {
  const ids = new Set(clients.map(({ spanId }) => spanId));
  assert.equal(ids.size, clients.length);
  for (const span of servers) assert.ok(ids.has(span.parentSpanId), span.name);
}

function sidesOf(spans: readonly FlatSpan[]): Sides {
  return {
    clients: spans.filter(({ kind }) => kind === "client"),
    servers: spans.filter(({ kind }) => kind === "server"),
  };
}

test("a gRPC client and server in Go: a span a call, 100 of them at once on one connection", async () => {
  const binary = await buildGo("grpc-go");
  const [port = 0] = await freePorts(1);
  const address = `127.0.0.1:${port}`;
  await using server = await startProcess({
    command: binary,
    args: ["serve", address],
    readyOutput: /listening/,
  });
  await using client = await startProcess({
    command: binary,
    args: ["call", address],
    readyOutput: /waiting/,
  });
  await using agent = await startTestAgent({
    targets: `[{pids: [${server.pid}], name: service}, {pids: [${client.pid}], name: app}]`,
  });
  await run(client);
  const sides = sidesOf(await agent.spansWhen(2 * CALLS.length));
  assert.deepEqual(sides.clients.map(callOf).sort(), CALLS);
  assert.deepEqual(sides.servers.map(callOf).sort(), CALLS);
  assertLinked(sides);
  for (const span of sides.clients) {
    assert.equal(span.attributes.get("rpc.system.name"), "grpc");
    assert.equal(span.attributes.get("server.port"), BigInt(port));
  }
  const metrics = await agent.metrics();
  assert.equal(total(metrics, "backstitch_ebpf_l7_exchanges_abandoned"), 0);
});

test("a gRPC client in Python, on gRPC's C core: a span a call", async () => {
  const binary = await buildGo("grpc-go");
  const [port = 0] = await freePorts(1);
  const address = `127.0.0.1:${port}`;
  await using server = await startProcess({
    command: binary,
    args: ["serve", address],
    readyOutput: /listening/,
  });
  await using client = await startProcess({
    command: "/usr/bin/python3",
    args: [PYTHON_APP, address],
    readyOutput: /waiting/,
  });
  await using agent = await startTestAgent({
    targets: `[{pids: [${server.pid}], name: service}, {pids: [${client.pid}], name: app}]`,
  });
  await run(client);
  const sides = sidesOf(await agent.spansWhen(2 * PYTHON_CALLS.length));
  assert.deepEqual(sides.clients.map(callOf).sort(), PYTHON_CALLS);
  assert.deepEqual(sides.servers.map(callOf).sort(), PYTHON_CALLS);
  assertLinked(sides);
});

test("Node's HTTP/2: a span a request, 100 of them at once on one connection", async () => {
  const [port = 0] = await freePorts(1);
  await using server = await startProcess({
    command: process.execPath,
    args: [NODE_APP, "serve", String(port)],
    readyPort: port,
  });
  await using client = await startProcess({
    command: process.execPath,
    args: [NODE_APP, "call", String(port)],
    readyOutput: /waiting/,
  });
  await using agent = await startTestAgent({
    targets: `[{pids: [${server.pid}], name: service}, {pids: [${client.pid}], name: app}]`,
  });
  await run(client);
  const sides = sidesOf(await agent.spansWhen(2 * REQUESTS.length));
  assert.deepEqual(sides.servers.map(requestOf).sort(), REQUESTS);
  const asClient = (line: string): string => line.replace(/ \/\S+/, "");
  assert.deepEqual(sides.clients.map(requestOf).sort(), REQUESTS.map(asClient).sort());
  assertLinked(sides);
  for (const span of sides.servers) {
    assert.equal(span.attributes.get("network.protocol.version"), "2");
  }
  const cancelled = sides.servers.find(({ name }) => name === "GET /never");
  assert.equal(cancelled?.attributes.get("error.type"), "CANCEL");
});
