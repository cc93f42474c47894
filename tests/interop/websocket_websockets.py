#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The Python package websockets (Debian: python3-websockets) as a client of the echo server.

    websocket_websockets.py PORT compressed|plain

"compressed": the server has been built with zlib. The last line is `N passed, N failed`.
"""

import asyncio
import os
import sys

import websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

SIZES = (0, 1, 125, 126, 127, 65_535, 65_536, 1 << 20, 16 << 20)
PATIENCE = 20

PORT = int(sys.argv[1])
CAN_DEFLATE = sys.argv[2] == "compressed"
passed = failed = 0


async def check(name, run):
    global passed, failed
    try:
        await asyncio.wait_for(run, PATIENCE)
        passed += 1
        print(f"ok websockets: {name}")
    except Exception as problem:  # pylint: disable=broad-except
        failed += 1
        print(f"FAIL websockets: {name}: {type(problem).__name__} {problem}", flush=True)


def connect(path="/", **options):
    options.setdefault("compression", None)
    return websockets.connect(f"ws://localhost:{PORT}{path}", max_size=None, **options)


def must(holds, what):
    if not holds:
        raise AssertionError(what)


async def echoes(socket, size):
    for message in ("The quick brown fox. " * (size // 21 + 1))[:size], os.urandom(size):
        await socket.send(message)
        must(await socket.recv() == message, f"{size} bytes came back otherwise")


async def echo(size, is_compressed, **options):
    async with connect(**options) as socket:
        must(bool(socket.extensions) == is_compressed, f"extensions {socket.extensions}")
        await echoes(socket, size)


async def fragments(**options):
    async with connect(**options) as socket:
        await socket.send(["one ", "two ", "", "thrée"])
        must(await socket.recv() == "one two thrée", "another text")
        await socket.send([b"\xff" * 70_000, b"", b"\x00"])
        must(await socket.recv() == b"\xff" * 70_000 + b"\x00", "other bytes")


async def ping():
    async with connect() as socket:
        for payload in (b"", b"ping", b"p" * 125):
            await (await socket.ping(payload))


async def subprotocol(wanted, chosen):
    async with connect(subprotocols=wanted) as socket:
        must(socket.subprotocol == chosen, str(socket.subprotocol))


async def client_closes(code, reason):
    async with connect() as socket:
        await socket.close(code, reason)
        must(socket.close_code == code, str(socket.close_code))


async def server_closes(code, reason):
    async with connect("/close") as socket:
        await socket.send(f"{code} {reason}")
        await socket.wait_closed()
        must((socket.close_code, socket.close_reason) == (code, reason),
             f"{socket.close_code} {socket.close_reason}")


async def too_large():
    async with connect("/limits") as socket:
        await socket.send(b"*" * ((1 << 20) + 1))
        await socket.wait_closed()
        must(socket.close_code == 1009, str(socket.close_code))


async def main():
    kinds = [("plain", {})]
    if CAN_DEFLATE:
        kinds.append(("compressed", {"compression": "deflate"}))
        for name, parameters in (
                ("no context", {"server_no_context_takeover": True,
                                "client_no_context_takeover": True}),
                ("window of 8 bits", {"server_max_window_bits": 8, "client_max_window_bits": 9}),
                ("window of 15 bits", {"server_max_window_bits": 15})):
            kinds.append((f"compressed, {name}",
                          {"extensions": [ClientPerMessageDeflateFactory(**parameters)]}))
    for kind, options in kinds:
        for size in SIZES:
            await check(f"{kind}: echo of {size} bytes", echo(size, kind != "plain", **options))
        await check(f"{kind}: fragments", fragments(**options))
    await check("pings are answered", ping())
    for wanted, chosen in ((["echo"], "echo"), (["chat", "mirror"], "mirror"), (["chat"], None)):
        await check(f"subprotocols {wanted}", subprotocol(wanted, chosen))
    for code, reason in ((1000, ""), (1001, "leaving"), (3000, "Grüße"), (4999, "r" * 123)):
        await check(f"the client closes with {code}", client_closes(code, reason))
        await check(f"the server closes with {code}", server_closes(code, reason))
    await check("a message past the limit is closed with 1009", too_large())
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
