// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { createMemoryTelemetry } from "../../src/telemetry/memory-telemetry.ts";
import { configSchema } from "./config.ts";
import { HealthCheck } from "./health-check.ts";

interface Answer {
  readonly status: number;
  readonly type: string | null;
  readonly body: string;
}

async function running(options: object, work: (check: HealthCheck, ask: Ask) => Promise<void>) {
  const { telemetry } = createMemoryTelemetry();
  const settings = { id: "health_check", telemetry, buildInfo: { version: "0" } };
  const config = configSchema.parse({ endpoint: "127.0.0.1:0", ...options });
  let nowMs = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
  const check = new HealthCheck(settings, config, () => {
    nowMs += 3_900;
    return nowMs - 3_900;
  });
  await check.start();
  try {
    await work(check, async (path) => {
      const response = await fetch(`http://127.0.0.1:${check.port}${path}`);
      const type = response.headers.get("content-type");
      return { status: response.status, type, body: await response.text() };
    });
  } finally {
    await check.shutdown();
    await check.shutdown();
  }
}
type Ask = (path: string) => Promise<Answer>;

test("the answer is 503 before the pipelines run, 200 while they do, 503 when they stop", async () => {
  await running({}, async (check, ask) => {
    const down = {
      status: 503,
      type: "application/json",
      body: '{"status":"Server not available","upSince":"0001-01-01T00:00:00Z","uptime":""}',
    };
    assert.deepEqual(await ask("/"), down);
    check.pipelinesReady();
    assert.deepEqual(await ask("/any?x=1"), {
      status: 200,
      type: "application/json",
      body: '{"status":"Server available","upSince":"2026-01-02T03:04:05.678Z","uptime":"3.9s"}',
    });
    check.pipelinesStopping();
    assert.deepEqual(await ask("/"), down);
  });
});

test("a path of its own answers nothing else", async () => {
  await running({ path: "/health" }, async (check, ask) => {
    check.pipelinesReady();
    assert.equal((await ask("/health")).status, 200);
    assert.equal((await ask("/")).status, 404);
    assert.equal((await ask("/health/x")).status, 404);
  });
});

test("texts of the configuration replace the JSON", async () => {
  const bodies = { healthy: "fine", unhealthy: "wait" };
  await running({ response_body: bodies }, async (check, ask) => {
    assert.deepEqual([(await ask("/")).status, (await ask("/")).body], [503, "wait"]);
    check.pipelinesReady();
    assert.deepEqual([(await ask("/")).status, (await ask("/")).body], [200, "fine"]);
  });
});

test("the defaults are the Collector's, and a path without a slash is refused", () => {
  const config = configSchema.parse({});
  assert.equal(config.endpoint.text, "localhost:13133");
  assert.equal(config.path, "/");
  const issue = configSchema.safeParse({ path: "health" }).error?.issues[0];
  assert.match(issue?.message ?? "", /^path must start with \//);
});
