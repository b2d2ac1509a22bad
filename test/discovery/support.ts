// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BpfMap, type LoadedObject, openObject } from "libbpf-ts";
import { configSchema } from "../../extensions/discovery/config.ts";
import { Discovery } from "../../extensions/discovery/discovery.ts";
import type { SelectionChange } from "../../src/model/process.ts";
import {
  createMemoryTelemetry,
  type MemoryTelemetry,
} from "../../src/telemetry/memory-telemetry.ts";
import { eventually } from "../support/eventually.ts";

const ROOT = join(import.meta.dirname, "../..");
const MARK_BYTES = 16;
/** What the issue promises, in which the tests must see a change. */
export const NOTICED_WITHIN_MS = 1000;

/** A thread that the kernel has marked. */
export interface Mark {
  readonly tgid: number;
  readonly tid: number;
  readonly target: number;
  readonly pending: number;
}

export interface StartedDiscovery extends AsyncDisposable {
  readonly discovery: Discovery;
  readonly memory: MemoryTelemetry;
  readonly changes: readonly SelectionChange[];
  /** The marks of a process's threads, in the kernel. */
  marks(pid: number): readonly Mark[];
  allMarks(): readonly Mark[];
  serviceName(pid: number): string | undefined;
}

/** A new folder for files that no selector of another test matches. */
export function createFolder(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "discovery-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

export async function startDiscovery(config: unknown): Promise<StartedDiscovery> {
  const memory = createMemoryTelemetry();
  const settings = { id: "discovery", telemetry: memory.telemetry, buildInfo: { version: "0" } };
  const discovery = new Discovery(settings, configSchema.parse(config));
  const changes: SelectionChange[] = [];
  discovery.changes.subscribe((change) => changes.push(change));
  await discovery.start({ extension: () => undefined, fatal: () => {} });
  const reader = loadMarkReader(discovery.selectionMap);
  const allMarks = (): readonly Mark[] => readMarks(reader);
  return {
    discovery,
    memory,
    changes,
    allMarks,
    marks: (pid) => allMarks().filter((mark) => mark.tgid === pid),
    serviceName: (pid) => discovery.process(pid)?.serviceName,
    [Symbol.asyncDispose]: async () => {
      reader.close();
      await discovery.shutdown(AbortSignal.timeout(1000));
    },
  };
}

/** True once `isTrue` says so within what the issue promises. */
export async function isSoon(isTrue: () => boolean): Promise<boolean> {
  return await eventually(
    () => Promise.resolve(isTrue()),
    (answer) => answer,
    NOTICED_WITHIN_MS,
  );
}

/** True while `isTrue` holds for longer than what the issue promises. */
export async function staysTrue(isTrue: () => boolean): Promise<boolean> {
  return await eventually(
    () => Promise.resolve(isTrue()),
    (answer) => !answer,
    NOTICED_WITHIN_MS + 200,
  );
}

/** Where the unified hierarchy is mounted, on hosts that have both. */
export function cgroupMount(): string {
  const mount = readFileSync("/proc/mounts", "utf8")
    .split("\n")
    .find((line) => line.split(" ")[2] === "cgroup2");
  return mount?.split(" ")[1] ?? "/sys/fs/cgroup";
}

/** No timer, no drain: what happens meanwhile is the kernel's own doing. */
export function blockEventLoop(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

let compiled: string | undefined;

function loadMarkReader(selectionMap: BpfMap): LoadedObject {
  compiled ??= compileMarkReader();
  const object = openObject(compiled);
  object.map("selected_tasks").reuse(selectionMap);
  return object.load();
}

function compileMarkReader(): string {
  const output = join(ROOT, "build/bpf/test-marks.bpf.o");
  const includes = ["bpf/include", "libbpf-ts/native/include"].map(
    (path) => `-I${join(ROOT, path)}`,
  );
  const args = ["-O2", "-g", "-target", "bpf", ...includes, "-c"];
  execFileSync(findClang(), [...args, join(import.meta.dirname, "marks.bpf.c"), "-o", output]);
  return output;
}

function findClang(): string {
  for (const name of ["clang-19", "clang", "clang-18", "clang-17", "clang-16"]) {
    try {
      execFileSync(name, ["--version"], { stdio: "ignore" });
      return name;
    } catch {
      // Not this one.
    }
  }
  throw new Error("no clang was found. Run: bash scripts/setup.sh test");
}

function readMarks(reader: LoadedObject): readonly Mark[] {
  const bytes = reader.runIterator("list_marks");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const marks: Mark[] = [];
  for (let at = 0; at + MARK_BYTES <= bytes.length; at += MARK_BYTES) {
    marks.push({
      tgid: view.getUint32(at, true),
      tid: view.getUint32(at + 4, true),
      target: view.getUint32(at + 8, true),
      pending: view.getUint32(at + 12, true),
    });
  }
  return marks;
}
