// SPDX-License-Identifier: Apache-2.0
// Node's WebSocket client and a scripted server, both observed, neither instrumented.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { startTestAgent } from "../support/agent.ts";
import { eventually } from "../support/eventually.ts";
import { freePorts } from "../support/proc-net.ts";
import { startProcess } from "../support/process.ts";

const APP = join(import.meta.dirname, "../apps/websocket-session.mjs");

test("a WebSocket session gives either side the handshake's span and the session's", async () => {
  const [port = 0] = await freePorts(1);
  const start = { command: process.execPath, args: [APP, "serve", String(port)] };
  await using server = await startProcess({ ...start, readyPort: port });
  await using client = await startProcess({
    command: process.execPath,
    args: [APP, "call", String(port)],
    readyOutput: /waiting/,
  });
  await using agent = await startTestAgent({
    targets: `[{pids: [${server.pid}], name: service}, {pids: [${client.pid}], name: app}]`,
  });
  process.kill(client.pid, "SIGUSR1");
  await eventually(
    async () => client.output(),
    (output) => /done|rror/.test(output),
  );
  assert.match(client.output(), /done/);
  const spans = await agent.spansWhen(4);
  assert.deepEqual(spans.map(({ kind, name }) => `${kind} ${name}`).sort(), [
    "client GET",
    "client WebSocket",
    "server GET /chat/{id}",
    "server WebSocket /chat/{id}",
  ]);
  for (const { name, attributes } of spans) {
    if (!name.startsWith("WebSocket")) {
      assert.equal(attributes.get("http.response.status_code"), 101n);
      continue;
    }
    for (const side of ["client", "server"]) {
      assert.equal(attributes.get(`websocket.${side}.messages`), 3n);
      // With the Close frame.
      assert.equal(attributes.get(`websocket.${side}.frames`), 4n);
      assert.equal(attributes.get(`websocket.${side}.bytes`), 20_008n);
    }
    assert.equal(attributes.get("websocket.close.code"), 1000n);
    assert.equal(attributes.get("error.type"), undefined);
  }
  const session = spans.find(({ kind, name }) => kind === "server" && name.startsWith("Web"));
  const calling = spans.find(({ kind, name }) => kind === "client" && name.startsWith("Web"));
  assert.equal(session?.parentSpanId, calling?.spanId);
});
