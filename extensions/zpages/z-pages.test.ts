// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AgentView } from "../../src/component/agent-view.ts";
import { createMemoryTelemetry } from "../../src/telemetry/memory-telemetry.ts";
import { configSchema } from "./config.ts";
import { ZPages } from "./z-pages.ts";

const agent: AgentView = {
  pipelines: [
    {
      id: "traces/<b>",
      signal: "traces",
      receivers: ["otlp"],
      processors: ["batch"],
      exporters: ["nop"],
    },
  ],
  extensions: ["zpages", "file_storage/x"],
  extensionType: (id) => id.split("/")[0],
  refusedProbes: () => [],
  metrics: async () => [
    { name: "m", kind: "counter", unit: "1", description: "", labels: { a: "b" }, value: 7 },
  ],
};

test("the pages show what runs; what a configuration says is text there", async (context) => {
  const { telemetry } = createMemoryTelemetry();
  const settings = { id: "zpages", telemetry, buildInfo: { version: "1.2.3" } };
  const endpoint = "127.0.0.1:0";
  const one = new ZPages(settings, configSchema.parse({ endpoint, expvar: { enabled: true } }));
  await one.start({ extension: () => undefined, fatal: () => undefined, agent });
  context.after(() => one.shutdown());
  const get = async (path: string): Promise<string> => {
    const response = await fetch(`http://127.0.0.1:${one.port}${path}`);
    return `${response.status} ${await response.text()}`;
  };
  assert.match(await get("/debug/servicez"), /^200 .*1\.2\.3.*starting or stopping/s);
  one.pipelinesReady();
  assert.match(await get("/debug/servicez"), /<td>running<\/td>/);
  const pipelines = await get("/debug/pipelinez");
  assert.match(pipelines, /<td>traces\/&#60;b&#62;<\/td><td>traces<\/td><td>otlp<\/td><td>batch</);
  assert.match(await get("/debug/extensionz"), /<td>file_storage\/x<\/td><td>file_storage<\/td>/);
  assert.match(
    await get("/debug/expvarz"),
    /"metrics":\[{"name":"m","labels":{"a":"b"},"value":7}\]/,
  );
  assert.match(await get("/debug/tracez"), /^404 /);
  const post = await fetch(`http://127.0.0.1:${one.port}/debug/servicez`, { method: "POST" });
  assert.equal(post.status, 405);
});
