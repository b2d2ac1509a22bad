// SPDX-License-Identifier: Apache-2.0
// `npm run check`: format, lint, types, generated files, unit tests. Needs no privileges.
import { spawnSync } from "node:child_process";

interface Check {
  readonly name: string;
  readonly command: readonly string[];
}

const CHECKS: readonly Check[] = [
  { name: "format and lint", command: ["biome", "ci", "--error-on-warnings"] },
  { name: "types", command: ["tsc", "-p", "."] },
  { name: "types of the page", command: ["tsc", "-p", "extensions/ui/page"] },
  { name: "generated files", command: ["node", "scripts/generate.ts", "--check"] },
  { name: "dead code", command: ["knip"] },
  { name: "unit tests", command: ["node", "scripts/test.ts", "--unit"] },
];

function passes(check: Check): boolean {
  const startedMs = performance.now();
  const [program = "", ...words] = check.command;
  const result = spawnSync(program, words, { encoding: "utf8", maxBuffer: 64 << 20 });
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  const ok = result.status === 0;
  process.stdout.write(`${ok ? "ok    " : "FAILED"} ${check.name} (${seconds} s)\n`);
  if (!ok) process.stdout.write(`${result.stdout ?? ""}${result.stderr ?? ""}\n`);
  else if (check.name === "unit tests") process.stdout.write(`${lastLine(result.stdout)}\n`);
  return ok;
}

function lastLine(text: string): string {
  return text.trimEnd().split("\n").at(-1) ?? "";
}

const failed = CHECKS.filter((check) => !passes(check));
if (failed.length > 0) process.exitCode = 1;
