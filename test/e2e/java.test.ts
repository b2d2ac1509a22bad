// SPDX-License-Identifier: Apache-2.0
// JVMs with our agent: clear text of both interfaces of JSSE, and out again when the agent ends.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createConnection } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { attachCommand, inspectJava } from "../../receivers/ebpf_l7/runtimes/java-attach.ts";
import { startTestAgent, type TestAgent } from "../support/agent.ts";
import { makeCertificate, type TestCertificate } from "../support/certificate.ts";
import { eventually } from "../support/eventually.ts";
import { buildJava } from "../support/java-app.ts";
import type { FlatSpan } from "../support/otlp-json.ts";
import { total } from "../support/own-metrics.ts";
import { freePorts } from "../support/proc-net.ts";
import { type RunningProcess, startProcess } from "../support/process.ts";

const REQUESTS = 40;
const LONG_MS = 60_000;
const PASSWORD = "secret";

interface Pair {
  readonly server: RunningProcess;
  readonly client: RunningProcess;
  /** Sends the requests; what the client says at the end. */
  run(): Promise<string>;
}

/** The certificate and its key, as Java reads them. */
function keystoreOf({ folder, certificate, key }: TestCertificate): string {
  const path = join(folder, "store.p12");
  const files = ["-in", certificate, "-inkey", key, "-out", path];
  execFileSync("openssl", ["pkcs12", "-export", ...files, "-passout", `pass:${PASSWORD}`]);
  return path;
}

async function startPair(
  own: AsyncDisposableStack,
  store: string,
  [serves, calls]: readonly [string, string],
): Promise<Pair> {
  const [command = "", ...words] = await buildJava("java/Secure");
  const [port = 0, control = 0] = await freePorts(2);
  const at = [String(port), store, PASSWORD];
  const server = own.use(
    await startProcess({ command, args: [...words, "serve", serves, ...at], readyPort: port }),
  );
  const client = own.use(
    await startProcess({
      ...{ command, args: [...words, "call", calls, ...at, String(REQUESTS), String(control)] },
      readyOutput: /waiting/,
    }),
  );
  return { server, client, run: async () => await readAll(control) };
}

function readAll(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    const socket = createConnection(port, "127.0.0.1");
    socket.setEncoding("utf8").on("data", (more: string) => {
      text += more;
    });
    socket.once("error", reject).once("close", () => resolve(text));
  });
}

async function attached(agent: TestAgent, jvms: readonly RunningProcess[]): Promise<void> {
  await eventually(
    async () => agent.process.output(),
    (text) =>
      jvms.every(({ pid }) => new RegExp(`Java agent attached.*"pid":${pid}\\b`).test(text)),
    LONG_MS,
  );
}

const pathOf = ({ attributes }: FlatSpan): string =>
  String(attributes.get("url.path") ?? new URL(String(attributes.get("url.full"))).pathname);

const EXPECTED = Array.from({ length: REQUESTS }, (_, index) => `/java/${index}`).sort();

test("HTTPS by SSLSocket and SSLEngine: each request's two spans, linked; and the JVMs go on", async () => {
  using tls = makeCertificate();
  await using own = new AsyncDisposableStack();
  const store = keystoreOf(tls);
  const pairs = [
    await startPair(own, store, ["socket", "url"]),
    await startPair(own, store, ["engine", "client"]),
  ];
  const jvms = pairs.flatMap(({ server, client }) => [server, client]);
  const agent = await startTestAgent({
    targets: `[${jvms.map(({ pid }, index) => `{pids: [${pid}], name: jvm${index}}`).join(", ")}]`,
    capture: "{java: {attach: true}}",
  });
  own.use(agent);
  await attached(agent, jvms);
  for (const { run } of pairs) assert.equal(await run(), "done");
  const spans = await agent.spansWhen(2 * 2 * REQUESTS, LONG_MS);
  for (const at of [0, 2]) {
    const servers = spans.filter(({ service }) => service === `jvm${at}`);
    const clients = spans.filter(({ service }) => service === `jvm${at + 1}`);
    assert.deepEqual(servers.map(pathOf).sort(), EXPECTED);
    assert.deepEqual(clients.map(pathOf).sort(), EXPECTED);
    const asked = new Map(clients.map((span) => [span.spanId, pathOf(span)]));
    for (const span of servers) {
      assert.equal(asked.get(span.parentSpanId), pathOf(span));
      assert.equal(span.attributes.get("url.scheme"), "https");
    }
  }
  assert.equal(total(await agent.metrics(), "backstitch_ebpf_l7_connections_opaque"), 0);

  await agent.stop();
  for (const { pid } of jvms) {
    await eventually(
      async () => await attachCommand(inspectJava(pid), "agentProperties"),
      (text) => /^backstitch\.state=off$/m.test(text),
      LONG_MS,
    );
  }
  for (const { run } of pairs) assert.equal(await run(), "done");
});

test("a JVM that refuses is told of, and its spans come all the same", async () => {
  const [command = "", ...args] = await buildJava("truth/Pools");
  await using jvm = await startProcess({
    ...{ command, args: ["-XX:+DisableAttachMechanism", ...args], readyPort: 0 },
  });
  await using agent = await startTestAgent({
    targets: `[{pids: [${jvm.pid}], name: jvm}]`,
    capture: "{java: {attach: true}}",
  });
  await eventually(
    async () => agent.process.output(),
    (text) => /Java agent not attached.*DisableAttachMechanism/.test(text),
    LONG_MS,
  );
  const answer = await fetch(`http://127.0.0.1:${jvm.port}/order/1`);
  assert.equal(answer.status, 200);
  await answer.text();
  const [span] = await agent.spansWhen(1, LONG_MS);
  assert.equal(span?.kind, "server");
});
