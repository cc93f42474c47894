// SPDX-License-Identifier: MIT

// Records of FastCGI 1.0 and the head of SCGI: written as the specifications have them, and read
// whole, byte by byte, and in pieces of any size.

#include "support/test.hpp"

#include <string>
#include <string_view>
#include <vector>

using namespace porthole::detail;

namespace {

std::string record(int type, std::string_view content, std::size_t padding = 0, int id = 1) {
    std::string bytes{'\1', static_cast<char>(type)};
    bytes += static_cast<char>(id / 256);
    bytes += static_cast<char>(id % 256);
    bytes += static_cast<char>(content.size() / 256);
    bytes += static_cast<char>(content.size() % 256);
    bytes += static_cast<char>(padding);
    bytes += '\0';
    return bytes.append(content).append(padding, 'p');
}

std::string end_record(int outcome = 0, std::string_view code = {"\0\0\0\0", 4}) {
    return record(3, std::string(code) + static_cast<char>(outcome) + std::string(3, '\0'));
}

struct Read {
    std::string output;
    std::string errors;
    FastCgiReader::Event last = FastCgiReader::Event::need_more;
    FastCgiReader reader;
    std::size_t consumed = 0;
};

/// Gives `bytes` in parts of `step` and takes pieces of at most `most`.
Read read_all(std::string_view bytes, std::size_t step, std::size_t most = 1000) {
    using Event = FastCgiReader::Event;
    Read all;
    for (std::size_t at = 0; at < bytes.size(); at += step) {
        const std::string part(bytes.substr(at, step)); // its end is the end of its memory
        std::string_view rest(part);
        do {
            const FastCgiReader::Result result = all.reader.read(rest, most);
            REQUIRE(result.consumed <= rest.size());
            CHECK(result.piece.size() <= most);
            all.consumed += result.consumed;
            all.last = result.event;
            rest.remove_prefix(result.consumed);
            (result.event == Event::errors ? all.errors : all.output).append(result.piece);
            if (result.event == Event::end || result.event == Event::failed) {
                return all;
            }
            if (result.event == Event::need_more) {
                CHECK(rest.empty());
            }
        } while (!rest.empty());
    }
    return all;
}

FastCgiFault fault_of(std::string_view bytes) {
    FastCgiFault first = FastCgiFault::none;
    for (const std::size_t step : {std::size_t{1}, bytes.size()}) {
        const Read all = read_all(bytes, step);
        CHECK(
            (all.last == FastCgiReader::Event::failed)
            == (all.reader.fault() != FastCgiFault::none));
        first = all.reader.fault();
    }
    return first;
}

} // namespace

TEST_CASE("fastcgi record: content is divided among records of 65535 bytes (section 3.3)") {
    for (const std::size_t size : {0u, 1u, 65534u, 65535u, 65536u, 131070u, 131071u}) {
        CAPTURE(size);
        const std::string content(size, 'x');
        std::string bytes;
        append_fastcgi_records(FastCgiType::input, content, bytes);
        std::string wanted;
        std::size_t at = 0;
        do {
            wanted += record(5, content.substr(at, 65535));
            at += 65535;
        } while (at < size);
        CHECK(bytes == wanted);
    }
}

TEST_CASE("fastcgi record: a request begins with its role and its parameters (section 3.4)") {
    const std::string long_value(200, 'v');
    std::string bytes;
    append_fastcgi_head({"A=1", "EMPTY=", "LONG=" + long_value, "EQ=a=b"}, true, bytes);
    const std::string pairs = std::string("\1\1A1\5\0EMPTY", 11)
                              + std::string("\4\x80\0\0\xc8LONG", 9) + long_value
                              + std::string("\2\3EQa=b", 7);
    CHECK(
        bytes == record(1, std::string("\0\1\1\0\0\0\0\0", 8)) + record(4, pairs) + record(4, ""));
    bytes.clear();
    append_fastcgi_head({}, false, bytes);
    CHECK(bytes == record(1, std::string("\0\1\0\0\0\0\0\0", 8)) + record(4, ""));
}

TEST_CASE("fastcgi record: lengths of 127 take one byte, those of 128 four (section 3.4)") {
    for (const std::size_t size : {126u, 127u, 128u}) {
        CAPTURE(size);
        std::string bytes;
        append_fastcgi_head({"N=" + std::string(size, 'v')}, false, bytes);
        const std::size_t pairs = 1 + (size > 127 ? 4 : 1) + 1 + size;
        CHECK(bytes.size() == 16 + 8 + pairs + 8);
    }
}

TEST_CASE("scgi: a head is a netstring that begins with CONTENT_LENGTH") {
    std::string bytes;
    append_scgi_head({"REQUEST_METHOD=POST", "CONTENT_LENGTH=27", "E="}, bytes);
    const std::string inner = std::string("CONTENT_LENGTH") + '\0' + "27" + '\0' + "SCGI" + '\0'
                              + "1" + '\0' + "REQUEST_METHOD" + '\0' + "POST" + '\0' + "E" + '\0'
                              + "" + '\0';
    CHECK(bytes == std::to_string(inner.size()) + ":" + inner + ",");
    bytes.clear();
    append_scgi_head({}, bytes);
    CHECK(
        bytes
        == std::string(
            "24:CONTENT_LENGTH\0"
            "0\0SCGI\0"
            "1\0,",
            28));
}

TEST_CASE("fastcgi record: an answer reads the same in parts of any size") {
    const std::string bytes = record(6, "Content-Type: a/b\r\n\r\nhel", 3)
                              + record(7, "careful\n", 255) + record(11, std::string(8, '\0'), 0, 0)
                              + record(6, "lo") + record(10, "", 8, 0) + record(6, "")
                              + record(7, "") + end_record(0, {"\0\0\1\2", 4});
    for (std::size_t step = 1; step <= bytes.size(); ++step) {
        CAPTURE(step);
        for (const std::size_t most : {1u, 7u, 1000u}) {
            const Read all = read_all(bytes + "next", step, most);
            CHECK(all.output == "Content-Type: a/b\r\n\r\nhello");
            CHECK(all.errors == "careful\n");
            CHECK(all.last == FastCgiReader::Event::end);
            CHECK(all.reader.outcome() == FastCgiOutcome::complete);
            CHECK(all.reader.app_status() == 258);
            CHECK(all.consumed <= bytes.size());
        }
    }
}

TEST_CASE("fastcgi record: the end is behind its padding, and consumes no byte beyond") {
    const std::string bytes = record(3, std::string(8, '\0'), 5);
    Read all = read_all(bytes, bytes.size());
    CHECK(all.last == FastCgiReader::Event::end);
    CHECK(all.consumed == bytes.size());
    CHECK(read_all(bytes.substr(0, bytes.size() - 1), 100).last == FastCgiReader::Event::need_more);
}

TEST_CASE("fastcgi record: why a request ended (section 5.5)") {
    CHECK(read_all(end_record(1), 1).reader.outcome() == FastCgiOutcome::cannot_multiplex);
    CHECK(read_all(end_record(2), 1).reader.outcome() == FastCgiOutcome::overloaded);
    CHECK(read_all(end_record(3), 1).reader.outcome() == FastCgiOutcome::unknown_role);
    CHECK(read_all(end_record(4), 1).reader.outcome() == FastCgiOutcome::other);
    CHECK(read_all(end_record(255), 1).reader.outcome() == FastCgiOutcome::other);
}

TEST_CASE("fastcgi record: what breaks the protocol is a fault with a sentence") {
    std::string old = record(6, "x");
    old[0] = '\0';
    CHECK(fault_of(old) == FastCgiFault::bad_version);
    CHECK(fault_of("HTTP/1.1 200 OK\r\n\r\n") == FastCgiFault::bad_version);
    CHECK(fault_of(record(6, "x", 0, 2)) == FastCgiFault::wrong_id);
    CHECK(fault_of(record(6, "x", 0, 256)) == FastCgiFault::wrong_id);
    CHECK(fault_of(record(6, "x", 0, 0)) == FastCgiFault::bad_type);
    CHECK(fault_of(record(5, "x")) == FastCgiFault::bad_type);
    CHECK(fault_of(record(0, "x")) == FastCgiFault::bad_type);
    CHECK(fault_of(record(11, "x")) == FastCgiFault::bad_type);
    CHECK(fault_of(record(3, "1234567")) == FastCgiFault::bad_end);
    CHECK(fault_of(record(3, "123456789")) == FastCgiFault::bad_end);
    CHECK(fault_of(record(3, "")) == FastCgiFault::bad_end);
    CHECK(
        fault_of(record(6, "a") + record(6, "") + record(6, "b"))
        == FastCgiFault::content_past_end);
    CHECK(fault_of(record(6, "a") + record(6, "") + record(6, "")) == FastCgiFault::none);
    for (int i = 0; i <= static_cast<int>(FastCgiFault::content_past_end); ++i) {
        CHECK(describe(static_cast<FastCgiFault>(i)) != "unknown");
    }
}
