# SPDX-License-Identifier: Apache-2.0
"""An ordinary asyncio service on aiohttp, server and client.

python3 aio.py --listen 127.0.0.1:0 [--downstream URL]... [--parallel URL]... [--connections N]
"""
import argparse
import asyncio

from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

parser = argparse.ArgumentParser()
parser.add_argument("--listen", default="127.0.0.1:0")
parser.add_argument("--downstream", action="append", default=[])
parser.add_argument("--parallel", action="append", default=[])
parser.add_argument("--connections", type=int, default=0)
options = parser.parse_args()


async def ask(session, base, number):
    async with session.get(f"{base}/{number}") as response:
        await response.read()
        return response.status


async def answer(request):
    session, number = request.app["session"], request.match_info["number"]
    status = 200
    for base in options.downstream:
        status = max(status, await ask(session, base, number))
    asked = (ask(session, base, number) for base in options.parallel)
    for one in await asyncio.gather(*asked):
        status = max(status, one)
    return web.Response(status=status, text=f"{number}\n")


async def with_session(app):
    connector = TCPConnector(limit=options.connections)
    timeout = ClientTimeout(total=60)
    async with ClientSession(connector=connector, timeout=timeout) as app["session"]:
        yield


app = web.Application()
app.cleanup_ctx.append(with_session)
app.router.add_get("/{verb}/{number}", answer)
host, _, port = options.listen.rpartition(":")
web.run_app(app, host=host, port=int(port), print=None, backlog=512)
