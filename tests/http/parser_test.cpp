// SPDX-License-Identifier: MIT

#include "support/parse_every_way.hpp"
#include "support/test.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

using porthole::Limits;
using porthole::RequestFault;
using porthole::detail::Framing;
using porthole::detail::ParseStatus;
using porthole::detail::RequestHead;
using porthole::detail::RequestParser;
using porthole_test::Outcome;
using porthole_test::parse_every_way;
using Kind = Framing::Kind;

namespace {

constexpr std::string_view host = "Host: a\r\n";

void check_refused(std::string_view input, RequestFault fault) {
    const std::string shown(input);
    CAPTURE(shown);
    const Outcome outcome = parse_every_way<RequestParser>(input);
    CHECK(outcome.status == ParseStatus::failed);
    CHECK(outcome.fault == fault);
}

void check_accepted(std::string_view input) {
    const std::string shown(input);
    CAPTURE(shown);
    const std::string with_more = std::string(input) + "GET /next HTTP/1.1\r\n";
    const Outcome outcome = parse_every_way<RequestParser>(with_more);
    CHECK(outcome.status == ParseStatus::complete);
    CHECK(outcome.fault == RequestFault::none);
    CHECK(outcome.head_size == input.size());
}

/// "GET / HTTP/1.1", Host, the given lines, and the empty line.
std::string with_fields(std::string_view lines) {
    return "GET / HTTP/1.1\r\n" + std::string(host) + std::string(lines) + "\r\n";
}

std::string old_with_fields(std::string_view lines) {
    return "GET / HTTP/1.0\r\n" + std::string(lines) + "\r\n";
}

/// Parses a head that is expected to be complete and hands it to `look`.
template <class Look>
void look_at(std::string_view input, Look look) {
    const std::string shown(input);
    CAPTURE(shown);
    const Limits limits;
    RequestParser parser(limits);
    REQUIRE(parser.parse(input) == ParseStatus::complete);
    look(parser.head());
}

template <std::size_t size>
std::string bytes(const char (&literal)[size]) {
    return std::string(literal, size - 1);
}

} // namespace

TEST_CASE("parser: reads a request's line, fields and framing as places in its bytes") {
    const std::string input = "POST /a?b=1 HTTP/1.1\r\nHost: localhost:8080\r\n"
                              "content-LENGTH: 12\r\nX-Empty:\r\nX-Blank: \t v w\t \r\n\r\n";
    check_accepted(input);
    look_at(input, [&input](const RequestHead& head) {
        CHECK(head.method == porthole::Method::post);
        CHECK(head.method_name.in(input.data()) == "POST");
        CHECK(head.target.in(input.data()) == "/a?b=1");
        CHECK(head.minor_version == 1);
        CHECK(head.has_host);
        CHECK(head.host.in(input.data()) == "localhost:8080");
        REQUIRE(head.fields.size() == 4);
        CHECK(head.fields.find("X-Empty") == "");
        CHECK(head.fields.find("X-Blank") == "v w");
        CHECK(head.framing.kind == Kind::length);
        CHECK(head.framing.length == 12);
        CHECK(head.keep_alive);
        CHECK_FALSE(head.expects_continue);
        CHECK_FALSE(head.has_upgrade);
    });
}

TEST_CASE("parser: forgives one empty line before the request line (RFC 9112 section 2.2)") {
    check_accepted("\r\n" + with_fields(""));
    look_at("\r\n" + with_fields(""), [](const RequestHead& head) {
        CHECK(head.method_name.at == 2);
        CHECK(head.target.at == 6);
        CHECK(head.fields.find("host") == "a");
    });
    check_refused("\r\n\r\n" + with_fields(""), RequestFault::bad_request_line);
    check_refused("\r\n\n", RequestFault::bare_line_feed);
    check_refused("\n" + with_fields(""), RequestFault::bare_line_feed);
    check_refused("\rGET / HTTP/1.1\r\n\r\n", RequestFault::bad_request_line);
}

TEST_CASE("parser: a request line is method, target and version (RFC 9112 section 3)") {
    struct Row {
        std::string line;
        RequestFault fault;
    };
    const Row rows[] = {
        {"GET / HTTP/1.1", RequestFault::none},
        {"GET / HTTP/1.0", RequestFault::none},
        {"get /%7e!$&'()*+,;=:@?# HTTP/1.1", RequestFault::none}, // the target is judged later
        {"M-SEARCH * HTTP/1.1", RequestFault::none},
        {"CONNECT a:1 HTTP/1.1", RequestFault::none},
        {"GET http://a/ HTTP/1.1", RequestFault::none},
        {"GET", RequestFault::bad_request_line},
        {"GET ", RequestFault::bad_request_line},
        {"GET /", RequestFault::bad_request_line},
        {"GET  HTTP/1.1", RequestFault::bad_request_line},
        {" GET / HTTP/1.1", RequestFault::bad_request_line},
        {"GET  / HTTP/1.1", RequestFault::bad_request_line},
        {"GET /  HTTP/1.1", RequestFault::bad_request_line},
        {"GET /a b HTTP/1.1", RequestFault::bad_request_line},
        {"GET\t/ HTTP/1.1", RequestFault::bad_method},
        {"G(T / HTTP/1.1", RequestFault::bad_method},
        {"GET: / HTTP/1.1", RequestFault::bad_method},
        {bytes("G\0T / HTTP/1.1"), RequestFault::bad_method},
        {"G\xc3\xa4T / HTTP/1.1", RequestFault::bad_method},
        {"G\rT / HTTP/1.1", RequestFault::bad_method},
        {"GET /\t HTTP/1.1", RequestFault::bad_target},
        {"GET /\r HTTP/1.1", RequestFault::bad_target},
        {bytes("GET /\0 HTTP/1.1"), RequestFault::bad_target},
        {"GET /\x7f HTTP/1.1", RequestFault::bad_target},
        {"GET /\x80 HTTP/1.1", RequestFault::bad_target},
        {"GET /\xc3\xa4 HTTP/1.1", RequestFault::bad_target},
        {"GET / HTTP/1.1 ", RequestFault::bad_version},
        {"GET / http/1.1", RequestFault::bad_version},
        {"GET / HTTP/1.1\r", RequestFault::bad_version},
        {"GET / HTTP/1.10", RequestFault::bad_version},
        {"GET / HTTP/1", RequestFault::bad_version},
        {"GET / HTTP/1.", RequestFault::bad_version},
        {"GET / HTTP/1,1", RequestFault::bad_version},
        {"GET / HTTP/a.1", RequestFault::bad_version},
        {"GET / HTTPS/1.1", RequestFault::bad_version},
        {"GET / ICY/1.1", RequestFault::bad_version},
        {"GET /\tHTTP/1.1", RequestFault::bad_request_line},
        {"GET / HTTP/0.9", RequestFault::unsupported_version},
        {"GET / HTTP/1.2", RequestFault::unsupported_version},
        {"GET / HTTP/1.9", RequestFault::unsupported_version},
        {"GET / HTTP/2.0", RequestFault::unsupported_version},
        {"GET / HTTP/3.0", RequestFault::unsupported_version},
        {"PRI * HTTP/2.0", RequestFault::unsupported_version},
    };
    for (const Row& row : rows) {
        const std::string input = row.line + "\r\nHost: a\r\n\r\n";
        if (row.fault == RequestFault::none) {
            check_accepted(input);
        } else {
            check_refused(input, row.fault);
        }
    }
}

TEST_CASE("parser: what cannot begin a method is refused at its first byte") {
    const Limits limits;
    for (const std::string& first :
         {bytes("\x16\x03\x01"), bytes("\0"), bytes("\x80"), bytes(" "), bytes("\t"), bytes("{")}) {
        RequestParser parser(limits);
        CHECK(parser.parse(first) == ParseStatus::failed);
        CHECK(parser.fault() == RequestFault::bad_request_line);
    }
}

TEST_CASE("parser: methods are case-sensitive, unknown ones are told (RFC 9110 section 9.1)") {
    look_at("get / HTTP/1.1\r\nHost: a\r\n\r\n", [](const RequestHead& head) {
        CHECK(head.method == porthole::Method::other);
        CHECK(head.method_name.size == 3);
    });
    look_at("PURGE / HTTP/1.1\r\nHost: a\r\n\r\n", [](const RequestHead& head) {
        CHECK(head.method == porthole::Method::other);
    });
}

TEST_CASE("parser: refuses field lines that are read in two ways (RFC 9112 section 5)") {
    struct Row {
        std::string lines;
        RequestFault fault;
    };
    const Row rows[] = {
        {"A: b\r\n", RequestFault::none},
        {"a!#$%&'*+-.^_`|~09Z:b\r\n", RequestFault::none},
        {"A: \x80\xff\xc3\xa4\r\n", RequestFault::none},
        {"A: b\tc:d\r\n", RequestFault::none},
        {"A:\r\n", RequestFault::none},
        {": b\r\n", RequestFault::bad_field_name},
        {"A : b\r\n", RequestFault::bad_field_name},
        {"A\t: b\r\n", RequestFault::bad_field_name},
        {"A b: c\r\n", RequestFault::bad_field_name},
        {"A\r\n", RequestFault::bad_field_name},
        {"A(: b\r\n", RequestFault::bad_field_name},
        {"A\xc3\xa4: b\r\n", RequestFault::bad_field_name},
        {bytes("A\0: b\r\n"), RequestFault::bad_field_name},
        {"A\r: b\r\n", RequestFault::bad_field_name},
        {"\rA: b\r\n", RequestFault::bad_field_name},
        {"\r\r\n", RequestFault::bad_field_name},
        {bytes("A: b\0c\r\n"), RequestFault::bad_field_value},
        {"A: b\rc\r\n", RequestFault::bad_field_value},
        {"A: b\r\r\n", RequestFault::bad_field_value},
        {"A: 123456789\x01z\r\n", RequestFault::bad_field_value},
        {"A: \x1f\r\n", RequestFault::bad_field_value},
        {"A: \x7f\r\n", RequestFault::bad_field_value},
        {"A: b\v\r\n", RequestFault::bad_field_value},
        {"A: b\r\n c\r\n", RequestFault::obsolete_folding},
        {"A: b\r\n\tc\r\n", RequestFault::obsolete_folding},
        {"A: b\r\n \r\n", RequestFault::obsolete_folding},
        {"A: b\n", RequestFault::bare_line_feed},
        {"A: b\nC: d\r\n", RequestFault::bare_line_feed},
        {"\n", RequestFault::bare_line_feed},
    };
    for (const Row& row : rows) {
        if (row.fault == RequestFault::none) {
            check_accepted(with_fields(row.lines));
        } else {
            check_refused(with_fields(row.lines), row.fault);
        }
    }
    check_refused("GET / HTTP/1.1\r\n Host: a\r\n\r\n", RequestFault::obsolete_folding);
    check_refused("GET / HTTP/1.1\nHost: a\r\n\r\n", RequestFault::bare_line_feed);
    check_refused("GET / HTTP/1.1\r\nHost: a\r\n\n", RequestFault::bare_line_feed);
    check_refused("GET / HTTP/1.1\r\nHost: a\r\n\rx\r\n\r\n", RequestFault::bad_field_name);
}

TEST_CASE("parser: HTTP/1.1 has exactly one well-formed Host (RFC 9112 section 3.2)") {
    const std::string line = "GET / HTTP/1.1\r\n";
    for (const std::string_view good :
         {"a", "localhost:8080", "[::1]:80", "127.0.0.1", "A.b-c.D:0", "a\t "}) {
        check_accepted(line + "hOST: " + std::string(good) + "\r\n\r\n");
    }
    check_refused(line + "\r\n", RequestFault::missing_host);
    check_refused(line + "X-Host: a\r\n\r\n", RequestFault::missing_host);
    check_refused(line + "Host: a\r\nHost: a\r\n\r\n", RequestFault::repeated_host);
    check_refused(line + "Host: a\r\nB: c\r\nhost: d\r\n\r\n", RequestFault::repeated_host);
    for (const std::string_view bad :
         {"", "[", "a:b:c", "a b", "a/b", "a:65536", "[::1", "a,b", ":80"}) {
        check_refused(line + "Host: " + std::string(bad) + "\r\n\r\n", RequestFault::bad_host);
    }
    check_refused(line + "Host: " + std::string(300, 'a') + "\r\n\r\n", RequestFault::bad_host);
    // RFC 9110 section 4.2.4: userinfo is how one host is dressed up as another.
    check_refused(line + "Host: u@a\r\n\r\n", RequestFault::userinfo_in_host);
    check_accepted(old_with_fields(""));
    check_accepted(old_with_fields("Host: a\r\n"));
    check_refused(old_with_fields("Host: [\r\n"), RequestFault::bad_host);
    check_refused(old_with_fields("Host: a\r\nHost: a\r\n"), RequestFault::repeated_host);
    look_at(old_with_fields(""), [](const RequestHead& head) { CHECK_FALSE(head.has_host); });
}

TEST_CASE("parser: content is framed in exactly one way or refused (RFC 9112 section 6)") {
    struct Row {
        std::string_view lines;
        RequestFault fault;
        Kind kind;
        std::uint64_t length;
    };
    constexpr auto none = RequestFault::none;
    constexpr auto bad_length = RequestFault::bad_content_length;
    constexpr auto bad_coding = RequestFault::bad_transfer_encoding;
    constexpr auto unknown = RequestFault::unknown_transfer_encoding;
    constexpr auto both = RequestFault::length_and_encoding;
    const Row rows[] = {
        {"", none, Kind::none, 0},
        {"Content-Length: 0\r\n", none, Kind::none, 0},
        {"Content-Length: 007\r\n", none, Kind::length, 7},
        {"Content-Length: 18446744073709551615\r\n", none, Kind::length, UINT64_MAX},
        {"Transfer-Encoding: chunked\r\n", none, Kind::chunked, 0},
        {"TRANSFER-encoding:\tChunKED \r\n", none, Kind::chunked, 0},
        {"Content-Length:\r\n", bad_length, Kind::none, 0},
        {"Content-Length: 18446744073709551616\r\n", bad_length, Kind::none, 0},
        {"Content-Length: 5\r\nContent-Length: 5\r\n", bad_length, Kind::none, 0},
        {"Content-Length: 5\r\nA: b\r\ncontent-length: 6\r\n", bad_length, Kind::none, 0},
        {"Content-Length: 5, 5\r\n", bad_length, Kind::none, 0},
        {"Content-Length: 5,5\r\n", bad_length, Kind::none, 0},
        {"Content-Length: +5\r\n", bad_length, Kind::none, 0},
        {"Content-Length: -1\r\n", bad_length, Kind::none, 0},
        {"Content-Length: 5 5\r\n", bad_length, Kind::none, 0},
        {"Content-Length: 0x5\r\n", bad_length, Kind::none, 0},
        {"Content-Length: 5_0\r\n", bad_length, Kind::none, 0},
        {"Content-Length: 5.0\r\n", bad_length, Kind::none, 0},
        {"Content-Length: \"5\"\r\n", bad_length, Kind::none, 0},
        {"Content-Length: 5;\r\n", bad_length, Kind::none, 0},
        {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", both, Kind::none, 0},
        {"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", both, Kind::none, 0},
        {"Transfer-Encoding: x\r\nContent-Length: y\r\n", both, Kind::none, 0},
        {"Transfer-Encoding:\r\n", bad_coding, Kind::none, 0},
        {"Transfer-Encoding: chunked, chunked\r\n", bad_coding, Kind::none, 0},
        {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", bad_coding, Kind::none, 0},
        {"Transfer-Encoding: chunked, gzip\r\n", bad_coding, Kind::none, 0},
        {"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", bad_coding, Kind::none,
         0},
        {"Transfer-Encoding: , chunked\r\n", bad_coding, Kind::none, 0},
        {"Transfer-Encoding: chunked,\r\n", bad_coding, Kind::none, 0},
        {"Transfer-Encoding: chunked;a=b\r\n", bad_coding, Kind::none, 0},
        {"Transfer-Encoding: \"chunked\"\r\n", bad_coding, Kind::none, 0},
        {"Transfer-Encoding: chun ked\r\n", bad_coding, Kind::none, 0},
        {"Transfer-Encoding: xchunked\r\n", unknown, Kind::none, 0},
        {"Transfer-Encoding: identity\r\n", unknown, Kind::none, 0},
        {"Transfer-Encoding: gzip\r\n", unknown, Kind::none, 0},
        {"Transfer-Encoding: gzip;q=1, chunked\r\n", unknown, Kind::none, 0},
        {"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", unknown, Kind::none, 0},
    };
    for (const Row& row : rows) {
        const std::string input = with_fields(row.lines);
        if (row.fault != none) {
            check_refused(input, row.fault);
            continue;
        }
        check_accepted(input);
        look_at(input, [&row](const RequestHead& head) {
            CHECK(head.framing.kind == row.kind);
            CHECK(head.framing.length == row.length);
        });
    }
    check_refused(
        old_with_fields("Transfer-Encoding: chunked\r\n"), RequestFault::encoding_in_http10);
    check_refused(old_with_fields("Transfer-Encoding: gzip\r\n"), RequestFault::encoding_in_http10);
    check_accepted(old_with_fields("Content-Length: 3\r\n"));
    // Other names are not framing; blanks around the colon are not tolerated in the name.
    check_accepted(with_fields("Content_Length: 5\r\nTransfer_Encoding: chunked\r\n"));
    check_refused(with_fields("Transfer-Encoding : chunked\r\n"), RequestFault::bad_field_name);
    check_refused(with_fields("Transfer-Encoding: \vchunked\r\n"), RequestFault::bad_field_value);
}

TEST_CASE("parser: the connection goes on as version and Connection say (RFC 9112 section 9.3)") {
    struct Row {
        std::string_view lines;
        bool in_http10;
        bool in_http11;
    };
    const Row rows[] = {
        {"", false, true},
        {"Connection: close\r\n", false, false},
        {"Connection: CLOSE\r\n", false, false},
        {"Connection: keep-alive\r\n", true, true},
        {"connection: Keep-Alive, x\r\n", true, true},
        {"Connection: keep-alive, close\r\n", false, false},
        {"Connection: close\r\nConnection: keep-alive\r\n", false, false},
        {"Connection: x, , close\r\n", false, false},
        {"Connection: x\r\nConnection: close\r\n", false, false},
        {"Connection: closed\r\n", false, true},
        {"Connection:\r\n", false, true},
        {"Keep-Alive: 5\r\n", false, true},
    };
    for (const Row& row : rows) {
        look_at(with_fields(row.lines), [&row](const RequestHead& head) {
            CHECK(head.keep_alive == row.in_http11);
        });
        look_at(old_with_fields(row.lines), [&row](const RequestHead& head) {
            CHECK(head.keep_alive == row.in_http10);
        });
    }
}

TEST_CASE("parser: an upgrade is one that Connection names (RFC 9110 section 7.8)") {
    const std::string_view good[] = {
        "Connection: Upgrade\r\nUpgrade: websocket\r\n",
        "Upgrade: websocket\r\nConnection: keep-alive, upgrade\r\n",
        "Upgrade: a\r\nConnection: x\r\nConnection: UPGRADE\r\n",
    };
    for (const std::string_view lines : good) {
        look_at(with_fields(lines), [](const RequestHead& head) { CHECK(head.has_upgrade); });
        look_at(
            old_with_fields(lines), [](const RequestHead& head) { CHECK_FALSE(head.has_upgrade); });
    }
    const std::string_view bad[] = {
        "Upgrade: websocket\r\n",
        "Connection: Upgrade\r\n",
        "Connection: upgrades\r\nUpgrade: websocket\r\n",
    };
    for (const std::string_view lines : bad) {
        look_at(with_fields(lines), [](const RequestHead& head) { CHECK_FALSE(head.has_upgrade); });
    }
}

TEST_CASE("parser: 100-continue is the only expectation (RFC 9110 section 10.1.1)") {
    for (const std::string_view value :
         {"100-continue", "100-Continue", "100-continue, 100-CONTINUE"}) {
        look_at(with_fields("Expect: " + std::string(value) + "\r\n"), [](const RequestHead& head) {
            CHECK(head.expects_continue);
        });
    }
    for (const std::string_view value :
         {"", "200-ok", "100-continue, x", "100-continue;a", "100 continue"}) {
        const std::string line = "Expect: " + std::string(value) + "\r\n";
        check_refused(with_fields(line), RequestFault::unknown_expectation);
        look_at(old_with_fields(line), [](const RequestHead& head) {
            CHECK_FALSE(head.expects_continue);
        });
    }
    check_refused(
        with_fields("Expect: 100-continue\r\nExpect: x\r\n"), RequestFault::unknown_expectation);
}

TEST_CASE("parser: the request line has its limit, before its end is seen (414)") {
    Limits limits;
    for (const std::size_t limit : {std::size_t{40}, limits.max_request_line_bytes}) {
        limits.max_request_line_bytes = limit;
        const std::string_view before = "GET /";
        const std::string_view behind = " HTTP/1.1\r\n";
        for (std::size_t size = limit - 1; size <= limit + 1; ++size) {
            CAPTURE(size);
            const std::string line = std::string(before)
                                     + std::string(size - before.size() - behind.size(), 'a')
                                     + std::string(behind);
            RequestParser parser(limits);
            const bool fits = size <= limit;
            CHECK(
                parser.parse(line + "Host: a\r\n\r\n")
                == (fits ? ParseStatus::complete : ParseStatus::failed));
            CHECK(parser.fault() == (fits ? RequestFault::none : RequestFault::target_too_long));
            if (limit < 100) {
                parse_every_way<RequestParser>("\r\n" + line + "Host: a\r\n\r\n", limits);
            }
        }
        RequestParser parser(limits);
        CHECK(parser.parse(std::string(limit - 1, 'G')) == ParseStatus::need_more);
        CHECK(parser.parse(std::string(limit, 'G')) == ParseStatus::failed);
        CHECK(parser.fault() == RequestFault::target_too_long);
    }
}

TEST_CASE("parser: the field lines have their limit together, before their end is seen (431)") {
    Limits limits;
    const std::string line = "GET / HTTP/1.1\r\n";
    for (const std::size_t limit : {std::size_t{40}, limits.max_fields_bytes}) {
        limits.max_fields_bytes = limit;
        const std::string start = std::string(host) + "A: ";
        for (std::size_t size = limit - 1; size <= limit + 1; ++size) {
            CAPTURE(size);
            const std::string fields = start + std::string(size - start.size() - 2, 'b') + "\r\n";
            REQUIRE(fields.size() == size);
            const bool fits = size <= limit;
            RequestParser parser(limits);
            CHECK(
                parser.parse(line + fields + "\r\n")
                == (fits ? ParseStatus::complete : ParseStatus::failed));
            CHECK(parser.fault() == (fits ? RequestFault::none : RequestFault::fields_too_large));
            if (limit < 100) {
                const Outcome outcome =
                    parse_every_way<RequestParser>(line + fields + "\r\n", limits);
                CHECK(outcome.fault == parser.fault());
            }
        }
        RequestParser parser(limits);
        const std::string endless = line + std::string(limit, 'A');
        CHECK(
            parser.parse(std::string_view(endless).substr(0, endless.size() - 1))
            == ParseStatus::need_more);
        CHECK(parser.parse(endless) == ParseStatus::failed);
        CHECK(parser.fault() == RequestFault::fields_too_large);
    }
}

TEST_CASE("parser: field lines are counted, before the one too many has ended (431)") {
    Limits limits;
    for (const std::size_t limit : {std::size_t{3}, limits.max_fields}) {
        limits.max_fields = limit;
        for (std::size_t count = limit - 1; count <= limit + 1; ++count) {
            CAPTURE(count);
            std::string input = "GET / HTTP/1.1\r\n" + std::string(host);
            for (std::size_t i = 1; i < count; ++i) {
                input += "A:\r\n";
            }
            const Outcome outcome = parse_every_way<RequestParser>(input + "\r\n", limits);
            const bool fits = count <= limit;
            CHECK(outcome.fault == (fits ? RequestFault::none : RequestFault::too_many_fields));
            if (count == limit) {
                RequestParser parser(limits);
                CHECK(parser.parse(input + "\r") == ParseStatus::need_more);
                parser.reset();
                CHECK(parser.parse(input + "A") == ParseStatus::failed);
                CHECK(parser.fault() == RequestFault::too_many_fields);
            }
        }
    }
}

TEST_CASE("parser: is fresh until the first byte, and again when reset") {
    const Limits limits;
    RequestParser parser(limits);
    CHECK(parser.is_fresh());
    CHECK(parser.parse("") == ParseStatus::need_more);
    CHECK(parser.is_fresh());
    CHECK(parser.parse("G") == ParseStatus::need_more);
    CHECK_FALSE(parser.is_fresh());
    parser.reset();
    CHECK(parser.is_fresh());
    const std::string first = with_fields("Content-Length: 3\r\nConnection: close, upgrade\r\n"
                                          "Upgrade: x\r\nExpect: 100-continue\r\n");
    CHECK(parser.parse(first) == ParseStatus::complete);
    CHECK_FALSE(parser.is_fresh());
    parser.reset();
    // Nothing of the first request is left in the second.
    CHECK(parser.parse("GET / HTTP/1.0\r\n\r\n") == ParseStatus::complete);
    const RequestHead& head = parser.head();
    CHECK(head.fields.is_empty());
    CHECK_FALSE(head.has_host);
    CHECK_FALSE(head.has_upgrade);
    CHECK_FALSE(head.expects_continue);
    CHECK(head.framing.kind == Kind::none);
    CHECK(head.minor_version == 0);
    parser.reset();
    CHECK(parser.parse(with_fields("")) == ParseStatus::complete);
    CHECK(parser.head().keep_alive);
    CHECK(parser.head().minor_version == 1);
}

TEST_CASE("parser: goes on where it stopped and does not look back") {
    // What was given before is overwritten: a second look at it would break a rule.
    const std::string input = with_fields("A: " + std::string(200, 'b') + "\r\nC: d\r\n");
    for (std::size_t split = 1; split < input.size(); ++split) {
        CAPTURE(split);
        const Limits limits;
        RequestParser parser(limits);
        REQUIRE(parser.parse(std::string_view(input).substr(0, split)) == ParseStatus::need_more);
        std::string spoiled = input;
        const std::size_t line_end = spoiled.rfind('\n', split - 1);
        // Host is looked at once more when the head is complete, so it stays.
        const std::size_t first_kept = spoiled.find("Host");
        for (std::size_t i = 0; line_end != std::string::npos && i <= line_end; ++i) {
            if (i < first_kept || i >= first_kept + host.size()) {
                spoiled[i] = '\n';
            }
        }
        CHECK(parser.parse(spoiled) == ParseStatus::complete);
        CHECK(parser.head_size() == input.size());
    }
}
