// SPDX-License-Identifier: Apache-2.0
/**
 * Every file of `valid/` and `invalid/` (`.case`, so that no formatter moves the columns) is a configuration, then `---`, then what is expected:
 * `expect` (a part of the typed configuration) and `warnings`, or `errors` in order. `env`,
 * `later` (more configurations to merge) and `sets` are inputs.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { parse } from "yaml";
import { z } from "zod";
import type { Factory } from "../../src/component/component.ts";
import type { AgentConfig, Configured } from "../../src/config/agent-config.ts";
import { type Loaded, loadConfig } from "../../src/config/load.ts";
import { ConfigError, formatProblem } from "../../src/config/problem.ts";
import { FIXTURES } from "./fixture-components.ts";

const expectationSchema = z.strictObject({
  env: z.record(z.string(), z.string()).default({}),
  later: z.array(z.string()).default([]),
  sets: z.array(z.string()).default([]),
  expect: z.unknown().optional(),
  warnings: z.array(z.string()).default([]),
  errors: z.array(z.string()).default([]),
});
type Expectation = z.infer<typeof expectationSchema>;

function load(text: string, { env, later, sets }: Expectation): Loaded {
  const files = new Map([text, ...later].map((file, at) => [`${at}.yaml`, file]));
  return loadConfig({
    uris: [...files.keys()],
    sets,
    env,
    factories: FIXTURES,
    readFile: (path) => files.get(path) ?? readFileSync(path, "utf8"),
  });
}

function readCase(folder: string, name: string): [string, Expectation] {
  const text = readFileSync(new URL(`${folder}/${name}`, import.meta.url), "utf8");
  const split = text.lastIndexOf("---\n");
  return [text.slice(0, split), expectationSchema.parse(parse(text.slice(split + 4)))];
}

function plainConfig(config: AgentConfig): unknown {
  const bodies = (all: ReadonlyMap<string, Configured<Factory>>): Record<string, unknown> =>
    Object.fromEntries([...all].map(([id, configured]) => [id, configured.config]));
  return {
    receivers: bodies(config.receivers),
    processors: bodies(config.processors),
    exporters: bodies(config.exporters),
    connectors: bodies(config.connectors),
    extensions: bodies(config.extensions),
    service: config.service,
  };
}

for (const name of readdirSync(new URL("valid", import.meta.url))) {
  test(`valid/${name} is accepted and means what is expected`, () => {
    const [text, expected] = readCase("valid", name);
    const { config, warnings } = load(text, expected);
    assert.partialDeepStrictEqual(plainConfig(config), expected.expect ?? {});
    assert.deepEqual(
      warnings.map((warning) => warning.message),
      expected.warnings,
    );
  });
}

for (const name of readdirSync(new URL("invalid", import.meta.url))) {
  test(`invalid/${name} is refused with every problem located`, () => {
    const [text, expected] = readCase("invalid", name);
    const error = thrownBy(() => load(text, expected));
    assert.ok(error instanceof ConfigError, String(error));
    const heads = error.problems.map((problem) => formatProblem(problem).split("\n")[0]);
    assert.deepEqual(
      heads.map((head) => head?.replace(/^0\.yaml:/, "")),
      expected.errors,
    );
    assert.doesNotMatch(error.message, /12345|98765/, "a secret is shown");
  });
}

function thrownBy(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  return undefined;
}

test("a problem shows its line and a caret under the column", () => {
  const [text, expected] = readCase("invalid", "unknown-key.case");
  const error = thrownBy(() => load(text, expected));
  assert.ok(error instanceof ConfigError);
  assert.equal(
    error.message,
    '0.yaml:4:5 receivers::source/edge::prots: unknown key. Did you mean "ports"?\n' +
      "        prots: [80]\n" +
      "        ^",
  );
});

test("a problem in a --set names the flag", () => {
  const [text, expected] = readCase("valid", "minimal.case");
  const sets = ["receivers.source.on=2"];
  const error = thrownBy(() => load(text, { ...expected, sets }));
  assert.ok(error instanceof ConfigError);
  assert.match(error.message, /^--set receivers\.source\.on:1:\d+ receivers::source::on: expected/);
});

test("a problem in the second file names that file", () => {
  const [text, expected] = readCase("valid", "minimal.case");
  const later = ["receivers:\n  source:\n    on: 2\n"];
  const error = thrownBy(() => load(text, { ...expected, later }));
  assert.ok(error instanceof ConfigError);
  assert.match(error.message, /^1\.yaml:3:9 receivers::source::on: expected true or false/);
});
