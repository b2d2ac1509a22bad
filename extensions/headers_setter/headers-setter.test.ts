// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Extension, Host } from "../../src/component/component.ts";
import { createMemoryTelemetry } from "../../src/telemetry/memory-telemetry.ts";
import { configSchema } from "./config.ts";
import { HeadersSetter } from "./headers-setter.ts";

async function setter(context: TestContext, input: object, others: Record<string, Extension> = {}) {
  const { telemetry } = createMemoryTelemetry();
  const settings = { id: "headers_setter", telemetry, buildInfo: { version: "0" } };
  const one = new HeadersSetter(settings, configSchema.parse(input));
  const host: Host = { extension: (id) => others[id], fatal: () => undefined };
  await one.start(host);
  context.after(() => one.shutdown());
  return one;
}

test("actions look at what the request carries already", async (context) => {
  const one = await setter(context, {
    headers: [
      { action: "insert", key: "There", value: "new" },
      { action: "insert", key: "absent", value: "new" },
      { action: "update", key: "there-too", value: "new" },
      { action: "update", key: "absent-too", value: "new" },
      { key: "always", value: "new" },
      { action: "delete", key: "gone" },
    ],
  });
  const headers = { there: "old", "there-too": "old", gone: "old", always: "old" };
  assert.deepEqual(await one.authorization({ headers }), {
    absent: "new",
    "there-too": "new",
    always: "new",
    gone: undefined,
  });
});

test("a value comes from the request that brought the data, or is the default", async (context) => {
  const rule = { key: "X-Scope-OrgID", from_context: "Tenant", default_value: "nobody" };
  const one = await setter(context, { headers: [rule, { key: "b", from_context: "other" }] });
  const metadata = { tenant: ["acme", "second"] };
  const given = await one.authorization({ headers: {}, metadata });
  assert.deepEqual(given, { "x-scope-orgid": "acme", b: "" });
  assert.deepEqual(await one.authorization({ headers: {} }), { "x-scope-orgid": "nobody", b: "" });
});

test("a value comes from a file, and other credentials come first", async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "backstitch-headers-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "value");
  writeFileSync(path, "from-file\n");
  const idle = { start: async () => {}, shutdown: async () => {} };
  const other = { ...idle, authorization: async () => ({ authorization: "Bearer t", a: "1" }) };
  const one = await setter(
    context,
    { additional_auth: "other", headers: [{ key: "a", value_file: path }] },
    { other },
  );
  const given = await one.authorization({ headers: {} });
  assert.deepEqual(given, { authorization: "Bearer t", a: "from-file" });
  const missing = { headers: [{ key: "a", value_file: join(folder, "missing") }] };
  await assert.rejects(setter(context, missing), /cannot read ".*missing"/);
});

test("rules that say nothing, or too much, are refused", () => {
  const problem = (input: object): string =>
    configSchema.safeParse(input).error?.issues[0]?.message ?? "";
  assert.match(problem({}), /missing headers configuration/);
  assert.match(problem({ headers: [{ value: "x" }] }), /missing header key/);
  assert.match(problem({ headers: [{ key: "x" }] }), /missing header source/);
  assert.match(
    problem({ headers: [{ key: "x", value: "a", from_context: "b" }] }),
    /only have one/,
  );
  assert.match(problem({ headers: [{ key: "x", from_attribute: "b" }] }), /not supported/);
});
