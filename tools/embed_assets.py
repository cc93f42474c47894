#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Bakes a folder into a program: the twin of porthole_embed_assets() for Meson and other builds.

    embed_assets.py --dir web/dist --output build/ui [--namespace app_assets] [options]

Writes NAMESPACE.hpp, NAMESPACE.cpp (the table, which changes when a file comes or goes) and
NAMESPACE_data.cpp (the files, which changes with their content): the same sources as CMake's, with
all files in one. docs/assets.md is the manual. The Python standard library is all it needs.
"""

import argparse
import hashlib
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

TEMPLATES = pathlib.Path(__file__).resolve().parent / "cmake"
PLAIN = re.compile(rb"[\]\[A-Za-z0-9 !#$%&'()*+,./:;<=>@^_`{|}~-]*\Z")
NAMESPACE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(::[A-Za-z_][A-Za-z0-9_]*)*\Z")
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class Refused(Exception):
    """What is wrong with the folder or the arguments, and what to do about it."""


def fill(template, **values):
    text = (TEMPLATES / template).read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    return text


def write_if_different(path, text):
    data = text.encode()
    if not path.is_file() or path.read_bytes() != data:
        path.write_bytes(data)


def literal(text):
    """A C++ string literal that no charset of the compiler can change."""
    data = os.fsencode(text)
    if PLAIN.match(data):
        return f'"{data.decode()}"'
    return " ".join(f'"\\x{byte:02x}"' for byte in data)


def glob_to_regex(glob):
    """"*" and "?" stop at '/', "**" does not; without '/' it is about the name alone."""
    regex = ""
    for part in re.findall(r"\*\*/|\*\*|\*|\?|[^*?]+", glob):
        regex += {"**/": "(.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(
            part, re.escape(part))
    return re.compile(("" if "/" in glob else r"(?:.*/)?") + regex + r"\Z", re.S)


def parse_size(text):
    found = re.fullmatch(r"([0-9]+)([KMG]?)", text)
    if not found:
        raise argparse.ArgumentTypeError("a number of bytes, or one with K, M or G behind it")
    return int(found[1]) * UNITS[found[2]]


def check_link(directory, path):
    real = path.resolve()
    if directory.resolve() not in real.parents:
        raise Refused(f"{path} is a link that leaves the folder (to {real}). Copy what it stands "
                      "for, or exclude it.")
    if not path.exists():
        raise Refused(f"{path} is a link to nothing.")
    if path.is_dir():
        raise Refused(f"{path} is a link to a folder, whose files would be baked in twice. Copy "
                      "it, or exclude it.")


def list_assets(options):
    """The files by the rules, as sorted names relative to the folder; and all its folders."""
    directory = options.dir
    include = [glob_to_regex(glob) for glob in options.include]
    exclude = [glob_to_regex(glob) for glob in options.exclude]
    names, folders, total = [], [], 0
    for here, children, files in os.walk(directory):
        folders.append(here)
        links = [child for child in children if os.path.islink(os.path.join(here, child))]
        for child in files + links:
            path = pathlib.Path(here, child)
            name = path.relative_to(directory).as_posix()
            if "/." in f"/{name}" and not re.match(r"\.well-known/[^.]", name):
                continue  # dotfiles are nobody's web page, but for RFC 8615
            if include and not any(regex.match(name) for regex in include):
                continue
            if any(regex.match(name) for regex in exclude):
                continue
            if path.is_symlink():
                check_link(directory, path)
            if re.search(r'[\\"\n\r\t$;]', name):
                raise Refused(f'the name "{name}" in {directory} holds a character that build '
                              "files cannot carry. Rename or exclude it.")
            total += path.stat().st_size
            names.append(name)
    if not names and not options.optional:
        raise Refused(f"{directory} holds no files to bake in. Build the front end first (for "
                      "example `npm run build`), or pass --optional.")
    if not names:
        print(f"embed_assets: warning: {directory} holds no files.", file=sys.stderr)
    if total > options.max_size:
        raise Refused(f"{directory} holds {total} bytes, more than --max-size "
                      f"({options.max_size}). Exclude what the program does not need, or raise it.")
    names.sort(key=os.fsencode)
    check_names(options, names)
    return names, folders


def check_names(options, names):
    seen = {}
    for name in names:
        other = seen.setdefault(name.lower(), name)
        if other != name:
            raise Refused(f'"{other}" and "{name}" in {options.dir} differ only in case, so that '
                          "the program would behave differently on another system. Rename one, "
                          "or exclude it.")
    if options.spa and names and options.spa not in names:
        raise Refused(f"--spa {options.spa} is not among the files of {options.dir}.")


def gzip(data):
    """RFC 1952 without a time and a name in it; the same bytes as CMake's archiver makes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, 8)
    body = packer.compress(data) + packer.flush()
    head = b"\x1f\x8b\x08\0\0\0\0\0\x02\x03"
    return head + body + struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)


def brotli(data, program):
    with tempfile.TemporaryDirectory(prefix="porthole_assets_") as directory:
        source, target = pathlib.Path(directory, "plain"), pathlib.Path(directory, "packed")
        source.write_bytes(data)
        subprocess.run([program, "--quality=11", "--lgwin=22", "--force", f"--output={target}",
                        str(source)], check=True)
        return target.read_bytes()


def words(data, byte_order):
    sign = ">" if byte_order == "big" else "<"
    data += b"\0" * (-len(data) % 8)
    return "".join(f"0x{word:016x},\n" for (word,) in struct.iter_unpack(f"{sign}Q", data))


class Baker:
    def __init__(self, options):
        self.options = options
        self.identifier = options.namespace.replace("::", "_")
        self.symbols = f"porthole_asset_{self.identifier}"
        self.staged = options.output / f"{self.identifier}_copies"
        self.staged.mkdir(parents=True, exist_ok=True)

    def symbol(self, name):
        return f"{self.symbols}_{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}"

    def blob(self, path, name):
        """The text that brings the bytes of a file in, and where they are."""
        size = path.stat().st_size if path.is_file() else 0
        if not size:
            return "", "nullptr, 0"
        file = path.as_posix()
        if self.options.backend == "embed":
            text = (f"static const unsigned char {name}[] = {{\n#embed \"{file}\"\n}};\n"
                    f"static_assert(sizeof {name} == {size}, \"the file has changed\");\n")
        elif self.options.backend == "incbin":
            text = f"PORTHOLE_ASSET_INCBIN({name}, {size}, \"{file}\");\n"
        else:
            text = (f"static const unsigned long long {name}[] = {{\n"
                    f"{words(path.read_bytes(), self.options.byte_order)}}};\n")
        return text, f"{name}, {size}"

    def stage(self, data, digest, name):
        """Copies and compresses what has changed: what is hashed is what is baked in."""
        options = self.options
        stem = self.staged / self.symbol(name).rsplit("_", 1)[1]
        plain, packed_gz, packed_br = (stem.with_suffix(end) for end in (".plain", ".gz", ".br"))
        stamp = stem.with_suffix(".sha256")
        # The program's name too: one that appears later is used.
        state = f"{digest} {options.compress} {options.brotli}"
        if plain.is_file() and stamp.is_file() and stamp.read_text(encoding="utf-8") == state:
            return plain, packed_gz, packed_br
        plain.write_bytes(data)
        wanted = {
            packed_gz: gzip if options.compress in ("auto", "gzip") else None,
            packed_br: (lambda data: brotli(data, options.brotli))
            if options.compress in ("auto", "brotli") and options.brotli else None,
        }
        for path, pack in wanted.items():
            packed = pack(data) if pack and data else None
            # Worth it when at least a tenth smaller.
            if packed is not None and len(packed) * 10 <= len(data) * 9:
                path.write_bytes(packed)
            else:
                path.unlink(missing_ok=True)
        stamp.write_text(state, encoding="utf-8")
        return plain, packed_gz, packed_br

    def bake(self, name):
        """The source text of one asset."""
        data = (self.options.dir / name).read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        symbol = self.symbol(name)
        texts, places = [], {}
        for path, kind in zip(self.stage(data, digest, name), ("plain", "gzip", "brotli")):
            text, places[kind] = self.blob(path, f"{symbol}_{kind}")
            texts.append(text)
        immutable = self.options.immutable
        caching = "by_name"
        if immutable is not None:
            caching = "immutable" if re.search(immutable, name) else "revalidate"
        return fill("porthole_asset.cpp.in", symbol=symbol,
                    path=literal(f"{self.options.prefix}/{name}"), etag=digest[:32], **places,
                    caching=caching, blobs="".join(texts))

    def write_table(self, names):
        options = self.options
        symbols = [self.symbol(name) for name in names]
        pointers = "".join(f"        &{symbol},\n" for symbol in symbols) or "        nullptr,\n"
        values = {
            "header": self.identifier,
            "declarations": "".join(f"extern const porthole::Asset {symbol};\n"
                                    for symbol in symbols),
            "namespace": options.namespace, "pointers": pointers, "count": len(names),
            "fallback": literal(f"{options.prefix}/{options.spa}") if options.spa else "nullptr",
            "directory": literal(options.dir.as_posix()),
        }
        source = fill("porthole_assets.cpp.in", **values)
        if options.dev_from_disk == "on":
            source = f"#define PORTHOLE_ASSETS_FROM_DISK\n{source}"
        write_if_different(options.output / f"{self.identifier}.hpp",
                           fill("porthole_assets.hpp.in", namespace=options.namespace))
        write_if_different(options.output / f"{self.identifier}.cpp", source)

    def write(self, names):
        self.write_table(names)
        text = "".join(self.bake(name) for name in names)
        write_if_different(self.options.output / f"{self.identifier}_data.cpp", text)
        for path in self.staged.iterdir():
            if path.stem not in {self.symbol(name).rsplit("_", 1)[1] for name in names}:
                path.unlink()


def write_depfile(options, identifier, names, folders):
    """For Ninja: the files, and the folders, which change when a file comes or goes."""
    def escape(path):
        return re.sub(r"([ #])", r"\\\1", path).replace("$", "$$")
    paths = [str(options.dir / name) for name in names] + folders
    paths += [str(path) for path in sorted(TEMPLATES.glob("porthole_asset*.in"))]
    target = options.depfile_target or str(options.output / f"{identifier}.hpp")
    text = f"{escape(target)}: " + " ".join(escape(path) for path in paths) + "\n"
    options.depfile.write_text(text, encoding="utf-8", errors="surrogateescape")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    path = pathlib.Path
    parser.add_argument("--dir", required=True, type=path, help="the folder")
    parser.add_argument("--output", required=True, type=path, help="where the sources go")
    parser.add_argument("--namespace", default="app_assets", help="of bundle() (%(default)s)")
    parser.add_argument("--prefix", default="", help="stands before each path: /ui")
    parser.add_argument("--include", action="append", default=[], metavar="GLOB")
    parser.add_argument("--exclude", action="append", default=[], metavar="GLOB")
    parser.add_argument("--spa", nargs="?", const="index.html", default="", metavar="FILE",
                        help="answers where there is no file (index.html)")
    parser.add_argument("--compress", choices=("auto", "gzip", "brotli", "none"), default="auto")
    parser.add_argument("--immutable", metavar="REGEX",
                        help="names that change with the content (by default: hold a hash)")
    parser.add_argument("--max-size", type=parse_size, default="64M", help="(%(default)s)")
    parser.add_argument("--dev-from-disk", choices=("on", "off"), default="off",
                        help="read the folder at run time")
    parser.add_argument("--optional", action="store_true", help="an empty folder is no error")
    parser.add_argument("--backend", choices=("embed", "incbin", "words"),
                        default="words" if os.name == "nt" else "incbin")
    parser.add_argument("--byte-order", choices=("little", "big"), default=sys.byteorder)
    parser.add_argument("--brotli", default=None, metavar="PROGRAM",
                        help="found in PATH by default")
    parser.add_argument("--depfile", type=path)
    parser.add_argument("--depfile-target", help="what the depfile is about")
    options = parser.parse_args()
    if not NAMESPACE.match(options.namespace):
        parser.error(f'"{options.namespace}" is no C++ namespace.')
    options.dir = pathlib.Path(os.path.abspath(options.dir))
    options.output = pathlib.Path(os.path.abspath(options.output))
    options.prefix = f"/{options.prefix.strip('/')}" if options.prefix.strip("/") else ""
    options.brotli = options.brotli or shutil.which("brotli")
    if options.dev_from_disk == "on" and options.prefix:
        parser.error("--dev-from-disk goes without --prefix; mount the bundle below it instead.")
    if options.compress == "brotli" and not options.brotli:
        parser.error("--compress brotli needs the program brotli.")
    return options


def main():
    options = parse_arguments()
    try:
        names, folders = list_assets(options)
        baker = Baker(options)
        baker.write(names)
        if options.depfile:
            write_depfile(options, baker.identifier, names, folders)
    except (Refused, OSError, subprocess.SubprocessError) as problem:
        print(f"embed_assets: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
