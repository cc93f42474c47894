#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""CGI and FastCGI with programs that others have written: git, PHP, gitweb and CGI.pm.

    tests/cgi/run.py [--cxx g++] [--build DIRECTORY]

A check whose program is not installed is skipped with a word. The last line counts.
"""

import argparse
import hashlib
import http.client
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
COMMITS = 3000


class Failure(Exception):
    """What was expected, and is not so."""


class Skip(Exception):
    """What is not installed."""


def expect(is_so, sentence):
    if not is_so:
        raise Failure(sentence)


def need(path, name):
    if not path or not os.path.exists(path):
        raise Skip(f"{name} is not installed")


def find_fpm():
    """Distributions put the version into its name, and it into a directory for root."""
    for directory in [*os.environ.get("PATH", "").split(os.pathsep), "/usr/sbin"]:
        for path in sorted(pathlib.Path(directory or ".").glob("php-fpm*"), reverse=True):
            if os.access(path, os.X_OK) and path.is_file():
                return str(path)
    return ""


def start_fpm(directory):
    """php-fpm on a socket of its own, with its address; nothing where it is not installed."""
    program = find_fpm()
    if not program:
        return None, ""
    socket = directory / "fpm.sock"
    config = directory / "fpm.conf"
    is_root = os.geteuid() == 0
    config.write_text(
        f"[global]\nerror_log = {directory / 'fpm.log'}\ndaemonize = no\n[www]\n"
        f"listen = {socket}\npm = static\npm.max_children = 3\n"
        + ("user = root\ngroup = root\n" if is_root else ""), encoding="utf-8")
    process = subprocess.Popen(
        [program, "-n", "-F", "-y", str(config), *(["-R"] if is_root else [])],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 10
    while not socket.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    expect(socket.exists(), "php-fpm does not start")
    return process, f"unix:{socket}"


class World:
    """A server with its directories, and git with nothing of the user's own."""

    def __init__(self, directory, cxx, build):
        self.directory = pathlib.Path(directory)
        self.scripts = self.directory / "cgi-bin"
        self.repositories = self.directory / "repositories"
        self.sessions = self.directory / "sessions"
        for path in (self.scripts, self.repositories, self.sessions):
            path.mkdir()
        self.git = shutil.which("git")
        self.backend = ""
        if self.git:
            where = subprocess.run([self.git, "--exec-path"], capture_output=True, text=True,
                                   check=True).stdout.strip()
            self.backend = os.path.join(where, "git-http-backend")
            self.backend = self.backend if os.path.exists(self.backend) else ""
        self.php = shutil.which("php-cgi")
        self.fpm_process, self.fpm_address = start_fpm(self.directory)
        self.environment = {
            **os.environ, "HOME": str(self.directory), "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0", "GIT_AUTHOR_NAME": "T", "GIT_AUTHOR_EMAIL": "t@localhost",
            "GIT_COMMITTER_NAME": "T", "GIT_COMMITTER_EMAIL": "t@localhost",
            "no_proxy": "*", "NO_PROXY": "*"}
        program = pathlib.Path(build) / "cgi_server"
        program.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([cxx, "-std=c++17", "-O1", f"-I{ROOT / 'include'}", str(HERE / "server.cpp"),
                        "-o", str(program), "-pthread"], check=True)
        self.log = open(self.directory / "log", "w+", encoding="utf-8", errors="replace")
        self.process = subprocess.Popen(
            [str(program), str(self.scripts), str(self.repositories), self.backend or "-",
             self.php or "-", self.fpm_address or "-"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True,
            env=self.environment)
        line = self.process.stdout.readline().strip()
        expect(line.isdigit(), "the server does not start")
        self.port = int(line)

    def end(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            self.end_fpm()

    def end_fpm(self):
        if self.fpm_process and self.fpm_process.poll() is None:
            self.fpm_process.terminate()  # its workers go with it
            self.fpm_process.wait(10)

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def run_git(self, *arguments, cwd=None, data=None):
        result = subprocess.run([self.git, *arguments], cwd=cwd, input=data, check=False,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300,
                                env=self.environment)
        text = result.stdout.decode(errors="replace")
        expect(result.returncode == 0, f"git {' '.join(arguments)}: {text[-600:]}")
        return text

    def script(self, name, text, mode=0o755):
        path = self.scripts / name
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)

    def request(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        data = answer.read()
        fields = answer.getheaders()
        connection.close()
        return answer.status, fields, data


def make_history(world):
    """A bare repository with a long history, from one stream (git fast-import)."""
    bare = world.repositories / "project.git"
    world.run_git("init", "-q", "--bare", "-b", "main", str(bare))
    world.run_git("config", "http.receivepack", "true", cwd=bare)
    parts = []
    for number in range(1, COMMITS + 1):
        text = f"{number}\n" + hashlib.sha256(str(number).encode()).hexdigest() * 8 + "\n"
        message = f"change {number}\n"
        parts.append(
            f"commit refs/heads/main\nmark :{number}\n"
            f"committer T <t@localhost> {1_600_000_000 + number} +0000\n"
            f"data {len(message)}\n{message}\n"
            + (f"from :{number - 1}\n" if number > 1 else "")
            + f"M 644 inline files/{number % 97}.txt\ndata {len(text)}\n{text}\n")
    world.run_git("fast-import", "--quiet", cwd=bare, data="".join(parts).encode())
    return bare


def count_commits(world, repository, name="HEAD"):
    return int(world.run_git("rev-list", "--count", name, cwd=repository))


def check_git(world, prefix):
    need(world.git, "git")
    need(world.backend, "git http-backend")
    bare = world.repositories / "project.git"
    if not bare.exists():
        make_history(world)
    had = count_commits(world, bare, "main")
    work = world.directory / ("work" + prefix.replace("/", "-"))
    world.run_git("clone", "-q", world.url(prefix + "/project.git"), str(work))
    expect(count_commits(world, work) == had, "not all commits have come")
    world.run_git("fsck", "--full", cwd=work)

    # A small push: its length is known. A large one is chunked, beyond http.postBuffer.
    (work / "small.txt").write_text(f"small {prefix}\n", encoding="utf-8")
    world.run_git("add", ".", cwd=work)
    world.run_git("commit", "-q", "-m", "small", cwd=work)
    world.run_git("push", "-q", "origin", "main", cwd=work)
    expect(count_commits(world, bare, "main") == had + 1, "the small push has not arrived")
    (work / "large.bin").write_bytes(os.urandom(5_000_000))
    world.run_git("add", ".", cwd=work)
    world.run_git("commit", "-q", "-m", "large", cwd=work)
    world.run_git("-c", "http.postBuffer=65536", "push", "-q", "origin", "main", cwd=work)
    expect(count_commits(world, bare, "main") == had + 2, "the large push has not arrived")
    world.run_git("fsck", "--full", cwd=bare)

    # A clone with a little of its own asks with a list of what it has, which git compresses.
    other = world.directory / ("other" + prefix.replace("/", "-"))
    world.run_git("clone", "-q", world.url(prefix + "/project.git"), str(other))
    for number in range(40):
        world.run_git("commit", "-q", "--allow-empty", "-m", f"own {number}", cwd=other)
    (work / "more.txt").write_text(f"more {prefix}\n", encoding="utf-8")
    world.run_git("add", ".", cwd=work)
    world.run_git("commit", "-q", "-m", "more", cwd=work)
    world.run_git("push", "-q", "origin", "main", cwd=work)
    world.run_git("fetch", "-q", "origin", cwd=other)
    expect(count_commits(world, other, "origin/main") == had + 3, "the fetch has not brought it")
    trace = subprocess.run(
        [world.git, "-c", "protocol.version=0", "fetch-pack", "--all", world.url(prefix + "/x.git")],
        cwd=other, env=world.environment, capture_output=True, timeout=60, check=False)
    expect(trace.returncode != 0, "a repository that is not there is no error")


def php_page(world, name, text):
    need(world.php, "php-cgi")
    world.script(name, text, 0o644)
    return f"/cgi-bin/{name}"


def check_php_form(world):
    path = php_page(world, "form.php", """<?php
header('X-Own: yes'); header('Content-Type: application/json');
echo json_encode(['get' => $_GET, 'post' => $_POST, 'method' => $_SERVER['REQUEST_METHOD'],
 'info' => $_SERVER['PATH_INFO'] ?? '', 'argc' => $_SERVER['argc'] ?? 0]);""")
    status, fields, data = world.request(
        "POST", path + "/extra?q=a%20b", "name=J%C3%BCrgen&x=1",
        {"Content-Type": "application/x-www-form-urlencoded"})
    expect(status == 200, f"status {status}: {data[:200]}")
    page = json.loads(data)
    expect(page["get"] == {"q": "a b"} and page["method"] == "POST", f"{page}")
    expect(page["post"] == {"name": "J\u00fcrgen", "x": "1"}, f"{page}")
    expect(("X-Own", "yes") in fields, "the field is missing")
    status, _, data = world.request("GET", path + "?-s")
    expect(status == 200 and b"<code>" not in data, "-s was taken for an option")


def check_php_upload(world):
    path = php_page(world, "upload.php", """<?php
$f = $_FILES['file']; echo $f['name'], ' ', $f['size'], ' ', hash_file('sha256', $f['tmp_name']);
""")
    content = os.urandom(700_000)
    boundary = "----limit"
    body = (f"--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n"
            "Content-Type: application/octet-stream\r\n\r\n").encode() + content \
        + f"\r\n--{boundary}--\r\n".encode()
    expected = f"a.bin {len(content)} {hashlib.sha256(content).hexdigest()}".encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    status, _, data = world.request("POST", path, body, kind)
    expect(status == 200 and data == expected, f"{status} {data[:200]}")
    pieces = (body[at:at + 50_000] for at in range(0, len(body), 50_000))
    status, _, data = world.request("POST", path, pieces, kind) # chunked: spooled
    expect(status == 200 and data == expected, f"chunked: {status} {data[:200]}")


def check_php_headers(world):
    path = php_page(world, "headers.php", """<?php
if (isset($_GET['go'])) { header('Location: /cgi-bin/headers.php', true, 303); exit; }
http_response_code(404); setcookie('a', '1'); setcookie('b', '2'); echo 'none';""")
    status, fields, data = world.request("GET", path)
    expect(status == 404 and data == b"none", f"{status} {data}")
    expect(sum(1 for name, _ in fields if name == "Set-Cookie") == 2, "two cookies were set")
    status, fields, _ = world.request("GET", path + "?go=1")
    expect(status == 303 and dict(fields)["Location"] == "/cgi-bin/headers.php", f"{status}")
    status, _, data = world.request("HEAD", path)
    expect(status == 404 and data == b"", "HEAD has content")


def check_php_session(world):
    path = php_page(world, "session.php", f"""<?php
session_save_path('{world.sessions}'); session_start();
$_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1; echo $_SESSION['n'];""")
    _, fields, data = world.request("GET", path)
    expect(data == b"1", f"{data}")
    cookie = dict(fields)["Set-Cookie"].split(";")[0]
    for number in (b"2", b"3"):
        _, _, data = world.request("GET", path, headers={"Cookie": cookie})
        expect(data == number, f"{data} is not {number}")


def check_gitweb(world):
    gitweb = "/usr/share/gitweb/gitweb.cgi"
    need(gitweb, "gitweb")
    need(world.git, "git")
    probe = subprocess.run(["perl", "-MCGI", "-e", "1"], capture_output=True, check=False)
    if probe.returncode != 0:
        raise Skip("Perl's CGI module is not installed")
    if not (world.repositories / "project.git").exists():
        make_history(world)
    config = world.directory / "gitweb.conf"
    config.write_text(f"$projectroot = '{world.repositories}';\n", encoding="utf-8")
    world.script("gitweb", f"#!/bin/sh\nGITWEB_CONFIG='{config}' exec perl {gitweb}\n")
    status, _, data = world.request("GET", "/cgi-bin/gitweb")
    expect(status == 200 and b"project.git" in data, f"{status} {data[-300:]}")
    status, _, data = world.request("GET", "/cgi-bin/gitweb?p=project.git;a=log")
    expect(status == 200 and b"change %d" % (COMMITS - 10) in data, f"{status} {data[-300:]}")
    status, _, data = world.request("GET", "/cgi-bin/gitweb/project.git")
    expect(status == 200 and b"project.git" in data, "the project by its path")
    status, fields, data = world.request("GET", "/cgi-bin/gitweb?p=project.git;a=snapshot;h=main;sf=tgz")
    expect(status == 200 and data[:2] == b"\x1f\x8b", f"{status} {fields}")
    status, _, _ = world.request("GET", "/cgi-bin/gitweb?p=nothing.git")
    expect(status == 404, f"{status} for what is not there")


def check_perl_cgi(world):
    probe = subprocess.run(["perl", "-MCGI", "-e", "1"], capture_output=True, check=False)
    if probe.returncode != 0:
        raise Skip("Perl's CGI module is not installed")
    world.script("page.pl", """#!/usr/bin/perl
use strict; use CGI; my $q = CGI->new; my $name = $q->param('name') // '';
if ($name eq 'away') { print $q->redirect('/cgi-bin/page.pl?name=back'); exit; }
print $q->header(-type => 'text/plain', -charset => 'utf-8', -cookie => $q->cookie(a => 'b'));
print "hello $name from ", $q->request_method, " ", $q->self_url, "\\n";
""")
    status, fields, data = world.request("GET", "/cgi-bin/page.pl?name=world")
    expect(status == 200 and data.startswith(b"hello world from GET http://127.0.0.1:"), f"{data}")
    expect("a=b" in dict(fields)["Set-Cookie"], "the cookie is missing")
    status, _, data = world.request("POST", "/cgi-bin/page.pl", "name=form",
                                    {"Content-Type": "application/x-www-form-urlencoded"})
    expect(data.startswith(b"hello form from POST"), f"{data}")
    status, fields, _ = world.request("GET", "/cgi-bin/page.pl?name=away")
    expect(status == 302, f"{status} {fields}")


def fpm_page(world, name, text):
    need(find_fpm(), "php-fpm")
    world.script(name, text, 0o644)
    return f"/fpm/{name}"


def check_fpm_form(world):
    path = fpm_page(world, "fpm-form.php", """<?php
header('X-Own: yes'); header('Content-Type: application/json');
echo json_encode(['get' => $_GET, 'post' => $_POST, 'info' => $_SERVER['PATH_INFO'] ?? '',
 'script' => $_SERVER['SCRIPT_NAME'], 'length' => $_SERVER['CONTENT_LENGTH'] ?? '']);""")
    status, fields, data = world.request(
        "POST", path + "/extra?q=a%20b", "name=J%C3%BCrgen&x=1",
        {"Content-Type": "application/x-www-form-urlencoded"})
    expect(status == 200, f"status {status}: {data[:200]}")
    page = json.loads(data)
    expect(page["get"] == {"q": "a b"} and page["length"] == "20", f"{page}")
    expect(page["post"] == {"name": "J\u00fcrgen", "x": "1"}, f"{page}")
    expect(page["info"] == "/extra" and page["script"] == path, f"{page}")
    expect(("X-Own", "yes") in fields, "the field is missing")
    status, _, data = world.request("HEAD", path)
    expect(status == 200 and data == b"", f"HEAD: {status} {data[:80]}")


def check_fpm_content(world):
    path = fpm_page(world, "fpm-content.php", """<?php
header('Content-Type: application/octet-stream');
$content = file_get_contents('php://input'); // whole, since this client reads when all is sent
echo $content;""")
    body = os.urandom(7_000_001)
    status, _, data = world.request("POST", path, body)
    expect(status == 200 and data == body, f"sized: {status}, {len(data)} bytes")
    pieces = (body[at:at + 50_000] for at in range(0, len(body), 50_000))
    status, _, data = world.request("POST", path, pieces)  # in chunks
    expect(status == 200 and data == body, f"chunked: {status}, {len(data)} bytes")


def check_fpm_reuse(world):
    path = fpm_page(world, "fpm-pid.php", "<?php error_log(\"noted\\x1b\"); echo getmypid();")
    processes = set()
    for _ in range(100):
        status, _, data = world.request("GET", path)
        expect(status == 200, f"status {status}")
        processes.add(data)
    expect(len(processes) == 1, f"{len(processes)} workers: the connection is not kept")
    world.log.seek(0)
    expect("noted" in world.log.read(), "what it logs has not come")


def check_fpm_errors(world):
    path = fpm_page(world, "fpm-status.php", """<?php
if (isset($_GET['go'])) { header('Location: /fpm/fpm-status.php', true, 303); exit; }
http_response_code(418); echo 'tea';""")
    status, fields, _ = world.request("GET", path + "?go=1")
    expect(status == 303 and dict(fields)["Location"] == path, f"{status}")
    status, _, data = world.request("GET", path)
    expect(status == 418 and data == b"tea", f"{status}")
    expect(world.request("GET", "/fpm/missing.php")[0] == 404, "a script that is not there")
    expect(world.request("GET", "/fpm/fpm.txt")[0] == 404, "a path that is no script")
    fpm_page(world, "fpm-exit.php", "<?php header('Content-Length: 10'); echo 'abc';")
    try:
        world.request("GET", "/fpm/fpm-exit.php")
        raise Failure("a short answer passes for a whole one")
    except http.client.IncompleteRead:
        pass
    world.fpm_process.terminate()
    world.fpm_process.wait(10)
    status, _, data = world.request("GET", path)
    expect(status == 502 and b"fpm.sock" not in data, f"status {status} when it has gone")
    world.log.seek(0)
    expect("fpm.sock" in world.log.read(), "the log does not name the address")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cxx", default="g++")
    parser.add_argument("--build", default=str(ROOT / "build" / "cgi"))
    arguments = parser.parse_args()
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="porthole-cgi-") as directory:
        world = World(directory, arguments.cxx, arguments.build)
        checks = [
            ("git clone, push, fetch", lambda: check_git(world, "/git")),
            ("git, chunked uploads passed on", lambda: check_git(world, "/git-streamed")),
            ("php-cgi: form", lambda: check_php_form(world)),
            ("php-cgi: upload", lambda: check_php_upload(world)),
            ("php-cgi: headers", lambda: check_php_headers(world)),
            ("php-cgi: session", lambda: check_php_session(world)),
            ("gitweb", lambda: check_gitweb(world)),
            ("a CGI.pm page", lambda: check_perl_cgi(world)),
            ("php-fpm: form", lambda: check_fpm_form(world)),
            ("php-fpm: content both ways", lambda: check_fpm_content(world)),
            ("php-fpm: one connection for many requests", lambda: check_fpm_reuse(world)),
            ("php-fpm: redirects, errors, and its end", lambda: check_fpm_errors(world)),
        ]
        for name, check in checks:
            try:
                check()
                passed += 1
                print(f"ok       {name}")
            except Skip as reason:
                print(f"skipped  {name}: {reason}")
            except (Failure, OSError, ValueError, KeyError, subprocess.SubprocessError,
                    http.client.HTTPException) as error:
                failed += 1
                print(f"FAILED   {name}: {error}")
        world.end()
        if failed:
            world.log.seek(0)
            print("".join(world.log.readlines()[-20:]), end="")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
