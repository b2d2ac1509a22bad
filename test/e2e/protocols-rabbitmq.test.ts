// SPDX-License-Identifier: Apache-2.0
// A real RabbitMQ with Python's pika (AMQP 0-9-1) and Qpid Proton (AMQP 1.0).
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { AMQP10 } from "../../src/protocols/amqp10/protocol.ts";
import { AMQP091 } from "../../src/protocols/amqp091/protocol.ts";
import { messagingLine } from "../../src/protocols/messaging-testing.ts";
import { observeAll, updateGoldens } from "../support/message-recorder.ts";
import { startRabbitMq } from "../support/rabbitmq.ts";
import { startRecordingProxy } from "../support/recording-proxy.ts";

const run = promisify(execFile);

/** What pika's session does, in order; the driver's own calls are left out. */
const EXPECTED_091 = [
  "connection.open",
  "channel.open",
  "exchange.declare shop",
  "queue.declare orders",
  "queue.bind orders",
  "publish shop:order.new bytes=5 id=m-1 key=order.new",
  "publish orders bytes=9000 key=orders",
  "confirm.select",
  "publish shop:order.paid bytes=5 key=order.paid",
  "return shop:nobody.listens bytes=4 key=nobody.listens error=NO_ROUTE",
  "publish shop:nobody.listens bytes=4 key=nobody.listens",
  "get shop:order.new:orders bytes=5 id=m-1 key=order.new tag=1",
  "ack tag=1",
  "basic.consume orders",
  "deliver orders bytes=9000 key=orders tag=2",
  "deliver shop:order.paid:orders bytes=5 key=order.paid tag=3",
  "ack tag=2",
  "ack tag=3",
  "basic.cancel",
  "get orders count=0",
  "queue.declare missing error=NOT_FOUND",
  "channel.close error=NOT_FOUND",
  "connection.close",
].sort();

const EXPECTED_10 = [
  "sasl.init",
  "open",
  "send orders10 bytes=5 id=m-0",
  "send orders10 bytes=6 id=m-1",
  "deliver orders10 bytes=5 id=m-0",
  "deliver orders10 bytes=6 id=m-1",
  "end error=amqp:invalid-field",
].sort();

test("sessions of RabbitMQ's clients give exactly their operations, on either side", async (t) => {
  await using broker = await startRabbitMq();
  for (const { protocol, script, output, expected, title } of [
    {
      protocol: AMQP091,
      script: "rabbitmq-session.py",
      output: /returned\nempty None\nclosed 404\ndone/,
      expected: EXPECTED_091,
      title: "RabbitMQ and pika",
    },
    {
      protocol: AMQP10,
      script: "amqp10-session.py",
      output: /refused[\s\S]*done/,
      expected: EXPECTED_10,
      title: "RabbitMQ and Proton",
    },
  ]) {
    await t.test(title, async () => {
      await using proxy = await startRecordingProxy(broker.port);
      const file = join(import.meta.dirname, "../apps", script);
      const { stdout } = await run("/usr/bin/python3", [file, String(proxy.port)]);
      assert.match(stdout, output);
      updateGoldens(protocol, proxy, title);
      for (const role of ["client", "server"] as const) {
        const observed = observeAll(protocol, proxy, role);
        const lines = observed.flatMap(({ ended }) => ended.map(messagingLine));
        // RabbitMQ may end the connection, too, of the session that it has refused.
        const certain = lines.filter((line) => !line.startsWith("close "));
        assert.deepEqual(certain.sort(), expected);
        assert.deepEqual(
          observed.flatMap(({ losses }) => losses),
          [],
        );
      }
    });
  }
});
