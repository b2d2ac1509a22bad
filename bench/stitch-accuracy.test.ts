// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

const BENCH = fileURLToPath(new URL("stitch-accuracy.ts", import.meta.url));
const HEADER =
  "call,caller,callee,operation,client_start_us,client_end_us,server_start_us,server_end_us,parent_call,trace";
const EPOCH_US = 1_700_000_000_000_000;

let folder = "";
before(() => {
  folder = mkdtempSync(join(tmpdir(), "stitch-"));
});
after(() => rmSync(folder, { recursive: true }));

/** Requests of two calls in a row each, `gapUs` apart: `change` may spoil a row's times. */
function chain(
  requests: number,
  gapUs: number,
  change: (times: number[], row: number) => number[] = (times) => times,
): string[] {
  const rows: string[] = [];
  const add = (fields: (string | number)[], times: number[], parent: number | ""): number => {
    const row = rows.length + 1;
    const shown = change(times, row).map((time) => (Number.isNaN(time) ? "" : time));
    return rows.push([row, ...fields.slice(0, 3), ...shown, parent, fields[3]].join(","));
  };
  for (let request = 0; request < requests; request++) {
    const at = EPOCH_US + request * gapUs;
    const trace = `t${request}`;
    const none = Number.NaN;
    const root = add(["", "front", "GET /", trace], [none, none, at, at + 9000], "");
    add(["front", "a", "A", trace], [at + 500, at + 3000, at + 700, at + 2800], root);
    add(["front", "b", "B", trace], [at + 3300, at + 8000, at + 3500, at + 7800], root);
  }
  return rows;
}

function lastLine(name: string, rows: readonly string[], ...args: string[]): string {
  const path = join(folder, `${name}.csv`);
  writeFileSync(path, `${[HEADER, ...rows].join("\n")}\n`);
  const run = spawnSync(process.execPath, [BENCH, path, "--passes", "2", ...args], {
    encoding: "utf8",
    timeout: 120_000,
  });
  assert.equal(run.status, 0, run.stderr);
  return run.stdout.trimEnd().split("\n").at(-1) ?? "";
}

test("requests that do not overlap are all stitched", () => {
  assert.equal(lastLine("apart", chain(100, 20_000)), "calls 1.0000 traces 1.0000");
});

test("nothing to judge is nothing wrong", () => {
  assert.equal(lastLine("empty", []), "calls 1.0000 traces 1.0000");
  assert.equal(lastLine("roots", [chain(1, 1)[0] ?? ""]), "calls 1.0000 traces 1.0000");
});

test("a clock that jumps by years takes no time", () => {
  const jumps = (times: number[], row: number): number[] =>
    times.map((time) => (row > 150 ? time : time - EPOCH_US));
  assert.equal(lastLine("jump", chain(100, 20_000, jumps)), "calls 1.0000 traces 1.0000");
});

test("equal times, times that run backwards and no times at all give an answer", () => {
  const spoilt: readonly ((times: number[], row: number) => number[])[] = [
    (times) => times.map((time) => (Number.isNaN(time) ? time : EPOCH_US)),
    (times) => [...times].reverse(),
    (times) => times.map(() => Number.NaN),
  ];
  for (const [index, change] of spoilt.entries()) {
    const line = lastLine(`spoilt${index}`, chain(200, 20_000, change), "--overlap", "4");
    assert.match(line, /^calls [01]\.\d{4} traces [01]\.\d{4}$/);
  }
});

test("services that call each other in a circle, and themselves", () => {
  const rows = chain(100, 20_000).map((row) =>
    row.replace(",front,a,", ",front,front,").replace(",front,b,", ",a,front,"),
  );
  assert.match(lastLine("circle", rows), /^calls [01]\.\d{4} traces [01]\.\d{4}$/);
});

test("a row that does not fit is named", () => {
  const path = join(folder, "broken.csv");
  writeFileSync(path, `${HEADER}\n1,2,3\n`);
  const run = spawnSync(process.execPath, [BENCH, path], { encoding: "utf8" });
  assert.equal(run.status, 1);
  assert.match(run.stderr, /broken\.csv:2: expected 10 fields/);
});
