#!/bin/sh
# SPDX-License-Identifier: MIT
# What including Porthole costs the compiler: wall time (median) and peak memory of a file that only
# includes the header (declarations), against one that includes the same standard headers, and of
# hello.cpp whole at -O2.
#
#     sh bench/compile_time.sh [RUNS]          5 unless told otherwise; uses $CXX
#
# Read: the ratio of the first two; aim for 1.3 or less, and for 3 s or less for hello.cpp.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
exec python3 - "$(dirname "$here")" "${CXX:-c++}" "${1:-5}" <<'PYTHON'
import glob, os, re, shlex, statistics, subprocess, sys, tempfile, time

root, compiler, runs = sys.argv[1], shlex.split(sys.argv[2]), int(sys.argv[3])
single = os.path.join(root, "single_include")
include = single if os.path.exists(os.path.join(single, "porthole.hpp")) \
    else os.path.join(root, "include")

# Every standard header that the declarations include.
headers = set()
for path in glob.glob(os.path.join(root, "include", "**", "*.hpp"), recursive=True):
    with open(path) as file:
        headers.update(re.findall(r"^#include <([a-z_]+)>", file.read(), re.MULTILINE))


def measure(name, command):
    times, peak = [], 0
    for _ in range(runs):
        start = time.monotonic()
        process = subprocess.Popen(command)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            sys.exit(f"{name}: the compiler failed")
        times.append(time.monotonic() - start)
        peak = max(peak, usage.ru_maxrss)
    print(f"{name:42} {statistics.median(times):6.2f} s  {peak / 1024:6.0f} MiB", flush=True)
    return statistics.median(times), peak


with tempfile.TemporaryDirectory() as work:
    def source(name, lines):
        path = os.path.join(work, name)
        with open(path, "w") as file:
            file.write("\n".join(lines) + "\n")
        return path

    base = compiler + ["-std=c++17", "-I" + include]
    compile_only = base + ["-c", "-o", os.path.join(work, "out.o")]
    four = source("four.cpp", [f"#include <{name}>" for name in
                               ("string", "vector", "functional", "memory")])
    same = source("same.cpp", [f"#include <{name}>" for name in sorted(headers)])
    declarations = source("declarations.cpp", ["#include <porthole.hpp>"])
    hello = os.path.join(root, "examples", "hello.cpp")

    print(f"{compiler[0]}, {os.path.relpath(include, root)}, median of {runs}")
    measure("string, vector, functional, memory", compile_only + [four])
    std = measure(f"the same {len(headers)} standard headers", compile_only + [same])
    own = measure("porthole.hpp, declarations", compile_only + [declarations])
    measure("hello.cpp whole at -O2, with linking", base + ["-O2", hello, "-o",
            os.path.join(work, "hello")])
    print(f"ratio of declarations to standard headers: time {own[0] / std[0]:.2f}, "
          f"memory {own[1] / std[1]:.2f}")
PYTHON
