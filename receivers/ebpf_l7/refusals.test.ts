// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Fields } from "../../src/component/telemetry.ts";
import { Refusals } from "./refusals.ts";

function refusals(): { readonly log: Refusals; readonly lines: string[] } {
  const lines: string[] = [];
  const write = (message: string, fields?: Fields): void => {
    lines.push(`${message} ${JSON.stringify(fields ?? {})}`);
  };
  const log = new Refusals({ debug: write, info: write, warn: write, error: write }, "TLS");
  return { log, lines };
}

test("a process that cannot be followed is listed with its reason until it is, or ends", () => {
  const { log, lines } = refusals();
  log.warn("TLS is opaque", { pid: 7, service: "orders", reason: "no symbols" });
  log.warn("TLS is opaque", { pid: 8, service: "", reason: "EPERM" });
  assert.deepEqual(log.list(), [
    { name: "TLS of orders (pid 7)", reason: "TLS is opaque: no symbols" },
    { name: "TLS of process (pid 8)", reason: "TLS is opaque: EPERM" },
  ]);
  log.info("TLS followed", { pid: 7, kind: "openssl" });
  log.forget(8);
  assert.deepEqual(log.list(), []);
  assert.equal(lines.length, 3);
});

test("other lines are logged and change nothing, and the list is bounded", () => {
  const { log, lines } = refusals();
  log.warn("Something else");
  log.error("Bad", { pid: 3 });
  log.debug("Detail");
  assert.deepEqual([log.list(), lines.length], [[], 3]);
  for (let pid = 1; pid <= 1_000; pid++) log.warn("No", { pid, reason: "x" });
  assert.equal(log.list().length, 256);
});
