// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { fileURLToPath } from "node:url";
import { FunctionIndex } from "libbpf-ts";
import { type MappedFile, mappedFiles } from "../tls/mappings.ts";
import {
  AttachRefused,
  attachCommand,
  inspectJava,
  type JavaProcess,
  JavaTmp,
} from "./java-attach.ts";

const JAR = fileURLToPath(
  new URL("../../../build/java/backstitch-java-agent.jar", import.meta.url),
);
/** The native method by which the agent in the JVM speaks; see java-agent/README.md. */
const CHANNEL = "Java_java_io_FileDescriptor_getHandle";
/** The agent in the JVM ends when the lease was not touched for 20 s. */
const TOUCH_MS = 4000;

/** The library that holds the native method, if the process is a JVM whose libraries are loaded. */
export function javaLibrary(pid: number): MappedFile | undefined {
  const files = mappedFiles(pid);
  if (!files.some(({ name }) => name.endsWith("/libjvm.so"))) return undefined;
  return files.find(({ name }) => name.endsWith("/libjava.so"));
}

/** Where the library's method begins, bytes from the start of the file. */
export function channelOffset({ path }: MappedFile): number | undefined {
  using index = FunctionIndex.open(path);
  return index.find(CHANNEL)[0]?.offset;
}

/** The agent in one JVM, as long as it is wanted. */
export interface JavaAgent {
  /** Address of its table of slots in the JVM. */
  readonly table: bigint;
  readonly methods: number;
  /** Where its lease is, as the JVM names it. */
  readonly folder: string;
  /** It unweaves itself within a second. May be called twice, and when the JVM is gone. */
  release(): void;
}

/**
 * Loads our agent into a running JVM. The jar is copied to where the JVM can read it and removed
 * once it is loaded.
 * @throws AttachRefused
 */
export async function loadJavaAgent(pid: number): Promise<JavaAgent> {
  if (!existsSync(JAR)) {
    throw new AttachRefused("the Java agent is not built. Run: bash java-agent/build.sh");
  }
  const java = inspectJava(pid);
  const tmp = new JavaTmp(java);
  const name = `.backstitch-${randomBytes(6).toString("hex")}`;
  const folder = tmp.path(name);
  const release = (): void => {
    rmSync(folder, { recursive: true, force: true });
    tmp[Symbol.dispose]();
  };
  try {
    placeFiles(java, folder);
    const [jar, lease] = [`/tmp/${name}/agent.jar`, `/tmp/${name}/lease`];
    await attachCommand(java, "load", "instrument", "false", `${jar}=${lease}`);
    const { table, methods } = parseState(await attachCommand(java, "agentProperties"));
    rmSync(`${folder}/agent.jar`, { force: true });
    const timer = setInterval(() => touch(`${folder}/lease`), TOUCH_MS).unref();
    let isHeld = true;
    const end = (): void => {
      if (!isHeld) return;
      isHeld = false;
      clearInterval(timer);
      release();
    };
    return { table, methods, folder: `/tmp/${name}`, release: end };
  } catch (cause) {
    release();
    throw cause;
  }
}

function placeFiles(java: JavaProcess, folder: string): void {
  try {
    mkdirSync(folder, { mode: 0o700 });
    copyFileSync(JAR, `${folder}/agent.jar`);
    chmodSync(`${folder}/agent.jar`, 0o400);
    writeFileSync(`${folder}/lease`, "", { mode: 0o600 });
    for (const path of [`${folder}/agent.jar`, `${folder}/lease`, folder]) {
      chownSync(path, java.uid, java.gid);
    }
  } catch (cause) {
    throw new AttachRefused(`cannot write to /tmp of process ${java.pid}: ${String(cause)}`, {
      cause,
    });
  }
}

function touch(lease: string): void {
  try {
    const now = new Date();
    utimesSync(lease, now, now);
  } catch {
    // The JVM has ended, or its agent has.
  }
}

/** `backstitch.state` among the agent properties, in the form of java.util.Properties. */
export function parseState(properties: string): { table: bigint; methods: number } {
  const state = /^backstitch\.state=(.*)$/m.exec(properties)?.[1]?.replaceAll("\\", "") ?? "";
  const [, table, methods] = /^on table=([0-9a-f]+) methods=(\d+)$/.exec(state) ?? [];
  if (table === undefined) {
    throw new AttachRefused(`the agent in the JVM did not start: ${state || "it says nothing"}`);
  }
  return { table: BigInt(`0x${table}`), methods: Number(methods) };
}
