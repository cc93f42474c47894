# SPDX-License-Identifier: MIT
"""A WebSocket client that is as right or as wrong as a test wants it: bytes out, frames in."""

import base64
import hashlib
import os
import socket
import struct
import zlib

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
PATIENCE = 20  # seconds, for whatever is awaited


class Failure(Exception):
    """What the server did instead."""


def masked(payload, key):
    """XOR by repetition of the key, all at once."""
    if not payload:
        return b""
    repeated = (key * (len(payload) // 4 + 1))[:len(payload)]
    number = int.from_bytes(payload, "little") ^ int.from_bytes(repeated, "little")
    return number.to_bytes(len(payload), "little")


def frame(opcode, payload=b"", fin=True, rsv=0, mask=True, length=None):
    """One frame; `length` as (form, value) writes another length than the payload's."""
    head = bytearray([fin << 7 | rsv << 4 | opcode])
    form, value = length or (None, len(payload))
    form = form or ("B" if value < 126 else "H" if value < 65536 else "Q")
    bit = 128 if mask else 0
    head += {"B": lambda: bytes([bit | value]),
             "H": lambda: bytes([bit | 126]) + struct.pack("!H", value),
             "Q": lambda: bytes([bit | 127]) + struct.pack("!Q", value)}[form]()
    if not mask:
        return bytes(head) + payload
    key = os.urandom(4)
    return bytes(head) + key + masked(payload, key)


def fragments(opcode, payload, size, rsv=0):
    """The message in frames of that many bytes."""
    pieces = [payload[at:at + size] for at in range(0, len(payload), size)] or [b""]
    return [frame(opcode if i == 0 else CONTINUATION, piece, i == len(pieces) - 1,
                  rsv if i == 0 else 0) for i, piece in enumerate(pieces)]


def close_payload(code, reason=b""):
    return struct.pack("!H", code) + reason


class Client:
    def __init__(self, port, path="/", fields=(), version="13", key=None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.inflater = None
        self.deflater = None
        key = key or base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {path} HTTP/1.1", f"Host: localhost:{port}", "Upgrade: websocket",
                 "Connection: Upgrade", f"Sec-WebSocket-Key: {key}",
                 f"Sec-WebSocket-Version: {version}", *fields]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        while b"\r\n\r\n" not in self.buffer:
            self.receive()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        first, *rest = head.decode().split("\r\n")
        self.status = int(first.split()[1])
        self.fields = {name.lower(): value.strip()
                       for name, value in (line.split(":", 1) for line in rest)}
        accept = base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()
        if self.status == 101 and self.fields.get("sec-websocket-accept") != accept:
            raise Failure("the accept key is wrong")

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.socket.close()

    def receive(self):
        piece = self.socket.recv(1 << 20)
        if not piece:
            raise EOFError
        self.buffer += piece

    def send(self, *pieces, chop=None):
        """Sends bytes, `chop` at a time; a server that has closed already is no failure here."""
        data = b"".join(pieces)
        try:
            for at in range(0, len(data), chop or max(len(data), 1)):
                self.socket.sendall(data[at:at + (chop or len(data))])
        except (BrokenPipeError, ConnectionResetError):
            pass

    def read_exactly(self, size):
        while len(self.buffer) < size:
            self.receive()
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    def read_frame(self):
        """(fin, rsv, opcode, payload), checked for what a server must never do."""
        first, second = self.read_exactly(2)
        size = second & 127
        if size == 126:
            size = struct.unpack("!H", self.read_exactly(2))[0]
        elif size == 127:
            size = struct.unpack("!Q", self.read_exactly(8))[0]
        if second & 128:
            raise Failure("the server masks its frames")
        return first >> 7, first >> 4 & 7, first & 15, self.read_exactly(size)

    def read_message(self):
        """(opcode, payload): a message put together and expanded, or a control frame."""
        message = None
        while True:
            fin, rsv, opcode, payload = self.read_frame()
            if opcode >= CLOSE:
                if not fin or rsv or len(payload) > 125:
                    raise Failure("a malformed control frame")
                return opcode, payload
            if (message is None) == (opcode == CONTINUATION):
                raise Failure("the server's fragments do not follow each other")
            if message is None:
                message, kind, is_compressed = bytearray(), opcode, rsv == 4
                if rsv and not (is_compressed and self.inflater):
                    raise Failure(f"the server sets RSV {rsv}")
            elif rsv:
                raise Failure("RSV in a continuation")
            message += payload
            if fin:
                return kind, self.expand(bytes(message)) if is_compressed else bytes(message)

    # compression (RFC 7692)

    def agree(self):
        """Takes over what the server has agreed to; False when it did not."""
        name, *parameters = [part.strip() for part in
                             self.fields.get("sec-websocket-extensions", "").split(";")]
        if name != "permessage-deflate":
            return False
        values = dict((part.split("=") + [""])[:2] for part in parameters)
        self.server_bits = int(values.get("server_max_window_bits", 15))
        self.client_bits = max(9, int(values.get("client_max_window_bits", 15)))
        self.server_resets = "server_no_context_takeover" in values
        self.client_resets = "client_no_context_takeover" in values
        self.agreed = values
        self.inflater = zlib.decompressobj(-self.server_bits)
        self.deflater = zlib.compressobj(6, zlib.DEFLATED, -self.client_bits)
        return True

    def compress(self, data):
        if self.client_resets:
            self.deflater = zlib.compressobj(6, zlib.DEFLATED, -self.client_bits)
        payload = self.deflater.compress(data) + self.deflater.flush(zlib.Z_SYNC_FLUSH)
        return payload[:-4]

    def expand(self, payload):
        if self.server_resets:
            self.inflater = zlib.decompressobj(-self.server_bits)
        return self.inflater.decompress(payload + b"\0\0\xff\xff")

    # expectations

    def expect(self, *messages):
        for opcode, payload in messages:
            got = self.read_message()
            if got != (opcode, payload):
                raise Failure(f"expected {opcode} {payload[:40]!r} ({len(payload)} bytes), "
                              f"got {got[0]} {got[1][:40]!r} ({len(got[1])} bytes)")

    def expect_end(self):
        """Nothing more but the end of the connection."""
        try:
            self.receive()
        except (EOFError, ConnectionResetError):
            pass
        if self.buffer:
            raise Failure(f"behind its close frame came {bytes(self.buffer[:40])!r}")

    def expect_close(self, *codes):
        """One close frame with one of the codes (None: an empty one), and the end."""
        opcode, payload = self.read_message()
        if opcode != CLOSE:
            raise Failure(f"expected a close frame, got {opcode} {payload[:40]!r}")
        code = struct.unpack("!H", payload[:2])[0] if payload else None
        if code not in codes:
            raise Failure(f"closed with {code} {payload[2:]!r} instead of {codes}")
        payload[2:].decode()
        self.send(frame(CLOSE, payload))
        self.expect_end()

    def close(self, code=1000):
        """The client's part of a clean end."""
        self.send(frame(CLOSE, close_payload(code)))
        opcode, payload = self.read_message()
        if opcode != CLOSE or payload[:2] != close_payload(code):
            raise Failure(f"the close frame was answered with {opcode} {payload[:40]!r}")
        self.expect_end()
