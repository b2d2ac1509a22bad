// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const BIN = fileURLToPath(new URL("../../bin/backstitch", import.meta.url));

async function freePorts(): Promise<[number, number]> {
  const servers = [createServer(), createServer()];
  const ports: number[] = [];
  for (const server of servers) {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    ports.push(typeof address === "object" && address !== null ? address.port : 0);
  }
  for (const server of servers) server.close();
  return [ports[0] ?? 0, ports[1] ?? 0];
}

function yaml(port: number): string {
  return `receivers:
  otlp: {protocols: {http: {endpoint: "127.0.0.1:${port}"}}}
exporters: {nop: {}}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {traces: {receivers: [otlp], exporters: [nop]}}
`;
}

async function answers(port: number): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/v1/traces`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
      signal: AbortSignal.timeout(5_000),
    });
    return response.status === 200;
  } catch {
    return false;
  }
}

test("SIGHUP or a changed file brings a good configuration, and a bad one changes nothing", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "backstitch-reload-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "config.yaml");
  const [first, second] = await freePorts();
  writeFileSync(path, yaml(first));
  const child = spawn(BIN, ["--config", path, "--watch"], { stdio: ["ignore", "ignore", "pipe"] });
  t.after(() => child.kill("SIGKILL"));
  let log = "";
  child.stderr.on("data", (chunk) => {
    log += String(chunk);
  });
  const logged = async (text: string, times: number): Promise<void> => {
    const endMs = Date.now() + 20_000;
    while (log.split(text).length - 1 < times) {
      assert.ok(Date.now() < endMs, `no "${text}" in ${log}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const ready = "Everything is ready";
  await logged(ready, 1);
  assert.equal(await answers(first), true);

  for (const [times, bad] of ["receivers: [", yaml(second).replace("[nop]", "[nope]")].entries()) {
    writeFileSync(path, bad);
    child.kill("SIGHUP");
    await logged("nothing has changed", times + 1);
    assert.equal(await answers(first), true);
  }

  // Without the signal: the file is watched.
  writeFileSync(path, yaml(second));
  await logged(ready, 2);
  assert.deepEqual([await answers(first), await answers(second)], [false, true]);

  const taken = createServer().listen(first, "127.0.0.1");
  await once(taken, "listening");
  t.after(() => taken.close());
  writeFileSync(path, yaml(first));
  child.kill("SIGHUP");
  await logged("The configuration before the reload runs again", 1);
  assert.equal(await answers(second), true);

  const exit = once(child, "exit");
  child.kill("SIGTERM");
  assert.deepEqual((await exit)[0], 0);
});
