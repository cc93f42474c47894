// SPDX-License-Identifier: MIT
#include "support/test.hpp"

#include "support/allocation_counter.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using porthole::Response;
using porthole::detail::AnswerContext;
using porthole::detail::AnswerPlan;
using porthole::detail::Buffer;
using porthole::detail::DefaultFields;
using porthole::detail::Framing;
using porthole::detail::ResponseParts;

namespace {

constexpr std::string_view fixed_lines = "Server: Porthole\r\nX-Content-Type-Options: nosniff\r\n";

struct SizedSource final : porthole::BodySource {
    explicit SizedSource(std::optional<std::uint64_t> bytes) : known(bytes) {}
    std::optional<std::uint64_t> size() const override { return known; }
    Piece pull(char*, std::size_t) override { return {}; }
    std::optional<std::uint64_t> known;
};

struct EmptyUpgrade final : porthole::Upgrade {
    void on_open(porthole::UpgradeLink&) override {}
    void on_data(char*, std::size_t) override {}
    void on_end() override {}
    void on_close() override {}
};

/// A head as a suspicious client reads it: independent of the library's parser.
struct Head {
    std::string status_line;
    std::vector<std::pair<std::string, std::string>> fields;
    bool is_well_formed = false;

    explicit Head(std::string_view bytes) {
        bool is_first = true;
        while (!bytes.empty()) {
            const std::size_t end = bytes.find("\r\n");
            if (end == std::string_view::npos) {
                return;
            }
            const std::string line(bytes.substr(0, end));
            bytes.remove_prefix(end + 2);
            if (line.find_first_of("\r\n") != std::string::npos) {
                return;
            }
            if (line.empty()) {
                is_well_formed = bytes.empty() && !is_first;
                return;
            }
            if (is_first) {
                status_line = line;
                is_first = false;
                continue;
            }
            const std::size_t colon = line.find(": ");
            if (colon == std::string::npos || colon == 0) {
                return;
            }
            fields.emplace_back(line.substr(0, colon), line.substr(colon + 2));
        }
    }
    std::size_t count(std::string_view name) const {
        std::size_t total = 0;
        for (const auto& field : fields) {
            total += field.first == name ? 1u : 0u;
        }
        return total;
    }
    std::string value(std::string_view name) const {
        for (const auto& field : fields) {
            if (field.first == name) {
                return field.second;
            }
        }
        return "(none)";
    }
};

struct Fixture {
    ResponseParts parts;
    Response response{parts};
    DefaultFields defaults{fixed_lines};
    AnswerContext context;
    AnswerPlan plan;

    Fixture() {
        context.defaults = &defaults;
        defaults.set_time(porthole::ManualClock::wall_epoch);
    }
    std::string bytes() {
        Buffer out(64 * 1024);
        CHECK(porthole::detail::write_head(parts, context, out, plan));
        return std::string(out.view());
    }
    Head head() {
        Head read(bytes());
        CHECK(read.is_well_formed);
        CHECK(read.count("Content-Length") + read.count("Transfer-Encoding") <= 1);
        CHECK(read.count("Connection") <= 1);
        return read;
    }
    void send_source(std::optional<std::uint64_t> size) {
        response.send("text/csv", std::make_unique<SizedSource>(size));
    }
};

} // namespace

TEST_CASE_FIXTURE(Fixture, "serializer: a small answer, byte by byte") {
    response.text("hello");
    CHECK(
        bytes()
        == "HTTP/1.1 200 OK\r\n"
           "Server: Porthole\r\n"
           "X-Content-Type-Options: nosniff\r\n"
           "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
           "Content-Type: text/plain; charset=utf-8\r\n"
           "Content-Length: 5\r\n"
           "\r\n");
    CHECK(plan.framing.kind == Framing::Kind::length);
    CHECK(plan.framing.length == 5);
    CHECK(plan.sends_content);
    CHECK(plan.keep_alive);
}

TEST_CASE_FIXTURE(Fixture, "serializer: the date is rewritten in place") {
    const std::string before(defaults.lines());
    const char* place = defaults.lines().data();
    defaults.set_time(porthole::ManualClock::wall_epoch + std::chrono::seconds(1));
    CHECK(defaults.lines().data() == place);
    CHECK(defaults.lines().size() == before.size());
    CHECK(head().value("Date") == "Sun, 06 Nov 1994 08:49:38 GMT");
    CHECK(DefaultFields("").lines() == "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n");
}

TEST_CASE_FIXTURE(Fixture, "serializer: works without default fields") {
    context.defaults = nullptr;
    CHECK(bytes() == "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

TEST_CASE_FIXTURE(Fixture, "serializer: an unregistered status has an empty reason (RFC 9112 4)") {
    CHECK(Head(bytes()).status_line == "HTTP/1.1 200 OK");
    response.status(404);
    CHECK(head().status_line == "HTTP/1.1 404 Not Found");
    response.status(299);
    CHECK(head().status_line == "HTTP/1.1 299 ");
    response.status(599);
    CHECK(head().status_line == "HTTP/1.1 599 ");
    context.minor_version = 0;
    CHECK(head().status_line == "HTTP/1.1 599 "); // RFC 9110 section 2.5: the server's version
}

TEST_CASE_FIXTURE(Fixture, "serializer: what the answer sets itself is not added again") {
    response.header("server", "mine").add_header("Date", "now").text("x");
    const Head read = head();
    CHECK(read.count("Server") == 0);
    CHECK(read.value("server") == "mine");
    CHECK(read.count("Date") == 1);
    CHECK(read.value("Date") == "now");
    CHECK(read.count("X-Content-Type-Options") == 1);
    response.remove_header("server").remove_header("Date");
    CHECK(head().value("Server") == "Porthole");
    CHECK(head().value("Date") == "Sun, 06 Nov 1994 08:49:37 GMT");
}

TEST_CASE_FIXTURE(Fixture, "serializer: a known size is told, an unknown one is chunked") {
    send_source(UINT64_MAX);
    CHECK(head().value("Content-Length") == "18446744073709551615");
    CHECK(plan.framing.kind == Framing::Kind::length);
    CHECK(plan.framing.length == UINT64_MAX);
    send_source(0);
    CHECK(head().value("Content-Length") == "0");
    send_source(std::nullopt);
    CHECK(head().value("Transfer-Encoding") == "chunked");
    CHECK(head().count("Content-Length") == 0);
    CHECK(plan.framing.kind == Framing::Kind::chunked);
    CHECK(plan.sends_content);
    CHECK(plan.keep_alive);
}

TEST_CASE_FIXTURE(Fixture, "serializer: HTTP/1.0 never gets the chunked coding (RFC 9112 6.1)") {
    context.minor_version = 0;
    send_source(std::nullopt);
    const Head read = head();
    CHECK(read.count("Transfer-Encoding") == 0);
    CHECK(read.count("Content-Length") == 0);
    CHECK(read.value("Connection") == "close");
    CHECK(plan.framing.kind == Framing::Kind::close);
    CHECK_FALSE(plan.keep_alive);
    send_source(7);
    CHECK(head().value("Content-Length") == "7");
    CHECK(head().value("Connection") == "keep-alive");
    CHECK(plan.keep_alive);
}

TEST_CASE_FIXTURE(Fixture, "serializer: 204 and 304 end with their head (RFC 9112 6.3)") {
    for (const int status : {204, 304}) {
        for (const int minor_version : {0, 1}) {
            context.minor_version = minor_version;
            response.reset().text("dropped").status(status);
            const auto check = [this] {
                const Head read = head();
                CHECK(read.count("Content-Length") == 0);
                CHECK(read.count("Transfer-Encoding") == 0);
                CHECK(plan.framing.kind == Framing::Kind::none);
                CHECK_FALSE(plan.sends_content);
                CHECK(plan.keep_alive);
            };
            check();
            send_source(std::nullopt);
            check();
        }
    }
}

TEST_CASE_FIXTURE(Fixture, "serializer: 205 has no content and says so (RFC 9110 15.3.6)") {
    response.text("dropped").status(205);
    CHECK(head().value("Content-Length") == "0");
    CHECK(plan.framing.length == 0);
    CHECK_FALSE(plan.sends_content);
    send_source(std::nullopt);
    CHECK(head().value("Content-Length") == "0");
    CHECK_FALSE(plan.sends_content);
}

TEST_CASE_FIXTURE(
    Fixture, "serializer: HEAD has the fields of GET and no content (RFC 9110 9.3.2)") {
    for (const int minor_version : {0, 1}) {
        context.minor_version = minor_version;
        for (int kind = 0; kind < 4; ++kind) {
            CAPTURE(kind);
            if (kind == 0) {
                response.reset().text("hello");
            } else if (kind == 1) {
                response.reset();
            } else {
                send_source(kind == 2 ? std::optional<std::uint64_t>(9) : std::nullopt);
            }
            context.is_head = false;
            const std::string of_get = bytes();
            CHECK(plan.sends_content);
            context.is_head = true;
            CHECK(bytes() == of_get);
            CHECK_FALSE(plan.sends_content);
        }
    }
}

TEST_CASE_FIXTURE(
    Fixture, "serializer: closing is announced, and keeping to HTTP/1.0 only "
             "(RFC 9112 9.3)") {
    struct Row {
        int minor_version;
        bool keep_alive;
        bool must_close;
        const char* connection;
    };
    for (const Row& row :
         {Row{1, true, false, "(none)"}, Row{1, false, false, "close"}, Row{1, true, true, "close"},
          Row{0, true, false, "keep-alive"}, Row{0, false, false, "close"},
          Row{0, true, true, "close"}}) {
        context.minor_version = row.minor_version;
        context.keep_alive = row.keep_alive;
        parts.must_close = row.must_close;
        CHECK(head().value("Connection") == row.connection);
        CHECK(plan.keep_alive == (row.keep_alive && !row.must_close));
    }
}

TEST_CASE_FIXTURE(Fixture, "serializer: an upgrade is 101 with its protocol (RFC 9110 7.8)") {
    response.header("Sec-WebSocket-Accept", "x");
    response.upgrade("websocket", std::make_shared<EmptyUpgrade>());
    context.keep_alive = false;
    const Head read = head();
    CHECK(read.status_line == "HTTP/1.1 101 Switching Protocols");
    CHECK(read.value("Connection") == "Upgrade");
    CHECK(read.value("Upgrade") == "websocket");
    CHECK(read.value("Sec-WebSocket-Accept") == "x");
    CHECK(read.count("Content-Length") == 0);
    CHECK(read.count("Transfer-Encoding") == 0);
    CHECK(plan.framing.kind == Framing::Kind::none);
    CHECK_FALSE(plan.sends_content);
    CHECK(plan.keep_alive);
}

TEST_CASE_FIXTURE(Fixture, "serializer: no misuse of fields changes the framing") {
    response.header("Content-Length", "1").header("Transfer-Encoding", "chunked");
    response.add_header("Connection", "Upgrade")
        .add_header("X", "a\r\nContent-Length: 9")
        .text("abc");
    const Head read = head();
    CHECK(read.count("Content-Length") == 1);
    CHECK(read.value("Content-Length") == "3");
    CHECK(read.count("Transfer-Encoding") == 0);
    CHECK(read.count("Connection") == 0);
    CHECK(read.count("X") == 0);
}

TEST_CASE_FIXTURE(Fixture, "serializer: a full buffer is told and left as it was") {
    response.text("hello").header("X-Long", std::string(1000, 'x'));
    const std::size_t size = bytes().size();
    std::size_t first_fit = 0;
    for (std::size_t cap = 0; cap < size + 400; ++cap) {
        Buffer out(cap);
        const bool is_written = porthole::detail::write_head(parts, context, out, plan);
        CHECK(out.size() == (is_written ? size : 0));
        first_fit = is_written && first_fit == 0 ? cap : first_fit;
    }
    CHECK(first_fit >= size);
    CHECK(first_fit <= size + 256);
}

TEST_CASE_FIXTURE(Fixture, "serializer: the longest of everything stays in what was prepared") {
    // Under a sanitizer a write past the prepared bytes is caught: the buffer is that small.
    context.minor_version = 0;
    response.header("Server", "own").status(511);
    send_source(UINT64_MAX);
    for (const std::size_t size : {0u, 1u, 100u, 5000u}) {
        response.header("X-Fill", std::string(size, 'x'));
        CHECK(head().value("X-Fill").size() == size);
    }
    response.upgrade(std::string(300, 'p'), std::make_shared<EmptyUpgrade>());
    CHECK(head().value("Upgrade").size() == 300);
}

TEST_CASE_FIXTURE(Fixture, "serializer: heads queue up behind each other, without allocating") {
    Buffer out(64 * 1024);
    response.text("hello");
    CHECK(out.prepare(32 * 1024) != nullptr);
    const porthole_test::AllocationCounter allocations;
    for (int i = 0; i < 10; ++i) {
        CHECK(porthole::detail::write_head(parts, context, out, plan));
    }
    const std::size_t allocated = allocations.count();
    CHECK((!porthole_test::counts_allocations() || allocated == 0));
    std::string expected;
    for (int i = 0; i < 10; ++i) {
        expected += bytes();
    }
    CHECK(out.view() == expected);
}
