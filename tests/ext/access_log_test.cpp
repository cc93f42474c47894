// SPDX-License-Identifier: MIT

#include "support/options.hpp"

#include <chrono>
#include <string>
#include <string_view>

using porthole::AccessRecord;
using porthole::escape_for_log;
using porthole::write_common_log;

namespace {

/// RFC 9110's own example of a date.
AccessRecord record() {
    AccessRecord made;
    made.time = std::chrono::system_clock::time_point(std::chrono::seconds(784111777));
    made.peer = "127.0.0.1:51234";
    made.method = "GET";
    made.target = "/";
    made.http_version = "HTTP/1.1";
    made.status = 200;
    made.content_bytes = 26;
    return made;
}

std::string line(const AccessRecord& of) {
    std::string text;
    write_common_log(of, text);
    return text;
}

std::string escaped(std::string_view text) {
    std::string into;
    escape_for_log(text, into);
    return into;
}

} // namespace

TEST_CASE("access_log: one line in the Common Log Format") {
    CHECK(
        line(record()) == "127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] \"GET / HTTP/1.1\" 200 26\n");
}

TEST_CASE("access_log: lines are appended") {
    std::string text = "before\n";
    write_common_log(record(), text);
    write_common_log(record(), text);
    CHECK(text == "before\n" + line(record()) + line(record()));
}

TEST_CASE("access_log: the peer is shown without its port, whatever it is") {
    const auto host = [](std::string_view peer) {
        AccessRecord of = record();
        of.peer = peer;
        const std::string text = line(of);
        return text.substr(0, text.find(" - - ["));
    };
    CHECK(host("127.0.0.1:1") == "127.0.0.1");
    CHECK(host("[::1]:51234") == "[::1]");
    CHECK(host("unix:") == "unix:");
    CHECK(host("memory") == "memory");
    CHECK(host("") == "-");
    CHECK(host("a\nb:1") == "a\\x0ab");
}

TEST_CASE("access_log: what is missing is a dash") {
    AccessRecord of = record();
    of.method = {};
    of.target = {};
    of.status = 400;
    of.content_bytes = 0;
    CHECK(line(of) == "127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] \"-\" 400 -\n");
}

TEST_CASE("access_log: no request can forge a line or end its quotes") {
    AccessRecord of = record();
    of.target = "/\" 200 1\r\n10.0.0.1 - - \\";
    const std::string text = line(of);
    CHECK(text.find("/\\x22 200 1\\x0d\\x0a10.0.0.1 - - \\x5c HTTP/1.1\"") != std::string::npos);
    CHECK(text.find('\n') == text.size() - 1);
    std::size_t quotes = 0;
    for (const char c : text) {
        quotes += c == '"' ? 1u : 0u;
    }
    CHECK(quotes == 2);
}

TEST_CASE("access_log: controls, quotes, backslashes and bytes beyond ASCII are written as \\xNN") {
    CHECK(escaped("") == "");
    CHECK(escaped("/a b~!") == "/a b~!");
    CHECK(escaped(std::string_view("\0\x1f\x7f\x80\xff", 5)) == "\\x00\\x1f\\x7f\\x80\\xff");
    CHECK(escaped("\"\\") == "\\x22\\x5c");
    CHECK(escaped("\x1b[31m") == "\\x1b[31m");
    CHECK(escaped("\xe2\x80\xae") == "\\xe2\\x80\\xae"); // turns the reading direction around
    for (int c = 0; c < 256; ++c) {
        const char byte = static_cast<char>(c);
        for (const char out : escaped({&byte, 1})) {
            CHECK(out >= ' ');
            CHECK(out <= '~');
        }
    }
}

TEST_CASE("access_log: as Options::access_log it writes what a server answers") {
    std::string text;
    porthole::Options options = porthole_test::options();
    options.access_log = [&](const AccessRecord& of) {
        write_common_log(of, text);
    };
    porthole::Server server(options);
    server.get("/", [](const porthole::Request&, porthole::Response& response) {
        response.text("hello");
    });
    porthole::testing::Client client(server, 4096, "[::1]:5");
    CHECK(client.get("/?token=abc&x=%22").status == 200);
    CHECK(text.find("[::1] - - [") == 0);
    CHECK(text.find("\"GET /?token=***&x=%22 HTTP/1.1\" 200 5\n") != std::string::npos);
}
