// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { configSchema } from "./config.ts";

test("nothing configured is a working configuration that records no secrets", () => {
  const config = configSchema.parse({});
  assert.equal(config.url_query, false);
  assert.deepEqual(config.request_headers, []);
  assert.equal(config.ring_size, 8 * 1024 * 1024);
  assert.equal(config.drain_interval, 50);
});

test("a ring must be a power of two", () => {
  assert.equal(configSchema.parse({ ring_size: "1MiB" }).ring_size, 1_048_576);
  const result = configSchema.safeParse({ ring_size: "3MiB" });
  assert.match(result.error?.issues[0]?.message ?? "", /power of two/);
});

test("an unknown key is an error", () => {
  assert.equal(configSchema.safeParse({ ports: [80] }).success, false);
});

test("header names are compared in lower case and must be names", () => {
  assert.deepEqual(configSchema.parse({ request_headers: ["User-Agent"] }).request_headers, [
    "user-agent",
  ]);
  assert.equal(configSchema.safeParse({ response_headers: ["a b"] }).success, false);
});

test("protocols are fixed by port or disabled, and a wrong name tells the known ones", () => {
  assert.deepEqual(configSchema.parse({}).protocols, { disabled: [], ports: {}, custom: [] });
  const given = { disabled: ["redis"], ports: { 9042: "http1", 22: "none" }, custom: [] };
  assert.deepEqual(configSchema.parse({ protocols: given }).protocols, given);
  for (const protocols of [{ disabled: ["reddis"] }, { ports: { 80: "reddis" } }]) {
    const [issue] = configSchema.safeParse({ protocols }).error?.issues ?? [];
    assert.match(issue?.message ?? "", /no protocol "reddis".*http1.*redis/);
  }
  const [issue] =
    configSchema.safeParse({ protocols: { ports: { http: "redis" } } }).error?.issues ?? [];
  assert.deepEqual(issue?.path, ["protocols", "ports", "http"]);
});
