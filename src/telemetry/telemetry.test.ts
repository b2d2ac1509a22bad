// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { telemetrySchema } from "../config/telemetry-config.ts";
import { LogSampler } from "./log-sampler.ts";
import { createMemoryTelemetry } from "./memory-telemetry.ts";
import { TelemetryService } from "./telemetry-service.ts";

const COUNT = { description: "Things", unit: "{thing}" };

test("the same name and labels give the same counter, and a scrape shows its value", async () => {
  const { telemetry, value } = createMemoryTelemetry();
  telemetry.counter("things", COUNT, { a: "1", b: "2" }).add(3);
  telemetry.counter("things", COUNT, { b: "2", a: "1" }).add(4);
  telemetry.counter("things", COUNT, { a: "x" }).add(1);
  assert.equal(await value('things{a="1",b="2"}'), 7);
  assert.equal(await value('things{a="x"}'), 1);
});

test("gauges are read at the scrape and can be removed", async () => {
  const { telemetry, scrape } = createMemoryTelemetry();
  let level = 5;
  const remove = telemetry.gauge("level", COUNT, () => level);
  telemetry.gauge("broken", COUNT, () => {
    throw new Error("closed");
  });
  level = 6;
  assert.match(await scrape(), /^level 6$/m);
  assert.doesNotMatch(await scrape(), /broken/);
  const removeSecond = telemetry.gauge("level", COUNT, () => 10);
  assert.match(await scrape(), /^level 16$/m, "the same series twice is their sum");
  remove();
  assert.match(await scrape(), /^level 10$/m);
  removeSecond();
  assert.doesNotMatch(await scrape(), /^level/m);
});

test("the text follows Prometheus' format 0.0.4, without suffixes", async () => {
  const { telemetry, scrape } = createMemoryTelemetry();
  telemetry.counter(
    "a_count",
    { description: 'Back\\slash\nline "q"', unit: "By" },
    {
      label: 'q" b\\ \n',
    },
  );
  const sizes = telemetry.histogram("sizes", COUNT, [10, 100], { p: "x" });
  for (const size of [5, 50, 50, 500]) sizes.record(size);
  const text = await scrape();
  assert.ok(text.includes('# HELP a_count Back\\\\slash\\nline "q"\n# TYPE a_count counter\n'));
  assert.ok(text.includes('a_count{label="q\\" b\\\\ \\n"} 0\n'));
  for (const line of [
    "# TYPE sizes histogram",
    'sizes_bucket{le="10",p="x"} 1',
    'sizes_bucket{le="100",p="x"} 3',
    'sizes_bucket{le="+Inf",p="x"} 4',
    'sizes_sum{p="x"} 605',
    'sizes_count{p="x"} 4',
  ]) {
    assert.ok(text.includes(`${line}\n`), line);
  }
});

test("the service serves /metrics with the process's own, and only that", async () => {
  const readers = [{ pull: { exporter: { prometheus: { host: "127.0.0.1", port: 0 } } } }];
  const config = telemetrySchema.parse({ metrics: { readers }, resource: { team: "x" } });
  const service = new TelemetryService({ config, version: "1.2.3", instanceId: "i" });
  await service.start();
  const url = `http://127.0.0.1:${service.ports[0]}`;
  const response = await fetch(`${url}/metrics`);
  assert.equal(response.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  const text = await response.text();
  assert.match(text, /^otelcol_process_uptime \d/m);
  assert.match(text, /^otelcol_process_memory_rss \d{7,}$/m);
  assert.match(
    text,
    /^target_info\{service_instance_id="i",service_name="backstitch",service_version="1\.2\.3",team="x"\} 1$/m,
  );
  assert.equal((await fetch(`${url}/debug`)).status, 404);
  assert.equal((await fetch(`${url}/metrics`, { method: "POST" })).status, 405);
  await service.shutdown();
  await assert.rejects(fetch(`${url}/metrics`));
});

test("lines go to a file, at their level, and foreign bytes cannot forge a line", async () => {
  const folder = mkdtempSync(join(tmpdir(), "backstitch-log-"));
  const path = join(folder, "agent.log");
  const config = telemetrySchema.parse({
    logs: { level: "warn", output_paths: [path], initial_fields: { cluster: "c" } },
    metrics: { level: "none" },
  });
  const service = new TelemetryService({ config, version: "1", instanceId: "i" });
  const { logger } = service.forComponent({ "otelcol.component.id": "x" });
  logger.info("Not shown");
  logger.warn("Odd\nname\u001b[31m", { from: "a\nb" });
  await service.shutdown();
  logger.error("After the end");
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  rmSync(folder, { recursive: true });
  assert.equal(lines.length, 1);
  const [time, level, message, fields] = (lines[0] ?? "").split("\t");
  assert.match(time ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.equal(level, "warn");
  assert.equal(message, "Odd\\nname\\x1b[31m");
  assert.deepEqual(JSON.parse(fields ?? ""), {
    cluster: "c",
    "otelcol.component.id": "x",
    from: "a\nb",
  });
});

test("a log file that cannot be opened says so", () => {
  const config = telemetrySchema.parse({ logs: { output_paths: ["/nowhere/at/all.log"] } });
  assert.throws(() => new TelemetryService({ config, version: "1", instanceId: "i" }), {
    message: /cannot open the log file "\/nowhere\/at\/all\.log": ENOENT/,
  });
});

test("of equal lines the first pass in each tick, then one in many", () => {
  const sampler = new LogSampler({ enabled: true, tickMs: 100, initial: 2, thereafter: 3 });
  const passed = (nowMs: number) =>
    Array.from({ length: 8 }, () => sampler.passes("info", "same", nowMs));
  assert.deepEqual(passed(0), [true, true, false, false, true, false, false, true]);
  assert.equal(sampler.passes("warn", "same", 0), true);
  assert.deepEqual(passed(100).slice(0, 3), [true, true, false]);
});
