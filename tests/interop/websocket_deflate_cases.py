#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compressed messages (RFC 7692) against a running echo server, with Python's zlib on this side.

    websocket_deflate_cases.py PORT [--only REGEX]

12: kinds of data, message sizes and fragment sizes with the plain offer; 13: the parameters of the
handshake; 14: what is not allowed. The last line is `N passed, N failed`.
"""

import os
import random
import sys
import zlib

from websocket_cases import main
from websocket_raw import (BINARY, CONTINUATION, PING, PONG, TEXT, Client, Failure, fragments,
                           frame)

CASES = []
PLAIN = "permessage-deflate; client_max_window_bits"
COMPRESSED = 4  # RSV1
SIZES = ((16, 0), (64, 0), (256, 0), (1024, 0), (4096, 0), (8192, 0), (16384, 0), (32768, 0),
         (65536, 0), (131072, 0), (8192, 256), (16384, 256), (32768, 256), (65536, 256),
         (131072, 256), (131072, 1024), (131072, 4096), (131072, 32768))
# How much of each data set goes through a case: enough that windows are left behind often.
BYTES_PER_CASE = 1024 * 1024
MESSAGES_PER_CASE = 200


def make_data():
    """Name -> (opcode, bytes): prose, a table, markup, a picture, and noise; the same each time."""
    chance = random.Random(7692)
    words = ["".join(chance.choice("aeioubcdfghklmnprstäöü") for _ in range(chance.randint(2, 9)))
             for _ in range(2000)]
    prose = " ".join(words[min(int(chance.expovariate(0.005)), 1999)] for _ in range(60_000))
    table = ",".join(f'{{"id":{i},"name":"{chance.choice(words)}","x":{chance.random():.6f},'
                     f'"alive":{str(chance.random() < 0.9).lower()}}}' for i in range(6000))
    markup = "".join(f'<tr class="{chance.choice(words)}"><td>{i}</td><td><a href="/item/{i}">'
                     f"{chance.choice(words)}</a></td></tr>\n" for i in range(5000))
    picture = bytes((x * x + y * y * 3 + chance.randint(0, 7)) // 512 & 255
                    for y in range(600) for x in range(600))
    return {"prose": (TEXT, prose.encode()), "table": (TEXT, table.encode()),
            "markup": (TEXT, markup.encode()), "picture": (BINARY, picture),
            "noise": (BINARY, chance.getrandbits(3_200_000).to_bytes(400_000, "big"))}


def text_piece(data, at, size):
    """About that many bytes from there on, cut between characters; one past the end of the data
    begins again."""
    piece = (data + data)[at:at + size]
    return piece.decode("utf-8", "ignore").encode()


def connect(port, offer=PLAIN):
    client = Client(port, fields=[f"Sec-WebSocket-Extensions: {offer}"])
    if not client.agree():
        raise Failure(f"{offer} is not accepted: {client.fields}")
    return client


def compressed(client, opcode, message, size=0):
    payload = client.compress(message)
    return fragments(opcode, payload, size or max(len(payload), 1), rsv=COMPRESSED)


def add_echo(name, offer, kind, size, fragment_size):
    def run(port):
        opcode, data = DATA[kind]
        count = max(10, min(MESSAGES_PER_CASE, BYTES_PER_CASE // size))
        with connect(port, offer) as client:
            at = 0
            for _ in range(count):
                message = text_piece(data, at, size) if opcode == TEXT else \
                    (data + data)[at:at + size]
                at = (at + size) % len(data)
                client.send(*compressed(client, opcode, message, fragment_size))
                client.expect((opcode, message))
            client.close()
    CASES.append((name, run))


DATA = make_data()
for group, kind in enumerate(DATA, 1):
    for number, (size, fragment_size) in enumerate(SIZES, 1):
        add_echo(f"12.{group}.{number} {kind}, {size} bytes, frames of {fragment_size or 'any'}",
                 PLAIN, kind, size, fragment_size)

# 13: an offer, and what has to stand in the answer ("" where any value will do)

OFFERS = (
    ("permessage-deflate", {}),
    ("permessage-deflate; server_no_context_takeover", {"server_no_context_takeover": ""}),
    ("permessage-deflate; client_no_context_takeover; client_max_window_bits", {}),
    ("permessage-deflate; server_max_window_bits=8; client_max_window_bits",
     {"server_max_window_bits": "8"}),
    ("permessage-deflate; server_max_window_bits=9; client_max_window_bits=9",
     {"server_max_window_bits": "9"}),
    ("permessage-deflate; server_max_window_bits=15; client_max_window_bits",
     {"server_max_window_bits": ""}),
    ("permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
     "server_max_window_bits=8; client_max_window_bits", {"server_no_context_takeover": "",
                                                          "server_max_window_bits": "8"}),
    ("permessage-deflate; server_max_window_bits=99, permessage-deflate; "
     "server_no_context_takeover; client_max_window_bits, permessage-deflate",
     {"server_no_context_takeover": ""}),
    ("x-webkit-deflate-frame, permessage-deflate; client_max_window_bits", {}),
)


def add_answer(name, offer, wanted):
    def run(port):
        with connect(port, offer) as client:
            for parameter, value in wanted.items():
                if parameter not in client.agreed or value not in ("", client.agreed[parameter]):
                    raise Failure(f"{parameter} in {client.agreed}")
            if "client_max_window_bits" not in offer and "client_max_window_bits" in client.agreed:
                raise Failure("client_max_window_bits was not offered")
            client.close()
    CASES.append((name, run))


for group, (offer, wanted) in enumerate(OFFERS, 1):
    add_answer(f"13.{group}.0 {offer}", offer, wanted)
    for number, (size, fragment_size) in enumerate(SIZES, 1):
        add_echo(f"13.{group}.{number} {size} bytes, frames of {fragment_size or 'any'}", offer,
                 "table", size, fragment_size)


def add_declined(name, offer, path="/"):
    """The connection opens without compression."""
    def run(port):
        with Client(port, path, fields=[f"Sec-WebSocket-Extensions: {offer}"]) as client:
            if "sec-websocket-extensions" in client.fields:
                raise Failure(client.fields)
            client.send(frame(TEXT, b"*" * 1000))
            client.expect((TEXT, b"*" * 1000))
            client.close()
    CASES.append((name, run))


add_declined("13.10 an unknown parameter", "permessage-deflate; level=9")
add_declined("13.11 a window of 7 bits", "permessage-deflate; server_max_window_bits=7")
add_declined("13.12 the same parameter twice",
             "permessage-deflate; client_max_window_bits; client_max_window_bits")
add_declined("13.13 switched off", PLAIN, "/plain")

# 14: what else can be sent


def add_raw(name, make, *expected, fails=(), path="/"):
    """`make` is given the client and returns bytes to send."""
    def run(port):
        client = Client(port, path, fields=[f"Sec-WebSocket-Extensions: {PLAIN}"])
        with client:
            if not client.agree():
                raise Failure("not accepted")
            client.send(make(client))
            client.expect(*expected)
            if fails:
                client.expect_close(*fails)
            else:
                client.close()
    CASES.append((name, run))


HELLO = bytes.fromhex("f248cdc9c90700")
MIB = 1024 * 1024
NOISE = os.urandom(4 * MIB)
add_raw("14.1 the RFC's block (7.2.3.1)", lambda c: frame(TEXT, HELLO, rsv=4), (TEXT, b"Hello"))
add_raw("14.2 the RFC's second message (7.2.3.2)",
        lambda c: frame(TEXT, HELLO, rsv=4) + frame(TEXT, bytes.fromhex("f200110000"), rsv=4),
        (TEXT, b"Hello"), (TEXT, b"Hello"))
add_raw("14.3 a block without compression (7.2.3.3)",
        lambda c: frame(TEXT, bytes.fromhex("000500faff48656c6c6f00"), rsv=4), (TEXT, b"Hello"))
add_raw("14.4 a block that says it is the last (7.2.3.4)",
        lambda c: frame(TEXT, bytes.fromhex("f348cdc9c9070000"), rsv=4), (TEXT, b"Hello"))
add_raw("14.5 two blocks (7.2.3.5)",
        lambda c: frame(TEXT, bytes.fromhex("f248050000 00ffff cac9c90700"), rsv=4),
        (TEXT, b"Hello"))
add_raw("14.6 an empty message (7.2.3.6)", lambda c: frame(TEXT, b"\0", rsv=4), (TEXT, b""))
add_raw("14.7 in frames, some of them empty",
        lambda c: frame(TEXT, b"", False, rsv=4) + frame(CONTINUATION, HELLO[:3], False)
        + frame(PING, b"between") + frame(CONTINUATION, HELLO[3:], False) + frame(CONTINUATION),
        (PONG, b"between"), (TEXT, b"Hello"))
add_raw("14.8 compressed and not by turns",
        lambda c: b"".join([*compressed(c, TEXT, b"one " * 50), frame(TEXT, b"two"),
                            *compressed(c, BINARY, b"one " * 50)]),
        (TEXT, b"one " * 50), (TEXT, b"two"), (BINARY, b"one " * 50))
add_raw("14.9 RSV1 in a continuation", lambda c: frame(TEXT, HELLO[:3], False, rsv=4)
        + frame(CONTINUATION, HELLO[3:], rsv=4), fails=(1002,))
add_raw("14.10 RSV1 in a ping", lambda c: frame(PING, HELLO, rsv=4), fails=(1002,))
add_raw("14.11 RSV2", lambda c: frame(TEXT, HELLO, rsv=6), fails=(1002,))
add_raw("14.12 no deflated data", lambda c: frame(BINARY, b"\xff" * 10, rsv=4), fails=(1007,))
add_raw("14.13 cut short", lambda c: frame(BINARY, HELLO[:4], rsv=4), fails=(1007,))
add_raw("14.14 text that is no UTF-8",
        lambda c: b"".join(compressed(c, TEXT, b"good " * 20 + b"\xed\xa0\x80")), fails=(1007,))
add_raw("14.15 the same in the middle, in frames",
        lambda c: b"".join(compressed(c, TEXT, b"good " * 2000 + b"\xff" + b"good " * 2000, 20)),
        fails=(1007,))
add_raw("14.16 a megabyte is within the default limit",
        lambda c: b"".join(compressed(c, BINARY, b"\0" * MIB)), (BINARY, b"\0" * MIB),
        path="/limits")
add_raw("14.17 a byte more is not",
        lambda c: b"".join(compressed(c, BINARY, b"\0" * (MIB + 1))), fails=(1009,),
        path="/limits")
add_raw("14.18 a bomb of 256 MiB",
        lambda c: frame(BINARY, zlib.compress(b"\0" * 256 * MIB, wbits=-15)[:-1], rsv=4),
        fails=(1009,), path="/limits")
add_raw("14.19 in frames", lambda c: b"".join(compressed(c, BINARY, b"\0" * 64 * MIB, 1000)),
        fails=(1009,), path="/limits")
add_raw("14.20 noise of 4 MiB", lambda c: b"".join(compressed(c, BINARY, NOISE)), (BINARY, NOISE))

if __name__ == "__main__":
    sys.exit(main(CASES, __doc__))
