// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { DROP_REASONS } from "../../bpf/generated/codes.ts";
import type { ConnectionParser, Protocol } from "../../src/model/protocol.ts";
import { type Captured, Harness, watch } from "./harness.ts";

const PORT = 24721;

/** Spoken in datagrams on PORT; nothing parses here. */
const SPOKEN: Protocol = {
  name: "spoken",
  ports: [PORT],
  detect: () => "no",
  createParser: unused,
  datagrams: { detect: () => "no", createParser: unused },
};

function unused(): ConnectionParser {
  throw new Error("Nothing is parsed in this test.");
}

const SOCKETS = `
def server(family=socket.AF_INET, host="127.0.0.1", port=${PORT}):
    made = socket.socket(family, socket.SOCK_DGRAM); made.bind((host, port)); return made
def client(family=socket.AF_INET, host="127.0.0.1"):
    made = socket.socket(family, socket.SOCK_DGRAM); made.bind((host, 0)); return made
`;

function lines(captured: Captured): string[] {
  return captured.data.map(({ sent, payload }) => `${sent ? "sent" : "received"} ${payload}`);
}

for (const hooks of ["sock", "syscalls"] as const) {
  describe(`hooks: ${hooks}`, () => {
    test("an unconnected client and server see each other's address in every datagram", async () => {
      using harness = new Harness({ hooks }, [SPOKEN]);
      const script = `${SOCKETS}
wait(); one = server(); two = client(); other = client()
for each in (two, other):
    each.sendto(b"question", ("127.0.0.1", ${PORT}))
    data, sender = one.recvfrom(99); one.sendto(b"answer", sender); each.recvfrom(99)
print(two.getsockname()[1], other.getsockname()[1])`;
      const captured = await watch(harness, script);
      const [first = "", second = ""] = new Set(
        captured.data.map(({ peer }) => peer ?? "").filter((peer) => !peer.endsWith(` ${PORT}`)),
      );
      assert.deepEqual(
        captured.data.map(({ sent, payload, peer }) => [sent, payload, peer]),
        [first, second].flatMap((peer) => [
          [true, "question", `127.0.0.1 ${PORT}`],
          [false, "question", peer],
          [true, "answer", peer],
          [false, "answer", `127.0.0.1 ${PORT}`],
        ]),
      );
      assert.notEqual(first, second);
      assert.equal(captured.connections.length, 3);
      assert.ok(captured.connections.every(({ isDatagram }) => isDatagram));
      assert.equal(harness.counts().captured, 8);
      // Closed with the process; by system calls alone that is not seen.
      assert.equal(captured.closes.length, hooks === "sock" ? 3 : 0);
    });

    test("a connected client's datagrams are captured with positions, over IPv6 too", async () => {
      using harness = new Harness({ hooks }, [SPOKEN]);
      const script = `${SOCKETS}
wait(); one = server(socket.AF_INET6, "::1"); two = client(socket.AF_INET6, "::1")
two.connect(("::1", ${PORT})); two.send(b"12345"); two.send(b"67"); one.recvfrom(99); one.recvmsg(99)`;
      const { data, connections } = await watch(harness, script);
      assert.deepEqual(
        data.filter(({ sent }) => sent).map(({ position, peer }) => [position, peer]),
        [
          [0, `::1 ${PORT}`],
          [5, `::1 ${PORT}`],
        ],
      );
      assert.deepEqual(lines({ ...NOTHING, data: data.filter(({ sent }) => !sent) }), [
        "received 12345",
        "received 67",
      ]);
      assert.equal(connections[0]?.remotePort, PORT);
      assert.equal(connections[0]?.remoteAddress, "::1");
    });

    test("each datagram of one call for several is there with its own bytes", async () => {
      using harness = new Harness({ hooks }, [SPOKEN]);
      const script = `${SOCKETS}
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
class Vec(ctypes.Structure): _fields_ = [("base", ctypes.c_char_p), ("length", ctypes.c_size_t)]
class Msg(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("namelen", ctypes.c_uint32), ("iov", ctypes.POINTER(Vec)),
                ("iovlen", ctypes.c_size_t), ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t),
                ("flags", ctypes.c_int)]
class MMsg(ctypes.Structure): _fields_ = [("hdr", Msg), ("length", ctypes.c_uint32)]
def several(sock, texts):
    vecs = [Vec(text, len(text)) for text in texts]
    array = (MMsg * len(texts))(*[MMsg(Msg(None, 0, ctypes.pointer(vec), 1), 0) for vec in vecs])
    assert libc.sendmmsg(sock.fileno(), array, len(texts), 0) == len(texts)
wait(); one = server(); two = client(); two.connect(("127.0.0.1", ${PORT}))
for _ in range(2): several(two, [b"question A", b"question AAAA"])
for _ in range(4): one.recv(99)`;
      const captured = await watch(harness, script);
      const sent = ["sent question A", "sent question AAAA"];
      assert.deepEqual(
        lines(captured).filter((line) => line.startsWith("sent")),
        [...sent, ...sent],
      );
      assert.equal(captured.data.length, 8);
    });

    test("datagrams of other ports are counted only, and streams of the port are not disturbed", async () => {
      using harness = new Harness({ hooks }, [SPOKEN]);
      const script = `${SOCKETS}
wait(); one = server(port=0); two = client(); two.connect(one.getsockname())
two.send(b"private"); one.recvfrom(99); exchange(*pair())`;
      const { data } = await watch(harness, script);
      assert.equal(data.length, 4, "of HTTP/1");
      const { dropped, seen, captured } = harness.counts();
      assert.equal(dropped[DROP_REASONS.indexOf("datagram")], 2);
      assert.equal(seen, captured + 2);
    });
  });
}

const NOTHING: Captured = { connections: [], data: [], closes: [], kinds: [] };
