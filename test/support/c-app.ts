// SPDX-License-Identifier: Apache-2.0
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

const APPS: string = join(import.meta.dirname, "../apps");
const BUILD: string = join(import.meta.dirname, "../../build/test-apps");

/** Compiles a C program of `test/apps` with OpenSSL when it changed; all in one, stripped, if asked. */
export async function buildWithOpenssl(name: string, isStatic: boolean): Promise<string> {
  const source = join(APPS, `${name}.c`);
  const program = join(BUILD, isStatic ? `${name}-static` : name);
  if (existsSync(program) && statSync(program).mtimeMs > statSync(source).mtimeMs) return program;
  mkdirSync(BUILD, { recursive: true });
  const made = `${program}.${process.pid}`;
  const how = isStatic ? ["-static", "-s"] : [];
  await promisify(execFile)("cc", ["-O2", ...how, "-o", made, source, "-lssl", "-lcrypto"]);
  renameSync(made, program);
  return program;
}
