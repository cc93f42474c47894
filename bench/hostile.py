#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What hostile clients take from the others, at 60 frames a second.

    python3 bench/hostile.py slow [--seconds 60]     slowhttptest -H, -B and -X with 200 connections
    python3 bench/hostile.py starved                 500 clients and 64 descriptors, under strace

Meanwhile a well-behaved client asks ten times a second. Read: its latencies (two frames are as good
as it gets without keep-alive), the server's ticks, and when the bad ones were cut.
"""

import argparse
import re
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from common import programs, require

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class Server:
    def __init__(self, command):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().split()[1])

    def results(self):
        return dict(line.split() for line in self.process.stdout if line.strip())


def ask(port, timeout=5.0):
    """Seconds until the whole answer had come, or None."""
    began = time.monotonic()
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout) as client:
            client.sendall(REQUEST)
            answer = b""
            while True:
                piece = client.recv(4096)
                if not piece:
                    break
                answer += piece
    except OSError:
        return None
    return time.monotonic() - began if answer.startswith(b"HTTP/1.1 200") else None


def ask_until(port, ends, latencies):
    while time.monotonic() < ends:
        latencies.append(ask(port))
        time.sleep(0.1)


def describe(latencies):
    good = sorted(each * 1000 for each in latencies if each is not None)
    if not good:
        return "no answer"
    return (f"{len(good)} of {len(latencies)} answered, p50 {statistics.median(good):.1f} ms, "
            f"p99 {good[int(len(good) * 0.99) - 1]:.1f} ms, worst {good[-1]:.1f} ms")


def slow(path, seconds):
    require("slowhttptest")
    for mode, options in (("-H", ["-i", "5"]), ("-B", ["-i", "5", "-s", "8192"]),
                          ("-X", ["-w", "512", "-y", "1024", "-n", "5", "-z", "32"])):
        server = Server([path, "--seconds", str(seconds + 5)])
        target = "/large" if mode == "-X" else "/"
        latencies = []
        ends = time.monotonic() + seconds
        good = threading.Thread(target=ask_until, args=(server.port, ends, latencies))
        good.start()
        log = subprocess.run(
            ["slowhttptest", "-c", "200", mode, "-r", "100", "-l", str(seconds - 5), "-u",
             f"http://127.0.0.1:{server.port}{target}", *options],
            capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
        good.join()
        results = server.results()
        server.process.wait()
        closed = re.findall(r"closed:\s+(\d+)", re.sub(r"\x1b\[[0-9;]*m", "", log))
        print(f"slowhttptest {mode}: good client {describe(latencies)}")
        print(f"    tick p50 {results['tick_p50_ms']} ms, p99 {results['tick_p99_ms']} ms, worst "
              f"{results['tick_worst_ms']} ms; {results['cut_by_deadline']} cut by a deadline, "
              f"{results['first_cut_s']} s to {results['last_cut_s']} s after the start; "
              f"slowhttptest saw {closed[-1] if closed else '?'} closed")


def starved(path):
    require("strace")
    with tempfile.NamedTemporaryFile("r") as trace:
        server = Server(["strace", "-f", "-c", "-o", trace.name, "sh", "-c",
                         f"ulimit -n 64; exec {path} --seconds 12"])
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
        began = time.monotonic()
        clients = []
        for _ in range(500):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", server.port))
            clients.append(client)
        time.sleep(5)
        for client in clients:
            client.close()
        time.sleep(1)
        latencies = [ask(server.port) for _ in range(10)]
        print(f"starved for {time.monotonic() - began - 1:.0f} s of 12; afterwards the good client: "
              f"{describe(latencies)}")
        results = server.results()
        server.process.wait()
        calls = sum(int(line.split()[3]) for line in trace.read().splitlines()
                    if re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+\d+", line)
                    and not line.rstrip().endswith("total"))
        print(f"accept pauses {results['accept_backoffs']}, accepted {results['accepted']}, worst tick "
              f"{results['tick_worst_ms']} ms, {calls / 12:.0f} system calls per second in all "
              "(60 of them are sleeps and 60 polls)")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["slow", "starved"])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--programs", help="directory of the built programs; default: build them")
    arguments = parser.parse_args()
    path = programs(arguments.programs, ["hostile_server"])[0]
    if arguments.what == "slow":
        slow(path, arguments.seconds)
    else:
        starved(path)


if __name__ == "__main__":
    sys.exit(main())
