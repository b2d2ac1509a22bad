// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { DATA_SEND, DATA_SLEPT, DATA_WAITED } from "../../bpf/generated/wire.ts";
import { TRIGGER_NONE, TRIGGER_REQUEST } from "../../src/model/stitch-key.ts";
import { REQUEST, RESPONSE, RingBench } from "./testing/ring-bench.ts";

const RECEIVED = 0;
const CALL = 100;

interface Turn {
  readonly socket: number;
  readonly tid: number;
}

/** A thread reads an incoming request. */
function arrive(bench: RingBench, { socket, tid }: Turn): void {
  bench.connection(socket, socket);
  bench.data(socket, RECEIVED, 0, REQUEST, { tid });
}

/** A thread that has last read the request on `socket` makes a call and reads its response. */
function call(bench: RingBench, { socket, tid }: Turn): number | undefined {
  const out = CALL + socket;
  bench.connection(out, out);
  const trigger = { triggerSocket: socket, triggerPosition: REQUEST.length };
  bench.data(out, DATA_SEND, 0, REQUEST, { tid, ...trigger });
  bench.data(out, RECEIVED, 0, RESPONSE, { tid });
  return bench.triggers.at(-1);
}

/** The only request of the only thread comes at `position`, and leads to a call after a sleep. */
function callAfterSleep(bench: RingBench, socket: number, position: number): unknown {
  bench.connection(socket, socket);
  if (position > 0) {
    // Of a connection from before the first response shows where requests begin.
    bench.data(socket, RECEIVED, position - REQUEST.length, REQUEST);
    bench.data(socket, DATA_SEND, position, RESPONSE);
  }
  bench.data(socket, RECEIVED, position, REQUEST);
  bench.connection(CALL + socket, CALL + socket);
  const trigger = { triggerSocket: socket, triggerPosition: position + REQUEST.length };
  bench.data(CALL + socket, DATA_SEND | DATA_SLEPT | DATA_WAITED, 0, REQUEST, trigger);
  bench.data(CALL + socket, RECEIVED, 0, RESPONSE);
  return bench.opens.at(-1);
}

test("where a connection is from before, a request may be, too", () => {
  assert.deepEqual(callAfterSleep(new RingBench(), 1, 0), [1, 1]);
  assert.deepEqual(callAfterSleep(new RingBench(), 1, 300), [1, 2]);
});

function answer(bench: RingBench, { socket, tid }: Turn): void {
  bench.data(socket, DATA_SEND, 0, RESPONSE, { tid });
}

test("a call has the request as its trigger that its thread read last", () => {
  const bench = new RingBench();
  arrive(bench, { socket: 1, tid: 1 });
  arrive(bench, { socket: 2, tid: 1 });
  assert.equal(call(bench, { socket: 2, tid: 1 }), TRIGGER_REQUEST);
});

test("the other end of a connection is known to be unwatched only after a while", () => {
  const bench = new RingBench();
  bench.connection(1, 1);
  const exchange = (round: number): void => {
    bench.data(1, RECEIVED, round * REQUEST.length, REQUEST);
    bench.data(1, DATA_SEND, round * RESPONSE.length, RESPONSE);
  };
  exchange(0);
  bench.pass(6e9);
  for (let round = 1; round < 5; round++) exchange(round);
  assert.deepEqual(bench.alone, [false, false, false, false, true]);
  bench.connection(2, 2);
  for (let round = 0; round < 6; round++) {
    bench.data(2, RECEIVED, round * REQUEST.length, REQUEST);
    bench.data(2, DATA_SEND, round * RESPONSE.length, RESPONSE);
  }
  assert.equal(bench.alone.at(-1), false, "it has just begun");
});

test("where threads share work, a call has a trigger only while one request is open", () => {
  const bench = new RingBench();
  arrive(bench, { socket: 1, tid: 1 });
  answer(bench, { socket: 1, tid: 2 });
  arrive(bench, { socket: 2, tid: 1 });
  assert.equal(call(bench, { socket: 2, tid: 1 }), TRIGGER_REQUEST);
  arrive(bench, { socket: 3, tid: 3 });
  assert.equal(call(bench, { socket: 3, tid: 3 }), TRIGGER_NONE);
});

test("threads that each answer what they read do not share work", () => {
  const bench = new RingBench();
  for (const tid of [1, 2, 3]) arrive(bench, { socket: tid, tid });
  for (const tid of [1, 2, 3]) {
    assert.equal(call(bench, { socket: tid, tid }), TRIGGER_REQUEST);
    answer(bench, { socket: tid, tid });
  }
});

test("a Python thread with several requests open has read ahead", () => {
  const bench = new RingBench(16, new Map([["process.runtime.name", "cpython"]]));
  arrive(bench, { socket: 1, tid: 1 });
  assert.equal(call(bench, { socket: 1, tid: 1 }), TRIGGER_REQUEST);
  arrive(bench, { socket: 2, tid: 1 });
  assert.equal(call(bench, { socket: 2, tid: 1 }), TRIGGER_NONE);
});
