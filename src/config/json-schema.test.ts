// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import { FACTORIES } from "../registry.ts";
import { configJsonSchema } from "./json-schema.ts";
import { toPlain } from "./node.ts";
import { referenceMarkdown } from "./reference.ts";
import { parseYaml } from "./yaml-source.ts";

const ROOT = new URL("../../", import.meta.url);
const REAL = new URL("test/config/real/", ROOT);

const validate = new Ajv2020({ strict: false, allErrors: true }).compile(
  configJsonSchema(FACTORIES),
);

function problems(text: string): readonly string[] {
  const node = parseYaml({ name: "text", text, order: 0 }, []);
  validate(toPlain(node));
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}

test("the JSON schema takes the example and the real deployments' files", () => {
  const files = [new URL("config.example.yaml", ROOT)];
  for (const name of readdirSync(REAL)) if (/\.ya?ml$/.test(name)) files.push(new URL(name, REAL));
  assert.ok(files.length > 1);
  for (const file of files) assert.deepEqual(problems(readFileSync(file, "utf8")), [], file.href);
});

test("the JSON schema takes references in place of numbers", () => {
  const text = `
receivers: {otlp: {protocols: {grpc: {max_concurrent_streams: "\${env:STREAMS:-8}"}}}}
processors: {batch: }
exporters: {otlp/one: {endpoint: "localhost:1", sending_queue: {enabled: "\${env:QUEUE}"}}}
service: {pipelines: {traces/a: {receivers: [otlp], processors: [batch], exporters: [otlp/one]}}}`;
  assert.deepEqual(problems(text), []);
});

test("the JSON schema refuses unknown keys, types and wrong values", () => {
  const text = `
receivers: {otlp: {protocols: {gprc: {}}}, otpl: {}}
exporters: {debug: {verbosity: 3}}
service: {pipelines: {spans: {receivers: [otlp], exporters: [debug]}}}`;
  const found = problems(text).join("\n");
  for (const place of [
    "/receivers ",
    "/receivers/otlp",
    "/exporters/debug",
    "/service/pipelines ",
  ]) {
    assert.ok(found.includes(place), `${place} is not in:\n${found}`);
  }
});

test("the reference names every component, and every key with its default", () => {
  const text = referenceMarkdown(FACTORIES);
  for (const { type } of FACTORIES) assert.ok(text.includes(`### \`${type}\``), type);
  assert.match(text, /\| `timeout` \| duration \| `200ms` \|/);
  assert.match(text, /\| `actions\[\]::key` \| string \|/);
  assert.match(text, /\| `protocols::grpc::endpoint` \| string \| `localhost:4317` \|/);
});
