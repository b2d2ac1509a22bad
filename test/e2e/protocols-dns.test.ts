// SPDX-License-Identifier: Apache-2.0
// A real dnsmasq; dig and Node's c-ares ask it, over UDP and TCP.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { DNS } from "../../src/protocols/dns/protocol.ts";
import { startTestAgent } from "../support/agent.ts";
import { callLines, updateCallGoldens } from "../support/call-recorder.ts";
import { eventually } from "../support/eventually.ts";
import { type FlatSpan, readOtlpJsonLines } from "../support/otlp-json.ts";
import { freePorts } from "../support/proc-net.ts";
import { type RunningProcess, startProcess } from "../support/process.ts";
import { startRecordingProxy } from "../support/recording-proxy.ts";

const run = promisify(execFile);
const BACKSTITCH = join(import.meta.dirname, "../../bin/backstitch");

async function startDnsmasq(port: number): Promise<RunningProcess> {
  return await startProcess({
    command: "/usr/sbin/dnsmasq",
    args: [
      ...["--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--pid-file="],
      ...["--no-resolv", "--no-hosts", `--port=${port}`, "--listen-address=127.0.0.1"],
      ...["--bind-interfaces", "--address=/shop.example/10.0.0.7", "--local=/example/"],
      ...["--address=/shop.example/2001:db8::7", "--mx-host=example,mail.example,10"],
    ],
    readyPort: port,
  });
}

async function dig(port: number, ...words: readonly string[]): Promise<string> {
  const common = ["@127.0.0.1", "-p", String(port), "+tries=1", "+time=3"];
  const { stdout } = await run("dig", [...common, ...words]);
  return stdout;
}

function lineOf({ kind, name, attributes }: FlatSpan): string {
  const words = [kind, name];
  for (const key of ["dns.question.name", "dns.answers", "error.type"]) {
    const value = attributes.get(key);
    if (value !== undefined) words.push(String(value));
  }
  return words.join(" ");
}

const ASKED = [
  "dns query A shop.example 10.0.0.7",
  "dns query AAAA shop.example 2001:db8::7",
  "dns query MX example",
  "dns query TXT nothing.example NXDOMAIN",
];

async function askAll(port: number, ...words: readonly string[]): Promise<void> {
  assert.match(await dig(port, ...words, "shop.example", "A"), /10\.0\.0\.7/);
  assert.match(await dig(port, ...words, "shop.example", "AAAA"), /2001:db8::7/);
  assert.match(await dig(port, ...words, "example", "MX"), /mail\.example/);
  assert.match(await dig(port, ...words, "nothing.example", "TXT"), /NXDOMAIN/);
}

test("questions to dnsmasq are seen at the server and the client, in datagrams and on TCP", async () => {
  const [port = 0] = await freePorts(1);
  await using dnsmasq = await startDnsmasq(port);
  const script = `process.once("SIGUSR1", async () => {
    const { Resolver } = require("node:dns").promises;
    const resolver = new Resolver();
    resolver.setServers(["127.0.0.1:${port}"]);
    console.log(await resolver.resolve4("shop.example"), "answered");
  });
  setInterval(() => {}, 1000);
  console.log("waiting");`;
  const args = ["-e", script];
  await using client = await startProcess({ command: "node", args, readyOutput: /waiting/ });
  await using agent = await startTestAgent({
    targets: `[{pids: [${dnsmasq.pid}], name: names}, {pids: [${client.pid}], name: shop}]`,
    capture: `{protocols: {ports: {${port}: dns}}}`,
  });
  await askAll(port);
  await askAll(port, "+tcp");
  process.kill(client.pid, "SIGUSR1");
  await eventually(
    async () => client.output(),
    (text) => /answered/.test(text),
  );
  const spans = await agent.spansWhen(10);
  const clients = spans.filter(({ kind }) => kind === "client");
  assert.deepEqual(clients.map(lineOf), ["client dns query A shop.example 10.0.0.7"]);
  assert.deepEqual(
    spans
      .filter(({ kind }) => kind === "server")
      .map(lineOf)
      .sort(),
    [...ASKED, ...ASKED, ASKED[0]].map((line) => `server ${line}`).sort(),
  );
  const [parent] = clients;
  assert.ok(
    spans.some(({ kind, parentSpanId }) => kind === "server" && parentSpanId === parent?.spanId),
  );
});

test("a capture of questions in datagrams gives the same spans", async () => {
  const folder = mkdtempSync(join(tmpdir(), "backstitch-dns-"));
  const [port = 0] = await freePorts(1);
  await using _dnsmasq = await startDnsmasq(port);
  const capture = join(folder, "dns.pcap");
  const args = ["-i", "lo", "-w", capture, "-U", "--immediate-mode", `udp port ${port}`];
  const tcpdump = await startProcess({ command: "tcpdump", args, readyOutput: /listening on/ });
  await askAll(port);
  await tcpdump.stop();
  const output = join(folder, "spans.jsonl");
  const config = join(folder, "config.yaml");
  writeFileSync(
    config,
    `receivers: {pcap: {path: ${capture}}}
exporters: {file: {path: ${output}}}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {traces: {receivers: [pcap], exporters: [file]}}
`,
  );
  const child = spawn(BACKSTITCH, ["--config", config], { stdio: "ignore" });
  assert.equal(await new Promise((resolve) => child.once("close", resolve)), 0);
  const seen = readOtlpJsonLines(output);
  for (const kind of ["client", "server"]) {
    const lines = seen.filter((span) => span.kind === kind).map(lineOf);
    if (lines.length > 0)
      assert.deepEqual(lines.sort(), ASKED.map((line) => `${kind} ${line}`).sort());
  }
  assert.ok(seen.length >= ASKED.length);
  rmSync(folder, { recursive: true, force: true });
});

test("messages on one TCP connection are seen at either end", async () => {
  const [port = 0] = await freePorts(1);
  await using _dnsmasq = await startDnsmasq(port);
  await using proxy = await startRecordingProxy(port);
  const words = ["+tcp", "+keepopen", "+nocookie"];
  await dig(proxy.port, ...words, "shop.example", "A", "nothing.example", "TXT", ...words);
  updateCallGoldens(DNS, proxy, "dnsmasq");
  const expected = [
    "dns query A dns.answer_count=1 dns.answers=10.0.0.7 dns.question.name=shop.example dns.question.type=A",
    "dns query TXT dns.answer_count=0 dns.question.name=nothing.example dns.question.type=TXT error.type=NXDOMAIN",
  ];
  assert.deepEqual(callLines(DNS, proxy, "client").flat(), expected);
  assert.deepEqual(callLines(DNS, proxy, "server").flat(), expected);
});
