# SPDX-License-Identifier: Apache-2.0
# A server and a client over TLS, with threads or with asyncio. The client opens connections, says
# "waiting", and asks when it is sent SIGUSR1: on these (early) or on new ones (late).
#   tls-session.py serve threads|asyncio PORT CERTIFICATE KEY
#   tls-session.py call threads|asyncio PORT early|late
import asyncio
import http.client
import http.server
import signal
import ssl
import sys
import threading

CONNECTIONS = 4
REQUESTS = 10  # on each connection

role, mode, port = sys.argv[1], sys.argv[2], int(sys.argv[3])


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = f"you asked for {self.path}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def server_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[4], sys.argv[5])
    return context


def client_context():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def serve_threads():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    server.socket = server_context().wrap_socket(server.socket, server_side=True)
    server.serve_forever()


async def answer(reader, writer):
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            break
        path = head.split(b" ")[1].decode()
        # Others run meanwhile.
        await asyncio.sleep(0.002)
        body = f"you asked for {path}\n".encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
    writer.close()


async def serve_asyncio():
    server = await asyncio.start_server(answer, "127.0.0.1", port, ssl=server_context())
    await server.serve_forever()


def ask_thread(connection, index):
    for number in range(REQUESTS):
        connection.request("GET", f"/threads/{index}-{number}")
        connection.getresponse().read()


def call_threads():
    connections = [
        http.client.HTTPSConnection("127.0.0.1", port, context=client_context())
        for _ in range(CONNECTIONS)
    ]
    if sys.argv[4] == "early":
        for connection in connections:
            connection.connect()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    print("waiting", flush=True)
    signal.sigwait({signal.SIGUSR1})
    threads = [
        threading.Thread(target=ask_thread, args=(connection, index))
        for index, connection in enumerate(connections)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


async def ask(reader, writer, index):
    for number in range(REQUESTS):
        writer.write(b"GET /asyncio/%d-%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % (index, number))
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)


async def call_asyncio():
    def opening():
        return asyncio.open_connection("127.0.0.1", port, ssl=client_context())

    early = sys.argv[4] == "early"
    pairs = [await opening() for _ in range(CONNECTIONS)] if early else []
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, told.set)
    print("waiting", flush=True)
    await told.wait()
    if not early:
        pairs = await asyncio.gather(*(opening() for _ in range(CONNECTIONS)))
    await asyncio.gather(*(ask(*pair, index) for index, pair in enumerate(pairs)))


if role == "serve":
    serve_threads() if mode == "threads" else asyncio.run(serve_asyncio())
else:
    call_threads() if mode == "threads" else asyncio.run(call_asyncio())
    print("done", flush=True)
    signal.pause()
