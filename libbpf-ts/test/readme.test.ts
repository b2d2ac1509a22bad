// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { generateTypes, openObject } from "../src/index.ts";
import { buildObjects, kernelTest } from "./support.ts";

buildObjects();

const ROOT = fileURLToPath(new URL("..", import.meta.url));

kernelTest("the program of the README compiles, and its types fit its TypeScript", () => {
  const readme = readFileSync(join(ROOT, "README.md"), "utf8");
  const [, c = ""] = /```c\n([\s\S]*?)```/.exec(readme) ?? [];
  const [, ts = ""] = /```ts\n(import \{ openObject[\s\S]*?)```/.exec(readme) ?? [];
  const folder = mkdtempSync(join(ROOT, "test/build/readme-"));
  try {
    const types = readFileSync(join(ROOT, "test/bpf/types.h"), "utf8");
    writeFileSync(join(folder, "vmlinux.h"), types);
    writeFileSync(join(folder, "exec.bpf.c"), c);
    const clang = process.env["CLANG"] ?? "clang-19";
    const words = ["-target", "bpf", "-O2", "-g", `-I${ROOT}native/include`, `-I${folder}`];
    execFileSync(clang, [...words, "-c", "exec.bpf.c", "-o", "exec.bpf.o"], { cwd: folder });
    const object = readFileSync(join(folder, "exec.bpf.o"));
    writeFileSync(join(folder, "exec-types.ts"), generateTypes(object, { name: "exec.bpf.o" }));
    writeFileSync(join(folder, "exec.ts"), ts);
    const config = { extends: join(ROOT, "../tsconfig.json"), include: ["*.ts"], exclude: [] };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
    execFileSync(join(ROOT, "../node_modules/.bin/tsc"), ["--noEmit", "-p", folder]);
    using loaded = openObject(object).load();
    assert.deepEqual(
      loaded.programs.map((each) => each.name),
      ["on_exec"],
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});
