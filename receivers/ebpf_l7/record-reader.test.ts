// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { DATA_NO_PAYLOAD, DATA_SEND, DATA_SHED } from "../../bpf/generated/wire.ts";
import { REQUEST, RESPONSE, RingBench } from "./testing/ring-bench.ts";

test("a request and its response become one exchange", () => {
  const bench = new RingBench();
  bench.connection(1);
  bench.data(1, DATA_SEND, 0, REQUEST);
  bench.data(1, 0, 0, RESPONSE);
  assert.equal(bench.finished.length, 1);
  assert.equal(bench.table.get(1)?.role, "client");
});

test("a socket that nobody announced is counted and asks for it", async () => {
  const bench = new RingBench();
  bench.data(9, DATA_SEND, 0, REQUEST);
  assert.equal(bench.unknown, 1);
  assert.equal(bench.account.recordsUnknownConnection.value, 1);
  assert.equal(bench.account.exchangesStarted.value, 0);
});

test("what is open on a connection that is shed is given up, and later requests are found", async () => {
  const bench = new RingBench();
  bench.connection(1);
  bench.data(1, DATA_SEND, 0, REQUEST);
  bench.data(1, DATA_SHED | DATA_NO_PAYLOAD, 0, RESPONSE);
  assert.equal(await bench.abandoned("shed"), 1);
  // The first response shows that nothing else is open; from there on it is exact.
  for (const index of [5, 6]) {
    bench.data(1, DATA_SEND, index * REQUEST.length, REQUEST);
    bench.data(1, 0, index * RESPONSE.length, RESPONSE);
  }
  assert.equal(bench.finished.length, 1);
  assert.equal(bench.finished[0]?.requestPosition, 6 * REQUEST.length);
});

test("an end that got further than the records is a gap, not a request without response", async () => {
  const bench = new RingBench();
  bench.connection(1);
  bench.data(1, DATA_SEND, 0, REQUEST);
  bench.close(1, REQUEST.length, 0);
  assert.equal(bench.finished.length, 1, "nothing came: an error span");
  bench.connection(2, 200);
  bench.data(2, DATA_SEND, 0, REQUEST);
  bench.data(2, 0, 0, "HTTP/1.1 200 OK\r\nContent-Le");
  bench.close(2, REQUEST.length, 500);
  assert.equal(bench.finished.length, 1);
  assert.equal(await bench.abandoned("gap"), 1);
  assert.equal(bench.table.size, 0);
});

test("a connection that is announced again goes on, one of another name starts anew", async () => {
  const bench = new RingBench();
  bench.connection(1);
  bench.data(1, DATA_SEND, 0, REQUEST);
  bench.connection(1);
  bench.data(1, 0, 0, RESPONSE);
  assert.equal(bench.finished.length, 1);
  bench.data(1, DATA_SEND, REQUEST.length, REQUEST);
  bench.connection(1, 999);
  assert.equal(await bench.abandoned("gap"), 1);
  assert.equal(bench.table.size, 1);
});

test("a full table forgets one and counts what it had open", async () => {
  const bench = new RingBench(2);
  for (const socket of [1, 2, 3]) {
    bench.connection(socket, socket);
    bench.data(socket, DATA_SEND, 0, REQUEST);
  }
  assert.equal(bench.table.size, 2);
  assert.equal(bench.table.get(1), undefined);
  assert.equal(await bench.abandoned("evicted"), 1);
  assert.equal(bench.account.connectionsEvicted.value, 1);
});
