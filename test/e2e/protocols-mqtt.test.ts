// SPDX-License-Identifier: Apache-2.0
// A real Mosquitto with its own clients, MQTT 3.1.1 and 5.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { messagingLine } from "../../src/protocols/messaging-testing.ts";
import { MQTT } from "../../src/protocols/mqtt/protocol.ts";
import { eventually } from "../support/eventually.ts";
import { observeAll, updateGoldens } from "../support/message-recorder.ts";
import { freePorts } from "../support/proc-net.ts";
import { startProcess } from "../support/process.ts";
import { startRecordingProxy } from "../support/recording-proxy.ts";

const run = promisify(execFile);

/** The subscriber's connection, then one connection a message. */
const EXPECTED = [
  [
    "connect",
    "subscribe rooms/#",
    "deliver rooms/1 bytes=5",
    "deliver rooms/2 bytes=4 id=1",
    "deliver rooms/3 bytes=3 id=2",
  ],
  ["connect", "publish rooms/1 bytes=5"],
  ["connect", "publish rooms/2 bytes=4 id=1"],
  ["connect", "publish rooms/3 bytes=3 id=1"],
  ["connect", "publish empty bytes=1 id=1"],
];

async function converse(port: number, version: string): Promise<void> {
  const common = ["-h", "127.0.0.1", "-p", String(port), "-V", version];
  await using subscriber = await startProcess({
    command: "stdbuf",
    args: [
      "-oL",
      "mosquitto_sub",
      ...common,
      "-i",
      "kitchen",
      "-t",
      "rooms/#",
      "-q",
      "2",
      "-C",
      "3",
      "-d",
    ],
    readyOutput: /SUBACK|Subscribed/,
  });
  const publish = (topic: string, quality: string, message: string): Promise<unknown> =>
    run("mosquitto_pub", [
      ...common,
      "-i",
      `p${quality}`,
      "-t",
      topic,
      "-q",
      quality,
      "-m",
      message,
    ]);
  await publish("rooms/1", "0", "light");
  await publish("rooms/2", "1", "heat");
  await publish("rooms/3", "2", "fan");
  await publish("empty", "1", "x");
  await eventually(
    () => subscriber.ended,
    (end) => end.code === 0,
  );
}

for (const version of ["311", "5"]) {
  test(`messages of all qualities of service of MQTT ${version} are seen at either end`, async () => {
    const [port = 0] = await freePorts(1);
    await using server = await startProcess({
      command: "/usr/sbin/mosquitto",
      args: ["-p", String(port)],
      readyPort: port,
    });
    await using proxy = await startRecordingProxy(port);
    await converse(proxy.port, version);
    updateGoldens(MQTT, proxy, `Mosquitto ${version}`);
    assert.ok(server.pid > 0);
    for (const role of ["client", "server"] as const) {
      const observed = observeAll(MQTT, proxy, role);
      const lines = observed.map(({ ended }) => ended.map(messagingLine));
      assert.deepEqual(lines, EXPECTED);
      assert.deepEqual(
        observed.flatMap(({ losses }) => losses),
        [],
      );
    }
  });
}
