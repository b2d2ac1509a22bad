# SPDX-License-Identifier: Apache-2.0
"""A scripted session on a Redis server: waits for SIGUSR1, then one command after another.

usage: redis-session.py PORT
"""
import signal
import socket
import sys

import redis

port = int(sys.argv[1])
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
print("waiting", flush=True)
signal.sigwait({signal.SIGUSR1})

client = redis.Redis(host="127.0.0.1", port=port, db=3)
client.set("user:1", "secret-value")
assert client.get("user:1") == b"secret-value"
client.set("large", "x" * 100_000)
assert len(client.get("large")) == 100_000
try:
    client.incr("user:1")
    raise AssertionError("no error")
except redis.ResponseError:
    pass
try:
    client.lpush("user:1", "a")
    raise AssertionError("no error")
except redis.ResponseError:
    pass
client.hset("hash", mapping={"a": "1", "b": "2"})
assert client.hgetall("hash") == {b"a": b"1", b"b": b"2"}

pipeline = client.pipeline(transaction=False)
for number in range(10):
    pipeline.incr("counter")
assert pipeline.execute() == list(range(1, 11))

transaction = client.pipeline(transaction=True)
transaction.set("x", "1")
transaction.incr("x")
assert transaction.execute() == [True, 2]

pubsub = client.pubsub()
pubsub.subscribe("news", "weather")
assert pubsub.get_message(timeout=1)["type"] == "subscribe"
assert pubsub.get_message(timeout=1)["type"] == "subscribe"
for number in range(3):
    client.publish("news", f"message {number}")
    assert pubsub.get_message(timeout=1)["data"] == f"message {number}".encode()
pubsub.close()
client.close()

# An inline command, RESP3 with a push between replies, and a client that goes away.
with socket.create_connection(("127.0.0.1", port)) as raw:
    def ask(request, *parts):
        raw.sendall(request)
        got = b""
        while not all(part in got for part in parts):
            got += raw.recv(1000)

    ask(b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n")
    ask(b"ECHO hello\r\n", b"$5\r\nhello\r\n")
    ask(b"*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n", b"%7\r\n", b"*0\r\n")
    ask(b"*2\r\n$9\r\nSUBSCRIBE\r\n$4\r\nself\r\n", b":1\r\n")
    # The message to ourselves comes as a push beside the integer.
    ask(b"*3\r\n$7\r\nPUBLISH\r\n$4\r\nself\r\n$2\r\nhi\r\n", b"$2\r\nhi\r\n", b":1\r\n")
    ask(b"*2\r\n$3\r\nGET\r\n$7\r\nmissing\r\n", b"_\r\n")
    raw.sendall(b"*3\r\n$5\r\nBLPOP\r\n$5\r\nempty\r\n$1\r\n0\r\n")
print("done", flush=True)
signal.sigwait({signal.SIGUSR1})
