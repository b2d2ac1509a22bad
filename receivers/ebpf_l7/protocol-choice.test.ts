// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CONNECTION_ACCEPTER,
  DATA_SEND,
  DATA_UNDETERMINED,
  WIRE_PROTOCOL_FOLLOWED,
  WIRE_PROTOCOL_HTTP1,
  WIRE_PROTOCOL_IGNORED,
  WIRE_PROTOCOL_POSTGRESQL,
  WIRE_PROTOCOL_REDIS,
  WIRE_PROTOCOL_TLS,
  WIRE_PROTOCOL_UNDETERMINED,
} from "../../bpf/generated/wire.ts";
import type { Protocol } from "../../src/model/protocol.ts";
import { TRIGGER_REQUEST } from "../../src/model/stitch-key.ts";
import { BENCH_PORT, REQUEST, RESPONSE, RingBench } from "./testing/ring-bench.ts";

const RARE = REQUEST.replace("GET", "FROBNICATE");
const START = 100;

test("the kernel is told once what was found in an undetermined connection", () => {
  const bench = new RingBench();
  bench.connection(1, START, WIRE_PROTOCOL_UNDETERMINED);
  for (const index of [0, 1]) {
    bench.data(1, DATA_SEND | DATA_UNDETERMINED, index * RARE.length, RARE);
    bench.data(1, DATA_UNDETERMINED, index * RESPONSE.length, RESPONSE);
  }
  assert.deepEqual(bench.verdicts, [[1, START, WIRE_PROTOCOL_HTTP1]]);
  assert.equal(bench.finished.length, 2);
});

test("the kernel is told of encryption and of what nobody knows", async () => {
  const bench = new RingBench();
  bench.connection(1, START, WIRE_PROTOCOL_UNDETERMINED);
  bench.data(1, DATA_SEND, 0, `\x16\x03\x01\x00\x60\x01${"h".repeat(95)}`);
  bench.connection(2, START + 1, WIRE_PROTOCOL_UNDETERMINED);
  for (let index = 0; index < 16; index++) {
    bench.data(2, index % 2 === 0 ? DATA_SEND : 0, (index >> 1) * 9, "\x07private");
  }
  assert.deepEqual(bench.verdicts, [
    [1, START, WIRE_PROTOCOL_TLS],
    [2, START + 1, WIRE_PROTOCOL_IGNORED],
  ]);
  const label = 'connections_opaque{reason="tls",service="s"}';
  assert.equal(await bench.telemetry.value(`backstitch_ebpf_l7_${label}`), 1);
});

test("a guess that user space withdraws is told as well", () => {
  const wrong: Protocol = {
    name: "wrong",
    detect: (bytes, start) => (bytes[start] === 7 ? "yes" : "no"),
    createParser: (_options, events) => ({
      idle: true,
      data: () => events.lost("malformed"),
      close: () => undefined,
    }),
  };
  const bench = new RingBench(16, new Map(), {}, [wrong]);
  bench.connection(1, START, WIRE_PROTOCOL_UNDETERMINED);
  for (let index = 0; index < 20; index++) {
    bench.data(1, index % 2 === 0 ? DATA_SEND : 0, (index >> 1) * 8, "\x07private");
  }
  assert.deepEqual(bench.verdicts, [
    [1, START, WIRE_PROTOCOL_FOLLOWED],
    [1, START, WIRE_PROTOCOL_IGNORED],
  ]);
  bench.choice.keepUp();
  assert.equal(bench.announced, 1);
});

test("TLS after a request for it is told to the kernel, once", async () => {
  const bench = new RingBench();
  bench.connection(1, START, WIRE_PROTOCOL_POSTGRESQL);
  const hello = `\x16\x03\x01\x00\x60\x01${"h".repeat(95)}`;
  bench.data(1, DATA_SEND, 0, "\0\0\0\x08\x04\xd2\x16\x2f");
  bench.data(1, 0, 0, "S");
  bench.data(1, DATA_SEND, 8, hello);
  bench.data(1, DATA_SEND, 8 + hello.length, hello);
  assert.deepEqual(bench.verdicts, [[1, START, WIRE_PROTOCOL_TLS]]);
  bench.choice.keepUp();
  assert.equal(bench.announced, 1);
  const label = 'connections_opaque{reason="tls",service="s"}';
  assert.equal(await bench.telemetry.value(`backstitch_ebpf_l7_${label}`), 1);
});

test("a verdict is told again when the connection is announced again", () => {
  const bench = new RingBench();
  bench.connection(1, START, WIRE_PROTOCOL_UNDETERMINED);
  bench.data(1, DATA_SEND, 0, RARE);
  bench.connection(1, START, WIRE_PROTOCOL_UNDETERMINED);
  assert.equal(bench.verdicts.length, 2);
});

test("facts for stitching are those of the held record that began the exchange", () => {
  const bench = new RingBench();
  bench.connection(1, 500);
  bench.data(1, 0, 0, REQUEST, { tid: 5 });
  bench.connection(2, START, WIRE_PROTOCOL_UNDETERMINED);
  const [first, rest] = [RARE.slice(0, 12), RARE.slice(12)];
  const caller = { tid: 5, triggerSocket: 1, triggerPosition: REQUEST.length };
  bench.data(2, DATA_SEND, 0, first, caller);
  assert.equal(bench.table.get(2)?.role, undefined, "not decided by its first bytes");
  bench.data(2, DATA_SEND, first.length, rest, { tid: 6 });
  bench.data(2, 0, 0, RESPONSE, { tid: 6 });
  assert.deepEqual(bench.triggers, [TRIGGER_REQUEST]);
  assert.equal(bench.finished[0]?.requestTid, 5);
});

test("what the kernel misjudged is detected anew, and the kernel is told when it is nothing", () => {
  const bench = new RingBench();
  bench.connection(1, START, WIRE_PROTOCOL_REDIS);
  let [sent, received] = [0, 0];
  const exchange = (request: string, response: string): void => {
    bench.data(1, DATA_SEND, sent, request);
    bench.data(1, 0, received, response);
    sent += request.length;
    received += response.length;
  };
  const wrong = "*1\r\n$9\r\ngarbage that goes on beyond its length\r\n";
  for (let index = 0; index < 30; index++) exchange(wrong, "-no");
  assert.equal(bench.table.get(1)?.isMisjudged, true);
  assert.deepEqual(bench.verdicts, [[1, START, WIRE_PROTOCOL_IGNORED]]);
  bench.choice.keepUp();
  assert.equal(bench.announced, 1, "or else the kernel would not look");
});

test("what the user says of a port is stronger than the kernel's guess", () => {
  const bench = new RingBench(16, new Map(), { ports: { [BENCH_PORT]: "redis" } });
  bench.connection(1, START, WIRE_PROTOCOL_UNDETERMINED);
  bench.data(1, DATA_SEND, 0, "PING\r\n");
  assert.deepEqual(bench.verdicts, [[1, START, WIRE_PROTOCOL_REDIS]]);
  bench.data(1, 0, 0, "+PONG\r\n");
  assert.equal(bench.finished.length, 1);
});

test("what a target says of protocols counts for what it serves, and what it forbids for all", () => {
  const bench = new RingBench();
  bench.ofTarget = { served: "redis", disabled: ["http1"] };
  bench.connection(1, START, WIRE_PROTOCOL_UNDETERMINED, CONNECTION_ACCEPTER);
  bench.data(1, 0, 0, "PING\r\n");
  assert.deepEqual(bench.verdicts, [[1, START, WIRE_PROTOCOL_REDIS]]);
  bench.connection(2, START, WIRE_PROTOCOL_HTTP1);
  for (let index = 0; index < 8; index++) {
    bench.data(2, DATA_SEND, index * REQUEST.length, REQUEST);
    bench.data(2, 0, index * RESPONSE.length, RESPONSE);
  }
  assert.equal(bench.finished.length, 0);
  assert.deepEqual(bench.verdicts[1], [2, START, WIRE_PROTOCOL_IGNORED]);
  // What it calls is not what it serves.
  bench.connection(3, START, WIRE_PROTOCOL_REDIS);
  bench.data(3, DATA_SEND, 0, "*1\r\n$4\r\nPING\r\n");
  bench.data(3, 0, 0, "+PONG\r\n");
  assert.equal(bench.finished.length, 1);
});

test("a target whose connections are not to be looked at is ignored, but for its calls", () => {
  const bench = new RingBench();
  bench.ofTarget = { served: "none", disabled: [] };
  bench.connection(1, START, WIRE_PROTOCOL_UNDETERMINED, CONNECTION_ACCEPTER);
  for (let index = 0; index < 8; index++) {
    bench.data(1, 0, index * RARE.length, RARE);
    bench.data(1, DATA_SEND, index * RESPONSE.length, RESPONSE);
  }
  assert.deepEqual(bench.verdicts, [[1, START, WIRE_PROTOCOL_IGNORED]]);
  bench.connection(2);
  bench.data(2, DATA_SEND, 0, REQUEST);
  bench.data(2, 0, 0, RESPONSE);
  assert.equal(bench.finished.length, 1);
});
