// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Exchange } from "../../src/model/protocol.ts";
import { Connection } from "./connection.ts";

function connection(): Connection {
  const nothing = (): void => undefined;
  return new Connection(
    {
      ...{ socket: 1, pid: 1, localStart: 100, remoteStart: 200, family: 4, side: "accepter" },
      isDatagram: false,
      ...{ localAddress: "127.0.0.1", remoteAddress: "127.0.0.1", localPort: 1, remotePort: 2 },
      protocol: 1,
    },
    { begin: nothing, end: nothing, abandon: nothing, lost: nothing },
  );
}

function exchange(requestPosition: number, startNs: number, endNs = 0): Exchange {
  return {
    ...{ role: "server", requestPosition, startNs, endNs, requestEndNs: 0, responseStartNs: 0 },
    ...{ requestTid: 1, responseTid: 1, pid: 1, traceContext: undefined, link: undefined },
    describe: () => undefined,
    measure: () => undefined,
  };
}

test("the start of an open exchange is found by the position of its request", () => {
  const one = connection();
  one.begin(exchange(0, 10));
  one.begin(exchange(80, 20));
  assert.equal(one.startOf(80), 20);
  assert.equal(one.startOf(40), Number.POSITIVE_INFINITY);
});

test("the end of an exchange counts for bytes that had been received by then, for no others", () => {
  const one = connection();
  for (const [index, position] of Array.from({ length: 65 }, (_, at) => at * 80).entries()) {
    const each = exchange(position, 1, 1000 + index);
    one.begin(each);
    one.receivedEnd = (index + 1) * 50;
    one.end(each);
  }
  assert.equal(one.endOf(320, 250), 1004);
  assert.equal(one.endOf(320, 251), Number.POSITIVE_INFINITY, "its response was not whole");
  assert.equal(one.endOf(0, 50), Number.POSITIVE_INFINITY, "of sixty-four only");
  assert.equal(one.endOf(80, 100), 1001);
});

test("a response that was read too long ago is nobody's", () => {
  const one = connection();
  for (let index = 0; index < 68; index++) {
    const each = exchange(index * 80, 1, 1000);
    one.begin(each);
    one.receivedEnd = (index + 1) * 50;
    one.end(each);
  }
  assert.equal(one.responseReadAt(68 * 50), 67 * 80);
  assert.equal(one.responseReadAt(5 * 50), 4 * 80, "the oldest that is remembered");
  assert.equal(one.responseReadAt(5 * 50 - 1), -1, "perhaps of one that is forgotten");
  assert.equal(one.responseReadAt(3 * 50), -1);
});
