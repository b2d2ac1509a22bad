// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { Connection, type ConnectionEvents } from "./connection.ts";
import { ConnectionTable } from "./connection-table.ts";
import type { ConnectionRecord } from "./decode.ts";

const NO_EVENTS: ConnectionEvents = {
  begin: () => {},
  end: () => {},
  abandon: () => {},
  lost: () => {},
};

function connection(fields: Partial<ConnectionRecord> & { readonly socket: number }): Connection {
  return new Connection(
    {
      pid: 1,
      localStart: 100,
      remoteStart: 200,
      isDatagram: false,
      localAddress: "127.0.0.1",
      remoteAddress: "127.0.0.1",
      localPort: 1,
      remotePort: 2,
      family: 4,
      side: "opener",
      protocol: 1,
      ...fields,
    },
    NO_EVENTS,
  );
}

test("the two ends of a connection find each other by name", () => {
  const table = new ConnectionTable(16);
  const near = connection({ socket: 1 });
  const far = connection({ socket: 2, localStart: 200, remoteStart: 100, side: "accepter" });
  table.add(near);
  assert.equal(near.peer, undefined);
  table.add(far);
  assert.equal(near.peer, far);
  assert.equal(far.peer, near);
});

test("an end that does not know who opened finds the other when its role shows", () => {
  const table = new ConnectionTable(16);
  const server = connection({ socket: 2, localStart: 200, remoteStart: 100, side: "accepter" });
  const client = connection({ socket: 1, localStart: 99, side: "unknown" });
  table.add(server);
  table.add(client);
  assert.equal(client.peer, undefined);
  client.role = "client";
  table.meet(client);
  assert.equal(client.peer, server);
  const { facts } = client.spanConnection("client");
  assert.deepEqual([facts.clientStart, facts.serverStart, facts.positionExcess], [100, 200, 1]);
});

test("an end that is announced again meets the other end again", () => {
  const table = new ConnectionTable(16);
  const near = connection({ socket: 1 });
  const far = connection({ socket: 2, localStart: 200, remoteStart: 100 });
  table.add(near);
  table.add(far);
  table.remove(near);
  assert.equal(table.get(1), undefined);
  const again = connection({ socket: 1 });
  table.add(again);
  assert.equal(again.peer, far);
});

test("start numbers wrap", () => {
  const opener = connection({ socket: 1, localStart: 0xffff_ffff, side: "unknown" });
  opener.role = "client";
  assert.equal(opener.localStart, 0);
});

test("the longest idle of the oldest is found, and a sweep sees all in turn", () => {
  const table = new ConnectionTable(16);
  for (let socket = 1; socket <= 4; socket++) {
    const added = connection({ socket, localStart: socket });
    added.lastNs = socket === 3 ? 1 : 100;
    table.add(added);
  }
  assert.equal(table.longestIdle()?.record.socket, 3);
  const seen: number[] = [];
  for (let round = 0; round < 2; round++) {
    table.sweep(2, (visited) => seen.push(visited.record.socket));
  }
  assert.deepEqual(seen, [1, 2, 3, 4]);
});
