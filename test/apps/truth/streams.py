# SPDX-License-Identifier: Apache-2.0
"""An ordinary asyncio service, with nothing but the standard library (Python 3.8 on).

python3 streams.py --listen 127.0.0.1:0 [--downstream URL]... [--parallel URL]... [--connections N] [--redis HOST:PORT]

Asks each --downstream in turn, then each --parallel at once, then a Redis server. With N
connections to a server, requests beyond wait until one is free, first come, first served.
"""
import argparse
import asyncio
import signal
import sys
from collections import deque
from urllib.parse import urlsplit

parser = argparse.ArgumentParser()
parser.add_argument("--listen", default="127.0.0.1:0")
parser.add_argument("--downstream", action="append", default=[])
parser.add_argument("--parallel", action="append", default=[])
parser.add_argument("--connections", type=int, default=0)
parser.add_argument("--redis", default="")
options = parser.parse_args()


class Pool:
    def __init__(self, host, port):
        self.host, self.port = host, port
        self.free, self.waiting, self.made = deque(), deque(), 0

    async def take(self):
        if self.free:
            return self.free.popleft()
        if options.connections == 0 or self.made < options.connections:
            self.made += 1
            return await asyncio.open_connection(self.host, self.port)
        waiter = asyncio.get_running_loop().create_future()
        self.waiting.append(waiter)
        return await waiter

    def give(self, connection):
        if self.waiting:
            self.waiting.popleft().set_result(connection)
        else:
            self.free.append(connection)


pools = {}


def pool_of(host, port):
    return pools.setdefault((host, port), Pool(host, port))


async def read_head(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
    return lines[0], fields


async def ask(base, number):
    url = urlsplit(base)
    pool = pool_of(url.hostname, url.port)
    connection = await pool.take()
    reader, writer = connection
    writer.write(f"GET {url.path}/{number} HTTP/1.1\r\nhost: {url.netloc}\r\n\r\n".encode())
    status, fields = await read_head(reader)
    if "content-length" in fields:
        await reader.readexactly(int(fields["content-length"]))
    else:
        while (await reader.readline()) != b"0\r\n":
            pass
        await reader.readline()
    pool.give(connection)
    return int(status.split()[1])


async def look_up(number):
    host, port = options.redis.split(":")
    pool = pool_of(host, int(port))
    connection = await pool.take()
    reader, writer = connection
    key = f"key:{number}"
    writer.write(f"*2\r\n$3\r\nGET\r\n${len(key)}\r\n{key}\r\n".encode())
    await reader.readline()
    pool.give(connection)


async def answer(number):
    status = 200
    for base in options.downstream:
        status = max(status, await ask(base, number))
    for one in await asyncio.gather(*(ask(base, number) for base in options.parallel)):
        status = max(status, one)
    if options.redis:
        await look_up(number)
    return status


async def serve(reader, writer):
    try:
        while True:
            line, _ = await read_head(reader)
            number = line.split()[1].rsplit("/", 1)[1]
            status = await answer(number)
            body = f"{number}\n"
            head = f"HTTP/1.1 {status} .\r\ncontent-length: {len(body)}\r\n\r\n"
            writer.write((head + body).encode())
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main():
    host, _, port = options.listen.rpartition(":")
    server = await asyncio.start_server(serve, host, int(port), backlog=512)
    await asyncio.gather(*(one.wait_closed() for one in [server]), asyncio.Event().wait())


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
asyncio.run(main())
