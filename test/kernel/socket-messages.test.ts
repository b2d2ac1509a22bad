// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Captured, Child, Harness, type Seen, watch } from "./harness.ts";

const REQUEST = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const RESPONSE = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const ECONNRESET = 104;

/** Both ends in one process: each record of one end has its counterpart at the other. */
function ends(captured: Captured): { client: readonly Seen[]; server: readonly Seen[] } {
  const opener = captured.connections.find((connection) => connection.side === "opener");
  const accepter = captured.connections.find((connection) => connection.side === "accepter");
  assert.ok(opener !== undefined && accepter !== undefined, "both ends are announced");
  assert.equal(opener.localStart, accepter.remoteStart);
  assert.equal(opener.remoteStart, accepter.localStart);
  assert.equal(opener.localPort, accepter.remotePort);
  assert.equal(opener.remotePort, accepter.localPort);
  return {
    client: captured.data.filter((seen) => seen.socket === opener.socket),
    server: captured.data.filter((seen) => seen.socket === accepter.socket),
  };
}

function bytesOf(records: readonly Seen[], sent: boolean): string {
  return records
    .filter((seen) => seen.sent === sent)
    .map((seen) => seen.payload)
    .join("");
}

const SENDS: Readonly<Record<string, string>> = {
  write: "os.write(client.fileno(), REQUEST)",
  send: "client.send(REQUEST)",
  sendto: "client.sendto(REQUEST, client.getpeername())",
  writev: "os.writev(client.fileno(), [REQUEST[:3], REQUEST[3:9], REQUEST[9:]])",
  sendmsg: "client.sendmsg([REQUEST[:5], REQUEST[5:]])",
};

const RECEIVES: Readonly<Record<string, string>> = {
  read: "os.read(server.fileno(), 9999)",
  recv: "server.recv(9999)",
  recvfrom: "server.recvfrom(9999)",
  recv_into: "server.recv_into(bytearray(9999))",
  readv: "os.readv(server.fileno(), [bytearray(4), bytearray(10), bytearray(999)])",
  recvmsg: "server.recvmsg(9999)",
  recvmsg_into: "server.recvmsg_into([bytearray(7), bytearray(999)])",
};

for (const hooks of ["sock", "syscalls"] as const) {
  describe(`hooks: ${hooks}`, () => {
    for (const [name, statement] of Object.entries(SENDS)) {
      test(`${name} is captured with its bytes and position`, async () => {
        using harness = new Harness({ hooks });
        const captured = await watch(
          harness,
          `wait(); client, server = pair(); ${statement}; server.recv(9999)`,
        );
        const { client, server } = ends(captured);
        assert.equal(bytesOf(client, true), REQUEST);
        assert.equal(bytesOf(server, false), REQUEST);
        assert.deepEqual([client[0]?.position, server[0]?.position], [0, 0]);
      });
    }

    for (const [name, statement] of Object.entries(RECEIVES)) {
      test(`${name} is captured with its bytes and position`, async () => {
        using harness = new Harness({ hooks });
        const captured = await watch(
          harness,
          `wait(); client, server = pair(); client.send(REQUEST); ${statement}`,
        );
        assert.equal(bytesOf(ends(captured).server, false), REQUEST);
      });
    }

    test("a look at data that stays is not a receive", async () => {
      using harness = new Harness({ hooks });
      const script = `
wait(); client, server = pair(); client.send(REQUEST)
server.recv(9999, socket.MSG_PEEK); server.recv(9999)`;
      const { server } = ends(await watch(harness, script));
      assert.deepEqual(
        server.map((seen) => [seen.position, seen.length]),
        [[0, REQUEST.length]],
      );
    });

    test("sendfile and splice into a socket move positions without payload", async () => {
      using harness = new Harness({ hooks });
      const script = `
wait(); client, server = pair(); client.send(REQUEST); server.recv(9999)
with open("/proc/self/exe", "rb") as file:
    server.send(b"HTTP/1.1 200 OK\\r\\nContent-Length: 6000\\r\\n\\r\\n")
    os.sendfile(server.fileno(), file.fileno(), 0, 5000)
    inner, outer = os.pipe(); os.splice(file.fileno(), outer, 1000); os.splice(inner, server.fileno(), 1000)
left = 6041
while left > 0: left -= len(client.recv(9999))
client.send(REQUEST)`;
      const { server, client } = ends(await watch(harness, script));
      const sent = server.filter((seen) => seen.sent);
      assert.deepEqual(
        sent.map((seen) => seen.length),
        [41, 5000, 1000],
      );
      assert.deepEqual(
        sent.map((seen) => seen.position),
        [0, 41, 5041],
      );
      assert.deepEqual(
        sent.slice(1).map((seen) => seen.payload),
        ["", ""],
      );
      assert.equal(client.filter((seen) => seen.sent).at(-1)?.position, REQUEST.length);
    });

    test("a connection that is older than the agent is named exactly at both ends", async () => {
      const child = new Child(`
client, server = pair(); exchange(client, server); exchange(client, server)
wait(); exchange(client, server)`);
      await child.ready();
      using harness = new Harness({ hooks });
      harness.select(child.pid);
      child.resume();
      await child.done();
      const { client, server } = ends(harness.read());
      const positions = [2 * REQUEST.length, 2 * RESPONSE.length];
      assert.deepEqual(
        client.map((seen) => seen.position),
        positions,
      );
      assert.deepEqual(
        server.map((seen) => seen.position),
        positions,
      );
    });

    test("an older connection that is half closed is named exactly", async () => {
      const child = new Child(`
client, server = pair(); client.send(REQUEST); client.shutdown(socket.SHUT_WR)
wait(); time.sleep(.01); server.recv(9999); server.send(RESPONSE); client.recv(9999)`);
      await child.ready();
      using harness = new Harness({ hooks });
      harness.select(child.pid);
      child.resume();
      await child.done();
      const { client, server } = ends(harness.read());
      assert.deepEqual(
        client.map((seen) => seen.position),
        [0],
      );
      assert.deepEqual(
        server.map((seen) => [seen.sent, seen.position]),
        [
          [false, 0],
          [true, 0],
        ],
      );
    });

    test("the last bytes before the end of a stream keep their position", async () => {
      using harness = new Harness({ hooks });
      const script = `
wait(); client, server = pair(); client.send(REQUEST); server.recv(9999)
server.send(RESPONSE); server.send(b"more"); server.close(); time.sleep(.01)
client.recv(len(RESPONSE)); client.recv(9999); client.recv(9999)`;
      const { client } = ends(await watch(harness, script));
      assert.deepEqual(
        client.filter((seen) => !seen.sent).map((seen) => [seen.position, seen.length]),
        [
          [0, RESPONSE.length],
          [RESPONSE.length, 4],
        ],
      );
    });

    test("IPv6 and IPv4 within IPv6 are told apart", async () => {
      using harness = new Harness({ hooks });
      const script = `
wait()
exchange(*pair(socket.AF_INET6, "::1"))
exchange(*pair(socket.AF_INET6, "::", "::ffff:127.0.0.1"))`;
      const { connections } = await watch(harness, script);
      const families = connections.map((connection) => [
        connection.family,
        connection.remoteAddress,
      ]);
      assert.deepEqual(families, [
        [6, "::1"],
        [6, "::1"],
        [4, "127.0.0.1"],
        [4, "127.0.0.1"],
      ]);
    });

    test("another network namespace is watched and named", async () => {
      const child = new Child("wait(); exchange(*pair())", [
        ...["unshare", "--net", "sh", "-c"],
        'ip link set lo up && exec python3 -c "$0"',
      ]);
      await child.ready();
      using harness = new Harness({ hooks });
      harness.select(child.pid);
      child.resume();
      await child.done();
      const captured = harness.read();
      const { client, server } = ends(captured);
      assert.equal(client.length + server.length, 4);
      assert.ok((captured.connections[0]?.netns ?? 0) > 0);
    });

    test("a head that comes byte by byte is there from its first byte", async () => {
      using harness = new Harness({ hooks });
      const script = `
wait(); client, server = pair()
for byte in REQUEST:
    client.send(bytes([byte])); server.recv(1)`;
      const { client, server } = ends(await watch(harness, script));
      assert.equal(bytesOf(client, true), REQUEST);
      assert.equal(bytesOf(server, false), REQUEST);
      assert.equal(client[0]?.position, 0);
    });

    test("bodies are captured up to the budget, then counted, with the last bytes", async () => {
      using harness = new Harness({ hooks, capture_bytes: 1024 });
      const script = `
wait(); client, server = pair(); client.send(REQUEST); server.recv(9999)
server.sendmsg([b"HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n", b"x" * 600]); server.sendmsg([b"y" * 700, b"ab", b"cdefgh"])
server.send(b"z" * 200 + b"0\\r\\n\\r\\n")`;
      const { server } = ends(await watch(harness, script));
      const sent = server.filter((seen) => seen.sent);
      const captured = sent.map((seen) => seen.payload.length);
      assert.equal(
        captured.reduce((sum, bytes) => sum + bytes, 0),
        1024,
      );
      assert.deepEqual(
        sent.map((seen) => seen.tail),
        ["", "abcdefgh", "zzz0\r\n\r\n"],
      );
    });

    test("a body in another buffer than its head is not read when the head gives its length", async () => {
      using harness = new Harness({ hooks });
      const script = `
wait(); client, server = pair()
HEAD = b"HTTP/1.1 200 OK\\r\\nServer: test of a head like others\\r\\nContent-Type: text/plain\\r\\n"
SIZED = HEAD + b"content-length: 2\\r\\nConnection: keep-alive\\r\\n\\r\\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\\r\\nConnection: keep-alive\\r\\n\\r\\n"
for buffers in ([SIZED, b"ok"], [CHUNKED, b"0\\r\\n\\r\\n"], [SIZED, b"ok"], [SIZED]):
    client.send(REQUEST); server.recv(9999); server.sendmsg(buffers); client.recv(9999)
print(len(SIZED), len(CHUNKED))`;
      const { server } = ends(await watch(harness, script));
      const sent = server.filter((seen) => seen.sent);
      assert.deepEqual(
        sent.map((seen) => seen.length - seen.payload.length),
        [2, 0, 2, 0],
      );
      assert.ok(sent[0]?.payload.endsWith("keep-alive\r\n\r\n"));
      assert.ok(sent[1]?.payload.endsWith("\r\n\r\n0\r\n\r\n"));
    });

    test("a process that is not selected gives nothing", async () => {
      using harness = new Harness({ hooks });
      const child = new Child("wait(); exchange(*pair())");
      await child.ready();
      child.resume();
      await child.done();
      assert.equal(harness.counts().seen, 0);
      assert.equal(harness.capture.pendingBytes(), 0);
    });

    test("the end of a connection says how far it got and why it ended", async () => {
      using harness = new Harness({ hooks });
      const script = `
wait(); client, server = pair(); exchange(client, server); client.close(); server.close()
client, server = pair(); client.send(REQUEST); server.recv(9999)
server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)); server.close()
try: client.recv(99)
except ConnectionResetError: pass
client.close(); time.sleep(.05)`;
      const { closes, connections } = await watch(harness, script);
      // A socket's number may be another's later, where it is its address.
      const left = [...closes];
      const bySocket = connections.map(({ socket }) => {
        const index = left.findIndex((end) => end.socket === socket);
        return left.splice(index, 1)[0];
      });
      assert.deepEqual(
        bySocket.map((end) => [end?.sent, end?.received, end?.error]),
        [
          [REQUEST.length, RESPONSE.length, 0],
          [RESPONSE.length, REQUEST.length, 0],
          [REQUEST.length, 0, ECONNRESET],
          [0, REQUEST.length, 0],
        ],
      );
    });

    test("a send names what its thread read last, or read before it connected", async () => {
      using harness = new Harness({ hooks });
      const script = `
wait(); client, server = pair(); client.send(REQUEST); server.recv(9999)
onward, behind = pair(); other, other_end = pair(); behind.setblocking(False)
client.send(REQUEST); server.recv(9999)
onward.send(REQUEST); onward.send(REQUEST); time.sleep(.001); onward.send(REQUEST)`;
      const captured = await watch(harness, script);
      const server = captured.data.find((seen) => !seen.sent);
      const sends = captured.data.filter((seen) => seen.sent).slice(-3);
      assert.deepEqual(
        sends.map((seen) => [seen.triggerSocket, seen.triggerPosition, seen.triggeredAtConnect]),
        [
          [server?.socket, REQUEST.length, true],
          [server?.socket, 2 * REQUEST.length, false],
          [server?.socket, 2 * REQUEST.length, false],
        ],
      );
      assert.equal(sends.at(-1)?.slept, true);
    });

    test("a send tells a sleep on a lock from a wait for events or time", async () => {
      using harness = new Harness({ hooks });
      harness.capture.watchSleeps();
      const script = `
import select, threading
wait(); client, server = pair(); onward, behind = pair()
def turn(sleep):
    client.send(REQUEST); server.recv(9999); sleep(); onward.send(REQUEST)
def lock():
    held = threading.Lock(); held.acquire(); threading.Timer(.01, held.release).start(); held.acquire()
turn(lambda: None); turn(lock); turn(lambda: time.sleep(.01)); turn(lambda: select.select([], [], [], .01))
turn(lambda: None)`;
      const captured = await watch(harness, script);
      const onward = captured.data.filter((seen) => seen.sent).at(-1)?.socket;
      const sends = captured.data.filter((seen) => seen.sent && seen.socket === onward);
      assert.deepEqual(
        sends.slice(-4).map((seen) => [seen.slept, seen.waited]),
        [
          [true, false],
          [true, true],
          [true, true],
          [false, false],
        ],
      );
    });

    test("when the ring is full whole connections are left out, counted, and come back", async () => {
      using harness = new Harness({ hooks, ring_size: 64 * 1024 });
      const child = new Child(`
wait(); pairs = [pair() for _ in range(8)]
for _ in range(200):
    for client, server in pairs: exchange(client, server)
print("ready", flush=True); sys.stdin.readline()
for client, server in pairs: exchange(client, server)
time.sleep(.01)
for client, server in pairs: exchange(client, server)`);
      await child.ready();
      harness.select(child.pid);
      child.resume();
      await child.ready(2);
      harness.read();
      const full = harness.counts();
      assert.ok((full.dropped[1] ?? 0) > 0, "the ring was full");
      await new Promise((resolve) => setTimeout(resolve, 1100));
      child.resume();
      await child.done();
      const captured = harness.read();
      const counts = harness.counts();
      const dropped = counts.dropped.reduce((sum, count) => sum + count, 0);
      assert.equal(counts.seen, 8 * 4 * 202);
      assert.equal(counts.seen, counts.captured + dropped);
      const heads = captured.data.filter((seen) => seen.sent && seen.payload === REQUEST);
      assert.ok(heads.length >= 8, "the connections are captured again");
    });

    test("a share of the connections can be left out, the same ones at both ends", async () => {
      using harness = new Harness({ hooks });
      harness.capture.setShedPerMille(500);
      const script = "wait()\nfor _ in range(64): exchange(*pair())";
      const captured = await watch(harness, script);
      const openers = captured.connections.filter((connection) => connection.side === "opener");
      assert.ok(openers.length > 8 && openers.length < 56, `${openers.length} of 64`);
      assert.equal(captured.connections.length, 2 * openers.length);
      const counts = harness.counts();
      assert.equal(counts.dropped[2], counts.seen - counts.captured);
    });
  });
}
