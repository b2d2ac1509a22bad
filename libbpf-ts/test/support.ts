// SPDX-License-Identifier: Apache-2.0
import { type ChildProcessByStdio, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { type BpfObject, type LoadedObject, openObject, probe } from "../src/index.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** `getppid`, which a test makes by reading `process.ppid` and nothing else does often. */
export const GETPPID: number = process.arch === "x64" ? 110 : 173;

/** Why programs cannot be loaded here, or undefined when they can. */
function refusal(): string | undefined {
  const { btf, tracing } = probe();
  const failed = [btf, tracing].find((each) => !each.isSupported);
  return failed === undefined ? undefined : `${failed.errno}: ${failed.advice}`;
}

/**
 * A test that loads programs into the kernel. Where that is not allowed it is skipped with the
 * reason, or fails when REQUIRE_KERNEL=1.
 */
export function kernelTest(name: string, body: () => void | Promise<void>): void {
  const reason = refusal();
  if (reason !== undefined && process.env["REQUIRE_KERNEL"] !== "1") {
    test(name, { skip: `this kernel refuses tracing programs: ${reason}` }, () => {});
    return;
  }
  test(name, body);
}

export function buildObjects(): void {
  execFileSync("bash", [`${ROOT}scripts/build-test-objects.sh`], { stdio: "inherit" });
}

export function objectPath(name: string): string {
  return `${ROOT}test/bpf/${name}.bpf.o`;
}

export type RingKnobs = Readonly<Record<string, number | boolean>>;

/** The ring program, made to observe this process only. */
export function openRingObject(knobs: RingKnobs = {}): BpfObject {
  const object = openObject(objectPath("ring"));
  object.rodata.set({ target_pid: process.pid, target_syscall: GETPPID, ...knobs });
  return object;
}

export function loadRing(knobs: RingKnobs = {}): LoadedObject {
  return openRingObject(knobs).load();
}

/** Makes the system call that the ring program answers. */
export function provoke(times: number): void {
  for (let time = 0; time < times; time++) {
    void process.ppid;
  }
}

export function u32(value: number): Uint8Array {
  return new Uint8Array(new Uint32Array([value]).buffer);
}

export function openFdCount(): number {
  return readdirSync("/proc/self/fd").length;
}

/** Lets finalizers and the native clean-up of detached buffers run. */
export async function nextTurn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

/** Waits until something holds; after five seconds it fails. */
export async function until(holds: () => boolean): Promise<void> {
  const end = performance.now() + 5_000;
  while (!holds()) {
    if (performance.now() > end) {
      throw new Error(`not within 5 s: ${holds.toString()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** The attach program, with only the given programs switched on, made to observe this process. */
export function loadAttach(
  programs: readonly string[],
  knobs: Readonly<Record<string, number>> = {},
): LoadedObject {
  const object = openObject(objectPath("attach"));
  for (const name of programs) {
    object.program(name).setAutoload(true);
  }
  object.rodata.set({ target_pid: process.pid, target_syscall: GETPPID, ...knobs });
  return object.load();
}

/** A variable of `.bss` as a number. */
export function counter(loaded: LoadedObject, name: string): number {
  using bss = loaded.mapGlobal(".bss");
  return Number(bss.get(name));
}

/** The libc that this process runs on. */
export function libcPath(): string {
  const found = /\s(\/\S*\/libc\.so\.6)$/m.exec(readFileSync("/proc/self/maps", "utf8"))?.[1];
  if (found === undefined || !existsSync(found)) {
    throw new Error("this process has no libc.so.6 mapped");
  }
  return found;
}

export const TARGET_PROGRAM: string = `${ROOT}test/build/target`;

/** A process of `test/programs/target.c` that does its work when asked. */
export class TargetProcess {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;

  constructor(path: string = TARGET_PROGRAM, words: readonly string[] = []) {
    this.#child = spawn(path, words, { stdio: ["pipe", "pipe", "inherit"] });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  /** One call of each of its functions. */
  async work(): Promise<void> {
    this.#child.stdin.write("go\n");
    await this.#lines.next();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#child, "exit");
    this.#child.stdin.end();
    await ended;
  }
}

/**
 * Runs a test file again inside a network namespace of its own, so that its hooks see no traffic but
 * its own. True inside; outside it registers one test that runs the inside.
 */
export function isInOwnNetwork(file: string): boolean {
  if (process.env["LIBBPF_TS_NETNS"] === "1") {
    execFileSync("ip", ["link", "set", "lo", "up"]);
    return true;
  }
  kernelTest(`in a network namespace of its own: ${file.split("/").pop()}`, async () => {
    const env = { ...process.env, LIBBPF_TS_NETNS: "1", NODE_TEST_CONTEXT: undefined };
    const child = spawn("unshare", ["--net", process.execPath, file], { env });
    const output: string[] = [];
    child.stdout.on("data", (chunk) => output.push(String(chunk)));
    child.stderr.on("data", (chunk) => output.push(String(chunk)));
    const [code] = await once(child, "exit");
    if (code !== 0) {
      throw new Error(`it ended with ${code}:\n${output.join("")}`);
    }
  });
  return false;
}
