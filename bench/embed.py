#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What baking a 5 MB folder into a program costs: build time and peak memory of each back end.

    bench/embed.py [--cxx g++ clang++] [--megabytes 5] [--files 40] [--runs 3]

Builds the sources that porthole_embed_assets() makes for an object library, one job at a time,
without compression and without the table, which is the same for all. "bytes" is the list of bytes
that other tools write, for comparison; it is compiled from one file.
"""

import argparse
import os
import pathlib
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROJECT = """cmake_minimum_required(VERSION 3.20)
project(embed LANGUAGES CXX)
include("{module}")
add_library(ui OBJECT)
target_include_directories(ui PRIVATE "{include}")
porthole_embed_assets(ui DIR "{folder}" BACKEND {backend} COMPRESS {compress})
"""


def measured(*command):
    """Seconds, and the largest resident set of any process in it in MB."""
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, __file__, "--child", *map(str, command)],
                               stdout=subprocess.PIPE, text=True)
    output, _ = process.communicate()
    seconds = time.monotonic() - began
    if process.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{output}")
    return seconds, int(output.split()[-1]) / 1024


def child(command):
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            check=False)
    if result.returncode != 0:
        print(result.stdout[-2000:])
        return 1
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    return 0


def make_folder(folder, megabytes, files):
    """Noise and text, half and half, as images and scripts are."""
    noise = random.Random(5)
    size = megabytes * 1024 * 1024 // files
    for number in range(files):
        if number % 2:
            data = noise.randbytes(size)
        else:
            data = b" ".join(b"%x" % noise.getrandbits(20) for _ in range(size // 5))[:size]
        (folder / f"file{number:03}.bin").write_bytes(data)


def by_cmake(directory, folder, cxx, backend, compress="NONE"):
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    (directory / "CMakeLists.txt").write_text(
        PROJECT.format(module=ROOT / "tools/cmake/PortholeEmbedAssets.cmake",
                       include=ROOT / "include", folder=folder, backend=backend,
                       compress=compress), encoding="utf-8")
    build = directory / "build"
    subprocess.run(["cmake", "-G", "Ninja", "-S", directory, "-B", build,
                    "-DCMAKE_BUILD_TYPE=Release",
                    f"-DCMAKE_CXX_COMPILER={cxx}"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", build, "CMakeFiles/ui.dir/app_assets/app_assets.cpp.o"],
                   check=True, stdout=subprocess.DEVNULL)
    for path in (build / "app_assets").glob("*.cpp"):  # made: one object waits for all
        if path.name != "app_assets.cpp":
            path.unlink()
    return measured("ninja", "-C", build, "-j1", "ui")


def as_bytes(directory, folder, cxx):
    directory.mkdir(exist_ok=True)
    source = directory / "bytes.cpp"
    with source.open("w", encoding="utf-8") as out:
        for path in sorted(folder.iterdir()):
            values = ",".join(str(byte) for byte in path.read_bytes())
            out.write(f"extern const unsigned char {path.stem}[];\n"
                      f"const unsigned char {path.stem}[] = {{{values}}};\n")
    return measured(cxx, "-std=c++17", "-O2", "-c", source, "-o", directory / "bytes.o")


def main():
    if sys.argv[1:2] == ["--child"]:
        return child(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cxx", nargs="+", default=["g++", "clang++"])
    parser.add_argument("--megabytes", type=int, default=5)
    parser.add_argument("--files", type=int, default=40)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="porthole_embed_") as name:
        place = pathlib.Path(name)
        folder = place / "folder"
        folder.mkdir()
        make_folder(folder, options.megabytes, options.files)
        print(f"{options.megabytes} MB in {options.files} files, median of {options.runs}, "
              f"{os.cpu_count()} cores, one job")
        for cxx in options.cxx:
            has_embed = subprocess.run(
                [cxx, "-E", "-x", "c++", "-"], input="#ifndef __has_embed\n#error\n#endif\n",
                text=True, capture_output=True, check=False).returncode == 0
            ways = {"INCBIN": lambda: by_cmake(place / "project", folder, cxx, "INCBIN"),
                    "WORDS": lambda: by_cmake(place / "project", folder, cxx, "WORDS"),
                    "INCBIN, gzip": lambda: by_cmake(place / "project", folder, cxx, "INCBIN",
                                                     "GZIP"),
                    "bytes": lambda: as_bytes(place / "bytes", folder, cxx)}
            if has_embed:
                ways = {"EMBED": lambda: by_cmake(place / "project", folder, cxx, "EMBED"), **ways}
            for way, measure in ways.items():
                results = [measure() for _ in range(options.runs)]
                seconds = statistics.median(result[0] for result in results)
                megabytes = max(result[1] for result in results)
                print(f"{cxx:12} {way:14} {seconds:7.2f} s {megabytes:7.0f} MB", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
