// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

const BIN = fileURLToPath(new URL("../../bin/backstitch", import.meta.url));
const READY = "Everything is ready. Begin running and processing data.";

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

let folder = "";
before(() => {
  folder = mkdtempSync(join(tmpdir(), "backstitch-cli-"));
});
after(() => rmSync(folder, { recursive: true }));

function config(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

function pipeline(port: number, exporter = "nop: {}"): string {
  return `receivers:
  otlp: {protocols: {http: {endpoint: "127.0.0.1:${port}"}}}
exporters:
  ${exporter}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {traces: {receivers: [otlp], exporters: [${exporter.split(":")[0]}]}}
`;
}

class Run {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  stdout = "";
  stderr = "";

  constructor(args: readonly string[], bin = BIN) {
    this.child = spawn(bin, args, {
      cwd: folder,
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.child.stdout?.on("data", (chunk) => {
      this.stdout += String(chunk);
    });
    this.child.stderr?.on("data", (chunk) => {
      this.stderr += String(chunk);
    });
    this.ended = new Promise((resolve) => {
      this.child.on("close", (code) => {
        resolve({ code, stdout: this.stdout, stderr: this.stderr });
      });
    });
  }

  async until(text: string): Promise<void> {
    const endMs = Date.now() + 20_000;
    while (!this.stderr.includes(text)) {
      assert.ok(Date.now() < endMs && this.child.exitCode === null, this.stderr);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

async function run(...args: readonly string[]): Promise<Ended> {
  return await new Run(args).ended;
}

/** Listens on a free port of 127.0.0.1; connections are taken and never answered. */
async function deafServer(): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer((socket) => socket.on("error", () => undefined));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return { server, port: address.port };
}

test("the version, the help and the components are printed", async () => {
  const version = await run("--version");
  assert.match(version.stdout, /^backstitch version \d+\.\d+\.\d+\n$/);
  assert.equal(version.stderr, "");
  assert.match((await run("-h")).stdout, /Usage:/);
  assert.match((await run("components")).stdout, /receivers:[\s\S]*name: otlp\n/);
});

test("a wrong command line is one line on stderr, with advice, and status 1", async () => {
  for (const [args, message] of [
    [[], "at least one config flag must be provided"],
    [["--confg", "x"], "unknown flag: --confg. Did you mean --config?"],
    [["validat"], 'unknown command "validat" for "backstitch". Did you mean "validate"?'],
    [["--config"], "flag needs an argument: --config"],
    [["--set", "x"], 'invalid argument "x" for "--set" flag: missing equal sign'],
    [["validate", "x"], "accepts 0 arg(s), received 1"],
    [["--config=nowhere.yaml"], 'cannot read the configuration file "nowhere.yaml"'],
    [["--config=x", "--feature-gates=+y"], 'no such feature gate "y". valid gates: []'],
  ] satisfies [string[], string][]) {
    const { code, stderr } = await run(...args);
    assert.equal(code, 1);
    assert.ok(stderr.startsWith("Error: ") && stderr.includes(message), stderr);
    assert.equal(stderr.trimEnd().split("\n").length, 1, stderr);
  }
});

test("validate says nothing about a good file and everything about a bad one", async () => {
  const good = config("good.yaml", pipeline(0));
  assert.deepEqual(await run("--config", good, "validate"), { code: 0, stdout: "", stderr: "" });
  config("bad.yaml", pipeline(0).replace("http:", "htp:").replace("[nop]", "[nope]"));
  const { code, stderr } = await run("validate", "--config=bad.yaml");
  assert.equal(code, 1);
  assert.match(stderr, /^Error: 2 problems\nbad\.yaml:2:\d+ receivers::otlp::protocols::htp: /);
  assert.match(stderr, /references exporter "nope" which is not configured\. Did you mean "nop"\?/);
});

test("print-config shows every default, as YAML or JSON", async () => {
  const path = config("print.yaml", pipeline(0));
  const { code, stdout } = await run("print-config", "--config", path, "--format=json");
  assert.equal(code, 0);
  const printed = JSON.parse(stdout);
  assert.deepEqual(Object.keys(printed.exporters), ["nop"]);
  assert.equal(printed.service.telemetry.metrics.level, "none");
  const wrong = await run("print-config", "--config", path, "--mode=all");
  assert.equal(wrong.stderr, 'Error: invalid mode "all": modes are: redacted, unredacted\n');
});

test("it runs behind a link, drains at SIGTERM and ends with status 0", async () => {
  const link = join(folder, "linked");
  symlinkSync(BIN, link);
  const running = new Run(["--config", config("run.yaml", pipeline(0))], link);
  await running.until(READY);
  running.child.kill("SIGTERM");
  const { code, stderr } = await running.ended;
  assert.equal(code, 0);
  assert.match(stderr, /Received signal from OS\t\{"signal":"SIGTERM"\}/);
  assert.match(stderr, /Shutdown complete\.\n$/);
  assert.doesNotMatch(stderr, /Warning/);
});

test("logs can be JSON", async () => {
  const logs = "{metrics: {level: none}, logs: {encoding: json, level: info}}";
  const text = pipeline(0).replace("{metrics: {level: none}}", logs);
  const running = new Run(["--config", config("json.yaml", text)]);
  await running.until(READY);
  running.child.kill("SIGINT");
  assert.equal((await running.ended).code, 0);
  for (const line of running.stderr.trimEnd().split("\n")) {
    const entry = JSON.parse(line);
    assert.equal(entry.level, "info");
    assert.equal(entry.resource["service.name"], "backstitch");
    assert.ok(!Number.isNaN(Date.parse(entry.ts)) && entry.msg.length > 0);
  }
});

test("a start that fails shuts down what was started and says which component", async () => {
  const { server, port } = await deafServer();
  const running = new Run(["--config", config("taken.yaml", pipeline(port))]);
  const { code, stderr } = await running.ended;
  server.close();
  assert.equal(code, 1);
  const last = stderr.trimEnd().split("\n").at(-1) ?? "";
  assert.match(last, /^Error: cannot start pipelines: failed to start "otlp" receiver: /);
  assert.match(last, /address already in use/);
});

test("a taken metrics port says where to change it", async () => {
  const { server, port } = await deafServer();
  const readers = `{readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: ${port}}}}}]}`;
  const text = pipeline(0).replace("{level: none}", readers);
  const { code, stderr } = await run("--config", config("metrics.yaml", text));
  server.close();
  assert.equal(code, 1);
  assert.match(stderr, /listen tcp 127\.0\.0\.1:\d+: bind: address already in use\. Set another/);
});

test("a second signal ends a drain that hangs", async () => {
  const { server, port } = await deafServer();
  const free = await deafServer();
  free.server.close();
  const exporter = `otlp_http: {endpoint: "http://127.0.0.1:${port}", compression: none}`;
  const running = new Run(["--config", config("hang.yaml", pipeline(free.port, exporter))]);
  await running.until(READY);
  const span = {
    traceId: "0102030405060708090a0b0c0d0e0f10",
    spanId: "0102030405060708",
    name: "x",
  };
  const response = await fetch(`http://127.0.0.1:${free.port}/v1/traces`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans: [span] }] }] }),
  });
  assert.equal(response.status, 200);
  running.child.kill("SIGINT");
  await running.until("Starting shutdown...");
  running.child.kill("SIGINT");
  assert.equal((await running.ended).code, 130);
  server.close();
});
