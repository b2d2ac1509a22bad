# SPDX-License-Identifier: Apache-2.0
"""An ordinary Python service: a thread a connection, http.client to its downstreams, stdlib only.

python3 prices.py --listen 127.0.0.1:0 [--name prices] [--downstream URL]... [--workers N]

Calls each --downstream one after the other; with --workers by the threads of a pool. /VERB/ID is asked of each as /PREFIX/ID, PREFIX being
the path of its URL; special verbs are passed on unchanged, and so is X-Request-ID.
"""
import argparse
import http.client
import json
import signal
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from urllib.parse import parse_qs, urlsplit

STATUS = {"fail": 500, "empty": 204, "unchanged": 304}
SPECIAL = {*STATUS, "slow", "chunked"}
parser = argparse.ArgumentParser()
parser.add_argument("--listen", default="127.0.0.1:0")
parser.add_argument("--name", default="prices")
parser.add_argument("--downstream", action="append", default=[])
parser.add_argument("--workers", type=int, default=0)
options = parser.parse_args()
pool = ThreadPoolExecutor(options.workers) if options.workers > 0 else None
mine = threading.local()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answers = [self.handed_on(base, body) for base in options.downstream] or [self.own()]
        status = max(status for status, _ in answers)
        text = json.dumps({
            "service": options.name,
            "path": self.path,
            "received": len(body),
            "from": [text for _, text in answers],
        }).encode() + b"\n"
        self.send_response(status)
        if status in (204, 304):
            self.end_headers()
            return
        self.send_header("Content-Type", "application/json")
        chunked = self.path.startswith("/chunked/")
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if chunked:
            for part in (text[:10], text[10:], b""):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        else:
            self.wfile.write(text)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

    def own(self):
        url = urlsplit(self.path)
        verb = url.path.split("/")[1]
        if verb == "slow":
            time.sleep(int(parse_qs(url.query).get("ms", ["100"])[0]) / 1000)
        return STATUS.get(verb, 200), ""

    def handed_on(self, base, body):
        return pool.submit(self.call, base, body).result() if pool else self.call(base, body)

    def call(self, base, body):
        url = urlsplit(base)
        verb, _, rest = self.path[1:].partition("/")
        prefix = url.path.strip("/")
        path = self.path if verb in SPECIAL or not prefix else f"/{prefix}/{rest}"
        for attempt in (1, 2):
            connection = connection_to(url.hostname, url.port)
            try:
                headers = {"Content-Type": "application/json"} if body else {}
                if "X-Request-ID" in self.headers:
                    headers["X-Request-ID"] = self.headers["X-Request-ID"]
                connection.request(self.command, path, body or None, headers)
                response = connection.getresponse()
                return response.status, response.read().decode()
            except (http.client.HTTPException, OSError) as error:
                connection.close()  # a kept connection may have been closed: once more on a new one
                if attempt == 2:
                    return 502, f"{options.name}: {error}"

    def log_message(self, *_):
        pass


def connection_to(host, port):
    """The connection that this thread keeps to host:port."""
    kept = mine.__dict__.setdefault("connections", {})
    if (host, port) not in kept:
        kept[host, port] = http.client.HTTPConnection(host, port, timeout=30)
    return kept[host, port]


class Server(ThreadingHTTPServer):
    request_queue_size = 512

    def server_bind(self):
        TCPServer.server_bind(self)  # HTTPServer's would look up the host's name


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
host, _, port = options.listen.rpartition(":")
Server.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
Server((host.strip("[]"), int(port)), Handler).serve_forever()
