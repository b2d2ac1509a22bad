# SPDX-License-Identifier: Apache-2.0
"""An ordinary Python service with a thread a connection and a pool of connections that threads wait for.

python3 threads.py --listen 127.0.0.1:0 [--downstream URL]... [--parallel URL]... [--connections N] [--redis HOST:PORT]

All calls are made in turn by the thread that read the request.
"""
import argparse
import http.client
import queue
import signal
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from urllib.parse import urlsplit

parser = argparse.ArgumentParser()
parser.add_argument("--listen", default="127.0.0.1:0")
parser.add_argument("--downstream", action="append", default=[])
parser.add_argument("--parallel", action="append", default=[])
parser.add_argument("--connections", type=int, default=0)
parser.add_argument("--redis", default="")
options = parser.parse_args()
pools = {}


def pool_of(key, make):
    """LIFO as most pools: None stands for a connection that is yet to be made."""
    if key not in pools:
        pool = queue.LifoQueue()
        for _ in range(options.connections or 1024):
            pool.put(None)
        pools[key] = (pool, make)
    return pools[key]


def with_connection(key, make, use):
    pool, make = pool_of(key, make)
    connection = pool.get() or make()
    try:
        return use(connection)
    finally:
        pool.put(connection)


def ask(base, number):
    url = urlsplit(base)

    def use(connection):
        connection.request("GET", f"{url.path}/{number}")
        response = connection.getresponse()
        response.read()
        return response.status

    return with_connection(url.netloc, lambda: http.client.HTTPConnection(url.netloc, timeout=60), use)


def look_up(number):
    host, port = options.redis.split(":")
    key = f"key:{number}"

    def use(connection):
        connection.sendall(f"*2\r\n$3\r\nGET\r\n${len(key)}\r\n{key}\r\n".encode())
        connection.recv(100)

    with_connection(options.redis, lambda: socket.create_connection((host, int(port))), use)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self):
        number = self.path.rsplit("/", 1)[1]
        status = 200
        for base in options.downstream + options.parallel:
            status = max(status, ask(base, number))
        if options.redis:
            look_up(number)
        text = f"{number}\n".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 512

    def server_bind(self):
        TCPServer.server_bind(self)


for one in options.downstream + options.parallel:
    netloc = urlsplit(one).netloc
    pool_of(netloc, lambda netloc=netloc: http.client.HTTPConnection(netloc, timeout=60))
if options.redis:
    pool_of(options.redis, lambda: socket.create_connection(tuple(options.redis.split(":"))))
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
host, _, port = options.listen.rpartition(":")
Server((host, int(port)), Handler).serve_forever()
