// SPDX-License-Identifier: MIT

// Heads as CGI programs print them, well and badly; each whole, and again byte by byte.

#include "support/guarded_bytes.hpp"
#include "support/test.hpp"

#include <string>

using namespace porthole::detail;

namespace {

using State = CgiHeadParser::State;

struct Reading {
    State state = State::need_more;
    CgiFault fault = CgiFault::none;
    std::size_t size = 0;
    CgiHead head;
};

/// The views of the head are into `bytes`.
Reading read_whole(std::string_view bytes, const CgiHeadParser::Options& options) {
    CgiHeadParser parser(options);
    Reading reading;
    reading.state = parser.finish(bytes);
    reading.fault = parser.fault();
    reading.size = parser.head_size();
    reading.head = parser.head();
    return reading;
}

Reading read(std::string_view bytes, const CgiHeadParser::Options& options = {}) {
    const Reading whole = read_whole(bytes, options);
    CgiHeadParser slow(options);
    State state = State::need_more;
    for (std::size_t size = 0; size <= bytes.size() && state == State::need_more; ++size) {
        const porthole_test::HeapBytes piece(bytes.substr(0, size)); // elsewhere each time
        state = slow.parse(piece.view());
    }
    state = state == State::need_more ? slow.finish(bytes) : state;
    CHECK(state == whole.state);
    CHECK(slow.fault() == whole.fault);
    if (state == State::complete) {
        CHECK(slow.head_size() == whole.size);
    }
    return whole;
}

CgiFault fault_of(std::string_view bytes, const CgiHeadParser::Options& options = {}) {
    const Reading reading = read(bytes, options);
    CHECK((reading.fault == CgiFault::none) == (reading.state == State::complete));
    return reading.fault;
}

CgiHeadParser::Options nph() {
    CgiHeadParser::Options options;
    options.is_nph = true;
    return options;
}

} // namespace

TEST_CASE("cgi head: a document, with LF and with CRLF (RFC 3875 6.2.1)") {
    for (const std::string end : {"\n", "\r\n"}) {
        const std::string text =
            "Content-Type:  text/html;charset=x " + end + "X-A:b" + end + end + "content";
        const Reading reading = read(text);
        REQUIRE(reading.state == State::complete);
        CHECK(reading.head.answer == CgiAnswer::document);
        CHECK(reading.head.status == 200);
        CHECK(reading.head.content_type == "text/html;charset=x");
        REQUIRE(reading.head.fields.size() == 1);
        CHECK(reading.head.fields[0].name == "X-A");
        CHECK(reading.head.fields[0].value == "b");
        CHECK(text.substr(reading.size) == "content");
    }
}

TEST_CASE("cgi head: Status is three digits from 200 to 599 (RFC 3875 6.3.3)") {
    const struct {
        std::string_view text;
        int status;
    } rows[] = {
        {"200", 200}, {"404 Not Found", 404}, {"599", 599}, {"200 ", 200}, {"", 0},
        {"199", 0},   {"100 Continue", 0},    {"600", 0},   {"20", 0},     {"2000", 0},
        {"+20", 0},   {"200OK", 0},           {"abc", 0},   {"-1", 0},     {"0200", 0},
    };
    for (const auto& row : rows) {
        CAPTURE(row.text);
        const std::string text = "Status: " + std::string(row.text) + "\n\n";
        const Reading reading = read(text);
        CHECK((reading.state == State::complete) == (row.status != 0));
        if (row.status != 0) {
            CHECK(reading.head.status == row.status);
        } else {
            CHECK(reading.fault == CgiFault::bad_status);
        }
    }
}

TEST_CASE("cgi head: what Location makes of an answer (RFC 3875 6.2.2 to 6.2.4)") {
    const struct {
        std::string_view text;
        CgiAnswer answer;
        int status;
    } rows[] = {
        {"Location: /a?b\n\n", CgiAnswer::local_redirect, 200},
        {"Location: //host/a\n\n", CgiAnswer::client_redirect, 302},
        {"Location: /a?b#c\n\n", CgiAnswer::client_redirect, 302},
        {"Location: a/b\n\n", CgiAnswer::client_redirect, 302},
        {"Location: http://h/a\n\n", CgiAnswer::client_redirect, 302},
        {"Location: /a\nStatus: 303\n\n", CgiAnswer::client_redirect, 303},
        {"Location: /a\nContent-Type: a/b\n\n", CgiAnswer::client_redirect, 302},
        {"Location: /a\nSet-Cookie: a=b\n\n", CgiAnswer::client_redirect, 302},
        {"Status: 201\nLocation: /a\n\n", CgiAnswer::client_redirect, 201},
    };
    for (const auto& row : rows) {
        CAPTURE(row.text);
        const Reading reading = read(row.text);
        REQUIRE(reading.state == State::complete);
        CHECK(reading.head.answer == row.answer);
        CHECK(reading.head.status == row.status);
        CHECK_FALSE(reading.head.location.empty());
    }
}

TEST_CASE("cgi head: each way to be none has its own sentence") {
    const struct {
        std::string_view text;
        CgiFault fault;
    } rows[] = {
        {"", CgiFault::empty},
        {"Content-Type: a/b", CgiFault::no_end},
        {"Content-Type: a/b\n", CgiFault::no_end},
        {"Content-Type: a/b\r\n\r", CgiFault::no_end},
        {"\n", CgiFault::no_field},
        {"\r\n\r\n", CgiFault::no_field},
        {"X-A: b\n\n", CgiFault::no_field},
        {"Content-Length: 4\n\n", CgiFault::no_field},
        {"hello\n\n", CgiFault::bad_line},
        {": a\n\n", CgiFault::bad_line},
        {"Content-Type : a/b\n\n", CgiFault::bad_line},
        {"Content-Type: a/b\n folded\n\n", CgiFault::bad_line},
        {std::string_view("Con\0tent: a\n\n", 13), CgiFault::bad_line},
        {"HTTP/1.1 200 OK\nContent-Type: a/b\n\n", CgiFault::bad_line},
        {"Content-Type:\n\n", CgiFault::bad_content_type},
        {"Content-Type: a\rb\n\n", CgiFault::bad_content_type},
        {"Location:\n\n", CgiFault::bad_location},
        {"Location: /a b\n\n", CgiFault::bad_location},
        {"Location: /a\rX\n\n", CgiFault::bad_location},
        {"content-type: a/b\nCONTENT-TYPE: a/b\n\n", CgiFault::repeated_field},
        {"Location: /a\nLocation: /a\n\n", CgiFault::repeated_field},
        {"Status: 200\nStatus: 200\n\n", CgiFault::repeated_field},
    };
    for (const auto& row : rows) {
        CAPTURE(row.text);
        CHECK(fault_of(row.text) == row.fault);
        CHECK_FALSE(describe(row.fault).empty());
    }
}

TEST_CASE("cgi head: the bound on its size holds to the byte") {
    const std::string text = "Content-Type: a/b\n\nmore";
    CgiHeadParser::Options options;
    const std::size_t head = text.size() - 4;
    options.max_bytes = head;
    CHECK(fault_of(text, options) == CgiFault::none);
    options.max_bytes = head + 1;
    CHECK(fault_of(text, options) == CgiFault::none);
    options.max_bytes = head - 1;
    CHECK(fault_of(text, options) == CgiFault::too_long);
    CHECK(fault_of(std::string(20'000, 'x')) == CgiFault::too_long);
}

TEST_CASE("cgi head: the bound on its fields holds") {
    std::string text = "Content-Type: a/b\n";
    for (int i = 1; i < 100; ++i) {
        text += "X: y\n";
    }
    CHECK(fault_of(text + "\n") == CgiFault::none);
    CHECK(fault_of(text + "X: y\n\n") == CgiFault::too_many_fields);
}

TEST_CASE("cgi head: what cannot be sent, or is the server's, is left out") {
    const Reading reading =
        read("Content-Type: a/b\nX-A: a\x01\nConnection: close\nTransfer-Encoding: chunked\n"
             "Upgrade: x\nKeep-Alive: 1\nTE: x\nTrailer: x\nX-B: \xff \nX-C:\n\n");
    REQUIRE(reading.state == State::complete);
    CHECK(reading.head.refused_fields == 7);
    REQUIRE(reading.head.fields.size() == 2);
    CHECK(reading.head.fields[0].value == "\xff");
    CHECK(reading.head.fields[1].value.empty());
}

TEST_CASE("cgi head: a length that is one counts (RFC 9110 8.6)") {
    const auto length = [](const std::string& lines) {
        return read("Content-Type: a/b\n" + lines + "\n").head.content_length;
    };
    CHECK(length("Content-Length: 0\n") == 0u);
    CHECK(length("Content-Length: 12\nContent-Length: 12\n") == 12u);
    CHECK_FALSE(length("").has_value());
    for (const char* bad :
         {"Content-Length: 1\nContent-Length: 2\n", "Content-Length: -1\n", "Content-Length: +1\n",
          "Content-Length: 1 2\n", "Content-Length:\n", "Content-Length: 99999999999999999999\n",
          "Content-Length: x\nContent-Length: 1\n"}) {
        CAPTURE(bad);
        CHECK_FALSE(length(bad).has_value());
    }
}

TEST_CASE("cgi head: NPH has a status line, and Status is a field like others (RFC 3875 5)") {
    const Reading reading = read("HTTP/1.0 404 Gone away\r\nStatus: x\r\n\r\nbody", nph());
    REQUIRE(reading.state == State::complete);
    CHECK(reading.head.status == 404);
    REQUIRE(reading.head.fields.size() == 1);
    CHECK(reading.head.fields[0].name == "Status");
    CHECK(fault_of("HTTP/1.1 200\n\n", nph()) == CgiFault::none);
    for (const std::string_view bad :
         {"HTTP/2 200 OK\n\n", "http/1.1 200 OK\n\n", "HTTP/1.1200 OK\n\n", "200 OK\n\n",
          "Content-Type: a/b\n\n", "\n"}) {
        CAPTURE(bad);
        CHECK(fault_of(bad, nph()) == CgiFault::bad_status_line);
    }
    CHECK(fault_of("HTTP/1.1 100 Continue\n\n", nph()) == CgiFault::bad_status);
    CHECK(fault_of("HTTP/1.1 200 OK\nTransfer-Encoding: x\n\n", nph()) == CgiFault::coded_content);
}
