// SPDX-License-Identifier: MIT

#include "support/guarded_bytes.hpp"
#include "support/test.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

using porthole::Limits;
using porthole::RequestFault;
using porthole::detail::ChunkedDecoder;
using porthole::detail::ParseStatus;

namespace {

struct Outcome {
    ParseStatus status = ParseStatus::need_more;
    RequestFault fault = RequestFault::none;
    std::string content;
    std::size_t consumed = 0; ///< when complete
    std::string trailer;
};

bool operator==(const Outcome& a, const Outcome& b) {
    return a.status == b.status && a.fault == b.fault && a.consumed == b.consumed
           && (a.status == ParseStatus::failed || a.content == b.content) && a.trailer == b.trailer;
}

/// Gives `piece` to the decoder, step by step, and checks that it hands out views into it.
ParseStatus feed(ChunkedDecoder& decoder, std::string_view piece, Outcome& outcome) {
    for (;;) {
        std::size_t consumed = 0;
        std::string_view content;
        const ParseStatus status = decoder.decode(piece, consumed, content);
        REQUIRE(consumed <= piece.size());
        if (!content.empty()) {
            REQUIRE(content.data() >= piece.data());
            REQUIRE(content.data() + content.size() <= piece.data() + piece.size());
        }
        outcome.content += content;
        outcome.consumed += consumed;
        piece.remove_prefix(consumed);
        if (status != ParseStatus::need_more || piece.empty()) {
            return status;
        }
        REQUIRE(consumed > 0);
    }
}

void finish(const ChunkedDecoder& decoder, ParseStatus status, Outcome& outcome) {
    outcome.status = status;
    outcome.fault = decoder.fault();
    if (status != ParseStatus::complete) {
        outcome.consumed = 0;
        return;
    }
    for (std::size_t i = 0; i < decoder.trailer().size(); ++i) {
        outcome.trailer += decoder.trailer()[i].name;
        outcome.trailer += '=';
        outcome.trailer += decoder.trailer()[i].value;
        outcome.trailer += ';';
    }
}

/// Whole, byte by byte, and in two pieces split at each offset; each piece has a hard end, and is
/// gone when the next one comes.
Outcome decode_every_way(std::string_view input, const Limits& limits = Limits{}) {
    ChunkedDecoder decoder(limits);
    Outcome expected;
    {
        const porthole_test::HeapBytes whole(input);
        finish(decoder, feed(decoder, whole.view(), expected), expected);
    }
    decoder.reset();
    Outcome bytewise;
    ParseStatus status = ParseStatus::need_more;
    for (std::size_t i = 0; i < input.size() && status == ParseStatus::need_more; ++i) {
        const porthole_test::HeapBytes piece(input.substr(i, 1));
        status = feed(decoder, piece.view(), bytewise);
    }
    finish(decoder, status, bytewise);
    CHECK(bytewise == expected);

    porthole_test::GuardedBytes guarded(input.size());
    for (std::size_t split = 0; split <= input.size(); ++split) {
        CAPTURE(split);
        decoder.reset();
        Outcome outcome;
        status = feed(decoder, guarded.place(input.substr(0, split)), outcome);
        if (status == ParseStatus::need_more) {
            status = feed(decoder, guarded.place(input.substr(split)), outcome);
        }
        finish(decoder, status, outcome);
        REQUIRE(outcome == expected);
    }
    return expected;
}

} // namespace

TEST_CASE("chunked: hands out content and stops behind the trailer (RFC 9112 section 7.1)") {
    struct Row {
        std::string_view input;
        std::string_view content;
        std::string_view trailer;
    };
    const Row rows[] = {
        {"0\r\n\r\n", "", ""},
        {"0000000000000000\r\n\r\n", "", ""},
        {"3\r\nabc\r\n0\r\n\r\n", "abc", ""},
        {"00A\r\n0123456789\r\n1\r\n\r\r\n0\r\n\r\n", "0123456789\r", ""},
        {"a\r\n\r\n0\r\n\r\nxyz\r\n0\r\n\r\n", "\r\n0\r\n\r\nxyz", ""},
        {"1;a\r\nx\r\n0;b=c;d=\"e\\\";\xc3\xa4\"\r\n\r\n", "x", ""},
        {"1 ; a = b ;c\r\nx\r\n0\t;d= \"\"\r\n\r\n", "x", ""},
        {"1\r\nx\r\n0\r\nA: b\r\nX-C:  d e \r\nF:\r\n\r\n", "x", "A=b;X-C=d e;F=;"},
    };
    for (const Row& row : rows) {
        CAPTURE(row.input);
        const Outcome outcome = decode_every_way(std::string(row.input) + "GET / HTTP/1.1\r\n");
        CHECK(outcome.status == ParseStatus::complete);
        CHECK(outcome.content == row.content);
        CHECK(outcome.trailer == row.trailer);
        CHECK(outcome.consumed == row.input.size());
        // Less than all of it is never complete.
        const Outcome less = decode_every_way(row.input.substr(0, row.input.size() - 1));
        CHECK(less.status == ParseStatus::need_more);
    }
}

TEST_CASE("chunked: refuses sizes that are read in two ways (RFC 9112 section 7.1)") {
    const std::string_view lines[] = {
        "",
        "+1",
        "-1",
        "0x1",
        "1_0",
        " 1",
        "\t1",
        "1 ",
        "1\t",
        "g",
        "1h",
        "1,1",
        "1.0",
        ";a",
        "1;",
        "1; ",
        "1;a;",
        "1;a=",
        "1;=b",
        "1;a b",
        "1;a=\"b",
        "1;a=b c",
        "1 a",
        "1;a=\"\\",
        "1;a\r",
        "1\r",
        "1;\"a\"",
        "1;a=\"\r\"",
        "1;a=\"b\"c",
        "1;a=\"\x01\"",
        "\xef\xbb\xbf"
        "1",
        "10000000000000000",
        "00000000000000001",
        "fffffffffffffffff",
    };
    for (const std::string_view line : lines) {
        CAPTURE(line);
        const Outcome outcome = decode_every_way(std::string(line) + "\r\nx\r\n0\r\n\r\n");
        CHECK(outcome.status == ParseStatus::failed);
        CHECK(outcome.fault == RequestFault::bad_chunk);
    }
    const std::string nul("1\0\r\nx\r\n", 7);
    CHECK(decode_every_way(nul).fault == RequestFault::bad_chunk);
    const Outcome bare = decode_every_way("1\nx\r\n0\r\n\r\n");
    CHECK(bare.fault == RequestFault::bad_chunk);
}

TEST_CASE("chunked: the largest size is sixteen digits, and its content is awaited") {
    const Outcome outcome = decode_every_way("fFfFfFfFfFfFfFfF\r\nabc");
    CHECK(outcome.status == ParseStatus::need_more);
    CHECK(outcome.content == "abc");
}

TEST_CASE("chunked: a chunk ends with CR LF and nothing else") {
    for (const std::string_view behind :
         {"", "\n", "\r", "\r\r\n", "x\r\n", "\n\r\n", " \r\n", "0\r\n", "\rx"}) {
        CAPTURE(behind);
        const Outcome outcome = decode_every_way("1\r\nx" + std::string(behind) + "0\r\n\r\n");
        CHECK(outcome.status == ParseStatus::failed);
        CHECK(outcome.fault == RequestFault::bad_chunk);
    }
}

TEST_CASE("chunked: size lines have their limit, before their end is seen") {
    Limits limits;
    limits.max_chunk_line_bytes = 20;
    for (std::size_t size = 19; size <= 21; ++size) {
        CAPTURE(size);
        const std::string line = "0;" + std::string(size - 4, 'a') + "\r\n";
        REQUIRE(line.size() == size);
        const Outcome outcome = decode_every_way(line + "\r\n", limits);
        const bool fits = size <= limits.max_chunk_line_bytes;
        CHECK(outcome.status == (fits ? ParseStatus::complete : ParseStatus::failed));
        CHECK(outcome.fault == (fits ? RequestFault::none : RequestFault::bad_chunk));
    }
    CHECK(decode_every_way("0;" + std::string(17, 'a'), limits).status == ParseStatus::need_more);
    CHECK(decode_every_way("0;" + std::string(18, 'a'), limits).status == ParseStatus::failed);
}

TEST_CASE("chunked: trailers follow the rules of field lines (RFC 9112 section 7.1.2)") {
    const std::string_view lines[] = {
        "A : b\r\n",        ": b\r\n", "A\r\n",       "A: b\r\n c\r\n",
        " A: b\r\n",        "A: b\n",  "A: b\rc\r\n", "A: \x01\r\n",
        "\r\r\n",           "\n",      "A: b\r\n\n",  "A b: c\r\n",
        "A\xc3\xa4: b\r\n",
    };
    for (const std::string_view line : lines) {
        CAPTURE(line);
        const Outcome outcome = decode_every_way("1\r\nx\r\n0\r\n" + std::string(line) + "\r\n");
        CHECK(outcome.status == ParseStatus::failed);
        CHECK(outcome.fault == RequestFault::bad_trailer);
    }
}

TEST_CASE("chunked: refuses fields that must not be trailers (RFC 9110 section 6.5.1)") {
    const std::string_view names[] = {
        "Transfer-Encoding",
        "content-length",
        "HOST",
        "Connection",
        "Upgrade",
        "Trailer",
        "TE",
        "Authorization",
        "Cookie",
        "Set-Cookie",
        "Content-Type",
        "Content-Range",
        "Expect",
        "Cache-Control",
        "If-Match",
        "if-none-match",
        "Origin",
        "Range",
        "Sec-Fetch-Site",
        "Proxy-X",
        "X-Forwarded-For",
        "Forwarded",
        "Max-Forwards",
        "Content-Encoding",
        "Access-Control-Request-Method",
    };
    for (const std::string_view name : names) {
        CAPTURE(name);
        const Outcome outcome = decode_every_way("0\r\n" + std::string(name) + ": 1\r\n\r\n");
        CHECK(outcome.fault == RequestFault::bad_trailer);
    }
    for (const std::string_view name : {"Content-Digest", "X-Host", "Iff", "Server-Timing", "If"}) {
        CAPTURE(name);
        const Outcome outcome = decode_every_way("0\r\n" + std::string(name) + ": 1\r\n\r\n");
        CHECK(outcome.status == ParseStatus::complete);
    }
}

TEST_CASE("chunked: trailers have their limits, before their end is seen (431)") {
    Limits limits;
    limits.max_trailer_bytes = 30;
    for (std::size_t size = 29; size <= 31; ++size) {
        CAPTURE(size);
        const std::string lines = "A: 0123\r\nB: " + std::string(size - 14, 'x') + "\r\n";
        REQUIRE(lines.size() == size);
        const bool fits = size <= limits.max_trailer_bytes;
        const Outcome outcome = decode_every_way("0\r\n" + lines + "\r\n", limits);
        CHECK(outcome.fault == (fits ? RequestFault::none : RequestFault::trailer_too_large));
    }
    const std::string endless(limits.max_trailer_bytes, 'A');
    CHECK(decode_every_way("0\r\n" + endless, limits).fault == RequestFault::trailer_too_large);
    CHECK(decode_every_way("0\r\n" + endless.substr(1), limits).status == ParseStatus::need_more);

    limits.max_fields = 2;
    CHECK(decode_every_way("0\r\nA:\r\n\r\n", limits).status == ParseStatus::complete);
    CHECK(decode_every_way("0\r\nA:\r\nB:\r\n\r\n", limits).status == ParseStatus::complete);
    CHECK(
        decode_every_way("0\r\nA:\r\nB:\r\nC:\r\n\r\n", limits).fault
        == RequestFault::trailer_too_large);
}

TEST_CASE("chunked: writes the line before a chunk") {
    struct Row {
        std::uint64_t size;
        std::string_view line;
    };
    const Row rows[] = {
        {0, "0\r\n"},
        {1, "1\r\n"},
        {15, "f\r\n"},
        {16, "10\r\n"},
        {0x1a2b, "1a2b\r\n"},
        {UINT64_MAX / 16, "fffffffffffffff\r\n"},
        {UINT64_MAX / 16 + 1, "1000000000000000\r\n"},
        {UINT64_MAX, "ffffffffffffffff\r\n"},
    };
    for (const Row& row : rows) {
        CAPTURE(row.size);
        char line[porthole::detail::max_chunk_head_size];
        const std::size_t size = porthole::detail::write_chunk_head(line, row.size);
        CHECK(std::string_view(line, size) == row.line);
    }
}

TEST_CASE("chunked: what is written is what is read") {
    std::string input;
    std::string content;
    for (const std::size_t size : {std::size_t{1}, std::size_t{17}, std::size_t{300}}) {
        char line[porthole::detail::max_chunk_head_size];
        input.append(line, porthole::detail::write_chunk_head(line, size));
        input.append(size, 'x');
        input += porthole::detail::chunk_end;
        content.append(size, 'x');
    }
    input += "0\r\n\r\n";
    const Outcome outcome = decode_every_way(input);
    CHECK(outcome.status == ParseStatus::complete);
    CHECK(outcome.content == content);
}

TEST_CASE("chunked: what was not taken of a piece comes again, at every cut") {
    constexpr std::string_view coded = "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n";
    const Limits limits;
    for (std::size_t cut = 0; cut <= coded.size(); ++cut) {
        for (std::size_t most = 1; most <= 5; ++most) {
            CAPTURE(cut);
            CAPTURE(most);
            ChunkedDecoder decoder(limits);
            std::string content;
            ParseStatus status = ParseStatus::need_more;
            std::size_t at = 0;
            for (const std::size_t end : {cut, coded.size()}) {
                while (at < end && status == ParseStatus::need_more) {
                    std::size_t consumed = 0;
                    std::string_view piece;
                    status = decoder.decode(coded.substr(at, end - at), consumed, piece);
                    const std::size_t taken = piece.size() < most ? piece.size() : most;
                    content += piece.substr(0, taken);
                    decoder.put_back(piece.size() - taken);
                    at += consumed - (piece.size() - taken);
                }
            }
            CHECK(status == ParseStatus::complete);
            CHECK(content == "hello!");
        }
    }
}
