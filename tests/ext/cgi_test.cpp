// SPDX-License-Identifier: MIT

// CGI programs behind real pipes: what they are asked, and what becomes of what they print.

#include "support/cgi_fixture.hpp"

using namespace porthole;
using porthole_test::CgiFixture;
using porthole_test::with_type;

TEST_CASE("cgi: what a program prints is the answer (RFC 3875 6.2.1)") {
    CgiFixture f;
    f.script("hello.run", {"print", with_type("hello\\n")});
    f.mount();
    const auto answer = f.get("/cgi-bin/hello.run");
    CHECK(answer.status == 200);
    CHECK(answer.header("Content-Type") == "text/plain");
    CHECK(answer.header("X-Content-Type-Options") == "nosniff");
    CHECK(answer.body == "hello\n");
    CHECK_FALSE(f.has_logged("hello.run"));
}

TEST_CASE("cgi: several requests on one connection") {
    CgiFixture f;
    f.script("hello.run", {"print", with_type("hello")});
    f.mount();
    porthole_test::SocketClient client("127.0.0.1", f.server.port());
    for (int i = 0; i < 3; ++i) {
        const auto answer =
            porthole_test::ask(f.server, client, porthole_test::simple_get("/cgi-bin/hello.run"));
        CHECK(answer.status == 200);
        CHECK(answer.body == "hello");
    }
}

TEST_CASE("cgi: Status, fields and cookies go along (RFC 3875 6.3)") {
    CgiFixture f;
    f.script(
        "teapot.run", {"print", "Status: 404 Not here\\nContent-Type: text/x\\nSet-Cookie: a=1\\n"
                                "X-Own: yes\\nSet-Cookie: b=2\\nConnection: keep-alive\\n"
                                "Transfer-Encoding: chunked\\nKeep-Alive: 5\\n\\nno"});
    f.mount();
    const auto answer = f.get("/cgi-bin/teapot.run");
    CHECK(answer.status == 404);
    CHECK(answer.reason == "Not Found");
    CHECK(answer.header("X-Own") == "yes");
    CHECK_FALSE(answer.has_header("Keep-Alive"));
    int cookies = 0;
    for (const auto& field : answer.fields) {
        cookies += field.first == "Set-Cookie" ? 1 : 0;
    }
    CHECK(cookies == 2);
    CHECK(answer.body == "no");
    CHECK(f.has_logged("a field of its head was dropped"));
}

TEST_CASE("cgi: a Content-Length that is kept frames the answer, one that is not breaks it off") {
    CgiFixture f;
    f.script("exact.run", {"print", "Content-Type: a/b\\nContent-Length: 5\\n\\n12345"});
    f.script("long.run", {"print", "Content-Type: a/b\\nContent-Length: 5\\n\\n123456789"});
    f.script("short.run", {"print", "Content-Type: a/b\\nContent-Length: 9\\n\\n12345"});
    f.script("odd.run", {"print", "Content-Type: a/b\\nContent-Length: +5\\n\\n12345"});
    f.mount();
    CHECK(f.get("/cgi-bin/exact.run").header("Content-Length") == "5");
    CHECK(f.get("/cgi-bin/long.run").body == "12345");
    CHECK(f.get("/cgi-bin/short.run").status == 0);
    const auto odd = f.get("/cgi-bin/odd.run");
    CHECK(odd.header("Transfer-Encoding") == "chunked");
    CHECK(odd.body == "12345");
}

TEST_CASE("cgi: redirects to the client, with and without a document (RFC 3875 6.2.3, 6.2.4)") {
    CgiFixture f;
    f.script("away.run", {"print", "Location: https://example.org/x\\n\\n"});
    f.script(
        "moved.run",
        {"print", "Status: 301\\nLocation: /y?a=1\\nContent-Type: text/plain\\n\\nthere"});
    f.mount();
    const auto away = f.get("/cgi-bin/away.run");
    CHECK(away.status == 302);
    CHECK(away.header("Location") == "https://example.org/x");
    CHECK(away.body.empty());
    const auto moved = f.get("/cgi-bin/moved.run");
    CHECK(moved.status == 301);
    CHECK(moved.header("Location") == "/y?a=1");
    CHECK(moved.body == "there");
}

TEST_CASE("cgi: a local redirect is answered by its target (RFC 3875 6.2.2)") {
    CgiFixture f;
    f.script("go.run", {"print", "Location: /page?x=1%202\\n\\n"});
    f.script("loop.run", {"print", "Location: /cgi-bin/loop.run\\n\\n"});
    f.script("bad.run", {"print", "Location: /a%zz\\n\\n"});
    f.script("again.run", {"print", "Location: /cgi-bin/go.run\\n\\n"});
    f.server.route("GET", "/page", [](const Request& request, Response& response) {
        response.text(
            std::string(request.method_name()) + " " + std::string(*request.query("x")) + " "
            + std::string(request.body()) + std::string(request.header("X-Kept").value_or("-"))
            + (request.header("Content-Length") ? "!" : ""));
    });
    f.mount();
    CHECK(f.get("/cgi-bin/go.run").body == "GET 1 2 -");
    CHECK(f.get("/cgi-bin/again.run").body == "GET 1 2 -");
    CHECK(f.request("POST", "/cgi-bin/go.run", {{"X-Kept", "k"}}, "data").body == "GET 1 2 k");
    const auto head = f.request("HEAD", "/cgi-bin/go.run");
    CHECK(head.status == 200);
    CHECK(head.body.empty());
    CHECK(f.get("/cgi-bin/loop.run").status == 500);
    CHECK(f.has_logged("leads to another one, and so on"));
    CHECK(f.get("/cgi-bin/bad.run").status == 500);
    CHECK(f.has_logged("does not lead to a path"));
}

TEST_CASE("cgi: line ends are LF or CRLF, and content may be anything") {
    CgiFixture f;
    f.script("crlf.run", {"print", "Content-Type: text/plain\\r\\nX-A: b\\r\\n\\r\\n\\n\\r\\nx"});
    f.script("untyped.run", {"print", "Status: 200\\n\\n", "print", "bytes"});
    f.script("bare.run", {"print", "Status: 204\\nX-A: b\\n\\nignored"});
    f.mount();
    const auto answer = f.get("/cgi-bin/crlf.run");
    CHECK(answer.header("X-A") == "b");
    CHECK(answer.body == "\n\r\nx");
    const auto untyped = f.get("/cgi-bin/untyped.run");
    CHECK(untyped.header("Content-Type") == "application/octet-stream");
    CHECK(untyped.body == "bytes");
    const auto bare = f.get("/cgi-bin/bare.run");
    CHECK(bare.status == 204);
    CHECK(bare.header("X-A") == "b");
    CHECK_FALSE(bare.has_header("Content-Type"));
}

TEST_CASE("cgi: an nph- program's own status line is read, and not passed on unread") {
    CgiFixture f;
    f.script("nph-own.run", {"print", "HTTP/1.0 418 Mine\\nServer: me\\nX-A: b\\n\\nbody"});
    f.script("nph-raw.run", {"print", "no status line\\n\\nbody"});
    f.script("nph-coded.run", {"print", "HTTP/1.1 200 OK\\nTransfer-Encoding: chunked\\n\\n0"});
    f.mount();
    const auto answer = f.get("/cgi-bin/nph-own.run");
    CHECK(answer.status == 418);
    CHECK(answer.header("X-A") == "b");
    CHECK(answer.body == "body");
    CHECK(f.get("/cgi-bin/nph-raw.run").status == 502);
    CHECK(f.get("/cgi-bin/nph-coded.run").status == 502);
}

TEST_CASE("cgi: what is no answer is 502, and the log says why") {
    CgiFixture f;
    const struct {
        std::vector<std::string> commands;
        std::string_view why;
    } rows[] = {
        {{"exit", "0"}, "it ended without printing anything; the answer is 502"},
        {{"exit", "3"}, "it ended with code 3; the answer is 502"},
        {{"print", "Content-Type: a/b\\n", "exit", "0"}, "before the empty line"},
        {{"print", "hello\\n\\nworld"}, "is no field (NAME: VALUE): \"hello\""},
        {{"print", "\\n\\nworld"}, "none of Content-Type, Location and Status"},
        {{"print", "X-A: b\\n\\nworld"}, "none of Content-Type, Location and Status"},
        {{"print", "Status: 99\\n\\n"}, "not a number from 200 to 599"},
        {{"print", "Status: 2000\\n\\n"}, "not a number from 200 to 599"},
        {{"print", "Content-Type: a/b\\nContent-Type: a/b\\n\\n"}, "twice"},
        {{"print", "Content-Type: a\\rX: b\\n\\n"}, "its Content-Type cannot be sent"},
        {{"print", "Location: /a b\\n\\n"}, "its Location is no place"},
        {{"print", "X:", "write", "20000"}, "CgiOptions::max_head_bytes"},
    };
    int number = 0;
    for (const auto& row : rows) {
        f.script("bad" + std::to_string(number++) + ".run", row.commands);
    }
    f.mount();
    number = 0;
    for (const auto& row : rows) {
        f.lines.clear();
        const auto answer = f.get("/cgi-bin/bad" + std::to_string(number++) + ".run");
        CAPTURE(row.why);
        CAPTURE(f.lines.empty() ? "" : f.lines[0]);
        CHECK(answer.status == 502);
        CHECK(f.has_logged(row.why));
        CHECK(answer.body.find("a/b") == std::string::npos);
    }
}

TEST_CASE("cgi: a field with control characters is left out, and the answer is one") {
    CgiFixture f;
    f.script(
        "split.run",
        {"print", "Content-Type: a/b\\nX-Bad: a\\rSet-Cookie: evil=1\\nX-Good: b\\n\\nbody"});
    f.mount();
    const auto answer = f.get("/cgi-bin/split.run");
    CHECK(answer.status == 200);
    CHECK(answer.header("X-Good") == "b");
    CHECK_FALSE(answer.has_header("X-Bad"));
    CHECK_FALSE(answer.has_header("Set-Cookie"));
    CHECK(answer.body == "body");
    CHECK(f.rest.empty());
    CHECK(f.has_logged("a field of its head was dropped"));
}

TEST_CASE("cgi: HEAD gets the fields, and the program is ended") {
    CgiFixture f;
    f.script("big.run", {"print", "Content-Type: a/b\\nContent-Length: 7\\n\\n", "hang"});
    f.script("open.run", {"print", with_type(""), "hang"});
    f.mount(CgiOptions{}.max_programs(1).max_waiting(0));
    const auto answer = f.request("HEAD", "/cgi-bin/big.run");
    CHECK(answer.status == 200);
    CHECK(answer.header("Content-Length") == "7");
    testing::Answer open;
    CHECK(f.until([&] { // the place is free again once the first has been ended
        open = f.request("HEAD", "/cgi-bin/open.run");
        return open.status == 200;
    }));
    CHECK(open.header("Content-Type") == "text/plain");
}

TEST_CASE("cgi: what a program writes to its standard error is logged line by line") {
    CgiFixture f;
    f.script(
        "noisy.run", {"error", "one\\ntwo \\\x1b[31m\\n" + std::string(3000, 'x') + "\\nlast",
                      "print", with_type("x")});
    f.mount();
    CHECK(f.get("/cgi-bin/noisy.run").status == 200);
    CHECK(f.until([&] { return f.has_logged("noisy.run: last"); }));
    CHECK(f.has_logged("noisy.run: one"));
    CHECK(f.has_logged("noisy.run: two \\x1b[31m"));
    CHECK(f.has_logged("xxx [cut]"));
    for (const std::string& line : f.lines) {
        CHECK(line.size() < 1100);
        CHECK(line.find('\x1b') == std::string::npos);
    }
}

TEST_CASE("cgi: a user's error page stands in for the library's own 502") {
    CgiFixture f;
    f.script("bad.run", {"exit", "1"});
    f.server.on_error([](const Request&, Response& response) {
        response.text("page " + std::to_string(response.status()));
    });
    f.mount();
    CHECK(f.get("/cgi-bin/bad.run").body == "page 502");
}

TEST_CASE("cgi: mount() says what is missing") {
    porthole_test::TemporaryDirectory place;
    Server server(porthole_test::options());
    Error error = server.mount("/a", cgi(place.path("nowhere")));
    CHECK(error.message().find("nowhere") != std::string::npos);
    error = server.mount("/b", cgi(place.path(), CgiOptions{}.interpreter(".x", "no-such-thing")));
    CHECK(error.code() == ErrorCode::not_found);
    CHECK(error.message().find("no-such-thing") != std::string::npos);
    error = server.mount("/c", cgi_program("no-such-program"));
    CHECK(error.code() == ErrorCode::not_found);
    place.write("file", "");
    for (const char* name : {"missing", "file"}) {
        const std::string directory = place.path(name);
        error = server.mount("/d", cgi(place.path(), CgiOptions{}.working_directory(directory)));
        CHECK(error.message().find(directory) != std::string::npos);
    }
    const std::string fine = place.path();
    CHECK_FALSE(server.mount("/e", cgi(place.path(), CgiOptions{}.working_directory(fine))));
}
