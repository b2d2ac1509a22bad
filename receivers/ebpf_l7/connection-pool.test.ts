// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { Connection } from "./connection.ts";
import { ConnectionPools } from "./connection-pool.ts";
import type { ConnectionRecord } from "./decode.ts";

const RECORD: ConnectionRecord = {
  ...{ socket: 1, pid: 7, localStart: 1, remoteStart: 2, localAddress: "127.0.0.1", localPort: 5 },
  ...{ remoteAddress: "127.0.0.1", remotePort: 80, family: 4, side: "opener", protocol: 1 },
  isDatagram: false,
};
const EVENTS = { begin() {}, end() {}, abandon() {}, lost() {} };

function pool(connections: number): {
  readonly all: readonly Connection[];
  ask(at: number, requests: number): boolean;
} {
  const pools = new ConnectionPools();
  const all = Array.from({ length: connections }, () => new Connection(RECORD, EVENTS));
  for (const one of all) one.pool = pools.of(one);
  const ask = (at: number, requests: number): boolean => {
    const one = all[at];
    assert.ok(one?.pool);
    const mayQueue = one.pool.mayQueue(one, requests);
    one.pool.setBusy(one, true);
    return mayQueue;
  };
  return { all, ask };
}

test("a call may have waited where all connections are busy and fewer than the requests", () => {
  const { all, ask } = pool(2);
  ask(0, 9);
  ask(1, 9);
  const [first] = all;
  assert.ok(first?.pool);
  first.pool.setBusy(first, false);
  assert.equal(ask(0, 9), true);
  first.pool.setBusy(first, false);
  assert.equal(ask(0, 2), false, "each request has its connection");
});

test("not where one is free", () => {
  const { ask } = pool(3);
  ask(0, 9);
  assert.equal(ask(1, 9), false);
});

test("requests that call several at once need more connections, if the pool does not grow", () => {
  const { all, ask } = pool(2);
  ask(0, 1);
  ask(1, 1);
  const [first] = all;
  assert.ok(first?.pool);
  assert.equal(ask(0, 1), false);
  const answers: boolean[] = [];
  for (let call = 0; call < 9; call++) {
    first.pool.setBusy(first, false);
    answers.push(ask(0, 2));
  }
  assert.deepEqual([answers[0], answers.at(-1)], [false, true], "two requests may want four");
});

test("a pool that grew later was not at its limit", () => {
  const pools = new ConnectionPools();
  const one = new Connection(RECORD, EVENTS);
  one.pool = pools.of(one);
  assert.equal(one.pool?.hasGrownBeyond(1), false);
  new Connection(RECORD, EVENTS).pool = pools.of(one);
  assert.equal(one.pool?.hasGrownBeyond(1), true);
});
