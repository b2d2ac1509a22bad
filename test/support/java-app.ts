// SPDX-License-Identifier: Apache-2.0
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Jdk, jdkSince } from "./jdk.ts";
import { cacheDirectory } from "./services.ts";

const APPS = join(import.meta.dirname, "../apps");

/**
 * The command of the Java program `test/apps/PATH.java`; compiled, for Java 17, if it changed since
 * the last build. `jdk`: that runs it.
 */
export async function buildJava(path: string, jdk?: Jdk): Promise<readonly string[]> {
  const compiler = jdkSince(17);
  if (compiler === undefined) throw new Error("no JDK of 17 or later: apt-get install default-jdk");
  const source = join(APPS, `${path}.java`);
  const hash = createHash("sha256").update(readFileSync(source)).digest("hex").slice(0, 12);
  const name = path.slice(path.lastIndexOf("/") + 1);
  const directory = join(cacheDirectory(), `java-${name}-${hash}`);
  if (!existsSync(directory)) {
    const unfinished = `${directory}.${process.pid}`;
    mkdirSync(unfinished, { recursive: true });
    await promisify(execFile)(compiler.javac, ["--release", "17", "-d", unfinished, source]);
    if (!existsSync(directory)) renameSync(unfinished, directory);
  }
  return [(jdk ?? compiler).java, "-Xmx256m", "-XX:+UseSerialGC", "-cp", directory, name];
}
