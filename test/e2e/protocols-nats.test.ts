// SPDX-License-Identifier: Apache-2.0
// A real nats-server with JetStream; the clients speak the documented text protocol by hand.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { messagingLine } from "../../src/protocols/messaging-testing.ts";
import { NATS } from "../../src/protocols/nats/protocol.ts";
import { observeAll, updateGoldens } from "../support/message-recorder.ts";
import { freePorts } from "../support/proc-net.ts";
import { startProcess } from "../support/process.ts";
import { type RecordingProxy, startRecordingProxy } from "../support/recording-proxy.ts";
import { connectText, type TextClient } from "../support/text-client.ts";

const STREAM = '{"name":"ORDERS","subjects":["orders.*"],"storage":"memory"}';

const SHOP = [
  "connect",
  "publish lights.on bytes=5",
  "publish lights.off bytes=2",
  "request stock.check bytes=4",
  "request nobody.home bytes=0 error=503",
  `STREAM.CREATE $JS.API.STREAM.CREATE.ORDERS bytes=${STREAM.length}`,
  "publish orders.new bytes=3",
  "STREAM.INFO $JS.API.STREAM.INFO.NONE bytes=0 error=404",
  "CONSUMER.CREATE $JS.API.CONSUMER.CREATE.ORDERS bytes=92",
  "deliver orders.new bytes=3",
  "ack $JS.ACK bytes=4",
].sort();
const STOCK = ["connect", "deliver lights.on bytes=5", "deliver stock.check bytes=4"].sort();

async function open(port: number, name: string): Promise<TextClient> {
  const client = await connectText(port);
  await client.received(/^INFO .*\r\n/);
  const options = { verbose: false, name, headers: true, no_responders: true, protocol: 1 };
  client.send(`CONNECT ${JSON.stringify(options)}\r\nPING\r\n`);
  await client.received(/PONG\r\n/);
  return client;
}

async function converse(port: number): Promise<void> {
  const stock = await open(port, "stock");
  stock.send("SUB lights.on 1\r\nSUB stock.* workers 2\r\nPING\r\n");
  await stock.received(/PONG\r\n[\s\S]*PONG\r\n/);
  const shop = await open(port, "shop");
  shop.send("SUB _INBOX.s.* 1\r\nPUB lights.on 5\r\nhello\r\n");
  shop.send("HPUB lights.off 20 22\r\nNATS/1.0\r\nKey: 1\r\n\r\nhi\r\n");
  shop.send("PUB stock.check _INBOX.s.1 4\r\nbook\r\n");
  await stock.received(/MSG stock\.check 2 _INBOX\.s\.1 4\r\nbook/);
  stock.send("PUB _INBOX.s.1 3\r\nyes\r\n");
  await shop.received(/_INBOX\.s\.1 1 3\r\nyes/);
  shop.send("PUB nobody.home _INBOX.s.2 0\r\n\r\n");
  await shop.received(/_INBOX\.s\.2 [\s\S]*503/);
  shop.send(`PUB $JS.API.STREAM.CREATE.ORDERS _INBOX.s.3 ${STREAM.length}\r\n${STREAM}\r\n`);
  await shop.received(/_INBOX\.s\.3 /);
  shop.send("PUB orders.new _INBOX.s.4 3\r\none\r\n");
  await shop.received(/_INBOX\.s\.4 [\s\S]*"seq":1/);
  shop.send("PUB $JS.API.STREAM.INFO.NONE _INBOX.s.5 0\r\n\r\n");
  await shop.received(/_INBOX\.s\.5 [\s\S]*404/);
  const consumer =
    '{"stream_name":"ORDERS","config":{"deliver_subject":"dest.1","ack_policy":"explicit"}}'.padEnd(
      92,
    );
  shop.send(`SUB dest.1 9\r\nPUB $JS.API.CONSUMER.CREATE.ORDERS _INBOX.s.6 92\r\n${consumer}\r\n`);
  const all = await shop.received(/MSG orders\.new 9 (\$JS\.ACK\S+) 3\r\none/);
  const ack = /MSG orders\.new 9 (\$JS\.ACK\S+) 3/.exec(all)?.[1] ?? "";
  shop.send(`PUB ${ack} 4\r\n+ACK\r\nPING\r\n`);
  await shop.received(/PONG[\s\S]*PONG/);
  await shop.close();
  await stock.close();
}

function lines(proxy: RecordingProxy, role: "client" | "server", index: number): readonly string[] {
  const observed = observeAll(NATS, proxy, role)[index];
  assert.deepEqual(observed?.losses, []);
  const spans = observed?.ended ?? [];
  return spans.map((span) => messagingLine(span).replace(/(\$JS\.ACK)\S+/, "$1")).sort();
}

test("messages, requests and a stream's acknowledgements of NATS are seen at either end", async () => {
  const folder = mkdtempSync(join(tmpdir(), "backstitch-nats-"));
  const [port = 0] = await freePorts(1);
  await using server = await startProcess({
    command: "/usr/sbin/nats-server",
    args: ["-a", "127.0.0.1", "-p", String(port), "-js", "-sd", folder],
    readyPort: port,
  });
  await using proxy = await startRecordingProxy(port);
  await converse(proxy.port);
  updateGoldens(NATS, proxy, "JetStream");
  for (const role of ["client", "server"] as const) {
    assert.deepEqual(lines(proxy, role, 0), STOCK);
    assert.deepEqual(lines(proxy, role, 1), SHOP);
  }
  assert.ok(server.pid > 0);
  rmSync(folder, { recursive: true, force: true });
});
