// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { DROP_REASONS } from "../../bpf/generated/codes.ts";
import {
  PROBE_BYTES,
  WIRE_PROTOCOL_FOLLOWED,
  WIRE_PROTOCOL_HTTP1,
  WIRE_PROTOCOL_HTTP2,
  WIRE_PROTOCOL_IGNORED,
  WIRE_PROTOCOL_TLS,
  WIRE_PROTOCOL_UNDETERMINED,
} from "../../bpf/generated/wire.ts";
import { type Captured, Child, Harness, watch } from "./harness.ts";

/** Of one message, by default. */
const CAPTURE_BYTES = 8192;

/** A protocol that the kernel does not know: `count` questions and answers, each of `size` bytes. */
const TALK = `
def talk(client, server, count, size=18):
    for _ in range(count):
        client.sendall(b"\\x01" * size); left = size
        while left > 0: left -= len(server.recv(size))
        server.send(b"\\x02its answer"); client.recv(99)
`;

function dropped(harness: Harness, reason: (typeof DROP_REASONS)[number]): number {
  return harness.counts().dropped[DROP_REASONS.indexOf(reason)] ?? 0;
}

function assertAccount(harness: Harness): void {
  const { seen, captured, dropped: all } = harness.counts();
  assert.equal(seen, captured + all.reduce((sum, count) => sum + count, 0));
}

/** Runs a script of two parts; `between` sees what the first part gave. */
async function inTwo(
  harness: Harness,
  script: string,
  between: (first: Captured) => void,
): Promise<Captured> {
  const child = new Child(TALK + script);
  await child.ready();
  harness.select(child.pid);
  child.resume();
  await child.ready(2);
  between(harness.read());
  child.resume();
  await child.done();
  return harness.read();
}

for (const hooks of ["sock", "syscalls"] as const) {
  describe(`hooks: ${hooks}`, () => {
    test("what the kernel does not know is announced and captured whole from its first byte", async () => {
      using harness = new Harness({ hooks });
      const script = `${TALK}wait(); client, server = pair(); talk(client, server, 20)`;
      const { connections, data } = await watch(harness, script);
      assert.deepEqual(
        connections.map(({ protocol }) => protocol),
        [WIRE_PROTOCOL_UNDETERMINED, WIRE_PROTOCOL_UNDETERMINED],
      );
      assert.equal(data.length, 80);
      assert.equal(data[0]?.position, 0);
      assert.ok(data.every(({ payload, length }) => payload.length === length));
      assertAccount(harness);
    });

    test("short first messages of any side are there too", async () => {
      using harness = new Harness({ hooks });
      const script = `
wait(); client, server = pair()
server.send(b"hi"); client.recv(99); client.send(b"a"); server.recv(99); server.send(b"b"); client.recv(99)`;
      const { data } = await watch(harness, script);
      const client = data.filter((seen) => seen.socket === data[1]?.socket);
      assert.deepEqual(
        client.map((seen) => [seen.sent, seen.payload]),
        [
          [false, "hi"],
          [true, "a"],
          [false, "b"],
        ],
      );
    });

    test("without a verdict a bounded part is captured and the rest is counted", async () => {
      using harness = new Harness({ hooks, ring_size: 4 << 20 });
      const script = `${TALK}wait(); client, server = pair(); talk(client, server, 60, 10000)`;
      const { data } = await watch(harness, script);
      assert.ok(dropped(harness, "unclassified") > 0);
      assertAccount(harness);
      for (const sent of [true, false]) {
        const long = data.filter((seen) => seen.sent === sent && seen.length > 100);
        const bytes = long.reduce((sum, seen) => sum + seen.payload.length, 0);
        assert.ok(bytes > 0 && bytes <= PROBE_BYTES + CAPTURE_BYTES, `${bytes} bytes`);
      }
    });

    test("what userspace ignores is counted from its next call on", async () => {
      using harness = new Harness({ hooks });
      const script = `
wait(); client, server = pair(); talk(client, server, 4); wait(); talk(client, server, 10)`;
      const later = await inTwo(harness, script, ({ connections }) => {
        for (const { socket, localStart } of connections) {
          harness.capture.decide(socket, localStart, WIRE_PROTOCOL_IGNORED);
        }
      });
      assert.equal(later.data.length, 0);
      assert.equal(dropped(harness, "unclassified"), 40);
      assertAccount(harness);
    });

    test("what userspace follows is captured without the bound", async () => {
      using harness = new Harness({ hooks, ring_size: 4 << 20 });
      const script = `
wait(); client, server = pair(); talk(client, server, 1); wait(); talk(client, server, 50, 8000)`;
      const later = await inTwo(harness, script, ({ connections }) => {
        for (const { socket, localStart } of connections) {
          harness.capture.decide(socket, localStart, WIRE_PROTOCOL_FOLLOWED);
        }
      });
      const sent = later.data.filter((seen) => seen.sent && seen.length === 8000);
      assert.equal(sent.length, 50);
      assert.ok(sent.every(({ payload }) => payload.length === 8000));
      assert.equal(dropped(harness, "unclassified"), 0);
    });

    test("what userspace follows is taken up after shedding at any call", async () => {
      using harness = new Harness({ hooks });
      const script = `
wait(); client, server = pair(); talk(client, server, 1); wait(); talk(client, server, 1); wait()
server.send(b"one way"); server.send(b"again"); client.recv(99)`;
      const child = new Child(TALK + script);
      await child.ready();
      harness.select(child.pid);
      child.resume();
      await child.ready(2);
      for (const { socket, localStart } of harness.read().connections) {
        harness.capture.decide(socket, localStart, WIRE_PROTOCOL_FOLLOWED);
      }
      harness.capture.setShedPerMille(1000);
      child.resume();
      await child.ready(3);
      assert.ok(harness.read().data.every(({ isShed }) => isShed));
      assert.equal(dropped(harness, "shed"), 4);
      harness.capture.setShedPerMille(0);
      child.resume();
      await child.done();
      const { data } = harness.read();
      assert.deepEqual(
        data.map(({ payload }) => payload),
        ["one way", "again", "one wayagain"],
      );
      assertAccount(harness);
    });

    test("a verdict on an earlier socket of the same number is not believed", async () => {
      using harness = new Harness({ hooks });
      const script = `
wait(); client, server = pair(); talk(client, server, 1); wait(); talk(client, server, 1)`;
      const later = await inTwo(harness, script, ({ connections }) => {
        for (const { socket, localStart } of connections) {
          harness.capture.decide(socket, localStart + 7, WIRE_PROTOCOL_IGNORED);
        }
      });
      assert.equal(later.data.length, 4);
    });

    test("userspace can change its mind about what the kernel recognised", async () => {
      using harness = new Harness({ hooks });
      const script = `
wait(); client, server = pair(); exchange(client, server); wait(); exchange(client, server)`;
      const later = await inTwo(harness, script, ({ connections }) => {
        assert.equal(connections[0]?.protocol, WIRE_PROTOCOL_HTTP1);
        for (const { socket, localStart } of connections) {
          harness.capture.decide(socket, localStart, WIRE_PROTOCOL_IGNORED);
        }
        harness.capture.announceAgain();
      });
      assert.equal(later.data.length, 0);
      assert.equal(dropped(harness, "unclassified"), 4);
    });

    test("TLS is told from the first bytes, announced, and its calls are counted", async () => {
      using harness = new Harness({ hooks });
      const script = `
HELLO = b"\\x16\\x03\\x01\\x00\\x60\\x01" + b"h" * 95
DATA = b"\\x17\\x03\\x03\\x00\\x20" + b"e" * 32
wait(); client, server = pair(); client.send(HELLO); server.recv(5); server.recv(999)
client.send(DATA); server.recv(999)`;
      const { connections, data } = await watch(harness, script);
      assert.deepEqual(
        connections.map(({ protocol }) => protocol),
        [WIRE_PROTOCOL_TLS, WIRE_PROTOCOL_TLS],
      );
      assert.equal(data.length, 0);
      assert.equal(dropped(harness, "encrypted"), 5);
      assertAccount(harness);
    });

    test("HTTP/2 is told from its preface and from frames of the connection", async () => {
      using harness = new Harness({ hooks });
      const script = `
wait()
for first in (b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n", b"\\0\\0\\x0c\\x04\\0\\0\\0\\0\\0" + b"s" * 12,
              b"\\0\\0\\x04\\x08\\0\\0\\0\\0\\x01\\0\\0\\x10\\0", b"\\0\\0\\x08\\x06\\x01\\0\\0\\0\\0" + b"p" * 8):
    client, server = pair(); client.send(first); server.recv(99)`;
      const { connections } = await watch(harness, script);
      assert.deepEqual(
        connections.map(({ protocol }) => protocol),
        new Array(8).fill(WIRE_PROTOCOL_HTTP2),
      );
    });

    test("disabled protocols are not captured, and ports can be ignored or left to userspace", async () => {
      const script = `
def on(port):
    global client, server
    listener = socket.socket(); listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port)); listener.listen(); client = socket.socket()
    client.connect(("127.0.0.1", port)); server, _ = listener.accept(); listener.close()
wait(); on(24711); exchange(client, server); on(24712); exchange(client, server)
on(24713); client.send(b"*1\\r\\n$4\\r\\nPING\\r\\n"); server.recv(99)`;
      const protocols = { disabled: ["redis"], ports: { 24711: "none", 24712: "http1" } };
      using harness = new Harness({ hooks, protocols });
      const { connections } = await watch(harness, script);
      assert.deepEqual(
        connections.map(({ localPort, remotePort, protocol }) => [
          localPort === 24712 || remotePort === 24712,
          protocol,
        ]),
        [
          [true, WIRE_PROTOCOL_UNDETERMINED],
          [true, WIRE_PROTOCOL_UNDETERMINED],
        ],
      );
      assert.equal(dropped(harness, "unclassified"), 6);
      assertAccount(harness);
    });
  });
}
