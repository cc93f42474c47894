# SPDX-License-Identifier: MIT
"""What compare.py and frame_load.py share: programs to run, cores to pin them to, wrk's words."""

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

BENCH = os.path.dirname(os.path.abspath(__file__))


def require(tool):
    if shutil.which(tool) is None:
        sys.exit(f"{tool} is needed: apt-get install {tool}")


def add_common_options(parser):
    cores = sorted(os.sched_getaffinity(0))
    parser.add_argument("--programs", help="directory of the built programs; default: build them")
    parser.add_argument("--server-core", type=int, default=cores[0])
    parser.add_argument("--client-core", type=int, default=cores[-1])


def programs(directory, names, holder=[]):
    """The paths of the named programs: in the directory, or built in a temporary place."""
    if not directory:
        holder.append(tempfile.TemporaryDirectory(prefix="porthole-bench-"))
        directory = holder[-1].name
        subprocess.run(["sh", os.path.join(BENCH, "build.sh"), directory, *names], check=True)
    paths = []
    for name in names:  # CMake calls its targets bench_NAME
        found = [os.path.join(directory, file) for file in (name, "bench_" + name)
                 if os.path.exists(os.path.join(directory, file))]
        if not found:
            sys.exit(f"there is no {name} in {directory}")
        paths.append(os.path.abspath(found[0]))
    return paths


class Program:
    """A bench server on its own core, ended when the block is left."""

    def __init__(self, core, command):
        self.process = subprocess.Popen(
            ["taskset", "-c", str(core), *command], stdout=subprocess.PIPE, text=True
        )
        line = self.process.stdout.readline().split()
        if len(line) != 2 or line[0] != "port":
            self.end()
            sys.exit(f"{command[0]} did not start")
        self.port = int(line[1])

    def cpu_seconds(self):
        """utime + stime of /proc/PID/stat, in seconds."""
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.end()


def wrk_command(core, port, connections, seconds, script=None):
    command = ["taskset", "-c", str(core), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s"]
    if script:
        command += ["-s", script]
    return command + [f"http://127.0.0.1:{port}/"]


def parse_wrk(text):
    """How many requests were answered, and how many a second. Errors end the run."""
    total = re.search(r"(\d+) requests in", text)
    rate = re.search(r"Requests/sec:\s*([\d.]+)", text)
    if not total or not rate or "Non-2xx" in text:
        sys.exit("wrk failed:\n" + text)
    errors = re.search(r"Socket errors:.*", text)
    return int(total.group(1)), float(rate.group(1)), errors.group(0) if errors else ""


def median(values):
    return statistics.median(values)
