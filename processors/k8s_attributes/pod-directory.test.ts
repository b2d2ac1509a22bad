// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "../../src/kubernetes/objects.ts";
import { PodDirectory } from "./pod-directory.ts";

const EPOCH_MS = Date.parse("2026-01-01T00:00:00Z");

function pod(name: string, startS: number): Pod {
  return {
    ...{ uid: name, name, namespace: "shop", labels: new Map(), annotations: new Map() },
    ...{ owner: undefined, node: "n", hostname: name, ips: ["10.1.0.7"], isFinished: false },
    startTime: new Date(EPOCH_MS + startS * 1000).toISOString(),
    containers: [],
  };
}

test("pods that had one address one after the other are told apart by time", () => {
  let nowMs = 0;
  const directory = new PodDirectory({
    ...{ rules: [], graceMs: 60_000, nowMs: () => nowMs, epochMs: EPOCH_MS },
  });
  const at = (s: number): string | undefined =>
    directory.byIp("10.1.0.7", EPOCH_MS + s * 1000)?.name;
  const first = pod("first", 0);
  directory.change(first, undefined);
  assert.ok(!directory.isShared("10.1.0.7"));
  nowMs = 20_000;
  directory.change(undefined, first);
  nowMs = 25_000;
  directory.change(pod("second", 25), undefined);
  assert.ok(directory.isShared("10.1.0.7"));
  assert.equal(at(10), "first");
  assert.equal(at(19), "first");
  assert.equal(at(30), "second");
  assert.equal(directory.byIp("10.1.0.7")?.name, "second");
  nowMs = 90_000;
  directory.sweep();
  assert.ok(!directory.isShared("10.1.0.7"));
  assert.equal(at(10), "second", "nobody else is known any more");
});
