// SPDX-License-Identifier: MIT

// The inputs in tests/fuzz/corpus, which the fuzzers start from, as ordinary tests: each is run
// once through its target, which ends the program when a rule is broken. What a fuzzer has found
// joins them.

#include "fuzz/cgi_head.hpp"
#include "fuzz/chunked.hpp"
#include "fuzz/cookie.hpp"
#include "fuzz/date.hpp"
#include "fuzz/fastcgi_record.hpp"
#include "fuzz/fastcgi_request.hpp"
#include "fuzz/fields_out.hpp"
#include "fuzz/form.hpp"
#include "fuzz/host.hpp"
#include "fuzz/multipart.hpp"
#include "fuzz/parser.hpp"
#include "fuzz/server.hpp"
#include "fuzz/target.hpp"
#include "fuzz/websocket_frame.hpp"
#include "fuzz/websocket_session.hpp"

#include "support/test.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

namespace {

using Target = void (*)(const std::uint8_t*, std::size_t);

std::vector<std::filesystem::path> corpus_of(const char* name) {
    std::vector<std::filesystem::path> files;
    const auto directory =
        std::filesystem::path(PORTHOLE_TEST_SOURCE_DIR) / "tests" / "fuzz" / "corpus" / name;
    std::error_code error;
    for (std::filesystem::directory_iterator at(directory, error), end; !error && at != end;
         at.increment(error)) {
        files.push_back(at->path());
    }
    std::sort(files.begin(), files.end());
    return files;
}

std::vector<std::uint8_t> read_bytes(const std::filesystem::path& path) {
    std::vector<std::uint8_t> bytes(64 * 1024);
    std::FILE* file = std::fopen(path.string().c_str(), "rb");
    if (file == nullptr) {
        return {};
    }
    bytes.resize(std::fread(bytes.data(), 1, bytes.size(), file));
    std::fclose(file);
    return bytes;
}

void replay(const char* name, Target target) {
    constexpr std::size_t max_bytes = 2048;
    const std::vector<std::filesystem::path> files = corpus_of(name);
    CHECK_MESSAGE(files.size() >= 5, "a corpus is there");
    for (const std::filesystem::path& path : files) {
        CAPTURE(path.filename().string());
        const std::vector<std::uint8_t> bytes = read_bytes(path);
        CHECK(!bytes.empty());
        CHECK(bytes.size() <= max_bytes);
        target(bytes.data(), bytes.size());
    }
    target(nullptr, 0);
}

} // namespace

TEST_CASE("corpus: request heads say the same however they are cut (RFC 9112)") {
    replay("parser", porthole_fuzz::fuzz_parser);
}

TEST_CASE("corpus: chunked content is the same however it is cut (RFC 9112 7.1)") {
    replay("chunked", porthole_fuzz::fuzz_chunked);
}

TEST_CASE("corpus: what is accepted of a CGI program's head can be sent (RFC 3875 6)") {
    replay("cgi_head", porthole_fuzz::fuzz_cgi_head);
}

TEST_CASE("corpus: an application server's records are the same however they are cut") {
    replay("fastcgi_record", porthole_fuzz::fuzz_fastcgi_record);
}

TEST_CASE("corpus: an application server reads what it was meant to (FastCGI 3, SCGI)") {
    replay("fastcgi_request", porthole_fuzz::fuzz_fastcgi_request);
}

TEST_CASE("corpus: targets are the sum of their parts (RFC 9112 3.2)") {
    replay("target", porthole_fuzz::fuzz_target);
}

TEST_CASE("corpus: an answer has the fields that were accepted and no other (RFC 9110 5)") {
    replay("fields_out", porthole_fuzz::fuzz_fields_out);
}

TEST_CASE("corpus: cookies are read and written in one way (RFC 6265)") {
    replay("cookie", porthole_fuzz::fuzz_cookie);
}

TEST_CASE("corpus: forms are decoded once (WHATWG URL 5.1)") {
    replay("form", porthole_fuzz::fuzz_form);
}

TEST_CASE("corpus: forms with files are the same however they are cut (RFC 7578)") {
    replay("multipart", porthole_fuzz::fuzz_multipart);
}

TEST_CASE("corpus: the guard lets in whom its rules let in") {
    replay("host", porthole_fuzz::fuzz_host);
}

TEST_CASE("corpus: dates are the time they were written from (RFC 9110 5.6.7)") {
    replay("date", porthole_fuzz::fuzz_date);
}

TEST_CASE("corpus: a whole server keeps its rules") {
    replay("server", porthole_fuzz::fuzz_server);
}

TEST_CASE("corpus: WebSocket frames are read as they are written (RFC 6455 5.2)") {
    replay("websocket_frame", porthole_fuzz::fuzz_websocket_frame);
}

TEST_CASE("corpus: a WebSocket session is the same however it is cut (RFC 6455)") {
    replay("websocket_session", porthole_fuzz::fuzz_websocket_session);
}
