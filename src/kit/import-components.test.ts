// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fetchConfig } from "../config/fetch-config.ts";
import { ConfigError } from "../config/problem.ts";
import { importComponents } from "./import-components.ts";

const GOOD = `export const components = (kit) => [
  kit.defineReceiver({ kind: "receiver", type: "mine", stability: "alpha", signals: ["traces"],
    configSchema: kit.z.strictObject({ times: kit.z.int().default(3) }), create: () => ({}) }),
  kit.defineExporter({ kind: "exporter", type: "mine", stability: "alpha", signals: ["traces"],
    configSchema: kit.z.strictObject({}), create: () => ({}) }),
];`;
const CONFIG = `receivers: {mine: {times: 4}}
exporters: {mine: }
service:
  components: [MODULES]
  pipelines: {traces: {receivers: [mine], exporters: [mine]}}`;

function folderOf(context: TestContext, files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), "backstitch-components-"));
  context.after(() => rmSync(folder, { recursive: true }));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(folder, name, ".."), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

function load(folder: string, modules: string) {
  return fetchConfig({
    uris: [join(folder, "config.yaml")],
    sets: [],
    env: {},
    readFile: () => CONFIG.replace("MODULES", modules),
    factories: [],
    importComponents,
  });
}

async function problemOf(folder: string, modules: string): Promise<string> {
  try {
    await load(folder, modules);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.message;
  }
  assert.fail("it was accepted");
}

test("a file beside the configuration, and an installed package, give components", async (context) => {
  const folder = folderOf(context, {
    "mine.ts": `${GOOD}\nexport const typed: number = 1;`,
    "node_modules/@acme/mine/package.json":
      '{"name": "@acme/mine", "type": "module", "main": "m.js"}',
    "node_modules/@acme/mine/m.js": GOOD,
  });
  for (const module of ["./mine.ts", '"@acme/mine"']) {
    const { config } = await load(folder, module);
    assert.deepEqual(config.receivers.get("mine")?.config, { times: 4 });
  }
});

test("what is wrong with a module is said where it stands", async (context) => {
  const folder = folderOf(context, {
    "good.mjs": GOOD,
    "throws.mjs": 'throw new Error("no licence");',
    "nothing.mjs": "export const other = 1;",
    "wrong.mjs": 'export const components = () => [{ kind: "exporter", type: "Bad Name" }];',
    "zod.mjs":
      'export const components = () => [{ kind: "exporter", type: "x", stability: "alpha", configSchema: {}, create() {} }];',
  });
  const line = /config\.yaml:4:\d+ service::components::\d: /;
  for (const [modules, what] of [
    ["./missing.ts", /cannot use "\.\/missing\.ts": Cannot find module/],
    ["no-such-package", /Cannot find module 'no-such-package'\. Write \.\/ in front of a file/],
    ["./throws.mjs", /no licence/],
    ["./nothing.mjs", /exports no function components\(kit\)/],
    ["./wrong.mjs", /component 0: type: type must be in snake_case/],
    ["./zod.mjs", /configSchema must be made with the kit's z/],
    ["./good.mjs, ./good.mjs", /there is a receiver "mine" already/],
    ["7", /expected a path such as/],
  ] as const) {
    const problem = await problemOf(folder, modules);
    assert.match(problem, what);
    assert.match(problem, line);
  }
});
