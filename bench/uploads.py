#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A game loop under a big upload into a file: what it takes from the frame.

Runs uploads (60 frames a second, 4 ms of work each, tick(1 ms)) on one core, and on another a client
that sends so many GiB of bytes that no file system can shrink, and compares the SHA-256 of what it
sent with that of the file. With --full the file lies on a tmpfs of 16 MiB (as root, or where user
namespaces are allowed): the answer has to be 507, and nothing may be left behind.

    python3 bench/uploads.py [--gib 4] [--directory DIR] [--full] [-- OPTIONS]
"""

import argparse
import hashlib
import os
import socket
import subprocess
import sys
import tempfile

from common import Program, add_common_options, programs, require

PIECE_BYTES = 1024 * 1024
GIB = 1024 * 1024 * 1024


class Content:
    """The same bytes each time, a piece at a time, and no two pieces alike."""

    def __init__(self, size):
        self.size = size
        self.seed = bytearray(hashlib.shake_256(b"porthole").digest(PIECE_BYTES))

    def pieces(self):
        for number in range(self.size // PIECE_BYTES):
            self.seed[:8] = number.to_bytes(8, "little")
            yield bytes(self.seed)

    def sha256(self):
        whole = hashlib.sha256()
        for piece in self.pieces():
            whole.update(piece)
        return whole.hexdigest()


def upload(port, content):
    """Sends it all, or until the server answers; gives the status line."""
    with socket.create_connection(("127.0.0.1", port), timeout=600) as connection:
        connection.sendall(
            b"PUT /file HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n"
            b"Connection: close\r\n\r\n" % content.size)
        try:
            for piece in content.pieces():
                connection.sendall(piece)
        except OSError:
            pass  # it has been refused: the answer says why
        answer = b""
        while True:
            try:
                got = connection.recv(4096)
            except OSError:
                break
            if not got:
                break
            answer += got
    return answer.split(b"\r\n", 1)[0].decode()


def sha256_of(path):
    whole = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while piece := file.read(PIECE_BYTES):
            whole.update(piece)
    return whole.hexdigest()


def run(arguments, path, directory, size):
    content = Content(size)
    target = os.path.join(directory, "upload.bin")
    command = [path, "--file", target, "--seconds", "1200", *arguments.options]
    with Program(arguments.server_core, command) as server:
        status = upload(server.port, content)
        print(server.process.communicate(timeout=60)[0], end="")
    print(status)
    return status, target, content


def run_full(arguments, path):
    with tempfile.TemporaryDirectory(prefix="porthole-full-") as directory:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", directory], check=True)
        try:
            status, _, _ = run(arguments, path, directory, 64 * PIECE_BYTES)
            left = os.listdir(directory)
            print("left behind:", left or "nothing")
            return 0 if " 507 " in status and not left else 1
        finally:
            subprocess.run(["umount", directory], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gib", type=int, default=4)
    parser.add_argument("--directory", help="where the file goes; default: a temporary one")
    parser.add_argument("--full", action="store_true", help="onto a small tmpfs")
    parser.add_argument("options", nargs="*", help="options of uploads, behind --")
    add_common_options(parser)
    arguments = parser.parse_args()
    require("taskset")

    path, = programs(arguments.programs, ["uploads"])
    os.sched_setaffinity(0, {arguments.client_core})
    if arguments.full:
        return run_full(arguments, path)
    with tempfile.TemporaryDirectory(prefix="porthole-uploads-", dir=arguments.directory) as root:
        status, target, content = run(arguments, path, root, arguments.gib * GIB)
        if " 201 " not in status:
            return 1
        sent, stored = content.sha256(), sha256_of(target)
    print(f"SHA-256 sent {sent}\n      stored {stored}")
    return 0 if sent == stored else 1


if __name__ == "__main__":
    sys.exit(main())
