// SPDX-License-Identifier: Apache-2.0
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { cacheDirectory } from "./services.ts";

const APPS = join(import.meta.dirname, "../apps");

/**
 * The binary of the Go module in `test/apps/NAME`; built if it changed since the last build.
 * `isStripped`: without symbols.
 */
export async function buildGo(name: string, isStripped = false): Promise<string> {
  const source = join(APPS, name);
  const hash = createHash("sha256");
  for (const file of readdirSync(source).sort()) hash.update(readFileSync(join(source, file)));
  const kind = isStripped ? `${name}-stripped` : name;
  const directory = join(cacheDirectory(), `${kind}-${hash.digest("hex").slice(0, 12)}`);
  const binary = join(directory, name);
  if (existsSync(binary)) return binary;
  mkdirSync(directory, { recursive: true });
  const unfinished = `${binary}.${process.pid}`;
  await promisify(execFile)(
    "go",
    ["build", ...(isStripped ? ["-ldflags", "-s -w"] : []), "-o", unfinished, "."],
    {
      cwd: source,
      env: { ...process.env, GOFLAGS: "-buildvcs=false -trimpath", CGO_ENABLED: "0" },
    },
  );
  renameSync(unfinished, binary);
  return binary;
}
