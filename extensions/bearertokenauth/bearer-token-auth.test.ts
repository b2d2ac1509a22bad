// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createMemoryTelemetry } from "../../src/telemetry/memory-telemetry.ts";
import { BearerTokenAuth } from "./bearer-token-auth.ts";
import { configSchema } from "./config.ts";

function create(config: Record<string, unknown>): BearerTokenAuth {
  const { telemetry } = createMemoryTelemetry();
  const settings = { id: "bearertokenauth", telemetry, buildInfo: { version: "0" } };
  return new BearerTokenAuth(settings, configSchema.parse(config));
}

async function lets(auth: BearerTokenAuth, value: string | undefined, name = "authorization") {
  return (await auth.authenticate((asked) => (asked === name ? value : undefined))) === undefined;
}

test("a server takes its tokens with their scheme, and nothing else", async () => {
  const auth = create({ tokens: ["one", "two"] });
  await auth.start();
  for (const value of ["Bearer one", "Bearer two"]) assert.equal(await lets(auth, value), true);
  for (const value of [
    undefined,
    "",
    "one",
    "Bearer",
    "Bearer three",
    "bearer one",
    "Bearer one ",
  ]) {
    assert.equal(await lets(auth, value), false, String(value));
  }
  assert.deepEqual(await auth.authorization(), { authorization: "Bearer one" });
  await auth.shutdown();
});

test("header and scheme can be others", async () => {
  const auth = create({ token: "one", scheme: "", header: "X-Api-Key" });
  await auth.start();
  assert.equal(await lets(auth, "one", "x-api-key"), true);
  assert.deepEqual(await auth.authorization(), { "x-api-key": "one" });
  await auth.shutdown();
});

test("a file that changes changes the tokens; one that breaks leaves them", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "backstitch-token-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const filename = join(folder, "token");
  writeFileSync(filename, "first\n");
  const auth = create({ filename });
  await auth.start();
  assert.equal(await lets(auth, "Bearer first"), true);
  writeFileSync(filename, "second token\n");
  for (let turn = 0; turn < 200 && !(await lets(auth, "Bearer second token")); turn++)
    await sleep(25);
  assert.equal(await lets(auth, "Bearer second token"), true);
  assert.equal(await lets(auth, "Bearer first"), false);
  await auth.shutdown();
});

test("a file that is not there is an error at start", async () => {
  await assert.rejects(
    create({ filename: "/nowhere/token" }).start(),
    /cannot read "\/nowhere\/token"/,
  );
});

test("a configuration names its tokens in one way", () => {
  for (const bad of [{}, { token: "a", tokens: ["b"] }]) {
    assert.equal(configSchema.safeParse(bad).success, false);
  }
});
