// SPDX-License-Identifier: Apache-2.0
// Real traffic, captured by tcpdump while the agent watches it: both see the same.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { observeSession, startRedis, startSession } from "../support/databases.ts";
import { eventually } from "../support/eventually.ts";
import { createNetworkBed } from "../support/netns.ts";
import { type FlatSpan, readOtlpJsonLines } from "../support/otlp-json.ts";
import { type RunningProcess, startProcess } from "../support/process.ts";

const BACKSTITCH = join(import.meta.dirname, "../../bin/backstitch");
const SESSION_COMMANDS = 35;

interface Folder extends Disposable {
  path(name: string): string;
}

function makeFolder(): Folder {
  const folder = mkdtempSync(join(tmpdir(), "backstitch-pcap-"));
  return {
    path: (name) => join(folder, name),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

function configOf(pcap: string, output: string): string {
  return `receivers: {pcap: ${pcap}}
processors: {span_stitch: {}, batch: {}}
exporters: {file: {path: ${output}}}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {traces: {receivers: [pcap], processors: [span_stitch, batch], exporters: [file]}}
`;
}

/** Runs the agent until it ends by itself. */
async function runAgent(
  folder: Folder,
  pcap: string,
  stdin?: Uint8Array,
): Promise<{
  readonly status: number | null;
  readonly log: string;
  readonly spans: readonly FlatSpan[];
}> {
  const output = folder.path("out.jsonl");
  writeFileSync(folder.path("config.yaml"), configOf(pcap, output));
  const child = spawn(BACKSTITCH, ["--config", folder.path("config.yaml")], { stdio: "pipe" });
  let log = "";
  child.stderr.on("data", (text: Buffer) => {
    log += text.toString();
  });
  child.stdin.end(stdin);
  const status = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { status, log, spans: status === 0 ? readOtlpJsonLines(output) : [] };
}

async function startTcpdump(
  path: string,
  options: { readonly device: string; readonly filter: string; readonly netns?: string },
): Promise<RunningProcess> {
  return await startProcess({
    command: "tcpdump",
    // Without delay, in a buffer of a thousand packets: in this mode each takes the snap length.
    args: [
      ...["--immediate-mode", "-U", "-n", "-s", "66000", "-B", "65536"],
      ...["-i", options.device, "-w", path, options.filter],
    ],
    readyOutput: /listening on/,
    ...(options.netns === undefined ? {} : { netns: options.netns }),
  });
}

function textsOf(spans: readonly FlatSpan[]): readonly string[] {
  return spans.map(({ attributes }) => String(attributes.get("db.query.text"))).toSorted();
}

test("a session's capture gives the spans that the agent saw live, with the same ids", async () => {
  using folder = makeFolder();
  await using server = await startRedis();
  await using client = await startSession("redis-session.py", server.port);
  const capture = folder.path("session.pcap");
  const filter = `tcp port ${server.port}`;
  const tcpdump = await startTcpdump(capture, { device: "lo", filter });
  await using session = await observeSession(server, client, SESSION_COMMANDS);
  await tcpdump.stop({ signal: "SIGINT" });
  const both = `{path: ${capture}, perspective: both, services: {"127.0.0.1:${server.port}": db}}`;
  const { status, log, spans } = await runAgent(folder, both);
  assert.equal(status, 0, log);
  assert.match(log, /Every receiver has read all there is/);
  const clients = spans.filter(({ kind }) => kind === "client");
  const servers = spans.filter(({ kind }) => kind === "server");
  assert.deepEqual(textsOf(clients), textsOf(session.clients));
  assert.deepEqual(new Set(servers.map(({ service }) => service)), new Set(["db"]));
  // The names of bytes: sequence numbers are the same in the packets and in the kernel.
  const idsOf = (all: readonly FlatSpan[]): readonly string[] =>
    all.map(({ spanId }) => spanId).toSorted();
  assert.deepEqual(idsOf(clients), idsOf(session.clients));
  assert.deepEqual(idsOf(servers), idsOf(session.servers));
  for (const span of servers) {
    assert.ok(
      clients.some(({ spanId }) => spanId === span.parentSpanId),
      span.name,
    );
  }
  const bytes = readFileSync(capture);
  const piped = await runAgent(folder, `{path: "-"}`, bytes);
  assert.deepEqual(idsOf(piped.spans), idsOf(clients));
});

test("HTTP between two hosts, captured on the way over IPv4 and IPv6", async () => {
  using folder = makeFolder();
  await using bed = createNetworkBed(["client", "server"]);
  const server = bed.host("server");
  const body = "x".repeat(100_000);
  const script = `require("node:http").createServer((request, response) => {
    response.statusCode = request.url === "/missing" ? 404 : 200;
    request.resume().on("end", () => response.end(request.url === "/big" ? "${"x".repeat(10)}".repeat(10000) : "ok"));
  }).listen(8080, "::")`;
  await bed.start("server", { command: process.execPath, args: ["-e", script], readyPort: 8080 });
  const capture = folder.path("http.pcap");
  const options = { device: "eth0", filter: "tcp port 8080", netns: server.netns };
  const tcpdump = await startTcpdump(capture, options);
  const hosts = [server.ipv4, `[${server.ipv6}]`];
  const urls = hosts.flatMap((host) =>
    ["/a", "/big", "/missing"].map((path) => `http://${host}:8080${path}`),
  );
  const curl = await bed.start("client", {
    command: "curl",
    args: ["-sg", "-d", body.slice(0, 50_000), ...urls, "-w", "done\n"],
    readyOutput: /(done[\s\S]*){6}/,
  });
  await curl.ended;
  await eventually(
    async () => readFileSync(capture).length,
    (length) => length > 2 * body.length,
  );
  await tcpdump.stop({ signal: "SIGINT" });
  const { status, log, spans } = await runAgent(folder, `{path: ${capture}}`);
  assert.equal(status, 0, log);
  const told = spans.map(({ attributes, name, kind }) =>
    [
      kind,
      name,
      attributes.get("url.full"),
      attributes.get("http.response.status_code"),
      attributes.get("http.request.body.size"),
    ].join(" "),
  );
  const expected = urls.map(
    (url) => `client POST ${url} ${url.endsWith("missing") ? 404 : 200} 50000`,
  );
  assert.deepEqual(told.toSorted(), expected.toSorted());
  const big = spans.find(({ attributes }) => String(attributes.get("url.full")).endsWith("/big"));
  assert.ok(big !== undefined && big.endNs > big.startNs);
});

test("a live interface is read until the agent is stopped", async () => {
  using folder = makeFolder();
  await using server = await startRedis();
  const output = folder.path("out.jsonl");
  const pcap = `{interface: lo, filter: "tcp port ${server.port}"}`;
  writeFileSync(folder.path("config.yaml"), configOf(pcap, output));
  const agent = await startProcess({
    command: BACKSTITCH,
    args: ["--config", folder.path("config.yaml")],
    readyOutput: /Everything is ready/,
  });
  const ping = await startProcess({
    command: "redis-cli",
    args: ["-p", String(server.port), "ECHO", "hello"],
    readyOutput: /hello/,
  });
  await ping.ended;
  const spans = await eventually(
    async () => readOtlpJsonLines(output),
    (found) => found.some(({ name }) => name === "ECHO"),
  );
  assert.ok(spans.some(({ name }) => name === "ECHO"));
  const { code } = await agent.stop({ graceMs: 10_000 });
  assert.equal(code, 0, agent.output());
});

test("what is no capture ends the agent with a message", async () => {
  using folder = makeFolder();
  writeFileSync(folder.path("text.pcap"), "hello, world");
  const { status, log } = await runAgent(folder, `{path: ${folder.path("text.pcap")}}`);
  assert.equal(status, 1);
  assert.match(log, /failed to start "pcap" receiver: .*neither a pcap nor a pcapng file/);
});
