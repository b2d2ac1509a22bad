# SPDX-License-Identifier: Apache-2.0
"""A scripted session on a memcached server: waits for SIGUSR1, then one command after another.

usage: memcached-session.py PORT [BYTES]
"""
import signal
import socket
import struct
import sys
import time

from pymemcache.client.base import Client
from pymemcache.exceptions import MemcacheError

port = int(sys.argv[1])
size = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
print("waiting", flush=True)
signal.sigwait({signal.SIGUSR1})

client = Client(("127.0.0.1", port), default_noreply=False)
assert client.set("user:1", "secret-value")
assert client.get("user:1") == b"secret-value"
assert client.get("missing") is None
# The agent sees so far what it needs to tell the protocol; it decides a few times a second.
time.sleep(0.3)
assert client.set("large", "x" * size)
assert len(client.get("large")) == size
assert client.set_many({"a": "1", "b": "2"}) == []
assert client.get_many(["a", "b", "c"]) == {"a": b"1", "b": b"2"}
value, token = client.gets("a")
assert client.cas("a", "3", token) is True
assert client.cas("a", "4", token) is False
assert client.incr("a", 5) == 8
try:
    client.incr("user:1", 1)
    raise AssertionError("no error")
except MemcacheError:
    pass
assert client.add("a", "9") is False
assert client.touch("a", 60)
client.set("quiet", "1", noreply=True)
assert client.delete("quiet")
assert b"pid" in client.stats()
assert client.version()
assert client.flush_all()
client.quit()

with socket.create_connection(("127.0.0.1", port)) as meta:

    def ask(request, end):
        meta.sendall(request)
        got = b""
        while not got.endswith(end):
            got += meta.recv(10_000)
        return got

    assert ask(b"ms m1 5 T60\r\nhello\r\n", b"\r\n") == b"HD\r\n"
    assert ask(b"mg m1 v\r\n", b"hello\r\n") == b"VA 5\r\nhello\r\n"
    # A batch of quiet commands: of three only the one that finds something is answered.
    batch = b"mg m1 v q\r\nmg m2 v q\r\nmd m1 q\r\nmn\r\n"
    assert ask(batch, b"MN\r\n") == b"VA 5\r\nhello\r\nMN\r\n"

with socket.create_connection(("127.0.0.1", port)) as binary:

    def frame(opcode, opaque, key=b"", extras=b"", value=b""):
        total = len(key) + len(extras) + len(value)
        header = struct.pack(
            ">BBHBBHIIQ", 0x80, opcode, len(key), len(extras), 0, 0, total, opaque, 0
        )
        return header + extras + key + value

    def answer(opaque):
        header = binary.recv(24, socket.MSG_WAITALL)
        _, _, _, _, _, status, total, number, _ = struct.unpack(">BBHBBHIIQ", header)
        assert number == opaque, (number, opaque)
        return status, binary.recv(total, socket.MSG_WAITALL) if total > 0 else b""

    binary.sendall(frame(0x01, 1, b"key", struct.pack(">II", 0, 60), b"value"))
    assert answer(1)[0] == 0
    binary.sendall(frame(0x00, 2, b"key"))
    assert answer(2) == (0, b"\0\0\0\0value")
    # GETKQ of what is not there says nothing, NOOP tells that it is over.
    binary.sendall(frame(0x0D, 3, b"none") + frame(0x0D, 4, b"key") + frame(0x0A, 5))
    assert answer(4) == (0, b"\0\0\0\0keyvalue")
    assert answer(5) == (0, b"")
    binary.sendall(frame(0x05, 6, b"key", struct.pack(">QQI", 1, 0, 0)))
    assert answer(6)[0] == 6
    binary.sendall(frame(0x10, 7, b"settings"))
    while answer(7)[1]:
        pass
    binary.sendall(frame(0x04, 8, b"none"))
    assert answer(8)[0] == 1
print("done", flush=True)
signal.sigwait({signal.SIGUSR1})
