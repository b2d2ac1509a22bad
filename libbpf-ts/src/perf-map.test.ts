// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { PerfMap } from "./perf-map.ts";
import { parseMappings } from "./process-memory.ts";

test("perf maps are read in Node's spelling and in that of JDK 17", () => {
  const map = PerfMap.parse(
    "7f0000001000 20 LazyCompile:~work /app/x.js:3\n0x00007f0000002000 40 int Shop.sell(int)\n",
  );
  assert.equal(map.find(0x7f0000001000)?.name, "LazyCompile:~work /app/x.js:3");
  assert.equal(map.find(0x7f000000103f), undefined);
  assert.equal(map.find(0x7f000000203f)?.name, "int Shop.sell(int)");
  assert.equal(map.find(0x7f0000000fff), undefined);
});

test("a later entry takes the place of an earlier one, and what is no entry is left out", () => {
  const map = PerfMap.parse("1000 10 old\nnonsense\n1000 10 new\n\n0ff0 100 around\n");
  assert.equal(map.find(0x1008)?.name, "new");
  assert.equal(map.find(0x1018)?.name, "around");
});

test("mappings are read with paths that hold spaces, executable ones only", () => {
  const mappings = parseMappings(
    "00400000-00401000 r-xp 00001000 fd:01 123 /opt/my app (deleted)\n" +
      "00600000-00601000 rw-p 00000000 00:00 0 \n" +
      "7f0000000000-7f0000001000 rwxp 00000000 00:00 0 \n",
  );
  assert.deepEqual(mappings, [
    {
      start: 0x400000,
      end: 0x401000,
      offset: 0x1000,
      fileId: "fd:01 123",
      path: "/opt/my app (deleted)",
    },
    { start: 0x7f0000000000, end: 0x7f0000001000, offset: 0, fileId: "00:00 0", path: "" },
  ]);
});
