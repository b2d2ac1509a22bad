// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { main } from "../src/cli.ts";
import { BpfError, encodeValue, generateTypes, openObject } from "../src/index.ts";
import { COLOR, decodeValue, valueAt } from "./generated/maps.ts";
import { buildObjects, objectPath } from "./support.ts";

buildObjects();

const GOLDEN = fileURLToPath(new URL("generated/maps.ts", import.meta.url));
const ROOT = fileURLToPath(new URL("../..", import.meta.url));

function generate(types: readonly string[] = []): string {
  const header = "// SPDX-License-Identifier: Apache-2.0";
  return generateTypes(readFileSync(objectPath("maps")), { name: "maps.bpf.o", types, header });
}

test("the generated file that is checked in is what the object gives", () => {
  if (process.env["UPDATE_GOLDENS"] === "1") {
    writeFileSync(GOLDEN, generate());
  }
  assert.equal(generate(), readFileSync(GOLDEN, "utf8"), "run with UPDATE_GOLDENS=1 and review");
  assert.equal(generate(), generate(), "the same twice");
});

test("generated code and encoder agree on every field", () => {
  using object = openObject(objectPath("maps"));
  const value = {
    total: 0xffff_ffff_ffff_ffffn,
    delta: -2147483648,
    color: COLOR.BLUE,
    seen: true,
    raw: Uint8Array.of(9, 8, 7),
    parts: [1, 65535],
    corners: [
      { x: -1, y: 2 },
      { x: 3, y: -4 },
    ],
    as_bytes: Uint8Array.of(1, 0, 0, 128),
    low: 7,
    high: 17,
    negative: -1,
    ratio: -0.5,
    address: 1n,
  };
  const bytes = encodeValue(object.types.layoutNamed("struct value"), value, "value");
  const view = new DataView(bytes.buffer);
  assert.deepEqual(decodeValue(view, 0), { ...value, as_word: 0x80000001 });
  assert.equal(valueAt.high(view, 0), 17);
  assert.equal(valueAt.negative(view, 0), -1);
});

test("types and events can be asked for, and what the object lacks is an error", () => {
  assert.match(generate(["bpf_raw_tracepoint_args"]), /export type BpfRawTracepointArgs = \{/);
  assert.throws(
    () => generate(["bpf_raw_tracepoint_arg"]),
    (error) => error instanceof BpfError && /bpf_raw_tracepoint_args"/.test(error.message),
  );
  const lines: string[] = [];
  const streams = {
    out: (text: string) => lines.push(text),
    error: (text: string) => lines.push(text),
  };
  assert.equal(main(["generate", objectPath("maps"), "--event", "samples=point"], streams), 0);
  assert.match(lines.join(""), /samples: \(view: DataView, offset: number\): Point =>/);
  assert.equal(main(["generate", objectPath("maps"), "--event", "nothing=point"], streams), 1);
  assert.equal(main(["generate", "/nonexistent.o"], streams), 1);
  assert.equal(main([], streams), 2);
});

test("generated code of every test object compiles under strict", () => {
  const folder = mkdtempSync(join(ROOT, "libbpf-ts/test/build/generated-"));
  try {
    for (const name of ["ring", "attach", "maps", "iterators"]) {
      const file = readFileSync(objectPath(name));
      writeFileSync(join(folder, `${name}.ts`), generateTypes(file, { name, types: [] }));
    }
    const config = { extends: join(ROOT, "tsconfig.json"), include: ["*.ts"], exclude: [] };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
    execFileSync(join(ROOT, "node_modules/.bin/tsc"), ["--noEmit", "-p", folder], {
      stdio: "pipe",
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
