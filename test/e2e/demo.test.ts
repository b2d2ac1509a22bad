// SPDX-License-Identifier: Apache-2.0
// What `npm start` runs after set-up, with another port where the machine may use ours.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { bpfIdsOf, bpfLeftOf } from "../support/bpf-state.ts";
import { eventually } from "../support/eventually.ts";
import { freePorts } from "../support/proc-net.ts";
import { type RunningProcess, startProcess } from "../support/process.ts";

const START = join(import.meta.dirname, "../../demo/start.ts");
const NONE = { programs: [], links: [], maps: [] };

function demoFolders(): readonly string[] {
  return readdirSync(tmpdir()).filter((name) => name.startsWith("backstitch-demo-"));
}

/** The pids of a process's descendants, itself left out. */
function descendantsOf(pid: number): readonly number[] {
  const children = childrenOf(pid);
  return [...children, ...children.flatMap(descendantsOf)];
}

function childrenOf(pid: number): readonly number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((tid) =>
      readFileSync(`/proc/${pid}/task/${tid}/children`, "utf8")
        .split(" ")
        .filter(Boolean)
        .map(Number),
    );
  } catch {
    return [];
  }
}

/** A span's line: its sign, its service, and how its parent was found. */
const ROWS = [
  ["●", "nginx", undefined],
  ["○", "nginx", "same_thread"],
  ["●", "orders", "byte_name"],
  ["○", "orders", "same_thread"],
  ["●", "prices", "byte_name"],
  ["○", "prices", "same_thread"],
  ["●", "stock", "byte_name"],
] as const;

/** Trees of seven spans in four services, each span below the one before. */
function wholeTrees(text: string): number {
  const [, ...trees] = text.split(/^(?=trace [0-9a-f]{32} )/m);
  return trees.filter(isWholeTree).length;
}

function isWholeTree(tree: string): boolean {
  const [head = "", ...lines] = tree.split("\n");
  if (!/ 7 spans · 4 services · /.test(head)) return false;
  return ROWS.every(([sign, service, evidence], depth) => {
    const match = /^( *)(?:└ )?([●○]) (\w+) .*?(?:← (\w+))?$/.exec(lines[depth] ?? "");
    if (match === null) return false;
    const indent = 2 + Math.max(0, depth - 1) * 2;
    return (
      match[1]?.length === indent &&
      match[2] === sign &&
      match[3] === service &&
      match[4] === evidence
    );
  });
}

async function startDemo(): Promise<RunningProcess> {
  const [grpc = 0, http = 0] = await freePorts(2);
  const protocols = "receivers::otlp::protocols";
  return await startProcess({
    command: process.execPath,
    args: [
      START,
      ...["--set", `${protocols}::grpc::endpoint=127.0.0.1:${grpc}`],
      ...["--set", `${protocols}::http::endpoint=127.0.0.1:${http}`],
      ...["--set", "service::telemetry::metrics::level=none"],
    ],
    env: { NO_COLOR: "1" },
    readyOutput: /Everything is ready/,
    readyTimeoutMs: 40_000,
  });
}

test("the demo prints whole trees of all its services, and Ctrl-C leaves nothing behind", async () => {
  const foldersBefore = new Set(demoFolders());
  await using demo = await startDemo();
  const started = descendantsOf(demo.pid);
  const ids = started.map(bpfIdsOf).find((found) => found.programs.length > 0) ?? NONE;
  assert.ok(ids.programs.length > 0, "the agent is among them");
  const names = ["nginx", "orders", "prices", "stock"];
  const pids = names.map((name) => {
    const pid = Number(
      new RegExp(`^  ${name}: pid (\\d+), port \\d+$`, "m").exec(demo.output())?.[1],
    );
    assert.ok(started.includes(pid), `${name} is said to be process ${pid}`);
    return pid;
  });

  const isWhole = (text: string): boolean => wholeTrees(text) >= 3;
  const output = await eventually(async () => demo.output(), isWhole, 15_000);
  assert.ok(isWhole(output), output);
  assert.match(output, /nginx → orders \(Node\) → prices \(Python\) → stock \(Go\)/);

  const end = await demo.stop({ signal: "SIGINT", graceMs: 10_000 });
  assert.deepEqual(end, { code: 0, signal: null }, demo.output());
  assert.match(demo.output(), /its processes and files are gone/);
  for (const pid of [...pids, ...started]) assert.ok(!existsSync(`/proc/${pid}`), `pid ${pid}`);
  assert.deepEqual(
    demoFolders().filter((name) => !foldersBefore.has(name)),
    [],
  );
  assert.deepEqual(await bpfLeftOf(ids), NONE);
});
