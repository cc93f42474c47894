#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What Porthole costs for each request, against the least that any server could cost.

Runs bare_epoll and hello_server in turn, each pinned to one core, under wrk pinned to another, and
both sending the very same bytes. Prints the CPU time (user and system) that the server used for
each request, and the ratio pair by pair; then the same pipelined by 16, as requests per second.

    python3 bench/compare.py [--pairs 5] [--seconds 5] [--connections 64] [--programs DIR]

Read: the ratio's median. CPU time is what counts without pipelining, since wrk is the slower side
there and requests per second only show wrk. 1.0 would be a server that does nothing at all.
"""

import argparse
import os
import socket
import subprocess
import tempfile

from common import (BENCH, Program, add_common_options, median, parse_wrk, programs, require,
                    wrk_command)


def fetch_answer(port):
    """The exact bytes of Porthole's answer to a keep-alive GET."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += client.recv(65536)
        head, body = answer.split(b"\r\n\r\n", 1)
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        while len(body) < int(fields[b"content-length"]):
            body += client.recv(65536)
        return head + b"\r\n\r\n" + body


def measure(arguments, command, script):
    with Program(arguments.server_core, command) as server:
        def run(seconds):
            wrk = wrk_command(arguments.client_core, server.port, arguments.connections, seconds,
                              script)
            done = subprocess.run(wrk, capture_output=True, text=True, timeout=seconds + 20)
            return parse_wrk(done.stdout + done.stderr)

        run(1)  # warms both up
        before = server.cpu_seconds()
        total, rate, errors = run(arguments.seconds)
        if errors:
            print("   ", errors)
        return 1e6 * (server.cpu_seconds() - before) / total, rate


def compare(arguments, bare, porthole, script):
    rows = []
    for pair in range(arguments.pairs):
        # The one that goes first changes, so that a drift of the machine favours neither.
        if pair % 2 == 0:
            first = measure(arguments, bare, script)
            second = measure(arguments, porthole, script)
        else:
            second = measure(arguments, porthole, script)
            first = measure(arguments, bare, script)
        rows.append((*first, *second))
        print(f"  pair {pair + 1}: bare {first[0]:6.3f} us {first[1]:9.0f}/s   "
              f"porthole {second[0]:6.3f} us {second[1]:9.0f}/s   "
              f"ratio: CPU {second[0] / first[0]:.3f}, rate {second[1] / first[1]:.3f}",
              flush=True)
    columns = [median(column) for column in zip(*rows)]
    cpu = median([row[2] / row[0] for row in rows])
    rate = median([row[3] / row[1] for row in rows])
    print(f"  median: bare {columns[0]:6.3f} us {columns[1]:9.0f}/s   "
          f"porthole {columns[2]:6.3f} us {columns[3]:9.0f}/s   "
          f"ratio: CPU {cpu:.3f}, rate {rate:.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--poller", default="automatic")
    parser.add_argument("--mode", choices=["both", "single", "pipelined"], default="both")
    add_common_options(parser)
    arguments = parser.parse_args()
    require("wrk")
    require("taskset")

    bare, porthole = programs(arguments.programs, ["bare_epoll", "hello_server"])
    porthole = [porthole, "--poller", arguments.poller]
    with tempfile.NamedTemporaryFile(prefix="porthole-answer-") as answer:
        with Program(arguments.server_core, porthole) as server:
            answer.write(fetch_answer(server.port))
            answer.flush()
        bare = [bare, "--answer-file", answer.name]
        if arguments.mode != "pipelined":
            print("One request at a time: server CPU time per request; aim for a CPU ratio of "
                  "1.15 or less")
            compare(arguments, bare, porthole, None)
        if arguments.mode != "single":
            print("Pipelined by 16: requests per second; aim for a rate ratio of 0.5 or more")
            compare(arguments, bare, porthole, os.path.join(BENCH, "pipeline.lua"))


if __name__ == "__main__":
    main()
