// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { Harness, watch } from "./harness.ts";

const REQUEST = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const RESPONSE = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/** A ring of 8 entries by the system calls alone: io_uring_setup(2) and io_uring_enter(2). */
const URING = `
import ctypes, mmap
libc = ctypes.CDLL(None, use_errno=True)
class Ring:
    def __init__(self, flags=0):
        params = bytearray(120)
        struct.pack_into("I", params, 8, flags)
        buffer = (ctypes.c_char * 120).from_buffer(params)
        self.fd = libc.syscall(425, 8, buffer)
        assert self.fd >= 0, ctypes.get_errno()
        self.sq_off = struct.unpack_from("8I", params, 40)
        self.cq_off = struct.unpack_from("8I", params, 80)
        self.sq = mmap.mmap(self.fd, 4096, offset=0)
        self.sqes = mmap.mmap(self.fd, 8 * 64, offset=0x10000000)
    def word(self, offset): return struct.unpack_from("I", self.sq, offset)[0]
    def put(self, opcode, fd, address, length, flags=0):
        tail, mask = self.word(self.sq_off[1]), self.word(self.sq_off[2])
        index = tail & mask
        self.sqes[index * 64:index * 64 + 64] = bytes(64)
        struct.pack_into("BBHiQQI", self.sqes, index * 64, opcode, flags, 0, fd, 0, address, length)
        struct.pack_into("I", self.sq, self.sq_off[6] + 4 * index, index)
        struct.pack_into("I", self.sq, self.sq_off[1], tail + 1)
    def enter(self, submit, complete):
        result = libc.syscall(426, self.fd, submit, complete, 1 if complete else 0, None, 0)
        assert result >= 0, ctypes.get_errno()
    def result(self):
        head, mask = self.word(self.cq_off[0]), self.word(self.cq_off[2])
        while self.word(self.cq_off[1]) == head: self.enter(0, 1)
        value = struct.unpack_from("i", self.sq, self.cq_off[5] + 16 * (head & mask) + 8)[0]
        struct.pack_into("I", self.sq, self.cq_off[0], head + 1)
        return value
def at(data): return ctypes.addressof((ctypes.c_char * len(data)).from_buffer(data))
request, room = bytearray(REQUEST), bytearray(4096)
def vectors(data): return bytearray(struct.pack("QQQQ", at(data), 5, at(data) + 5, len(data) - 5))
def message(vector): return bytearray(struct.pack("QQQQQQQ", 0, 0, at(vector), 2, 0, 0, 0))
`;

const CASES: Readonly<Record<string, string>> = {
  "sends and receives": `
ring.put(26, client.fileno(), at(request), len(request)); ring.enter(1, 1); ring.result()
ring.put(27, server.fileno(), at(room), len(room)); ring.enter(1, 1); ring.result()`,
  "writes and reads": `
ring.put(23, client.fileno(), at(request), len(request)); ring.enter(1, 1); ring.result()
ring.put(22, server.fileno(), at(room), len(room)); ring.enter(1, 1); ring.result()`,
  vectors: `
out, into = vectors(request), vectors(room)
ring.put(2, client.fileno(), at(out), 2); ring.enter(1, 1); ring.result()
ring.put(1, server.fileno(), at(into), 2); ring.enter(1, 1); ring.result()`,
  messages: `
out, into = vectors(request), vectors(room); send, receive = message(out), message(into)
ring.put(9, client.fileno(), at(send), 1); ring.enter(1, 1); ring.result()
ring.put(10, server.fileno(), at(receive), 1); ring.enter(1, 1); ring.result()`,
  "a receive that waits for its data": `
ring.put(27, server.fileno(), at(room), len(room)); ring.enter(1, 0)
ring.put(26, client.fileno(), at(request), len(request)); ring.enter(1, 1)
ring.result(); ring.result()`,
  "requests handed to workers": `
ring.put(26, client.fileno(), at(request), len(request), 1 << 4); ring.enter(1, 1); ring.result()
ring.put(27, server.fileno(), at(room), len(room), 1 << 4); ring.enter(1, 1); ring.result()`,
};

for (const [name, statements] of Object.entries(CASES)) {
  test(`io_uring: ${name} are captured with their bytes`, async () => {
    using harness = new Harness({ hooks: "sock" });
    const script = `${URING}
wait(); ring = Ring(); client, server = pair(); ${statements}
server.send(RESPONSE); client.recv(9999)`;
    const { data } = await watch(harness, script);
    assert.deepEqual(
      data.map((seen) => [seen.sent, seen.position, seen.payload]),
      [
        [true, 0, REQUEST],
        [false, 0, REQUEST],
        [true, 0, RESPONSE],
        [false, 0, RESPONSE],
      ],
    );
    assert.deepEqual(harness.counts().noPayload, [0, 0, 0, 0, 0]);
  });
}

test("io_uring: a thread that only submits is seen", async () => {
  using harness = new Harness({ hooks: "sock" });
  const IORING_SETUP_SQPOLL = 2;
  const script = `${URING}
wait(); ring = Ring(${IORING_SETUP_SQPOLL}); client, server = pair()
ring.put(26, client.fileno(), at(request), len(request))
libc.syscall(426, ring.fd, 0, 0, 2, None, 0); ring.result(); server.recv(9999)`;
  const { data } = await watch(harness, script);
  assert.deepEqual(
    data.map((seen) => [seen.sent, seen.payload]),
    [
      [true, REQUEST],
      [false, REQUEST],
    ],
  );
});
