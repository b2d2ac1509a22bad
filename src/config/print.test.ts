// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { parse, stringify } from "yaml";
import { FIXTURES } from "../../test/config/fixture-components.ts";
import type { AgentConfig } from "./agent-config.ts";
import { loadConfig } from "./load.ts";
import { printableConfig } from "./print.ts";

const CASES = new URL("../../test/config/valid/", import.meta.url);

function load(text: string, env: Record<string, string>): AgentConfig {
  const inputs = { uris: ["a"], sets: [], env, factories: FIXTURES, readFile: () => text };
  return loadConfig(inputs).config;
}

/** Without what only says how it was written. */
function meaning(config: AgentConfig): unknown {
  const { service, ...sections } = config;
  const bodies = Object.values(sections).map((all) =>
    [...all].map(([id, configured]) => [id, configured.config]),
  );
  const { telemetryInput: _, ...rest } = service;
  return { bodies, rest };
}

for (const name of readdirSync(CASES)) {
  test(`valid/${name}, printed with its defaults, means the same`, () => {
    const text = readFileSync(new URL(name, CASES), "utf8");
    const split = text.lastIndexOf("---\n");
    const { env = {} } = parse(text.slice(split + 4));
    const config = load(text.slice(0, split), env);
    const printed = stringify(printableConfig(config, { redacted: false }));
    const again = load(
      printed.replaceAll("$", () => "$$"),
      {},
    );
    assert.deepEqual(meaning(again), meaning(config));
  });
}

test("defaults are printed as they are written, and secrets are not printed", () => {
  const config = load(
    `receivers: {source: }
exporters: {sink_grpc: {endpoint: "a:1", token: hunter2, headers: {key: hunter2}}}
service: {pipelines: {traces: {receivers: [source], exporters: [sink_grpc]}}}`,
    {},
  );
  const printed = parse(stringify(printableConfig(config, { redacted: true })));
  assert.deepEqual(printed.receivers.source, {
    endpoint: "localhost:4317",
    ports: [],
    ring_size: 4_194_304,
    poll_interval: "200ms",
    mode: "quick",
    ratio: 1,
    label: "",
    on: true,
  });
  assert.equal(printed.exporters.sink_grpc.token, "[REDACTED]");
  assert.deepEqual(printed.exporters.sink_grpc.headers, { key: "[REDACTED]" });
  assert.equal(printed.exporters.sink_grpc.retry_on_failure.max_elapsed_time, "5m0s");
  assert.doesNotMatch(JSON.stringify(printed), /hunter2/);
});
