// SPDX-License-Identifier: Apache-2.0
// Builds the page into dist/: `node extensions/ui/page/build.ts [--check]`. `--check` fails when
// dist/ is older than what it is made of.
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { build } from "esbuild";

const PAGE = import.meta.dirname;
const DIST = join(PAGE, "dist");
const BUILT = ["app.js", "app.css"];
const COPIED = ["index.html", "icon.svg"];

function newestMs(folder: string): number {
  const times = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !join(entry.parentPath, "").startsWith(DIST))
    .map((entry) => statSync(join(entry.parentPath, entry.name)).mtimeMs);
  return Math.max(...times);
}

function isFresh(): boolean {
  try {
    const builtMs = Math.min(
      ...[...BUILT, ...COPIED].map((name) => statSync(join(DIST, name)).mtimeMs),
    );
    return builtMs >= newestMs(PAGE);
  } catch {
    return false;
  }
}

async function buildPage(): Promise<void> {
  mkdirSync(DIST, { recursive: true });
  await build({
    entryPoints: [
      { in: join(PAGE, "src/main.tsx"), out: "app" },
      { in: join(PAGE, "src/style.css"), out: "app" },
    ],
    outdir: DIST,
    bundle: true,
    format: "esm",
    target: "es2022",
    minify: true,
    legalComments: "none",
    jsx: "automatic",
    jsxImportSource: "preact",
    logLevel: "warning",
  });
  for (const name of COPIED) copyFileSync(join(PAGE, name), join(DIST, name));
  for (const name of [...BUILT, ...COPIED]) {
    const bytes = readFileSync(join(DIST, name));
    writeFileSync(join(DIST, `${name}.br`), brotliCompressSync(bytes));
    writeFileSync(join(DIST, `${name}.gz`), gzipSync(bytes, { level: 9 }));
  }
}

if (process.argv.includes("--check")) process.exitCode = isFresh() ? 0 : 1;
else await buildPage();
