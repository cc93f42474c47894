// SPDX-License-Identifier: MIT

#include "support/parse_every_way.hpp"
#include "support/test.hpp"

#include <string>
#include <string_view>

using porthole::Limits;
using porthole::RequestFault;
using porthole::detail::Framing;
using porthole::detail::ParseStatus;
using porthole::detail::ResponseParser;
using porthole_test::Outcome;
using porthole_test::parse_every_way;
using Kind = Framing::Kind;

TEST_CASE("response parser: reads an answer's status line and fields (RFC 9112 section 4)") {
    const std::string input = "HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\nA: b\r\n\r\n";
    const Outcome outcome = parse_every_way<ResponseParser>(input + "abc");
    CHECK(outcome.status == ParseStatus::complete);
    CHECK(outcome.head_size == input.size());
    const Limits limits;
    ResponseParser parser(limits);
    REQUIRE(parser.parse(input) == ParseStatus::complete);
    CHECK(parser.head().status == 404);
    CHECK(parser.head().reason.in(input.data()) == "Not Found");
    CHECK(parser.head().fields.find("a") == "b");
    CHECK(parser.head().keep_alive);
}

TEST_CASE("response parser: the reason may be missing, the rest of the line may not") {
    for (const std::string_view good :
         {"HTTP/1.1 200 OK", "HTTP/1.0 200", "HTTP/1.1 200 ", "HTTP/1.1 599 a\tb \x80"}) {
        CAPTURE(good);
        const Outcome outcome = parse_every_way<ResponseParser>(std::string(good) + "\r\n\r\n");
        CHECK(outcome.status == ParseStatus::complete);
    }
    for (const std::string_view bad :
         {"", "HTTP/1.1", "HTTP/1.1 ", "HTTP/1.1 20", "HTTP/1.1 2000", "HTTP/1.1 20a",
          "HTTP/1.1 099 x", "HTTP/1.1 600 x", "HTTP/1.1  200 OK", "HTTP/1.1 200\tOK",
          "HTTP/1.1 200 O\x01K", "HTTP/1.1 200 O\rK", "HTTP/2.0 200 OK", "http/1.1 200 OK",
          "ICY 200 OK", " HTTP/1.1 200 OK"}) {
        CAPTURE(bad);
        const Outcome outcome = parse_every_way<ResponseParser>(std::string(bad) + "\r\n\r\n");
        CHECK(outcome.status == ParseStatus::failed);
    }
    CHECK(
        parse_every_way<ResponseParser>("HTTP/1.1 200 OK\nA: b\r\n\r\n").fault
        == RequestFault::bare_line_feed);
}

TEST_CASE("response parser: decides where content ends (RFC 9112 section 6.3)") {
    struct Row {
        std::string_view head;
        bool is_head_answer;
        Kind kind;
        bool keep_alive;
    };
    const Row rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n", false, Kind::length, true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", false, Kind::none, true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", false, Kind::chunked, true},
        {"HTTP/1.1 200 OK\r\n", false, Kind::close, false},
        {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", false, Kind::close, false},
        {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n", false, Kind::length,
         true},
        {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n", false, Kind::length,
         false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n", true, Kind::none, true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", true, Kind::none, true},
        {"HTTP/1.1 200 OK\r\n", true, Kind::none, true},
        {"HTTP/1.1 100 Continue\r\n", false, Kind::none, true},
        {"HTTP/1.1 204 No Content\r\n", false, Kind::none, true},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n", false, Kind::none, true},
    };
    const Limits limits;
    ResponseParser parser(limits);
    for (const Row& row : rows) {
        CAPTURE(row.head);
        parser.reset();
        REQUIRE(
            parser.parse(std::string(row.head) + "\r\n", row.is_head_answer)
            == ParseStatus::complete);
        CHECK(parser.head().framing.kind == row.kind);
        CHECK(parser.head().keep_alive == row.keep_alive);
    }
}

TEST_CASE("response parser: refuses what it refuses in requests, within the same limits") {
    const std::string line = "HTTP/1.1 200 OK\r\n";
    struct Row {
        std::string_view lines;
        RequestFault fault;
    };
    const Row rows[] = {
        {"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", RequestFault::length_and_encoding},
        {"Content-Length: 3\r\nContent-Length: 3\r\n", RequestFault::bad_content_length},
        {"Transfer-Encoding: chunked, chunked\r\n", RequestFault::bad_transfer_encoding},
        {"Transfer-Encoding: br\r\n", RequestFault::unknown_transfer_encoding},
        {"A : b\r\n", RequestFault::bad_field_name},
        {"A: b\r\n c\r\n", RequestFault::obsolete_folding},
        {"A: b\n", RequestFault::bare_line_feed},
    };
    for (const Row& row : rows) {
        CAPTURE(row.lines);
        CHECK(
            parse_every_way<ResponseParser>(line + std::string(row.lines) + "\r\n").fault
            == row.fault);
    }
    Limits limits;
    limits.max_request_line_bytes = line.size();
    limits.max_fields = 2;
    limits.max_fields_bytes = 10;
    CHECK(
        parse_every_way<ResponseParser>(line + "A: b\r\nC:\r\n\r\n", limits).fault
        == RequestFault::none);
    CHECK(
        parse_every_way<ResponseParser>(line + "A: b\r\nC: d\r\n\r\n", limits).fault
        == RequestFault::fields_too_large);
    limits.max_fields = 1;
    CHECK(
        parse_every_way<ResponseParser>(line + "A: b\r\nC:\r\n\r\n", limits).fault
        == RequestFault::too_many_fields);
    limits.max_request_line_bytes = line.size() - 1;
    CHECK(
        parse_every_way<ResponseParser>(line + "\r\n", limits).fault
        == RequestFault::target_too_long);
}
