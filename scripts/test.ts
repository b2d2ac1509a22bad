// SPDX-License-Identifier: Apache-2.0
// Runs the tests and prints one summary. `npm test` runs all; `--unit` what needs no privileges.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { glob } from "node:fs/promises";
import { join, relative } from "node:path";
import { finished } from "node:stream/promises";
import { run } from "node:test";
import { spec } from "node:test/reporters";

interface Stage {
  readonly name: string;
  readonly patterns: readonly string[];
  /** Files side by side; those that load BPF or build networks run one after the other. */
  readonly concurrency: number;
  readonly timeoutMs: number;
  /** So many files share a process: most of a small test's time is its start. Default 1. */
  readonly filesPerProcess?: number;
}

/** Need root, or servers that are built or fetched first. */
const PRIVILEGED = [
  "libbpf-ts/test",
  "test/kernel",
  "test/discovery",
  "test/e2e",
  "test/nat",
  "test/ui",
  "test/kubernetes",
  "test/kafka",
  "test/helm",
];

const STAGES: readonly Stage[] = [
  {
    name: "unit",
    patterns: ["**/*.test.ts"],
    concurrency: 2,
    timeoutMs: 300_000,
    filesPerProcess: 16,
  },
  ...PRIVILEGED.map((folder) => ({
    name: folder,
    patterns: [`${folder}/**/*.test.ts`],
    concurrency: 1,
    timeoutMs: 600_000,
  })),
];

async function filesOf(stage: Stage, only: readonly string[]): Promise<string[]> {
  const files: string[] = [];
  for (const pattern of stage.patterns) {
    for await (const file of glob(pattern, { exclude: isOutside })) {
      const privileged = PRIVILEGED.some((folder) => file.startsWith(`${folder}/`));
      if (stage.name === "unit" && privileged) continue;
      if (only.length === 0 || only.some((part) => file.includes(part))) files.push(file);
    }
  }
  return files.sort();
}

function isOutside(path: string): boolean {
  return /(^|\/)(node_modules|build|target|\.git)$/.test(path);
}

interface Totals {
  passed: number;
  failed: number;
  skipped: string[];
}

/** Files that import so many of the tests each. */
function bundles(files: readonly string[], size: number): string[] {
  const folder = join(import.meta.dirname, "../build/tests");
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const made: string[] = [];
  for (let from = 0; from < files.length; from += size) {
    const path = join(
      folder,
      `${files[from]?.replaceAll("/", "-").replace(/\.test\.ts$/, "")}.mjs`,
    );
    const imports = files
      .slice(from, from + size)
      .map((file) => `import ${JSON.stringify(relative(folder, join(process.cwd(), file)))};\n`);
    writeFileSync(path, imports.join(""));
    made.push(path);
  }
  return made;
}

async function runStage(stage: Stage, named: string[], totals: Totals): Promise<void> {
  process.stdout.write(`\n── ${stage.name}: ${named.length} files\n`);
  const { filesPerProcess = 1 } = stage;
  const files = filesPerProcess === 1 ? named : bundles(named, filesPerProcess);
  const execArgv = ["--import", new URL("./property-seed.ts", import.meta.url).href];
  const { concurrency, timeoutMs: timeout } = stage;
  const stream = run({ files, concurrency, timeout, execArgv });
  stream.on("test:pass", (event) => {
    if (event.details.type === "suite") return;
    if (event.skip !== undefined && event.skip !== false) {
      totals.skipped.push(`${event.name}: ${String(event.skip)}`);
    } else totals.passed++;
  });
  stream.on("test:fail", (event) => {
    if (event.details.type !== "suite") totals.failed++;
  });
  const report = stream.compose(spec);
  report.pipe(process.stdout, { end: false });
  await finished(report);
}

async function main(): Promise<void> {
  const words = process.argv.slice(2);
  const unitOnly = words.includes("--unit");
  const only = words.filter((word) => !word.startsWith("--"));
  const mustNotSkip = process.env["CI"] !== undefined && !unitOnly;
  if (mustNotSkip) process.env["REQUIRE_KERNEL"] = "1";
  const totals: Totals = { passed: 0, failed: 0, skipped: [] };
  for (const stage of unitOnly ? STAGES.slice(0, 1) : STAGES) {
    const files = await filesOf(stage, only);
    if (files.length > 0) await runStage(stage, files, totals);
  }
  for (const line of totals.skipped) process.stdout.write(`skipped: ${line}\n`);
  const { passed, failed, skipped } = totals;
  const failedTotal = failed + (mustNotSkip ? skipped.length : 0);
  if (passed === 0 && failedTotal === 0) {
    process.stdout.write("no test matched\n");
    process.exitCode = 1;
  }
  process.stdout.write(`\n${passed} passed, ${failedTotal} failed, ${skipped.length} skipped\n`);
  if (failedTotal > 0) process.exitCode = 1;
}

await main();
