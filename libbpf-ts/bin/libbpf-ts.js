#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const words = process.argv.slice(2);
if (words[0] === "build") {
  // Before anything else is imported: the addon that the rest needs is what this makes.
  const script = fileURLToPath(new URL("../scripts/build.sh", import.meta.url));
  process.exitCode = spawnSync("bash", [script], { stdio: "inherit" }).status ?? 1;
} else {
  const built = new URL("../dist/cli.js", import.meta.url);
  const { main } = await import(existsSync(built) ? built.href : "../src/cli.ts");
  process.exitCode = main(words);
}
