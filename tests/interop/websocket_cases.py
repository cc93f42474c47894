#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The rules of RFC 6455 against a running echo server, in the groups that conformance suites use.

    websocket_cases.py PORT [--only REGEX]

1 framing, 2 pings, 3 reserved bits, 4 opcodes, 5 fragmentation, 6 UTF-8, 7 closing, 9 sizes,
10 fragments of odd sizes; 0 is the handshake. Each case is bytes out, and the exact frames that
have to come back. The last line is `N passed, N failed`.
"""

import argparse
import re
import sys
import time
import traceback

from websocket_raw import (BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Client, Failure,
                           close_payload, fragments, frame)

CASES = []  # (name, function of a port)
KIB, MIB = 1024, 1024 * 1024


def case(name):
    def keep(function):
        CASES.append((name, function))
        return function
    return keep


def add(name, sent, *expected, chop=None, fails=(), path="/", one_by_one=False):
    """Sends; expects these messages in this order; then ends the connection cleanly, or expects
    that the server fails it with one of the codes."""
    pieces = [sent] if isinstance(sent, bytes) else list(sent)

    def run(port):
        with Client(port, path) as client:
            if one_by_one:
                for piece in pieces:
                    client.send(piece)
                    time.sleep(0.001)  # a segment of its own, most likely; no more is needed
            else:
                client.send(*pieces, chop=chop)
            client.expect(*expected)
            if fails:
                client.expect_close(*fails)
            else:
                client.close()
    CASES.append((name, run))


def each_way(name, pieces, *expected, fails=()):
    """In one segment, frame by frame, and byte by byte."""
    add(f"{name}, at once", b"".join(pieces), *expected, fails=fails)
    add(f"{name}, frame by frame", pieces, *expected, fails=fails, one_by_one=True)
    add(f"{name}, byte by byte", b"".join(pieces), *expected, fails=fails, chop=1)


# 0: the handshake

@case("0.1 the key of the RFC gives its accept value (1.3)")
def key_of_the_rfc(port):
    with Client(port, key="dGhlIHNhbXBsZSBub25jZQ==") as client:
        if client.fields["sec-websocket-accept"] != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=":
            raise Failure(client.fields)
        client.close()


def add_refusal(name, status, **arguments):
    def run(port):
        with Client(port, **arguments) as client:
            if client.status != status:
                raise Failure(f"{client.status} instead of {status}")
            if status == 426 and client.fields.get("sec-websocket-version") != "13":
                raise Failure("426 does not say which version")
    CASES.append((name, run))


add_refusal("0.2 version 8 (4.4)", 426, version="8")
add_refusal("0.3 a key that is no base64 (4.2.1)", 400, key="not sixteen bytes")
add_refusal("0.4 a key of 15 bytes (4.2.1)", 400, key="AAAAAAAAAAAAAAAAAAAA")
add_refusal("0.5 a malformed list of extensions (9.1)", 400,
            fields=["Sec-WebSocket-Extensions: permessage-deflate;"])


def add_protocol(name, field, chosen):
    def run(port):
        fields = [f"Sec-WebSocket-Protocol: {field}"] if field else []
        with Client(port, fields=fields) as client:
            if client.fields.get("sec-websocket-protocol") != chosen:
                raise Failure(client.fields)
            client.close()
    CASES.append((name, run))


add_protocol("0.6 no subprotocol asked for", None, None)
add_protocol("0.7 one of two is known", "chat, echo", "echo")
add_protocol("0.8 the server's order decides", "mirror, echo", "echo")
add_protocol("0.9 none is known", "chat", None)

# 1: framing

for kind, code in ((1, TEXT), (2, BINARY)):
    for number, size in enumerate((0, 125, 126, 127, 128, 65535, 65536), 1):
        add(f"1.{kind}.{number} {size} bytes", frame(code, b"*" * size), (code, b"*" * size))
    add(f"1.{kind}.8 65536 bytes by 997", frame(code, b"*" * 65536), (code, b"*" * 65536), chop=997)
    add(f"1.{kind}.9 a length not in its shortest form", frame(code, b"a", length=("H", 1)),
        fails=(1002,))
    add(f"1.{kind}.10 a length of 8 bytes not in its shortest form",
        frame(code, b"a" * 65535, length=("Q", 65535)), fails=(1002,))
    add(f"1.{kind}.11 the length's highest bit", frame(code, b"", length=("Q", 1 << 63)),
        fails=(1002,))
    add(f"1.{kind}.12 a huge length", frame(code, b"", length=("Q", (1 << 63) - 1)), fails=(1009,))
    add(f"1.{kind}.13 unmasked", frame(code, b"a", mask=False), fails=(1002,))

# 2: pings

for number, payload in enumerate((b"", b"Hello", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff",
                                  b"\xfe" * 125), 1):
    add(f"2.{number} a ping of {len(payload)} bytes", frame(PING, payload), (PONG, payload))
add("2.5 a ping of 126 bytes", frame(PING, b"\xfe" * 126), fails=(1002,))
add("2.6 a ping of 125 bytes, byte by byte", frame(PING, b"\xfe" * 125), (PONG, b"\xfe" * 125),
    chop=1)
add("2.7 an unasked pong", frame(PONG))
add("2.8 an unasked pong with a payload", frame(PONG, b"unasked"))
add("2.9 an unasked pong, then a ping", [frame(PONG, b"unasked"), frame(PING, b"asked")],
    (PONG, b"asked"))


def add_pings(name, chop):
    """Each is answered, or later ones stand for those before them (5.5.3)."""
    def run(port):
        with Client(port) as client:
            client.send(*[frame(PING, b"ping %d" % i) for i in range(10)], chop=chop)
            seen = -1
            while seen < 9:
                opcode, payload = client.read_message()
                number = int(payload.split()[1])
                if opcode != PONG or number <= seen:
                    raise Failure(f"{opcode} {payload}")
                seen = number
            client.close()
    CASES.append((name, run))


add_pings("2.10 ten pings", None)
add_pings("2.11 ten pings, byte by byte", 1)

# 3: reserved bits

GOOD, PINGED = frame(TEXT, b"Hello"), frame(PING)
add("3.1 RSV 1 in a text", frame(TEXT, b"Hello", rsv=1), fails=(1002,))
each_way("3.2 RSV 2 behind a good text", [GOOD, frame(TEXT, b"Hello", rsv=2), PINGED],
         (TEXT, b"Hello"), fails=(1002,))
each_way("3.3 RSV 3 behind a good text", [GOOD, frame(TEXT, b"Hello", rsv=3), PINGED],
         (TEXT, b"Hello"), fails=(1002,))
each_way("3.4 RSV 4 behind a good text, without compression",
         [GOOD, frame(TEXT, b"Hello", rsv=4), PINGED], (TEXT, b"Hello"), fails=(1002,))
add("3.5 RSV 5 in a binary", frame(BINARY, b"\x00\xff\xfe", rsv=5), fails=(1002,))
add("3.6 RSV 6 in a ping", frame(PING, b"a", rsv=6), fails=(1002,))
add("3.7 RSV 7 in a close", frame(CLOSE, close_payload(1000), rsv=7), fails=(1002,))

# 4: opcodes

for group, opcodes in ((1, range(3, 8)), (2, range(11, 16))):
    for number, opcode in enumerate(opcodes, 1):
        payload = b"reserved" if number % 2 == 0 else b""
        each_way(f"4.{group}.{number} opcode {opcode}", [GOOD, frame(opcode, payload), PINGED],
                 (TEXT, b"Hello"), fails=(1002,))

# 5: fragmentation

FIRST, LAST = frame(TEXT, b"fragment1", fin=False), frame(CONTINUATION, b"fragment2")
BOTH = (TEXT, b"fragment1fragment2")
add("5.1 a ping in two frames", [frame(PING, b"a", fin=False), frame(CONTINUATION, b"b")],
    fails=(1002,))
add("5.2 a pong in two frames", [frame(PONG, b"a", fin=False), frame(CONTINUATION, b"b")],
    fails=(1002,))
each_way("5.3 a text in two frames", [FIRST, LAST], BOTH)
each_way("5.6 a ping between two frames", [FIRST, frame(PING, b"ping"), LAST], (PONG, b"ping"),
         BOTH)
for number, is_last in ((9, True), (12, False)):
    each_way(f"5.{number} a continuation of nothing (fin {is_last})",
             [frame(CONTINUATION, b"nothing", fin=is_last), GOOD], fails=(1002,))
for number, is_last in ((15, False), (17, True)):
    each_way(f"5.{number} a continuation behind the last one (fin {is_last})",
             [FIRST, LAST, frame(CONTINUATION, b"more", fin=is_last), GOOD], BOTH, fails=(1002,))
each_way("5.18 a text within a text", [FIRST, frame(TEXT, b"fragment2")], fails=(1002,))
FIVE = [frame(TEXT, b"1", fin=False), frame(CONTINUATION, b"2", fin=False), frame(PING, b"ping 1"),
        frame(CONTINUATION, b"3", fin=False), frame(CONTINUATION, b"4", fin=False),
        frame(PING, b"ping 2"), frame(CONTINUATION, b"5")]


@case("5.19 pings between frames are answered before the message is whole")
def pings_between(port):
    with Client(port) as client:
        client.send(*FIVE[:3])
        client.expect((PONG, b"ping 1"))
        client.send(*FIVE[3:6])
        client.expect((PONG, b"ping 2"))
        client.send(FIVE[6])
        client.expect((TEXT, b"12345"))
        client.close()


each_way("5.20 two pings between five frames", [*FIVE[:3], FIVE[3], FIVE[4], FIVE[6]],
         (PONG, b"ping 1"), (TEXT, b"12345"))
add("5.21 frames without a payload", [frame(TEXT, b"", fin=False), frame(CONTINUATION, b"", False),
                                      frame(CONTINUATION, b"")], (TEXT, b""))

# 6: UTF-8. The sequences are those of Markus Kuhn's decoder test, chapter by chapter.

GREEK = "κόσμε".encode()
add("6.1.1 an empty text", frame(TEXT), (TEXT, b""))
add("6.1.2 three empty frames", [frame(TEXT, b"", False), frame(CONTINUATION, b"", False),
                                 frame(CONTINUATION)], (TEXT, b""))
add("6.1.3 an empty frame before and behind", [frame(TEXT, b"", False),
                                               frame(CONTINUATION, b"middle", False),
                                               frame(CONTINUATION)], (TEXT, b"middle"))
WORDS = "Hello-µ@ßöäüàá-UTF-8!!".encode()
add("6.2.1 in one frame", frame(TEXT, WORDS), (TEXT, WORDS))
add("6.2.2 divided between characters", [frame(TEXT, WORDS[:14], False),
                                         frame(CONTINUATION, WORDS[14:])], (TEXT, WORDS))
add("6.2.3 a frame for each byte", fragments(TEXT, WORDS, 1), (TEXT, WORDS))
add("6.2.4 a frame for each byte", fragments(TEXT, GREEK, 1), (TEXT, GREEK))
WRONG = GREEK + b"\xed\xa0\x80" + b"edited"
add("6.3.1 a surrogate in one frame", frame(TEXT, WRONG), fails=(1007,))
add("6.3.2 a surrogate, a frame for each byte", fragments(TEXT, WRONG, 1), fails=(1007,))


def add_fail_fast(name, *pieces):
    """The connection fails at the last piece; what would follow is never sent."""
    def run(port):
        with Client(port) as client:
            for piece in pieces:
                client.send(piece)
                time.sleep(0.001)
            client.expect_close(1007)
    CASES.append((name, run))


BEYOND = b"\xf4\x90"  # no character starts like that: U+110000 and up
add_fail_fast("6.4.1 fails at the frame that is wrong", frame(TEXT, GREEK, False),
              frame(CONTINUATION, BEYOND + b"\x80\x80", False))
add_fail_fast("6.4.2 fails at the frame with the wrong byte", frame(TEXT, GREEK + b"\xf4", False),
              frame(CONTINUATION, b"\x90", False))
WHOLE = frame(TEXT, GREEK + BEYOND + b"\x80\x80" + b"edited")
HEAD = len(WHOLE) - len(GREEK) - 10
add_fail_fast("6.4.3 fails within the frame", WHOLE[:HEAD + len(GREEK)],
              WHOLE[HEAD + len(GREEK):HEAD + len(GREEK) + 4])
add_fail_fast("6.4.4 fails within the frame at the wrong byte", WHOLE[:HEAD + len(GREEK) + 1],
              WHOLE[HEAD + len(GREEK) + 1:HEAD + len(GREEK) + 2])

SEQUENCES = (
    ("6.5 good ones", b"hello$world", "hello¢world".encode(), "hello€world".encode(),
     "hello\U00024b62world".encode(), GREEK),
    ("6.6 each beginning of one", *(GREEK[:size] for size in range(1, len(GREEK) + 1))),
    ("6.7 the first of each length", b"\0", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"),
    ("6.8 the first of five and six", b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"),
    ("6.9 the last of each length", b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"),
    ("6.10 the last of four, five and six", b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf",
     b"\xfd\xbf\xbf\xbf\xbf\xbf"),
    ("6.11 beside the gaps", b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd",
     b"\xf4\x8f\xbf\xbf", b"\xf4\x90\x80\x80"),
    ("6.12 unexpected continuations", b"\x80", b"\xbf", *((b"\x80\xbf" * 3)[:size]
                                                          for size in range(2, 7)),
     bytes(range(0x80, 0xc0))),
    ("6.13 lonely beginnings", *(b"".join(bytes([byte, 0x20]) for byte in range(low, high + 1))
                                 for low, high in ((0xc0, 0xdf), (0xe0, 0xef), (0xf0, 0xf7),
                                                   (0xf8, 0xfb), (0xfc, 0xfd)))),
    ("6.14 the last byte missing", b"\xc0", b"\xe0\x80", b"\xf0\x80\x80", b"\xf8\x80\x80\x80",
     b"\xfc\x80\x80\x80\x80", b"\xdf", b"\xef\xbf", b"\xf7\xbf\xbf", b"\xfb\xbf\xbf\xbf",
     b"\xfd\xbf\xbf\xbf\xbf"),
    ("6.15 incomplete ones in a row", b"\xc0\xe0\x80\xf0\x80\x80\xf8\x80\x80\x80\xfc\x80\x80\x80"
     b"\x80\xdf\xef\xbf\xf7\xbf\xbf\xfb\xbf\xbf\xbf\xfd\xbf\xbf\xbf\xbf"),
    ("6.16 impossible bytes", b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"),
    ("6.17 a slash too long", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf",
     b"\xf8\x80\x80\x80\xaf", b"\xfc\x80\x80\x80\x80\xaf"),
    ("6.18 the largest that are too long", b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf",
     b"\xf8\x87\xbf\xbf\xbf", b"\xfc\x83\xbf\xbf\xbf\xbf"),
    ("6.19 a zero too long", b"\xc0\x80", b"\xe0\x80\x80", b"\xf0\x80\x80\x80",
     b"\xf8\x80\x80\x80\x80", b"\xfc\x80\x80\x80\x80\x80"),
    ("6.20 surrogates", *(b"\xed" + pair for pair in (b"\xa0\x80", b"\xad\xbf", b"\xae\x80",
                                                      b"\xaf\xbf", b"\xb0\x80", b"\xbe\x80",
                                                      b"\xbf\xbf"))),
    ("6.21 pairs of surrogates", *(b"\xed" + high + b"\xed" + low for high in
                                   (b"\xa0\x80", b"\xad\xbf", b"\xae\x80", b"\xaf\xbf")
                                   for low in (b"\xb0\x80", b"\xbf\xbf"))),
    ("6.22 no characters", *(chr(plane << 16 | low).encode() for plane in range(17)
                             for low in (0xfffe, 0xffff))),
    ("6.23 specials", *(chr(point).encode() for point in range(0xfff9, 0x10000))),
)


def is_utf8(data):
    try:
        data.decode("utf-8")
        return True
    except UnicodeDecodeError:
        return False


for title, *sequences in SEQUENCES:
    for number, sequence in enumerate(sequences, 1):
        number_of, words = title.split(" ", 1)
        name = f"{number_of}.{number} {words}: {sequence[:16].hex()}"
        if is_utf8(sequence):
            add(name, frame(TEXT, sequence), (TEXT, sequence))
            add(name + ", a frame for each byte", fragments(TEXT, sequence, 1), (TEXT, sequence))
        else:
            add(name, frame(TEXT, sequence), fails=(1007,))
            add(name + ", a frame for each byte", fragments(TEXT, sequence, 1), fails=(1007,))
            add(name + ", as binary", frame(BINARY, sequence), (BINARY, sequence))

# 7: closing

CLOSING = frame(CLOSE, close_payload(1000))


def add_closing(name, *pieces, echoes=(), answer=close_payload(1000)):
    """The server answers a close frame with one like it and is silent from there on."""
    def run(port):
        with Client(port) as client:
            client.send(*pieces)
            client.expect(*echoes, (CLOSE, answer))
            client.expect_end()
    CASES.append((name, run))


add_closing("7.1.1 a text, then a close", GOOD, CLOSING, echoes=[(TEXT, b"Hello")])
add_closing("7.1.2 two closes", CLOSING, CLOSING)
add_closing("7.1.3 a ping behind the close", CLOSING, PINGED)
add_closing("7.1.4 a text behind the close", CLOSING, GOOD)
add_closing("7.1.5 a close between fragments", FIRST, CLOSING, LAST)
add_closing("7.1.6 256 KiB, a text, a close, a ping", frame(TEXT, b"*" * 256 * KIB), GOOD, CLOSING,
            PINGED, echoes=[(TEXT, b"*" * 256 * KIB), (TEXT, b"Hello")])
add_closing("7.3.1 a close without a payload", frame(CLOSE), answer=b"")
add("7.3.2 a close of one byte", frame(CLOSE, b"a"), fails=(1002,))
add_closing("7.3.3 a code", CLOSING)
REASON = close_payload(1000, b"Hello World!")
CASES_WITH_REASON = (("7.3.4 a code and a reason", REASON),
                     ("7.3.5 the longest reason", close_payload(1000, b"*" * 123)))


def add_reason(name, payload):
    def run(port):
        with Client(port) as client:
            client.send(frame(CLOSE, payload))
            opcode, answer = client.read_message()
            if opcode != CLOSE or answer[:2] != payload[:2]:
                raise Failure(f"{opcode} {answer}")
            client.expect_end()
    CASES.append((name, run))


for title, payload in CASES_WITH_REASON:
    add_reason(title, payload)
add("7.3.6 a reason of 124 bytes", frame(CLOSE, close_payload(1000, b"*" * 124)), fails=(1002,))
add("7.5.1 a reason that is no UTF-8", frame(CLOSE, close_payload(1000, WRONG)), fails=(1007,))
for number, code in enumerate((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013,
                               1014, 3000, 3999, 4000, 4999), 1):
    add_closing(f"7.7.{number} code {code}", frame(CLOSE, close_payload(code)),
                answer=close_payload(code))
for number, code in enumerate((0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000,
                               65535), 1):
    add(f"7.9.{number} code {code}", frame(CLOSE, close_payload(code)), fails=(1002,))


def add_server_close(name, message, payload):
    def run(port):
        with Client(port, "/close") as client:
            client.send(frame(TEXT, message))
            client.expect((CLOSE, payload))
            client.send(frame(TEXT, b"too late"), frame(CLOSE, payload))
            client.expect_end()
    CASES.append((name, run))


add_server_close("7.11.1 the server closes", b"1000", close_payload(1000))
add_server_close("7.11.2 the server closes with a reason", b"4321 because",
                 close_payload(4321, b"because"))


@case("7.11.3 a client that does not answer the close is left")
def unanswered_close(port):
    with Client(port, "/close") as client:
        client.send(frame(TEXT, b"1001 leaving"))
        client.expect((CLOSE, close_payload(1001, b"leaving")))
        client.expect_end()


# 9: sizes

for group, opcode in ((1, TEXT), (2, BINARY)):
    for number, size in enumerate((64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB), 1):
        add(f"9.{group}.{number} {size} bytes", frame(opcode, b"*" * size), (opcode, b"*" * size))
for group, opcode in ((3, TEXT), (4, BINARY)):
    for number, size in enumerate((64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB,
                                   4 * MIB), 1):
        add(f"9.{group}.{number} 4 MiB in frames of {size}",
            b"".join(fragments(opcode, b"*" * (4 * MIB), size)), (opcode, b"*" * (4 * MIB)))
for group, opcode in ((5, TEXT), (6, BINARY)):
    for number, size in enumerate((64, 128, 256, 512, KIB, 2 * KIB), 1):
        add(f"9.{group}.{number} 1 MiB in segments of {size}", frame(opcode, b"*" * MIB),
            (opcode, b"*" * MIB), chop=size)


def add_round_trips(name, opcode, size):
    def run(port):
        with Client(port) as client:
            for _ in range(1000):
                client.send(frame(opcode, b"*" * size))
                client.expect((opcode, b"*" * size))
            client.close()
    CASES.append((name, run))


for group, opcode in ((7, TEXT), (8, BINARY)):
    for number, size in enumerate((0, 16, 64, 256, 1024, 4096), 1):
        add_round_trips(f"9.{group}.{number} 1000 times {size} bytes", opcode, size)

for opcode in (TEXT, BINARY):
    add(f"9.9.{opcode} 1 MiB is within the default limit", frame(opcode, b"*" * MIB),
        (opcode, b"*" * MIB), path="/limits")
    add(f"9.10.{opcode} a byte more is not", frame(opcode, b"*" * (MIB + 1)), fails=(1009,),
        path="/limits")
    add(f"9.11.{opcode} nor in fragments", b"".join(fragments(opcode, b"*" * (MIB + 1), 64 * KIB)),
        fails=(1009,), path="/limits")
add("9.12 a flood of tiny fragments", [frame(TEXT, b"a", False)]
    + [frame(CONTINUATION, b"", False)] * 100_000, fails=(1008,), path="/limits")

# 10: fragments of odd sizes

for opcode in (TEXT, BINARY):
    add(f"10.1.{opcode} 64 KiB in frames of 1300", b"".join(fragments(opcode, b"*" * 65536, 1300)),
        (opcode, b"*" * 65536))


def run_cases(cases, port, only):
    """Runs those whose name fits, says which fail, and prints the last line."""
    passed = failed = 0
    for name, function in cases:
        if not re.search(only, name):
            continue
        began = time.monotonic()
        try:
            function(port)
            passed += 1
            print(f"ok {name} ({time.monotonic() - began:.3f} s)")
        except Exception as problem:  # pylint: disable=broad-except
            failed += 1
            known = isinstance(problem, (Failure, EOFError, OSError))
            words = f"{type(problem).__name__} {problem}" if known else traceback.format_exc()
            print(f"FAIL {name}: {words}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def main(cases, description):
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("port", type=int)
    parser.add_argument("--only", default="", help="a regular expression for names")
    arguments = parser.parse_args()
    return run_cases(cases, arguments.port, arguments.only)


if __name__ == "__main__":
    sys.exit(main(CASES, __doc__))
