#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A game loop under big downloads: what they take from the frame.

Runs downloads (60 frames a second, 4 ms of work each, tick(1 ms)) on one core, and on another eight
clients that each fetch a file of 1 GiB of its own, and again when it has come. The files are
sparse, so that no disk is measured. See frame_clock.hpp for how to read what the program prints.

    python3 bench/downloads.py [--seconds 10] [--clients 8] [--warm] [-- OPTIONS]

With --warm all is in the page cache before. Without it each piece is asked for while the one before
it leaves; left to itself the kernel would read its whole window ahead
(/sys/block/*/queue/read_ahead_kb, megabytes on some machines) within one call of one tick.
"""

import argparse
import os
import socket
import tempfile
import threading
import time

from common import Program, add_common_options, programs, require

FILE_BYTES = 1024 * 1024 * 1024
PIECE_BYTES = 1024 * 1024


class Client:
    """Downloads its file until the server has measured enough, and counts."""

    def __init__(self, port, name, ends):
        self.port = port
        self.name = name
        self.ends = ends
        self.bytes = 0
        self.complete = 0
        self.failure = None

    def is_over(self):
        return time.monotonic() >= self.ends

    def run(self):
        try:
            while not self.is_over():
                self.download()
        except OSError as error:  # after the end the server is allowed to go
            if not self.is_over():
                self.failure = error

    def download(self):
        piece = bytearray(PIECE_BYTES)
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(
                b"GET /%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                % self.name.encode())
            head = b""
            while b"\r\n\r\n" not in head:
                got = connection.recv(4096)
                if not got:
                    raise ConnectionError("no answer")
                head += got
            head, _, rest = head.partition(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200") or b"%d" % FILE_BYTES not in head:
                raise ConnectionError(head.splitlines()[0].decode())
            left = FILE_BYTES - len(rest)
            self.bytes += len(rest)
            while left and not self.is_over():
                count = connection.recv_into(piece)
                if not count:
                    raise ConnectionError(f"cut off {left} bytes before the end")
                left -= count
                self.bytes += count
            self.complete += 0 if left else 1


def warm_up(path):
    piece = bytearray(PIECE_BYTES)
    with open(path, "rb", buffering=0) as file:
        while file.readinto(piece):
            pass


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--warm", action="store_true", help="fill the page cache before")
    parser.add_argument("options", nargs="*", help="options of downloads, behind --")
    add_common_options(parser)
    arguments = parser.parse_args()
    require("taskset")

    path, = programs(arguments.programs, ["downloads"])
    os.sched_setaffinity(0, {arguments.client_core})
    with tempfile.TemporaryDirectory(prefix="porthole-downloads-") as root:
        names = [f"{number}.bin" for number in range(arguments.clients)]
        for name in names:
            with open(os.path.join(root, name), "wb") as file:
                file.truncate(FILE_BYTES)
            if arguments.warm:
                warm_up(os.path.join(root, name))
        command = [path, "--directory", root, "--seconds", str(arguments.seconds)]
        with Program(arguments.server_core, command + arguments.options) as server:
            ends = time.monotonic() + arguments.seconds - 0.1
            clients = [Client(server.port, name, ends) for name in names]
            threads = [threading.Thread(target=client.run) for client in clients]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            print(server.process.communicate(timeout=20)[0], end="")
    rates = [client.bytes / arguments.seconds / 1e6 for client in clients]
    complete = sum(client.complete for client in clients)
    print(f"{len(clients)} clients: {sum(rates):.1f} MB/s, slowest {min(rates):.1f}, "
          f"fastest {max(rates):.1f}; {complete} downloads complete")
    failures = [f"{client.name}: {client.failure}" for client in clients if client.failure]
    for failure in failures:
        print("FAILED", failure)
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
