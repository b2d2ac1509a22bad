// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { type BpfObject, type LoadedObject, openObject, probe } from "../src/index.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** `getppid`, which a test makes by reading `process.ppid` and nothing else does often. */
const GETPPID = process.arch === "x64" ? 110 : 173;

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
  execFileSync("bash", [`${ROOT}/scripts/build-test-objects.sh`], { stdio: "inherit" });
}

export function objectPath(name: string): string {
  return `${ROOT}/test/bpf/${name}.bpf.o`;
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
