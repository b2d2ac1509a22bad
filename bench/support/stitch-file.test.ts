// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { overlapped, readStitchFile } from "./stitch-file.ts";

const HEAD =
  "call,caller,callee,operation,client_start_us,client_end_us,server_start_us,server_end_us,parent_call,trace";
const ROWS = [
  "1,,web,GET /,,,1000,9000,,aa",
  "2,web,db,query,2000,3000,,,1,aa",
  "3,,web,GET /,,,101000,109000,,bb",
];

function reading<T>(text: string, use: (path: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), "stitch-"));
  const path = join(folder, "calls.csv.gz");
  try {
    writeFileSync(path, gzipSync(text));
    return use(path);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("a data set is read with absent times as NaN and roots without a caller", () => {
  const calls = reading(`${[HEAD, ...ROWS].join("\n")}\n`, readStitchFile);
  assert.equal(calls.length, 3);
  assert.equal(calls[0]?.caller, "");
  assert.ok(Number.isNaN(calls[0]?.clientStartUs));
  assert.ok(Number.isNaN(calls[1]?.serverStartUs));
  assert.equal(calls[1]?.parentCall, 1);
});

test("other columns and broken rows are refused with their line", () => {
  assert.throws(() => reading("a,b\n", readStitchFile), /:1: expected the columns/);
  assert.throws(() => reading(`${HEAD}\n1,2\n`, readStitchFile), /:2: expected 10 fields/);
});

test("overlapping shrinks the gaps between traces and keeps each trace's own times", () => {
  const calls = reading([HEAD, ...ROWS].join("\n"), readStitchFile);
  const [root, query, second] = overlapped(calls, 4);
  assert.deepEqual([root?.serverStartUs, root?.serverEndUs], [1000, 9000]);
  assert.equal(query?.clientStartUs, 2000);
  assert.deepEqual([second?.serverStartUs, second?.serverEndUs], [26_000, 34_000]);
});
