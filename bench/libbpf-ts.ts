// SPDX-License-Identifier: Apache-2.0
// `node bench/libbpf-ts.ts`: libbpf-ts against C on libbpf. Writes bench/results/libbpf-ts.json.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { describeMachine } from "./support/machine.ts";

const ROOT = join(import.meta.dirname, "..");
const FOLDER = join(import.meta.dirname, "libbpf-ts");
const MEASURE = fileURLToPath(import.meta.resolve("./libbpf-ts/measure.ts"));
const CC = process.env["CC"] ?? "cc";
const BPFTOOL = process.env["BPFTOOL"] ?? "bpftool";
const BUILD = join(ROOT, "build/bench-libbpf-ts");
const NATIVE = join(ROOT, "libbpf-ts/native");
const RECORDS = 50_000;
const CYCLES = 1_000;
const ROUNDS = 5;
const KILLED = 20;

type Figures = Readonly<Record<string, number>>;

/** The libbpf that the addon was linked with, as cargo left it. */
function libbpfArchive(): string {
  const build = join(process.env["CARGO_TARGET_DIR"] ?? join(NATIVE, "target"), "release/build");
  const found = readdirSync(build, { recursive: true, encoding: "utf8" }).find((each) =>
    each.endsWith("libbpf.a"),
  );
  if (found === undefined) {
    throw new Error("libbpf.a is missing. Run: bash libbpf-ts/scripts/build.sh");
  }
  return join(build, found);
}

function compile(): void {
  mkdirSync(BUILD, { recursive: true });
  const include = `-I${NATIVE}/include`;
  const system = `/usr/include/${process.arch === "x64" ? "x86_64" : "aarch64"}-linux-gnu`;
  const bpf = ["-target", "bpf", "-mcpu=v3", "-O2", "-g", include, "-idirafter", system];
  const clang = process.env["CLANG"] ?? "clang-19";
  execFileSync(clang, [...bpf, "-c", `${FOLDER}/bench.bpf.c`, "-o", `${BUILD}/bench.bpf.o`]);
  const words = ["-O2", "-Wall", include, `${FOLDER}/baseline.c`, libbpfArchive(), "-lelf", "-lz"];
  execFileSync(CC, [...words, "-o", `${BUILD}/baseline`]);
}

/** Relies on: `measure.ts` and `baseline.c` print one flat object of numbers. */
function unsafeFigures(text: string): Figures {
  return JSON.parse(text) as Figures;
}

/** The package as it is published, with the addon that was built here. */
function stagePublished(): string {
  const words = [join(ROOT, "libbpf-ts/scripts/stage.ts")];
  const folder = execFileSync(process.execPath, words, { encoding: "utf8" }).trim();
  copyFileSync(join(NATIVE, "libbpf_ts.node"), join(folder, "native/libbpf_ts.node"));
  return join(folder, "dist/index.js");
}

function measure(mode: string, amount: number = RECORDS, env: NodeJS.ProcessEnv = {}): string {
  const words = [MEASURE, mode, `${BUILD}/bench.bpf.o`, String(amount)];
  const options = { encoding: "utf8", cwd: ROOT, env: { ...process.env, ...env } } as const;
  return execFileSync(process.execPath, words, options);
}

/** The middle of several runs, because the machine is shared. */
function median(values: readonly number[]): number {
  return [...values].sort((left, right) => left - right)[values.length >> 1] ?? Number.NaN;
}

function medianOf(runs: readonly Figures[], name: string): number {
  return median(runs.map((each) => each[name] ?? Number.NaN));
}

function bpfProgramCount(): number {
  const text = execFileSync(BPFTOOL, ["-j", "prog", "list"], { encoding: "utf8" });
  const all: unknown = JSON.parse(text);
  return Array.isArray(all) ? all.filter((each) => /^program_/.test(String(each.name))).length : -1;
}

async function killHolders(): Promise<number> {
  for (let round = 0; round < KILLED; round++) {
    const words = [MEASURE, "hold", `${BUILD}/bench.bpf.o`];
    const child = spawn(process.execPath, words, {
      cwd: ROOT,
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(child.stdout, "data");
    child.kill("SIGKILL");
    await once(child, "exit");
  }
  // The kernel frees the last ones after a grace period.
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  return bpfProgramCount();
}

function measureLoads(env: NodeJS.ProcessEnv): Figures {
  const runs = Array.from({ length: 2 * ROUNDS }, () => unsafeFigures(measure("load", 0, env)));
  const least = (name: string): number => Math.min(...runs.map((each) => each[name] ?? 0));
  return {
    importMs: medianOf(runs, "importMs"),
    loadMs: medianOf(runs, "loadMs"),
    importMsLeast: least("importMs"),
    loadMsLeast: least("loadMs"),
    programs: medianOf(runs, "programs"),
  };
}

async function main(): Promise<void> {
  compile();
  const rounds = Array.from({ length: ROUNDS }, () => ({
    c: unsafeFigures(
      execFileSync(`${BUILD}/baseline`, [`${BUILD}/bench.bpf.o`], { encoding: "utf8" }),
    ),
    ts: { ...unsafeFigures(measure("ring")), ...unsafeFigures(measure("maps")) },
  }));
  const compare = (name: string): Figures => {
    const c = medianOf(
      rounds.map((each) => each.c),
      name,
    );
    const ts = medianOf(
      rounds.map((each) => each.ts),
      name,
    );
    const ratio = median(rounds.map((each) => (each.ts[name] ?? 0) / (each.c[name] ?? 1)));
    return { c, ts, ratio };
  };
  const ring = compare("ringNs");
  const result = {
    ring: {
      ...ring,
      recordsPerSecondAgainstC: median(
        rounds.map((each) => (each.c["ringNs"] ?? 0) / (each.ts["ringNs"] ?? 1)),
      ),
      heapBytesPerRecord: medianOf(
        rounds.map((each) => each.ts),
        "heapBytesPerRecord",
      ),
    },
    get: compare("getNs"),
    set: compare("setNs"),
    batchOf100000: compare("batchNs"),
    load: {
      published: measureLoads({ LIBBPF_TS: stagePublished() }),
      fromSource: measureLoads({}),
    },
    cycles: unsafeFigures(measure("cycles", CYCLES)),
    programsLeftAfterKills: await killHolders(),
  };
  const text = `${JSON.stringify({ machine: describeMachine(), result }, null, 2)}\n`;
  mkdirSync(join(ROOT, "bench/results"), { recursive: true });
  writeFileSync(join(ROOT, "bench/results/libbpf-ts.json"), text);
  process.stdout.write(text);
}

await main();
