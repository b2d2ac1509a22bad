// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { type ConnectionFacts, SpanConnection } from "./span-connection.ts";

/** A consumer that a broker pushes to: the broker asks, but the consumer opened the connection. */
const CONSUMER: ConnectionFacts = {
  role: "server",
  isAccepter: false,
  clientStart: 1,
  serverStart: 2,
  positionExcess: 0,
  family: 4,
  localAddress: "10.0.0.1",
  localPort: 50_000,
  remoteAddress: "10.0.0.2",
  remotePort: 5672,
};

function has(connection: SpanConnection, text: string): boolean {
  return Buffer.from(connection.attributes).includes(text);
}

test("the server is who accepted the connection, also where it asks", () => {
  const connection = new SpanConnection(CONSUMER);
  assert.equal(connection.serverAddress, "10.0.0.2");
  assert.equal(connection.serverPort, 5672);
  assert.equal(has(connection, "client.address"), false);
});

test("without the fact the role tells", () => {
  const { isAccepter: _, ...facts } = CONSUMER;
  const connection = new SpanConnection(facts);
  assert.equal(connection.serverAddress, "10.0.0.1");
  assert.equal(has(connection, "client.address"), true);
});

test("this end's address and port are written where they are asked for", () => {
  const connection = new SpanConnection(CONSUMER);
  assert.equal(has(connection, "network.local."), false);
  const bytes = Buffer.from(connection.attributesWithLocal);
  for (const text of ["network.local.address", "10.0.0.1", "network.local.port", "10.0.0.2"]) {
    assert.ok(bytes.includes(text), text);
  }
});
