#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A game loop under every sort of load at once: what it takes from the frame.

Runs frame_load (60 frames a second, 4 ms of work each, tick(1 ms)) on one core, and on another:
wrk with 64 connections, a client that POSTs 1 MiB bodies without pause, and one that reads a 64 MiB
answer slowly. See frame_load.cpp for how to read what it prints.

    python3 bench/frame_load.py [--seconds 7] [--programs DIR] [-- OPTIONS OF frame_load]
"""

import argparse
import os
import socket
import subprocess
import threading
import time

from common import Program, add_common_options, parse_wrk, programs, require, wrk_command

UPLOAD_BYTES = 1024 * 1024


class Load:
    """Counts what the two clients achieve until `ends`, in seconds of time.monotonic()."""

    def __init__(self, port, ends):
        self.port = port
        self.ends = ends
        self.uploads = 0
        self.slow_bytes = 0
        self.failures = []

    def is_over(self):
        return time.monotonic() >= self.ends

    def upload(self):
        head = b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
        message = head % UPLOAD_BYTES + bytes(UPLOAD_BYTES)
        while not self.is_over():
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as client:
                while not self.is_over():
                    client.sendall(message)
                    answer = b""
                    while b"\r\n\r\n" not in answer:
                        piece = client.recv(4096)
                        if not piece:
                            raise ConnectionError("the upload was cut off")
                        answer += piece
                    if not answer.startswith(b"HTTP/1.1 204"):
                        raise ConnectionError(answer[:80])
                    self.uploads += 1
                    if b"onnection: close" in answer:
                        break

    def read_slowly(self):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        client.settimeout(2)
        with client:
            client.connect(("127.0.0.1", self.port))
            client.sendall(b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n")
            while not self.is_over():
                piece = client.recv(32 * 1024)
                if not piece:
                    raise ConnectionError("the slow reader was cut off")
                self.slow_bytes += len(piece)
                time.sleep(0.05)

    def run(self, client):
        try:
            client()
        except OSError as error:  # after the end the server is allowed to go
            if not self.is_over():
                self.failures.append(f"{client.__name__}: {error}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=7)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--alone", action="store_true", help="wrk only, for comparison")
    parser.add_argument("options", nargs="*", help="options of frame_load, behind --")
    add_common_options(parser)
    arguments = parser.parse_args()
    require("wrk")
    require("taskset")

    path, = programs(arguments.programs, ["frame_load"])
    os.sched_setaffinity(0, {arguments.client_core})
    command = [path, "--seconds", str(arguments.seconds)]
    with Program(arguments.server_core, command + arguments.options) as server:
        load = Load(server.port, time.monotonic() + arguments.seconds - 0.2)
        clients = [] if arguments.alone else [load.upload, load.read_slowly]
        threads = [threading.Thread(target=load.run, args=(client,)) for client in clients]
        for thread in threads:
            thread.start()
        wrk = subprocess.run(
            wrk_command(arguments.client_core, server.port, arguments.connections,
                        arguments.seconds),
            capture_output=True, text=True, timeout=arguments.seconds + 20)
        for thread in threads:
            thread.join()
        print(server.process.communicate(timeout=20)[0], end="")
    total, rate, errors = parse_wrk(wrk.stdout + wrk.stderr)
    print(f"wrk: {total} answers, {rate:.0f}/s {errors}")
    if clients:
        print(f"uploads: {load.uploads} of 1 MiB answered, "
              f"{load.uploads * UPLOAD_BYTES / arguments.seconds / 1e6:.1f} MB/s")
        print(f"slow reader: {load.slow_bytes / 1e6:.2f} MB of the 64 MiB answer")
    for failure in load.failures:
        print("FAILED", failure)
    return 1 if load.failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
