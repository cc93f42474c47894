#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Porthole's WebSocket beside uWebSockets' and Boost.Beast's.

Each server in turn, pinned to one core, under the clients of websocket_load.cpp pinned to another.
Echo: each connection sends a message when the one before is back. Broadcast: 1000 subscribers, 60
messages a second to each.

    python3 bench/websocket.py [--rounds 5] [--seconds 3] [--only echo|broadcast] [--programs DIR]
                               [--peers uwebsockets,beast]

Read: CPU time of the server for each message, and its ratio to the peer's in the same round; what
is below 1.0 is cheaper than the peer. Messages a second say as much of the client as of the server.
Of a broadcast: how long a frame's sending kept the thread, the subscriber's longest wait, and the
server's memory for each subscriber. The "60 Hz" rows are a game: Porthole may take 1 ms of a frame
and coalesces what does not fit; in "rest of the frame" it may use what the game does not need.

uWebSockets comes from the npm registry (package uws 0.14.5, the last with C++ sources) and needs
libssl-dev and zlib1g-dev; Beast needs libboost-dev. A peer that cannot be built is left out.
"""

import argparse
import glob
import os
import re
import subprocess
import sys
import tempfile
import time

from common import BENCH, Program, add_common_options, median, programs, require

UWS = "uws@0.14.5"
ECHOES = [(connections, size) for size in (64, 16 * 1024, 1024 * 1024) for connections in (1, 64)]
PARTS = ("Networking", "Epoll", "Extensions", "Group", "HTTPSocket", "Hub", "Node", "Socket",
         "WebSocket")


def compile_peer(name, out, *flags, sources=()):
    path = os.path.join(out, name)
    command = [os.environ.get("CXX", "c++"), "-std=c++17", "-O2", "-DNDEBUG", "-w",
               os.path.join(BENCH, "peers", name + ".cpp"), *sources, *flags, "-pthread", "-o",
               path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"{name} is left out: {done.stderr.strip().splitlines()[0]}")
        return None
    return path


def build_uwebsockets(out):
    done = subprocess.run(["npm", "pack", UWS], cwd=out, capture_output=True, text=True,
                          check=False)
    archives = glob.glob(os.path.join(out, "uws-*.tgz"))
    if done.returncode != 0 or not archives:
        print(f"uwebsockets is left out: npm pack {UWS} failed")
        return None
    subprocess.run(["tar", "xzf", archives[0]], cwd=out, check=True)
    source = os.path.join(out, "package", "src")
    return compile_peer("uwebsockets", out, f"-I{source}", "-lssl", "-lcrypto", "-lz",
                        sources=[os.path.join(source, part + ".cpp") for part in PARTS])


def build_peers(wanted, out):
    builders = {"uwebsockets": build_uwebsockets,
                "beast": lambda place: compile_peer("beast", place)}
    peers = {}
    for name in wanted:
        path = builders[name](out) if name in builders else None
        if path:
            peers[name] = path
    return peers


def memory(server):
    """Resident bytes of the server."""
    with open(f"/proc/{server.process.pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Clients:
    """The load generator, once it is connected."""

    def __init__(self, arguments, port, *options):
        self.process = subprocess.Popen(
            ["taskset", "-c", str(arguments.client_core), arguments.load, "--port", str(port),
             *[str(option) for option in options]], stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "connected\n":
            sys.exit("websocket_load could not connect")

    def finish(self):
        text = self.process.communicate(timeout=120)[0]
        if self.process.returncode != 0:
            sys.exit("websocket_load failed: " + text)
        return text


def echo(arguments, command, connections, size):
    """Microseconds of server CPU for a message, messages a second, and the median round trip."""
    with Program(arguments.server_core, command) as server:
        clients = Clients(arguments, server.port, "--connections", connections, "--size", size,
                          "--seconds", arguments.seconds)
        before = server.cpu_seconds()
        text = clients.finish()
        spent = server.cpu_seconds() - before
    messages, rate = re.search(r"messages (\d+) rate ([\d.]+)", text).groups()
    warm_up = 0.5 / (arguments.seconds + 0.5)  # is part of the CPU time and not of the messages
    trip = float(re.search(r"p50 ([\d.]+)", text)[1])
    return spent * (1 - warm_up) * 1e6 / max(int(messages), 1), float(rate), trip


def compare_echo(arguments, servers):
    print(f"Echo: server CPU time for a message, median of {arguments.rounds} rounds")
    for connections, size in ECHOES:
        rows = {name: [] for name in servers}
        for _ in range(arguments.rounds):
            for name, command in servers.items():
                rows[name].append(echo(arguments, command, connections, size))
        words = []
        for name, results in rows.items():
            cpu, rate, trip = (median(column) for column in zip(*results))
            words.append(f"{name} {cpu:.2f} us {rate:.0f}/s {trip:.0f} us")
        for name in servers:
            if name != "porthole":
                pairs = list(zip(rows["porthole"], rows[name]))
                words.append(f"ratio to {name}: CPU {median([a[0] / b[0] for a, b in pairs]):.2f}, "
                             f"rate {median([a[1] / b[1] for a, b in pairs]):.2f}")
        print(f"  {size:8} B, {connections:2} sockets: " + "; ".join(words), flush=True)


def broadcast(arguments, command, seconds, size):
    """CPU microseconds for a delivered message, bytes per subscriber, and the programs' words."""
    command = [*command, "--broadcast", "--size", str(size), "--seconds", str(seconds)]
    with Program(arguments.server_core, command) as server:
        empty = memory(server)
        clients = Clients(arguments, server.port, "--target", "/feed", "--connections",
                          arguments.subscribers, "--listen", "--seconds", seconds - 2)
        before = server.cpu_seconds()
        time.sleep(1)  # all are there, and none has gone yet
        used = (memory(server) - empty) / arguments.subscribers
        text = clients.finish()
        spent = server.cpu_seconds() - before
        words = server.process.stdout.read()
    messages = int(re.search(r"messages (\d+)", text)[1])
    tick = re.search(r"tick wall (.*)", words)
    return (spent * 1e6 / max(messages, 1), messages / (seconds - 2) / arguments.subscribers, used,
            re.search(r"each .*", text)[0], tick[1] if tick else "no figures")


def compare_broadcast(arguments, servers):
    size = 1024
    seconds = arguments.seconds + 4
    print(f"Broadcast: {size} B to {arguments.subscribers} subscribers, 60 Hz")
    commands = {}
    for name, command in servers.items():
        if name == "porthole":
            # Without any work of the game's own, which would count as the server's.
            game = ["--work-us", "0", "--subscribers", str(arguments.subscribers)]
            commands["porthole, 1 ms of a frame"] = [*command, *game]
            commands["porthole, rest of the frame"] = [*command, *game, "--rest", "tick_until"]
        else:
            commands[name] = command
    rows = {name: [] for name in commands}
    for _ in range(arguments.rounds):
        for name, command in commands.items():
            rows[name].append(broadcast(arguments, command, seconds, size))
    for name, results in rows.items():
        cpu, rate, used = (median([result[i] for result in results]) for i in range(3))
        print(f"  {name}: CPU {cpu:.2f} us a message, {rate:.1f}/s each, {used / 1024:.1f} KiB a "
              f"subscriber\n    {results[-1][3]}\n    tick: {results[-1][4]}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--subscribers", type=int, default=1000)
    parser.add_argument("--only", choices=["echo", "broadcast"])
    parser.add_argument("--peers", default="uwebsockets,beast")
    add_common_options(parser)
    arguments = parser.parse_args()
    require("taskset")
    with tempfile.TemporaryDirectory(prefix="porthole-peers-") as out:
        porthole, arguments.load = programs(arguments.programs,
                                            ["websocket_echo_server", "websocket_load"])
        peers = build_peers([name for name in arguments.peers.split(",") if name], out)
        servers = {"porthole": [porthole], **{name: [path] for name, path in peers.items()}}
        if arguments.only != "broadcast":
            compare_echo(arguments, servers)
        if arguments.only != "echo":
            compare_broadcast(arguments, servers)


if __name__ == "__main__":
    main()
