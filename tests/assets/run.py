#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Assets baked in by CMake and by Meson: the same bytes by every back end, and what is refused.

    tests/assets/run.py [--cxx g++]

Each check builds a small project around a folder that it has made, out of the repository.
"""

import argparse
import gzip
import hashlib
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MODULE = ROOT / "tools" / "cmake" / "PortholeEmbedAssets.cmake"
SCRIPT = ROOT / "tools" / "embed_assets.py"
WARNINGS = "-Wall;-Wextra;-Wpedantic;-Wshadow;-Wconversion;-Wold-style-cast;-Werror"


class Failure(Exception):
    """What went wrong, with the end of the tool's own words."""


def expect(is_so, sentence):
    if not is_so:
        raise Failure(sentence)


class Workshop:
    def __init__(self, directory, cxx):
        self.directory = pathlib.Path(directory)
        self.cxx = cxx
        self.prefix = None
        self.count = 0
        self.has_brotli = shutil.which("brotli") is not None
        self.has_ninja = shutil.which("ninja") is not None

    def attempt(self, *command, **options):
        environment = {**os.environ, "CXX": self.cxx, **options.pop("environment", {})}
        return subprocess.run([str(part) for part in command], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False, timeout=600,
                              env=environment, **options)

    def run(self, *command, **options):
        result = self.attempt(*command, **options)
        tail = "\n".join(result.stdout.splitlines()[-25:])
        expect(result.returncode == 0, f"{' '.join(str(part) for part in command)}\n{tail}")
        return result.stdout

    def new_directory(self, name):
        self.count += 1
        path = self.directory / f"{self.count} {name}"
        path.mkdir()
        return path

    def folder(self, files=None):
        """A folder of assets with all that is awkward in names and contents."""
        folder = self.new_directory("folder") / "dist"
        noise = random.Random(1).randbytes
        for name, content in (files if files is not None else {
                "index.html": b"<!doctype html><title>Tool</title>" + b"<p>text</p>" * 200,
                "app.js": b"export const answer = 42;\n" * 50,
                "assets/app.3f2a9c1b.js": b"x" * 100_000,
                "assets/noise.bin": noise(70_001),
                "empty.txt": b"",
                "one.bin": b"\0",
                "seven.bin": b"1234567", "eight.bin": b"12345678", "nine.bin": b"123456789",
                "all.bin": bytes(range(256)) * 256 + b"!",
                "odd name + (1) %20 #x @y@.txt": b"odd",
                "\u00fcml\u00e4ut [id] what?.txt": b"more",
                ".hidden": b"no", ".git/config": b"no", ".well-known/x.txt": b"well"}).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        folder.mkdir(exist_ok=True)
        return folder

    def install(self):
        if self.prefix is None:
            build, prefix = self.directory / "build", self.directory / "prefix"
            self.run("cmake", "-S", ROOT, "-B", build, "-DCMAKE_BUILD_TYPE=Debug",
                     "-DCMAKE_CXX_FLAGS_DEBUG=-O0", "-DPORTHOLE_BUILD_TESTS=OFF",
                     "-DPORTHOLE_BUILD_EXAMPLES=OFF", "-DPORTHOLE_BUILD_BENCH=OFF",
                     "-DCMAKE_INSTALL_LIBDIR=lib", f"-DCMAKE_INSTALL_PREFIX={prefix}")
            self.run("cmake", "--build", build)
            self.run("cmake", "--install", build)
            self.prefix = prefix
        return self.prefix

    def project(self, parent=None):
        project = (parent or self.directory) / f"project {self.count}"
        self.count += 1
        project.mkdir(parents=True)
        for name in ("main.cpp", "CMakeLists.txt", "meson.build", "meson_options.txt"):
            shutil.copy(HERE / name, project)
        return project

    def configure(self, folder, *arguments, build_type="Release", build=None, extra=()):
        """Configures a project with CMake; returns its build tree."""
        project = self.project()
        build = build or project / "build"
        generator = ("-G", "Ninja") if self.has_ninja else ()
        listed = ";".join(["DIR", str(folder), *arguments])
        self.run("cmake", *generator, "-S", project, "-B", build, f"-DARGUMENTS={listed}",
                 f"-DCMAKE_BUILD_TYPE={build_type}", f"-DCMAKE_PREFIX_PATH={self.install()}",
                 f"-DFLAGS={WARNINGS}", "-DCMAKE_CXX_FLAGS_RELEASE=-O0", *extra)
        return build

    def build(self, folder, *arguments, **options):
        build = self.configure(folder, *arguments, **options)
        self.run("cmake", "--build", build, "--parallel", "2")
        return build

    def dump(self, program):
        """path -> what the program holds of it."""
        directory = self.new_directory("dump")
        assets = {}
        for number, line in enumerate(self.run(program, "dump", directory).splitlines()):
            caching, etag, size, path = line.split(" ", 3)
            kinds = {kind: (directory / f"{number}.{kind}").read_bytes()
                     for kind in ("plain", "gz", "br")
                     if (directory / f"{number}.{kind}").is_file()}
            expect(len(kinds.get("plain", b"")) == int(size), f"{path}: the size is wrong")
            assets[path] = {"caching": int(caching), "etag": etag, **kinds}
        return assets

    def refuses(self, words, folder, *arguments, extra=()):
        """CMake, with the module alone."""
        project = self.project()
        listed = ";".join(["DIR", str(folder), *arguments])
        result = self.attempt("cmake", "-S", project, "-B", project / "build",
                              f"-DARGUMENTS={listed}", f"-DMODULE={MODULE}",
                              "-DCMAKE_CXX_COMPILER_WORKS=1", *extra)
        text = " ".join(result.stdout.split())
        expect(result.returncode != 0, f"CMake did not refuse ({words})")
        expect(re.search(words, text), f"CMake did not say \"{words}\":\n{result.stdout[-1500:]}")

    def script(self, folder, *arguments):
        return self.attempt(sys.executable, SCRIPT, "--dir", folder, "--output",
                            self.new_directory("script"), *arguments)

    def script_refuses(self, words, folder, *arguments):
        result = self.script(folder, *arguments)
        expect(result.returncode != 0, f"the script did not refuse ({words})")
        expect(re.search(words, result.stdout), f"the script did not say \"{words}\":\n"
                                                f"{result.stdout}")


def check_contents(shop, folder, assets):
    files = {f"/{path.relative_to(folder).as_posix()}": path.read_bytes()
             for path in folder.rglob("*") if path.is_file()
             and not re.search(r"/\.(?!well-known/)", f"/{path.relative_to(folder).as_posix()}")}
    expect(list(assets) == sorted(files, key=os.fsencode), f"the table holds {list(assets)}")
    for path, content in files.items():
        asset = assets[path]
        expect(asset.get("plain", b"") == content, f"{path}: other bytes")
        expect(asset["etag"] == hashlib.sha256(content).hexdigest()[:32], f"{path}: the tag")
        if "gz" in asset:
            expect(gzip.decompress(asset["gz"]) == content, f"{path}: gzip of something else")
            expect(asset["gz"][4:8] == b"\0\0\0\0", f"{path}: a time in its gzip")
        for kind in ("gz", "br"):
            if kind in asset:
                expect(len(asset[kind]) * 10 <= len(content) * 9, f"{path}: {kind} not worth it")
    expect("gz" in assets["/app.js"] and "gz" not in assets["/assets/noise.bin"],
           "gzip is there when it is worth it")
    expect(("br" in assets["/app.js"]) == shop.has_brotli, "brotli is there when the tool is")


def backends(shop):
    """Every back end that this compiler has gives the same bytes, and so does CMake's choice."""
    folder = shop.folder()
    first = shop.dump(shop.build(folder) / "app")
    check_contents(shop, folder, first)
    for backend in ("INCBIN", "WORDS", "EMBED"):
        if backend == "EMBED" and not has_embed(shop):
            print("      (this compiler has no #embed)")
            continue
        expect(shop.dump(shop.build(folder, "BACKEND", backend) / "app") == first,
               f"{backend} gives other bytes")


def has_embed(shop):
    probe = shop.new_directory("probe") / "probe.cpp"
    probe.write_text("#ifndef __has_embed\n#error\n#endif\n", encoding="utf-8")
    return shop.attempt(shop.cxx, "-std=c++17", "-fsyntax-only", probe).returncode == 0


def makefiles(shop):
    """Make reads names otherwise than Ninja."""
    folder = shop.folder()
    project = shop.project()
    shop.run("cmake", "-G", "Unix Makefiles", "-S", project, "-B", project / "build",
             f"-DARGUMENTS=DIR;{folder}", f"-DCMAKE_PREFIX_PATH={shop.install()}",
             "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_CXX_FLAGS_RELEASE=-O0")
    shop.run("cmake", "--build", project / "build")
    check_contents(shop, folder, shop.dump(project / "build" / "app"))


def add_subdirectory(shop):
    """The function works where Porthole is a part of the project, and under unity builds."""
    folder = shop.folder()
    project = shop.project()
    shop.run("cmake", "-S", project, "-B", project / "build", f"-DARGUMENTS=DIR;{folder}",
             f"-DSUBDIRECTORY={ROOT}", "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS_DEBUG=-O0",
             "-DCMAKE_UNITY_BUILD=ON", "-DCMAKE_CXX_STANDARD=20")
    shop.run("cmake", "--build", project / "build", "--parallel", "2")
    check_contents(shop, folder, shop.dump(project / "build" / "app"))


def reproducible(shop):
    """The same folder makes the same program, at another time and in another place."""
    folder = shop.folder()
    programs = []
    for _ in range(2):
        programs.append((shop.build(folder, "COMPRESS", "AUTO") / "app").read_bytes())
        later = time.time() + 86_400
        os.utime(folder / "app.js", (later, later))
    expect(programs[0] == programs[1], "two builds differ")


def objects(build):
    return {path: path.stat().st_mtime_ns for path in build.rglob("*.o")}


def rebuilt(shop, build):
    before = objects(build)
    shop.run("cmake", "--build", build)
    after = objects(build)
    return [path.name for path in after if before.get(path) != after[path]]


def incremental(shop):
    """One asset changed: one object; one came or went: it and the table."""
    folder = shop.folder()
    build = shop.build(folder)
    expect(rebuilt(shop, build) == [], "an unchanged folder rebuilds something")
    (folder / "app.js").write_bytes(b"export const answer = 43;\n" * 50)
    names = rebuilt(shop, build)
    expect(len(names) == 1, f"one asset changed, and {names} were rebuilt")
    expect(shop.dump(build / "app")["/app.js"]["plain"].startswith(b"export const answer = 43"),
           "the change did not arrive")
    (folder / "new.txt").write_bytes(b"new")
    names = rebuilt(shop, build)
    expect(len(names) == 2 and "app_assets.cpp.o" in names, f"one new asset rebuilds {names}")
    (folder / "new.txt").unlink()
    names = rebuilt(shop, build)
    expect(names == ["app_assets.cpp.o"], f"one asset less rebuilds {names}")
    check_contents(shop, folder, shop.dump(build / "app"))


def options(shop):
    folder = shop.folder()
    assets = shop.dump(shop.build(
        folder, "EXCLUDE", "*.bin", "empty.*", "INCLUDE", "**/*.js", "*.html", "*.bin", "PREFIX",
        "/ui/", "IMMUTABLE", "^assets/", "COMPRESS", "NONE", "SPA") / "app")
    expect(list(assets) == ["/ui/app.js", "/ui/assets/app.3f2a9c1b.js", "/ui/index.html"],
           f"the rules leave {list(assets)}")
    expect([asset["caching"] for asset in assets.values()] == [1, 2, 1], "IMMUTABLE is not obeyed")
    expect(not any("gz" in asset or "br" in asset for asset in assets.values()),
           "COMPRESS NONE compresses")
    result = shop.run(shop.build(folder, "SPA", "index.html", "NAMESPACE", "app_assets") / "app",
                      "get", "/ui/some/path", "/ui/missing.js", "/ui/")
    expect(re.search(r"(?s)200 <!doctype.*\n404 .*200 <!doctype", result), f"SPA: {result}")


def globs(shop):
    """CMake and the script read patterns alike."""
    folder = shop.folder({name: b"x" for name in (
        "a.js", "a.js.map", "b+c.js", "sub/a.js", "sub/deep/a.js", "sub/deep/ab.css", "x(1).txt",
        "v1.txt", "[id].txt")})
    for pattern in ("*.js", "sub/*.js", "sub/**/*.js", "sub/**", "**/deep/*", "a?.css", "b+c.js",
                    "x(1).txt", "[id].txt", "v?.txt", "*", "**", "nothing"):
        first = shop.new_directory("globs")
        project = shop.project()
        shop.run("cmake", "-S", project, "-B", first, f"-DMODULE={MODULE}",
                 "-DCMAKE_CXX_COMPILER_WORKS=1",
                 f"-DARGUMENTS=DIR;{folder};INCLUDE;{pattern};OPTIONAL")
        second = shop.new_directory("globs")
        shop.run(sys.executable, SCRIPT, "--dir", folder, "--output", second, "--include",
                 pattern, "--optional")
        texts = [(place / "app_assets.cpp").read_text(encoding="utf-8")
                 for place in (first / "app_assets", second)]
        expect(texts[0] == texts[1], f"\"{pattern}\" means different files:\n{texts[0]}{texts[1]}")


def same_sources(shop):
    """The script writes what CMake writes, but for where the copies lie."""
    folder = shop.folder()
    for backend in ("INCBIN", "WORDS", "EMBED"):
        build = shop.configure(folder, "BACKEND", backend, "PREFIX", "p")
        if backend == "EMBED":
            continue  # compiled in backends(), where the compiler has it
        shop.run("cmake", "--build", build, "--parallel", "2")
        output = shop.new_directory("script")
        shop.run(sys.executable, SCRIPT, "--dir", folder, "--output", output, "--prefix", "p",
                 "--backend", backend.lower())
        place = build / "app_assets"
        for name in ("app_assets.hpp", "app_assets.cpp"):
            expect((place / name).read_bytes() == (output / name).read_bytes(), f"{name} differs")
        written = (output / "app_assets_data.cpp").read_text(encoding="utf-8")
        written = written.replace(str(output / "app_assets_copies"), str(place))
        for path in sorted(place.glob("*.cpp")):
            text = path.read_text(encoding="utf-8")
            expect(path.name == "app_assets.cpp" or text in written,
                   f"{backend}: {path.name} differs")


def refusals(shop):
    both = lambda words, folder, cmake=(), script=(): (
        shop.refuses(words, folder, *cmake), shop.script_refuses(words, folder, *script))
    both("differ only in case", shop.folder({"App.js": b"1", "app.js": b"2"}))
    both("no files to bake in.*Build the front end first", shop.folder({}))
    both("no files to bake in.*Build the front end first", shop.directory / "nowhere")
    both("more than", shop.folder({"a": b"x" * 600, "b": b"y" * 425}), ("MAX_SIZE", "1K"),
         ("--max-size", "1K"))
    expect(shop.script(shop.folder({"a": b"x" * 600, "b": b"y" * 424}), "--max-size",
                       "1K").returncode == 0, "MAX_SIZE itself is refused")
    folder = shop.folder({"a.txt": b"1"})
    (folder / "out.txt").symlink_to("/etc/hostname")
    both("leaves", folder)
    (folder / "out.txt").unlink()
    (folder / "out").symlink_to(folder.parent)
    both("leaves", folder)
    (folder / "out").unlink()
    (folder / "loop").symlink_to(".")
    both("leaves|link to a folder", folder)
    (folder / "loop").unlink()
    (folder / "none").symlink_to("missing")
    both("link to nothing", folder)
    shop.refuses("already has a folder", shop.folder(), extra=("-DTWICE=ON",))
    shop.refuses("unknown arguments: WRONG", shop.folder(), "WRONG")
    shop.refuses("COMPRESS is one of", shop.folder(), "COMPRESS", "ZIP")
    shop.refuses("no C\\+\\+ namespace", shop.folder(), "NAMESPACE", "a-b")
    if not shop.has_brotli:
        both("needs the program brotli", shop.folder(), ("COMPRESS", "BROTLI"),
             ("--compress", "brotli"))
    both("is not among the files", shop.folder(), ("SPA", "app.html"), ("--spa", "app.html"))


def links_inside(shop):
    folder = shop.folder({"a.txt": b"content"})
    (folder / "b.txt").symlink_to("a.txt")
    assets = shop.dump(shop.build(folder) / "app")
    expect(assets["/b.txt"]["plain"] == b"content", "a link within the folder is its file")


def optional_folder(shop):
    build = shop.build(shop.directory / "not there", "OPTIONAL")
    expect(shop.dump(build / "app") == {}, "an optional folder makes an empty bundle")
    expect("404" in shop.run(build / "app", "get", "/ui/"), "an empty bundle answers 404")


def from_disk(shop):
    """A development build reads the folder; pages reload when a file in it changes."""
    folder = shop.folder()
    build = shop.build(folder, build_type="Debug", extra=("-DCMAKE_CXX_FLAGS_DEBUG=-O0",))
    targets = ["/ui/", "/ui/app.js", "/ui/.porthole/reload.js", "listen:/ui/.porthole/reload",
               "listen:/ui/.porthole/reload"]
    program = subprocess.Popen(
        [build / "app", "get", *targets, "pause", "/ui/app.js",
         "listen:/ui/.porthole/reload"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    lines = []
    for line in program.stdout:
        if line == "paused\n":
            break
        lines.append(line)
    text = "".join(lines)
    (folder / "app.js").write_bytes(b"changed on disk")
    rest, _ = program.communicate("\n", timeout=60)
    expect('<script src="/ui/.porthole/reload.js"></script>' in text, f"no script in {text}")
    expect("location.reload()" in text, "no script to load")
    states = re.findall(r"(?m)^heard (\d+)$", text)
    expect(len(states) == 2 and states[0] == states[1], f"an unchanged folder reloads: {states}")
    expect("200 changed on disk" in rest, f"the file was not read from disk: {rest}")
    later = re.findall(r"(?m)^heard (\d+)$", rest)
    expect(len(later) == 1 and later != states[:1], f"no reload after a change: {later}")
    # On another machine, without the folder, what was baked in is served.
    folder.rename(folder.parent / "moved")
    text = shop.run(build / "app", "get", "/ui/app.js", "/ui/", "/ui/.porthole/reload")
    expect("answer = 42" in text and "reload.js" not in text and "404" in text,
           f"without the folder: {text}")
    folder = shop.folder()
    release = shop.build(folder) / "app"
    expect(str(folder).encode() not in release.read_bytes(), "a release knows where its folder was")


def meson(shop):
    if shutil.which("meson") is None or not shop.has_ninja:
        print("      (no meson)")
        return
    folder = shop.folder()
    project = shop.project(shop.new_directory("meson"))
    environment = {"PKG_CONFIG_PATH": str(shop.install() / "lib" / "pkgconfig")}
    for backend in ("incbin", "words"):
        build = project / backend
        shop.run("meson", "setup", build, project, "-Dbuildtype=plain",
                 f"-Dfolder={folder}", f"-Dmethod={backend}", environment=environment)
        shop.run("ninja", "-C", build)
        check_contents(shop, folder, shop.dump(build / "app"))
    expect(rebuilt_by_ninja(shop, build) == [], "an unchanged folder rebuilds something")
    (folder / "app.js").write_bytes(b"export const answer = 43;\n" * 50)
    names = rebuilt_by_ninja(shop, build)
    expect(len(names) == 1 and "data" in names[0], f"one asset changed, and {names} were rebuilt")
    (folder / "assets" / "new.txt").write_bytes(b"new")
    names = rebuilt_by_ninja(shop, build)
    # The header is older than what uses it, but Ninja only knows that its maker has run.
    expect("app_assets_data" in "".join(names), f"one new asset rebuilds {names}")
    check_contents(shop, folder, shop.dump(build / "app"))


def rebuilt_by_ninja(shop, build):
    before = objects(build)
    shop.run("ninja", "-C", build)
    after = objects(build)
    return [path.name for path in after if before.get(path) != after[path]]


CHECKS = (backends, makefiles, add_subdirectory, reproducible, incremental, options, globs,
          same_sources, refusals, links_inside, optional_folder, from_disk, meson)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cxx", default="c++", help="the compiler")
    parser.add_argument("--only", default="", help="a regular expression for names of checks")
    arguments = parser.parse_args()
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="porthole_assets_") as directory:
        shop = Workshop(directory, arguments.cxx)
        for check in CHECKS:
            if not re.search(arguments.only, check.__name__):
                continue
            began = time.monotonic()
            try:
                check(shop)
            except (Failure, OSError, subprocess.SubprocessError) as failure:
                failed += 1
                print(f"FAIL  {check.__name__}\n{failure}", flush=True)
            else:
                passed += 1
                print(f"ok    {check.__name__} ({time.monotonic() - began:.1f} s)", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
