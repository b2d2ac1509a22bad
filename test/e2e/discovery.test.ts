// SPDX-License-Identifier: Apache-2.0
// Each way to select a process, and what its service is called, seen in the spans themselves.
import assert from "node:assert/strict";
import { chmodSync, copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { startTestAgent, type TestAgent } from "../support/agent.ts";
import { pathOf } from "../support/judge.ts";
import type { FlatSpan } from "../support/otlp-json.ts";
import { freePorts } from "../support/proc-net.ts";
import { type RunningProcess, startProcess } from "../support/process.ts";
import { exchangeRaw } from "../support/raw-client.ts";
import { buildStock, orders, stock } from "../support/services.ts";

/** What the issue promises. */
const NOTICED_WITHIN_MS = 1_000;

async function ask(port: number, id: string): Promise<void> {
  const text = `GET /ask/${id} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;
  assert.match(await exchangeRaw({ port, sends: [text] }), /^HTTP\/1\.1 200 /);
}

function servicesOf(spans: readonly FlatSpan[]): Record<string, string> {
  return Object.fromEntries(spans.map((span) => [pathOf(span).id, span.service]));
}

function createFolder(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "e2e-discovery-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** A copy of the Go service under a name and path that no other process has. */
async function copyStock(folder: string, name: string): Promise<string> {
  const binary = join(folder, name);
  copyFileSync(await buildStock(), binary);
  chmodSync(binary, 0o755);
  return binary;
}

async function startStock(binary: string): Promise<RunningProcess> {
  return await startProcess(stock({ listen: "127.0.0.1:0" }, binary));
}

/** Asks until the agent has a span of it; how long after the start of the first that it saw. */
async function untilSeen(agent: TestAgent, port: number, id: string): Promise<number> {
  const startMs = performance.now();
  const askedMs: number[] = [];
  while (performance.now() - startMs < 5_000) {
    askedMs.push(performance.now() - startMs);
    await ask(port, `${id}-${askedMs.length - 1}`);
    await delay(50);
    const ids = agent.spans().map((span) => pathOf(span).id);
    const seen = ids.find((one) => one.startsWith(`${id}-`));
    if (seen !== undefined) return askedMs[Number(seen.slice(id.length + 1))] ?? 0;
  }
  return Number.POSITIVE_INFINITY;
}

test("processes are selected by ports, exe, command and pids, and excluded", async () => {
  using folder = createFolder();
  const [port = 0] = await freePorts(1);
  const binary = await copyStock(folder.path, "warehouse");
  const other = await copyStock(folder.path, "cellar");
  const excluded = await copyStock(folder.path, "warehouse-old");
  await using byPort = await startProcess(
    stock({ listen: `127.0.0.1:${port}` }, await buildStock()),
  );
  await using byExe = await startStock(binary);
  await using byCommand = await startProcess(
    orders({ listen: "127.0.0.1:0", name: `marked-${process.pid}` }),
  );
  await using byPid = await startStock(other);
  await using not = await startStock(excluded);
  await using nobody = await startStock(other);
  await using agent = await startTestAgent({
    targets: `[
      {ports: "${port}-${port}", name: by-port},
      {exe: "${folder.path}/warehouse*", name: by-exe},
      {command: "orders.mjs .*--name marked-${process.pid}$", name: by-command},
      {pids: ${byPid.pid}, name: by-pid}]`,
    exclude: `[{exe: warehouse-old}]`,
  });
  const servers = { byPort, byExe, byCommand, byPid, not, nobody };
  for (const [id, server] of Object.entries(servers)) await ask(server.port, id);
  await ask(byPort.port, "last");
  const spans = await agent.spansWhen(5);
  await delay(200);
  assert.equal(agent.spans().length, 5);
  assert.deepEqual(servicesOf(spans), {
    ...{ byPort: "by-port", byExe: "by-exe", byCommand: "by-command", byPid: "by-pid" },
    last: "by-port",
  });
});

test("a service that starts after the agent appears within a second, by port and by name", async () => {
  using folder = createFolder();
  const [port = 0] = await freePorts(1);
  const binary = await copyStock(folder.path, "latecomer");
  await using agent = await startTestAgent({
    targets: `[{ports: ${port}}, {exe: "${folder.path}/latecomer"}]`,
  });
  await using byPort = await startProcess(orders({ listen: `127.0.0.1:${port}` }));
  assert.ok((await untilSeen(agent, byPort.port, "port")) <= NOTICED_WITHIN_MS);
  await using byExe = await startStock(binary);
  assert.ok((await untilSeen(agent, byExe.port, "exe")) <= NOTICED_WITHIN_MS);
  const services = new Set(agent.spans().map((span) => span.service));
  assert.deepEqual(services, new Set(["orders", "latecomer"]));
});

test("the service is called after its environment, the target, the script, the executable", async () => {
  using folder = createFolder();
  const binary = await copyStock(folder.path, "depot");
  const env = { OTEL_SERVICE_NAME: "from-environment" };
  const attributes = { OTEL_RESOURCE_ATTRIBUTES: "service.name=from-attributes,team=a%20b" };
  const listen = "127.0.0.1:0";
  await using environment = await startProcess({ ...stock({ listen }, binary), env });
  await using resource = await startProcess({ ...stock({ listen }, binary), env: attributes });
  await using target = await startStock(binary);
  await using script = await startProcess(orders({ listen }));
  await using executable = await startStock(binary);
  const pids = [environment, resource, target].map(({ pid }) => pid).join(", ");
  await using agent = await startTestAgent({
    targets: `[{pids: [${pids}], name: from-target}, {pids: [${script.pid}, ${executable.pid}]}]`,
  });
  const servers = { environment, resource, target, script, executable };
  for (const [id, server] of Object.entries(servers)) await ask(server.port, id);
  const spans = await agent.spansWhen(5);
  assert.deepEqual(servicesOf(spans), {
    environment: "from-environment",
    resource: "from-attributes",
    target: "from-target",
    script: "orders",
    executable: "depot",
  });
  const ofTeam = spans.filter((span) => span.resource.get("team") === "a b");
  assert.deepEqual(servicesOf(ofTeam), { resource: "from-attributes" });
  for (const span of spans) {
    const server = Object.entries(servers).find(([id]) => id === pathOf(span).id)?.[1];
    assert.equal(span.resource.get("process.pid"), BigInt(server?.pid ?? 0));
  }
});

test("the agent never selects itself, whatever matches it", async () => {
  const marker = `marked-agent-${process.pid}`;
  const [grpc = 0] = await freePorts(1);
  await using agent = await startTestAgent({
    targets: `[{command: "${marker}"}, {ports: ${grpc}}]`,
    args: ["--set", `service::telemetry::resource::marker=${marker}`],
    receivers: {
      yaml: `otlp: {protocols: {http: {endpoint: "127.0.0.1:${grpc}"}}}`,
      ids: ["otlp"],
    },
  });
  const body = JSON.stringify({ resourceSpans: [] });
  const headers = { "content-type": "application/json" };
  const url = `http://127.0.0.1:${grpc}/v1/traces`;
  for (let id = 0; id < 3; id += 1) await fetch(url, { method: "POST", headers, body });
  await delay(300);
  const metrics = await agent.metrics();
  assert.equal(metrics.get("backstitch_discovery_selected_processes"), 0);
  assert.equal(metrics.get("backstitch_ebpf_l7_records_seen"), 0);
  assert.deepEqual(agent.spans(), []);
});

test("processes that live for one request each are seen, and forgotten", async () => {
  const marker = `shortlived-${process.pid}`;
  await using agent = await startTestAgent({
    targets: `[{command: "--name ${marker}", name: short}]`,
  });
  const count = 8;
  for (let id = 1; id <= count; id += 1) {
    const server = await startProcess(orders({ listen: "127.0.0.1:0", name: marker }));
    await ask(server.port, String(id));
    await server.stop({ signal: "SIGKILL" });
  }
  const spans = await agent.spansWhen(count);
  assert.equal(spans.length, count);
  assert.equal(new Set(spans.map((span) => span.resource.get("process.pid"))).size, count);
  const metrics = await agent.metrics();
  assert.equal(metrics.get("backstitch_discovery_selected_processes"), 0);
});
