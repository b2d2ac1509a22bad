// SPDX-License-Identifier: Apache-2.0
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { eventually } from "./eventually.ts";
import { type RunningProcess, startProcess } from "./process.ts";

const FOLDER = join(import.meta.dirname, "..", "java");
/** Quick to start; serialization of exceptions looks into Java's own. */
const JAVA = [
  ...["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Xmx256m"],
  "--add-opens=java.base/java.lang=ALL-UNNAMED",
];

export interface JavaSession {
  readonly pid: number;
  /** Lets it work, and waits until it has. */
  run(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** What java needs to run what test/java/NAME has; built once. */
async function classPath(name: string): Promise<string> {
  const { stdout } = await promisify(execFile)(join(FOLDER, "build.sh"), [name]);
  const built = stdout.trim();
  return `${built}/*:${built}/classes`;
}

/** A class of test/java/NAME's jars, running. */
export async function startJava(
  name: string,
  args: readonly string[],
  readyPort: number,
): Promise<RunningProcess> {
  return await startProcess({
    command: "java",
    args: [...JAVA, "-cp", await classPath(name), ...args],
    readyPort,
    readyTimeoutMs: 90_000,
  });
}

/** test/java/NAME/Session.java, ready and waiting; `args` go behind its port and gate. */
export async function startJavaSession(
  name: string,
  port: number,
  options: { readonly jvm?: readonly string[]; readonly args?: readonly string[] } = {},
): Promise<JavaSession> {
  const folder = mkdtempSync(join(tmpdir(), `backstitch-${name}-`));
  const gate = join(folder, "gate");
  const { jvm = [], args = [] } = options;
  const session = await startProcess({
    command: "java",
    args: [
      ...[...JAVA, ...jvm, `-Duser.home=${folder}`, "-cp", await classPath(name)],
      ...["Session", String(port), gate, ...args],
    ],
    readyOutput: /ready/,
    readyTimeoutMs: 90_000,
  });
  return {
    pid: session.pid,
    run: async () => {
      writeFileSync(gate, "");
      const output = await eventually(
        async () => session.output(),
        (text) => /^done|Exception in thread/m.test(text),
        90_000,
      );
      if (!/^done/m.test(output)) throw new Error(output);
    },
    [Symbol.asyncDispose]: async () => {
      await session.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
