// SPDX-License-Identifier: Apache-2.0
/** An agent with its queue on disk is killed again and again: what it acknowledged arrives. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const BIN = fileURLToPath(new URL("../../bin/backstitch", import.meta.url));
const KILLS = 6;
const SPAN_NAME = /"name":"(number-\d+)"/g;

interface Backend {
  readonly server: Server;
  readonly arrived: Map<string, number>;
  /** Answers 503 while true. */
  isDown: boolean;
}

async function startBackend(t: TestContext): Promise<Backend> {
  const arrived = new Map<string, number>();
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request.setEncoding("utf8")) body += chunk;
    if (backend.isDown) {
      response.writeHead(503).end();
      return;
    }
    for (const [, name = ""] of body.matchAll(SPAN_NAME)) {
      arrived.set(name, (arrived.get(name) ?? 0) + 1);
    }
    response.writeHead(200, { "content-type": "application/json" }).end("{}");
  });
  const backend: Backend = { server, arrived, isDown: true };
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return backend;
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const port = portOf(server);
  server.close();
  return port;
}

function configText(port: number, backend: Backend, folder: string): string {
  return `
receivers: {otlp: {protocols: {http: {endpoint: "127.0.0.1:${port}"}}}}
exporters:
  otlp_http:
    endpoint: http://127.0.0.1:${portOf(backend.server)}
    encoding: json
    compression: none
    sending_queue: {storage: file_storage, queue_size: 100000}
    retry_on_failure: {initial_interval: 50ms, max_interval: 100ms, max_elapsed_time: 0}
extensions: {file_storage: {directory: ${JSON.stringify(folder)}}}
service:
  extensions: [file_storage]
  telemetry: {metrics: {level: none}}
  pipelines: {traces: {receivers: [otlp], exporters: [otlp_http]}}
`;
}

/** Resolves when it takes requests. */
async function startAgent(path: string, t: TestContext): Promise<ChildProcess> {
  const child = spawn(BIN, ["--config", path], { stdio: ["ignore", "ignore", "pipe"] });
  t.after(() => child.kill("SIGKILL"));
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (part: string) => {
    log += part;
  });
  for (let turn = 0; turn < 400 && !log.includes("Everything is ready"); turn++) await sleep(25);
  assert.match(log, /Everything is ready/);
  return child;
}

function request(name: string): string {
  const span = {
    traceId: "5b8efff798038103d269b633813fc60c",
    spanId: "eee19b7ec3c1b174",
    name,
    kind: 2,
    startTimeUnixNano: "1",
    endTimeUnixNano: "2",
  };
  return JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans: [span] }] }] });
}

/** Sends spans one by one until the agent is gone; gives the names of those it acknowledged. */
async function sendUntilKilled(
  port: number,
  agent: ChildProcess,
  first: number,
): Promise<string[]> {
  const taken: string[] = [];
  for (let number = first; agent.exitCode === null && agent.signalCode === null; number++) {
    try {
      const response = await fetch(`http://127.0.0.1:${port}/v1/traces`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: request(`number-${number}`),
        signal: AbortSignal.timeout(5_000),
      });
      await response.text();
      if (response.status === 200) taken.push(`number-${number}`);
    } catch {
      // Killed in the middle: not acknowledged.
    }
  }
  return taken;
}

test("what was acknowledged arrives, however often the agent is killed", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "backstitch-queue-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const backend = await startBackend(t);
  const port = await freePort();
  const path = join(folder, "config.yaml");
  writeFileSync(path, configText(port, backend, join(folder, "storage")));
  const acknowledged: string[] = [];
  for (let kill = 0; kill < KILLS; kill++) {
    // While it is down nothing is sent; while it is up, kills fall between sending and removing.
    backend.isDown = kill % 2 === 0;
    const agent = await startAgent(path, t);
    const sending = sendUntilKilled(port, agent, kill * 1_000_000);
    await sleep(400 + 37 * kill);
    agent.kill("SIGKILL");
    acknowledged.push(...(await sending));
  }
  backend.isDown = false;
  const last = await startAgent(path, t);
  const missing = (): string[] => acknowledged.filter((name) => !backend.arrived.has(name));
  for (let turn = 0; turn < 200 && missing().length > 0; turn++) await sleep(50);
  assert.ok(acknowledged.length > 100, `${acknowledged.length} acknowledged`);
  assert.deepEqual(missing(), []);
  const twice = [...backend.arrived.values()].filter((count) => count > 1).length;
  t.diagnostic(`${acknowledged.length} acknowledged, ${twice} arrived more than once`);
  const exit = once(last, "exit");
  last.kill("SIGTERM");
  assert.equal((await exit)[0], 0);
});

test("a second agent does not take the directory of a running one", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "backstitch-queue-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const backend = await startBackend(t);
  const path = join(folder, "config.yaml");
  writeFileSync(path, configText(await freePort(), backend, join(folder, "storage")));
  await startAgent(path, t);
  const second = spawn(BIN, ["--config", path], { stdio: ["ignore", "ignore", "pipe"] });
  let log = "";
  second.stderr.setEncoding("utf8").on("data", (part: string) => {
    log += part;
  });
  const [code] = await once(second, "exit");
  assert.equal(code, 1);
  assert.match(log, /is used by process \d+/);
});
