#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""CGI: what big transfers through programs take from a game's frame, and requests per second.

    python3 bench/cgi.py load [--gib 2] [-- OPTIONS]
    python3 bench/cgi.py rate [--pairs 3] [--seconds 3] [--connections 4] [--lighttpd PATH]

`load` runs cgi_server (60 frames a second, 4 ms of work each, tick(1 ms)) on one core, and on
another first an upload into a program that hashes it, then a download from one that generates it.
The SHA-256 of both sides is compared. The programs move themselves to the client's core: what is
measured is the server's part of the frame. See frame_clock.hpp for how to read what it prints.

`rate` runs cgi_server, which waits in wait() then, and lighttpd with mod_cgi in turn under wrk, on
the same compiled program that prints one line. Server and programs share one core, wrk has another.
The CPU time is that of both. Aim for a rate's ratio of 1 or more, and for a CPU ratio below 1.
"""

import argparse
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from common import Program, add_common_options, median, parse_wrk, programs, require, wrk_command
from files import free_port
from uploads import GIB, Content

HASH = """#!/bin/sh
printf 'Content-Type: text/plain\\n\\n'
exec taskset -c {core} sha256sum
"""

# The bytes of uploads.Content, from a file with the first piece.
GENERATE = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char piece[1024 * 1024];

static void write_all(const char* bytes, size_t size) {
    while (size != 0) {
        const ssize_t count = write(STDOUT_FILENO, bytes, size);
        if (count <= 0) {
            exit(1);
        }
        bytes += count;
        size -= (size_t)count;
    }
}

int main(void) {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(CORE, &cores);
    sched_setaffinity(0, sizeof cores, &cores);
    const char* query = getenv("QUERY_STRING");
    const unsigned long long count = query ? strtoull(query, NULL, 10) : 0;
    const int seed = open("seed", O_RDONLY);
    if (seed < 0 || read(seed, piece, sizeof piece) != (ssize_t)sizeof piece) {
        return 1;
    }
    char head[128];
    const int size = snprintf(head, sizeof head,
        "Content-Type: application/octet-stream\nContent-Length: %llu\n\n", count * sizeof piece);
    write_all(head, (size_t)size);
    for (unsigned long long number = 0; number < count; ++number) {
        for (int i = 0; i < 8; ++i) {
            piece[i] = (char)(number >> (8 * i));
        }
        write_all(piece, sizeof piece);
    }
    return 0;
}
"""

HELLO = r"""
#include <unistd.h>

int main(void) {
    static const char answer[] = "Content-Type: text/plain\n\nHello from a program\n";
    return write(STDOUT_FILENO, answer, sizeof answer - 1) == (ssize_t)sizeof answer - 1 ? 0 : 1;
}
"""

LIGHTTPD = """
server.document-root = "{root}"
server.bind = "127.0.0.1"
server.port = {port}
server.modules = ( "mod_cgi" )
server.errorlog = "{place}/error.log"
server.max-keep-alive-requests = 1000000
cgi.assign = ( ".cgi" => "" )
"""


def write_program(root, name, text):
    path = os.path.join(root, name)
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, 0o755)


def compile_program(root, name, text, *flags):
    command = [os.environ.get("CC", "cc"), "-O2", *flags, "-x", "c", "-", "-o",
               os.path.join(root, name)]
    subprocess.run(command, input=text, text=True, check=True)


def take_answer(connection, use):
    """Gives the status line; `use` is called with each piece of what follows the head."""
    head = b""
    while b"\r\n\r\n" not in head:
        got = connection.recv(4096)
        if not got:
            return "no answer"
        head += got
    head, _, rest = head.partition(b"\r\n\r\n")
    piece = bytearray(256 * 1024)
    use(rest)
    while count := connection.recv_into(piece):
        use(memoryview(piece)[:count])
    return head.split(b"\r\n", 1)[0].decode()


def send_request(connection, line, size):
    connection.sendall(b"%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n"
                       b"Connection: close\r\n\r\n" % (line.encode(), size))


def upload(port, content):
    """What the program has found to be the hash, as the body of an answer."""
    answer = bytearray()
    with socket.create_connection(("127.0.0.1", port), timeout=600) as connection:
        send_request(connection, "POST /cgi-bin/hash.cgi", content.size)
        for piece in content.pieces():
            connection.sendall(piece)
        status = take_answer(connection, answer.extend)
    found = [word for word in answer.decode().split() if len(word) == 64]
    return status, found[0] if found else "none"


def download(port, content):
    whole = hashlib.sha256()
    pieces = content.size // len(content.seed)
    with socket.create_connection(("127.0.0.1", port), timeout=600) as connection:
        send_request(connection, f"GET /cgi-bin/generate.cgi?{pieces}", 0)
        status = take_answer(connection, whole.update)
    return status, whole.hexdigest()


def load(arguments, path, place):
    require("sha256sum")
    content = Content(arguments.gib * GIB)
    core = arguments.client_core
    write_program(place, "hash.cgi", HASH.format(core=core))
    compile_program(place, "generate.cgi", GENERATE, f"-DCORE={core}")
    with open(os.path.join(place, "seed"), "wb") as file:
        file.write(content.seed)
    os.sched_setaffinity(0, {core})
    wanted = content.sha256()
    command = [path, "--directory", place, "--seconds", "1200", *arguments.options]
    failures = 0
    for name, transfer in (("upload", upload), ("download", download)):
        with Program(arguments.server_core, command) as server:
            status, found = transfer(server.port, content)
            print(f"{name} of {arguments.gib} GiB: {status}")
            print(server.process.communicate(timeout=60)[0], end="")
        is_right = " 200 " in status and found == wanted
        failures += 0 if is_right else 1
        print(f"SHA-256 {'right' if is_right else 'WRONG'}: {found}", flush=True)
    return 1 if failures else 0


def cpu_seconds(server):
    """That of the server and of the programs that it has waited for, in seconds."""
    with open(f"/proc/{server.process.pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


class Lighttpd(Program):
    def __init__(self, core, path, root, place):
        self.port = free_port()
        configuration = os.path.join(place, "lighttpd.conf")
        with open(configuration, "w") as file:
            file.write(LIGHTTPD.format(place=place, port=self.port, root=root))
        command = ["taskset", "-c", str(core), path, "-D", "-f", configuration]
        modules = os.path.join(os.path.dirname(os.path.realpath(path)), "../lib/lighttpd")
        if os.path.isdir(modules):
            command += ["-m", modules]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        give_up = time.monotonic() + 5
        while time.monotonic() < give_up and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        self.end()
        sys.exit("lighttpd did not start")


def measure(server, arguments, seconds):
    command = wrk_command(arguments.client_core, server.port, arguments.connections, seconds)
    command[-1] += "cgi-bin/hello.cgi"
    before = cpu_seconds(server)
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30)
    total, rate, errors = parse_wrk(done.stdout + done.stderr)
    if errors:
        print("   ", errors)
    return rate, 1e6 * (cpu_seconds(server) - before) / total


def rate(arguments, path, place):
    require("wrk")
    require(arguments.lighttpd)
    folder = os.path.join(place, "root", "cgi-bin")
    os.makedirs(folder)
    compile_program(folder, "hello.cgi", HELLO)
    core = arguments.server_core
    command = [path, "--directory", folder, "--wait", "--programs", str(arguments.connections)]
    lighttpd_path = shutil.which(arguments.lighttpd)
    with Lighttpd(core, lighttpd_path, os.path.join(place, "root"), place) as lighttpd, \
            Program(core, command + arguments.options) as porthole:
        rows = compare(arguments, lighttpd, porthole)
    l_rate, l_cpu, p_rate, p_cpu = (median(column) for column in zip(*rows))
    ratios = [row[2] / row[0] for row in rows]
    print(f"lighttpd {l_rate:7.0f}/s {l_cpu:7.1f} us   porthole {p_rate:7.0f}/s {p_cpu:7.1f} us   "
          f"ratio: rate {median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}), "
          f"CPU {median([row[3] / row[1] for row in rows]):.3f}")
    return 0


def compare(arguments, lighttpd, porthole):
    rows = []
    for server in (lighttpd, porthole):
        measure(server, arguments, 1)  # warms both up
    for pair in range(arguments.pairs):
        order = (lighttpd, porthole) if pair % 2 == 0 else (porthole, lighttpd)
        results = {id(server): measure(server, arguments, arguments.seconds) for server in order}
        rows.append((*results[id(lighttpd)], *results[id(porthole)]))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("load", "rate"))
    parser.add_argument("--gib", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=4, help="and programs at a time")
    parser.add_argument("--lighttpd", default="lighttpd", help="where it is, if not in PATH")
    parser.add_argument("options", nargs="*", help="options of cgi_server, behind --")
    add_common_options(parser)
    arguments = parser.parse_intermixed_args()
    for tool in ("taskset", "cc"):
        require(tool)
    path, = programs(arguments.programs, ["cgi_server"])
    with tempfile.TemporaryDirectory(prefix="porthole-cgi-") as place:
        os.chmod(place, 0o755)
        return (load if arguments.what == "load" else rate)(arguments, path, place)


if __name__ == "__main__":
    sys.exit(main())
