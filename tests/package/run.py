#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every way into somebody else's build, each with a program that is then run.

    tests/package/run.py [--cxx g++]

add_subdirectory, FetchContent, find_package, pkg-config, a Meson subproject, and a plain copy of
the single header; without the network, and in directories with a space in their name.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CONSUMER = HERE / "consumer"
VERSION = re.search(r'VERSION_STRING "([^"]*)"',
                    (ROOT / "include/porthole/base/version.hpp").read_text(encoding="utf-8"))[1]


class Failure(Exception):
    """What went wrong, with the end of the tool's own words."""


class Workshop:
    def __init__(self, directory, cxx):
        self.directory = pathlib.Path(directory)
        self.cxx = cxx
        self.installed = None

    def run(self, *command, **options):
        environment = {**os.environ, "CXX": self.cxx, **options.pop("environment", {})}
        result = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, check=False, timeout=600,
                                env=environment, **options)
        if result.returncode != 0:
            tail = "\n".join(result.stdout.splitlines()[-25:])
            raise Failure(f"{' '.join(str(part) for part in command)}\n{tail}")
        return result.stdout

    def runs(self, program):
        output = self.run(program)
        if f"porthole {VERSION} listens" not in output:
            raise Failure(f"{program.name} said: {output}")

    def cmake(self, source, build, *options):
        self.run("cmake", "-G", "Ninja", "-S", source, "-B", build, "-DCMAKE_BUILD_TYPE=Debug",
                 *options)
        self.run("cmake", "--build", build, "--parallel", "2")

    def consume(self, method, *options):
        build = self.directory / method
        self.cmake(CONSUMER, build, f"-DMETHOD={method}", *options)
        self.runs(build / "compiled")
        self.runs(build / "header_only")

    def install(self):
        """An installed tree, moved afterwards: packages must not remember where they were made."""
        if self.installed is None:
            build, prefix = self.directory / "build", self.directory / "first prefix"
            self.cmake(ROOT, build, "-DPORTHOLE_BUILD_TESTS=OFF", "-DPORTHOLE_BUILD_EXAMPLES=OFF",
                       "-DPORTHOLE_BUILD_BENCH=OFF")
            self.run("cmake", "--install", build, "--prefix", prefix)
            self.installed = prefix.rename(self.directory / "moved prefix")
        return self.installed

    def copy_of_the_repository(self, target):
        """What a download of it would hold, build trees left out."""
        target.mkdir(parents=True)
        for name in ("CMakeLists.txt", "meson.build", "meson_options.txt"):
            shutil.copy(ROOT / name, target)
        for name in ("include", "single_include", "src", "tools", "tests", "examples", "bench"):
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, target / name,
                                ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
        return target


def add_subdirectory(shop):
    shop.consume("add_subdirectory", f"-DPORTHOLE_DIRECTORY={ROOT}")


def fetch_content(shop):
    tree = shop.copy_of_the_repository(shop.directory / "archive" / "porthole")
    archive = shutil.make_archive(str(shop.directory / "porthole"), "gztar", tree.parent,
                                  "porthole")
    shop.consume("fetch_content", f"-DPORTHOLE_DIRECTORY={archive}")


def find_package(shop):
    shop.consume("find_package", f"-DCMAKE_PREFIX_PATH={shop.install()}", f"-DVERSION={VERSION}")


def find_package_with_zlib(shop):
    """A library that was built with zlib brings it along; without it, it would not link."""
    prefix = shop.directory / "prefix with zlib"
    build = shop.directory / "build with zlib"
    shop.cmake(ROOT, build, "-DPORTHOLE_BUILD_TESTS=OFF", "-DPORTHOLE_BUILD_EXAMPLES=OFF",
               "-DPORTHOLE_BUILD_BENCH=OFF", "-DPORTHOLE_WITH_ZLIB=ON")
    shop.run("cmake", "--install", build, "--prefix", prefix)
    consumer = shop.directory / "find_package_with_zlib"
    shop.cmake(CONSUMER, consumer, "-DMETHOD=find_package", f"-DCMAKE_PREFIX_PATH={prefix}",
               f"-DVERSION={VERSION}")
    for program in ("compiled", "header_only"):
        shop.runs(consumer / program)
        if "deflateInit2_" not in shop.run("nm", "-D", consumer / program):
            raise Failure(f"{program} does not use zlib")
    places = {"PKG_CONFIG_PATH": str(next(prefix.rglob("porthole.pc")).parent)}
    libraries = shop.run("pkg-config", "--libs", "porthole", environment=places)
    if "-lz" not in libraries.split():
        raise Failure(f"pkg-config says {libraries}")


def pkg_config(shop):
    prefix = shop.install()
    files = list(prefix.rglob("porthole.pc"))
    if len(files) != 1:
        raise Failure("no porthole.pc in the installed tree")
    places = {"PKG_CONFIG_PATH": str(files[0].parent)}
    if shop.run("pkg-config", "--modversion", "porthole", environment=places).strip() != VERSION:
        raise Failure("pkg-config names another version")
    program = shop.directory / "with_pkg_config"
    # Through a shell, as a makefile would: what pkg-config quotes, the shell has to understand.
    script = r'''flags=$(pkg-config --cflags --libs porthole) || exit 1
               eval "\"\$CXX\" -std=c++17 \"\$1\" $flags -o \"\$2\""'''
    shop.run("sh", "-c", script, "sh", CONSUMER / "main.cpp", program, environment=places)
    shop.runs(program)


def meson_subproject(shop):
    project = shop.directory / "meson consumer"
    project.mkdir()
    for name in ("main.cpp", "meson.build"):
        shutil.copy(CONSUMER / name, project)
    shop.copy_of_the_repository(project / "subprojects" / "porthole")
    shutil.copy(CONSUMER / "porthole.wrap", project / "subprojects")
    build = project / "build"
    shop.run("meson", "setup", build, project)
    shop.run("meson", "compile", "-C", build)
    shop.runs(build / "compiled")
    shop.runs(build / "header_only")


def meson_install(shop):
    """The package file that Meson writes, and the headers that it installs."""
    build, prefix = shop.directory / "meson build", shop.directory / "meson_prefix"
    source = shop.copy_of_the_repository(shop.directory / "meson source")
    shop.run("meson", "setup", build, source, f"--prefix={prefix}", "--libdir=lib")
    shop.run("ninja", "-C", build, "libporthole.a")
    # Without rebuilding: the tests are of no interest here.
    shop.run("meson", "install", "-C", build, "--no-rebuild")
    program = shop.directory / "with_meson_pc"
    script = '"$CXX" -std=c++17 "$1" $(pkg-config --cflags --libs porthole) -o "$2"'
    if " " in str(prefix):
        raise Failure("the prefix must not hold a space for this check")
    shop.run("sh", "-c", script, "sh", CONSUMER / "main.cpp", program,
             environment={"PKG_CONFIG_PATH": str(prefix / "lib" / "pkgconfig")})
    shop.runs(program)


def plain_copy(shop):
    project = shop.directory / "plain copy"
    project.mkdir()
    shutil.copy(ROOT / "single_include" / "porthole.hpp", project)
    shutil.copy(CONSUMER / "main.cpp", project)
    for name, flag in (("compiled", "-DPORTHOLE_CONSUMER_IMPLEMENTS"),
                       ("header_only", "-DPORTHOLE_HEADER_ONLY=1")):
        program = project / name
        shop.run(shop.cxx, "-std=c++17", flag, "-I", project, project / "main.cpp", "-o", program)
        shop.runs(program)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cxx", default="c++", help="the compiler")
    arguments = parser.parse_args()
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="porthole_package_") as directory:
        shop = Workshop(directory, arguments.cxx)
        for check in (add_subdirectory, fetch_content, find_package, find_package_with_zlib,
                      pkg_config, meson_subproject, meson_install, plain_copy):
            try:
                check(shop)
            except (Failure, OSError, subprocess.SubprocessError) as failure:
                failed += 1
                print(f"FAIL  {check.__name__}\n{failure}", flush=True)
            else:
                passed += 1
                print(f"ok    {check.__name__}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
