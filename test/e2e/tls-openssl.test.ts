// SPDX-License-Identifier: Apache-2.0
// Clear text of OpenSSL's sessions: nginx, curl and Python, none of them told anything.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { prepareNginx } from "../apps/nginx.ts";
import { startTestAgent } from "../support/agent.ts";
import { makeCertificate } from "../support/certificate.ts";
import { eventually } from "../support/eventually.ts";
import { freePorts } from "../support/proc-net.ts";
import { startProcess } from "../support/process.ts";

const REQUESTS = 20;

for (const version of ["--http1.1", "--http2"]) {
  test(`nginx and curl ${version}: each request's two spans, linked`, async () => {
    using tls = makeCertificate();
    const [port = 0] = await freePorts(1);
    const nginx = prepareNginx({ directory: tls.folder, listen: [`127.0.0.1:${port}`], tls });
    await using server = await startProcess({ ...nginx, readyPort: port });
    // curl reads its configuration first, so that it is observed before it connects.
    const orders = join(tls.folder, "orders");
    execFileSync("mkfifo", [orders]);
    await using client = await startProcess({
      command: "curl",
      args: ["--insecure", "--silent", version, "-K", orders],
    });
    await using agent = await startTestAgent({
      targets: `[{pids: [${server.pid}], name: web}, {pids: [${client.pid}], name: curl}]`,
    });
    await eventually(
      async () => agent.process.output(),
      (text) => (text.match(/TLS followed/g)?.length ?? 0) >= 3,
    );
    const pipe = openSync(orders, "w");
    for (let index = 0; index < REQUESTS; index++) {
      writeSync(pipe, `url = "https://127.0.0.1:${port}/orders/${index}"\n`);
    }
    closeSync(pipe);
    assert.equal((await client.ended).code, 0);
    const spans = await agent.spansWhen(2 * REQUESTS);
    const clients = spans.filter(({ kind }) => kind === "client");
    const servers = spans.filter(({ kind }) => kind === "server");
    const paths = Array.from({ length: REQUESTS }, (_, index) => `/orders/${index}`).sort();
    const urls = paths.map((path) => `https://127.0.0.1:${port}${path}`);
    assert.deepEqual(clients.map(({ attributes }) => attributes.get("url.full")).sort(), urls);
    assert.deepEqual(servers.map(({ attributes }) => attributes.get("url.path")).sort(), paths);
    const asked = new Map(clients.map((span) => [span.spanId, span.attributes.get("url.full")]));
    for (const { parentSpanId, attributes } of servers) {
      assert.equal(attributes.get("url.scheme"), "https");
      assert.equal(
        asked.get(parentSpanId),
        `https://127.0.0.1:${port}${attributes.get("url.path")}`,
      );
    }
  });
}
