#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Static files: Porthole beside nginx, on the same files, each pinned to one core.

Runs nginx (one worker, sendfile on, open_file_cache on) and file_server in turn under wrk, which is
pinned to another core, for files of 1 KiB, 100 KiB and 10 MiB over keep-alive. Prints requests per
second and the server's CPU time for each request, and the ratios pair by pair.

    python3 bench/files.py [--pairs 3] [--seconds 3] [--connections 32] [--programs DIR]

Read: the rate's median ratio; aim for 0.9 or more. A CPU ratio above 1 means that Porthole takes
longer for each request.
"""

import argparse
import os
import shutil
import socket
import subprocess
import tempfile
import time

from common import Program, add_common_options, median, parse_wrk, programs, require, wrk_command

SIZES = {"1 KiB": 1024, "100 KiB": 100 * 1024, "10 MiB": 10 * 1024 * 1024}
CONFIGURATION = """
worker_processes 1;
daemon off;
master_process off;
pid {place}/nginx.pid;
error_log {place}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    open_file_cache max=1000 inactive=60s;
    client_body_temp_path {place}/body;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi;
    scgi_temp_path {place}/scgi;
    server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Nginx(Program):
    def __init__(self, core, root, place):
        self.port = free_port()
        configuration = os.path.join(place, "nginx.conf")
        with open(configuration, "w") as file:
            file.write(CONFIGURATION.format(place=place, port=self.port, root=root))
        self.process = subprocess.Popen(
            ["taskset", "-c", str(core), "nginx", "-p", place, "-c", configuration],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        time.sleep(0.5)


def measure(server, arguments, name, seconds):
    command = wrk_command(arguments.client_core, server.port, arguments.connections, seconds)
    command[-1] += name
    before = server.cpu_seconds()
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30)
    total, rate, errors = parse_wrk(done.stdout + done.stderr)
    if errors:
        print("   ", errors)
    return rate, 1e6 * (server.cpu_seconds() - before) / total


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=32)
    add_common_options(parser)
    arguments = parser.parse_args()
    for tool in ("wrk", "taskset", "nginx"):
        require(tool)
    program, = programs(arguments.programs, ["file_server"])
    place = tempfile.mkdtemp(prefix="porthole-files-")
    try:
        os.chmod(place, 0o755)
        root = os.path.join(place, "root")
        os.mkdir(root)
        for size in SIZES.values():
            with open(os.path.join(root, f"{size}.bin"), "wb") as file:
                file.write(os.urandom(size))
        core = arguments.server_core
        with Nginx(core, root, place) as nginx, \
                Program(core, [program, "--directory", root]) as porthole:
            for label, size in SIZES.items():
                compare(arguments, label, f"{size}.bin", nginx, porthole)
    finally:
        shutil.rmtree(place)


def compare(arguments, label, name, nginx, porthole):
    rows = []
    for server in (nginx, porthole):
        measure(server, arguments, name, 1)  # warms both up
    for pair in range(arguments.pairs):
        order = (nginx, porthole) if pair % 2 == 0 else (porthole, nginx)
        results = {id(server): measure(server, arguments, name, arguments.seconds)
                   for server in order}
        rows.append((*results[id(nginx)], *results[id(porthole)]))
    n_rate, n_cpu, p_rate, p_cpu = (median(column) for column in zip(*rows))
    rate = median([row[2] / row[0] for row in rows])
    cpu = median([row[3] / row[1] for row in rows])
    print(f"{label:>8}: nginx {n_rate:9.0f}/s {n_cpu:8.1f} us   porthole {p_rate:9.0f}/s "
          f"{p_cpu:8.1f} us   ratio: rate {rate:.3f}, CPU {cpu:.3f}", flush=True)


if __name__ == "__main__":
    main()
