// SPDX-License-Identifier: MIT
#include "support/test.hpp"

#include "support/allocation_counter.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using porthole::Response;
using porthole::SameSite;
using porthole::detail::ResponseParts;

namespace {

struct Fixture {
    ResponseParts parts;
    Response response{parts};
};

/// How often misuse was noticed since the last look.
class MisuseWatch {
public:
    int count() {
        const int noticed = porthole_test::misuse_count - before_;
        before_ = porthole_test::misuse_count;
        return noticed;
    }

private:
    int before_ = porthole_test::misuse_count;
};

struct EmptySource final : porthole::BodySource {
    explicit EmptySource(int* count = nullptr) : destroyed(count) {}
    ~EmptySource() override { *(destroyed != nullptr ? destroyed : &nowhere) += 1; }
    Piece pull(char*, std::size_t) override { return {}; }
    int* destroyed;
    int nowhere = 0;
};

struct EmptyUpgrade final : porthole::Upgrade {
    void on_open(porthole::UpgradeLink&) override {}
    void on_data(char*, std::size_t) override {}
    void on_end() override {}
    void on_close() override {}
};

} // namespace

TEST_CASE_FIXTURE(Fixture, "response: untouched it is 200 without content") {
    CHECK(response.status() == 200);
    CHECK(response.body() == "");
    CHECK(parts.fields == "");
    CHECK_FALSE(parts.is_touched);
    CHECK_FALSE(parts.must_close);
}

TEST_CASE_FIXTURE(Fixture, "response: a status is 200 to 599 (RFC 9110 15)") {
    MisuseWatch misuse;
    for (const int good : {200, 204, 299, 404, 599}) {
        CHECK(response.status(good).status() == good);
    }
    CHECK(misuse.count() == 0);
    for (const int bad : {199, 600, 0, -1, 100, 101, 1000}) {
        CHECK(response.status(bad).status() == 500);
        CHECK(misuse.count() == 1);
    }
    CHECK(parts.is_touched);
}

TEST_CASE_FIXTURE(Fixture, "response: header() replaces in any case, add_header() adds") {
    response.header("X-A", "1").header("X-B", " two\t").add_header("x-a", "3");
    CHECK(parts.fields == "X-A: 1\r\nX-B: two\r\nx-a: 3\r\n");
    CHECK(response.header("X-a") == "1");
    CHECK(response.header("x-b") == "two");
    CHECK_FALSE(response.header("X-"));
    CHECK_FALSE(response.header("X-AA"));
    response.header("X-A", "4");
    CHECK(parts.fields == "X-B: two\r\nX-A: 4\r\n");
    response.header("X-Empty", "");
    CHECK(response.header("X-Empty") == "");
    response.header("X-Empty", {});
    CHECK(response.header("X-Empty") == "");
    response.remove_header("x-b").remove_header("missing").remove_header("X-Empty");
    CHECK(parts.fields == "X-A: 4\r\n");
    CHECK(parts.is_touched);
    CHECK(parts.refused_fields == 0);
}

TEST_CASE_FIXTURE(Fixture, "response: a field may be made of the response's own fields") {
    response.header("X-First", std::string(100, 'v'));
    for (int i = 0; i < 20; ++i) {
        response.add_header("X-Copy", *response.header("X-First"));
    }
    response.header("X-First", response.header("X-First")->substr(1));
    CHECK(response.header("X-First") == std::string(99, 'v'));
    CHECK(response.header("X-Copy") == std::string(100, 'v'));
    const std::string_view name = std::string_view(parts.fields).substr(0, 6);
    CHECK(name == "X-Copy");
    response.header(name, "short");
    CHECK(response.header("X-Copy") == "short");
    const auto at = parts.fields.find("X-Copy");
    response.remove_header(std::string_view(parts.fields).substr(at, name.size()));
    CHECK_FALSE(response.header("X-Copy"));
    CHECK(response.header("X-First") == std::string(99, 'v'));
}

TEST_CASE_FIXTURE(
    Fixture, "response: names that are no tokens and values with controls do not "
             "reach the wire (RFC 9110 5.5)") {
    MisuseWatch misuse;
    response.header("X-Kept", "1");
    unsigned refused = 0;
    for (int i = 0; i < 256; ++i) {
        const std::string byte(1, static_cast<char>(i));
        if (!porthole::ascii::is_token(byte)) {
            response.header("X" + byte + "Y", "v").add_header(byte, "v");
            refused += 2;
        }
        if ((i < 0x20 && i != '\t') || i == 0x7f) {
            response.header("X-V", "a" + byte + "b").add_header("X-V", byte + "Set-Cookie: a=b");
            refused += 2;
        }
    }
    response.header("", "v").header("X-Kept", "1\r\nX-Injected: 1");
    refused += 2;
    CHECK(parts.fields == "X-Kept: 1\r\n");
    CHECK(parts.refused_fields == refused);
    CHECK(misuse.count() == static_cast<int>(refused));
    response.header("X-Fine", "tab\there, \xc3\xa4");
    CHECK(misuse.count() == 0);
    CHECK(response.header("X-Fine") == "tab\there, \xc3\xa4");
}

TEST_CASE_FIXTURE(Fixture, "response: fields that frame the message are the server's own") {
    MisuseWatch misuse;
    for (const char* name :
         {"Content-Length", "content-length", "Transfer-Encoding", "Upgrade", "Keep-Alive",
          "TRANSFER-ENCODING"}) {
        CAPTURE(name);
        response.header(name, "close");
        CHECK(misuse.count() == 1);
        response.add_header(name, "0");
        CHECK(misuse.count() == 1);
    }
    response.header("Connection", "keep-alive").add_header("connection", "close, Upgrade");
    CHECK(misuse.count() == 2);
    CHECK(parts.refused_fields == 14);
    CHECK(parts.fields == "");
    CHECK_FALSE(parts.must_close);
    response.header("Connection", "Close");
    CHECK(misuse.count() == 0);
    CHECK(parts.must_close);
    CHECK(parts.fields == "");
    // Neighbours of the same size are the handler's.
    response.header("Content-Lengths", "1").header("Cantent-Length", "1").header("Updrade", "1");
    CHECK(misuse.count() == 0);
}

TEST_CASE_FIXTURE(Fixture, "response: knows when it sets one of the server's default fields") {
    response.header("X-Content-Type", "1").header("Content-Type", "a/b").header("Dare", "1");
    CHECK_FALSE(parts.has_overrides);
    for (const char* name :
         {"Date", "server", "X-Content-Type-Options", "Cross-Origin-Resource-Policy",
          "REFERRER-POLICY"}) {
        CAPTURE(name);
        response.reset().header(name, "own");
        CHECK(parts.has_overrides);
        response.reset().add_header(name, "own");
        CHECK(parts.has_overrides);
    }
    response.reset();
    CHECK_FALSE(parts.has_overrides);
}

TEST_CASE_FIXTURE(Fixture, "response: content brings its type and replaces what was there") {
    response.text("a");
    CHECK(parts.fields == "Content-Type: text/plain; charset=utf-8\r\n");
    CHECK(response.body() == "a");
    response.html("<b>");
    CHECK(parts.fields == "Content-Type: text/html; charset=utf-8\r\n");
    CHECK(response.body() == "<b>");
    response.add_header("X-A", "1").json("{}");
    CHECK(parts.fields == "X-A: 1\r\nContent-Type: application/json\r\n");
    response.send("image/png", std::string_view("\0\r\n", 3));
    CHECK(response.body() == std::string_view("\0\r\n", 3));
    CHECK(response.header("Content-Type") == "image/png");
    response.send("a/b", std::vector<std::uint8_t>{1, 2}).send("a/b", std::array<char, 1>{{'x'}});
    CHECK(response.body() == "x");
    response.send("a/b", std::string("string")).text(response.body().substr(2));
    CHECK(response.body() == "ring");
    response.text({});
    CHECK(response.body() == "");
}

TEST_CASE_FIXTURE(
    Fixture, "response: content that is moved in has the type that was set, or none") {
    std::string large(100'000, 'x');
    const char* bytes = large.data();
    response.body(std::move(large));
    CHECK(response.body().data() == bytes);
    CHECK(parts.fields == "");
    response.header("Content-Type", "a/b").body("small one");
    CHECK(response.header("Content-Type") == "a/b");
}

TEST_CASE_FIXTURE(Fixture, "response: a type with CR LF leaves content without a type") {
    MisuseWatch misuse;
    response.html("<b>").send("text/plain\r\nX-Injected: 1", "text");
    CHECK(misuse.count() == 1);
    CHECK(parts.refused_fields == 1);
    CHECK(parts.fields == "");
    CHECK(response.body() == "text");
}

TEST_CASE_FIXTURE(Fixture, "response: a body source takes the place of bytes, and bytes of it") {
    int destroyed = 0;
    response.text("a").send("text/csv", std::make_unique<EmptySource>(&destroyed));
    CHECK(static_cast<bool>(parts.source));
    CHECK(response.body() == "");
    CHECK(response.header("Content-Type") == "text/csv");
    response.text("b");
    CHECK(!parts.source);
    CHECK(destroyed == 1);
    MisuseWatch misuse;
    response.send("text/csv", std::unique_ptr<porthole::BodySource>());
    CHECK(misuse.count() == 1);
    CHECK(!parts.source);
    CHECK(response.body() == "");
}

TEST_CASE_FIXTURE(Fixture, "response: redirects have a location and a text (RFC 9110 15.4)") {
    MisuseWatch misuse;
    response.redirect("/new?a=b%20c");
    CHECK(response.status() == 302);
    CHECK(response.header("Location") == "/new?a=b%20c");
    CHECK_FALSE(response.body().empty());
    for (const int code : {301, 302, 303, 307, 308}) {
        CHECK(response.redirect("/", code).status() == code);
    }
    CHECK(misuse.count() == 0);
    for (const int code : {200, 300, 304, 305, 306, 309, 404}) {
        CHECK(response.redirect("/", code).status() == 302);
        CHECK(misuse.count() == 1);
    }
}

TEST_CASE_FIXTURE(Fixture, "response: a redirect with CR LF becomes a 500 without location") {
    MisuseWatch misuse;
    response.redirect("/fine").redirect("/x\r\nSet-Cookie: a=b", 303);
    CHECK(misuse.count() == 1);
    CHECK(response.status() == 500);
    CHECK_FALSE(response.header("Location"));
    CHECK(parts.refused_fields == 1);
    CHECK(parts.fields.find("Set-Cookie") == std::string::npos);
    CHECK(response.body().find("Set-Cookie") == std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "response: an error says when to try again (RFC 9110 10.2.3)") {
    response.header("ETag", "\"1\"").fail(503, "Full.", std::chrono::seconds(120));
    CHECK(response.status() == 503);
    CHECK(parts.fields.find("Retry-After: 120\r\n") != std::string::npos);
    CHECK(parts.fields.find("ETag") == std::string::npos);
    CHECK(response.body() == "503 Service Unavailable\nFull.\n");
    for (const int none : {0, -1}) {
        response.fail(503, "Full.", std::chrono::seconds(none));
        CHECK(parts.fields.find("Retry-After") == std::string::npos);
    }
}

TEST_CASE_FIXTURE(Fixture, "response: no_content() drops content and its type") {
    response.header("X-A", "1").text("a").no_content();
    CHECK(response.status() == 204);
    CHECK(response.body() == "");
    CHECK(parts.fields == "X-A: 1\r\n");
    response.send("a/b", std::make_unique<EmptySource>()).no_content();
    CHECK(!parts.source);
}

TEST_CASE_FIXTURE(Fixture, "response: each cookie is a field of its own (RFC 6265 4.1)") {
    response.cookie("a", "1").cookie("b", "2");
    CHECK(
        parts.fields
        == "Set-Cookie: a=1; Path=/; HttpOnly; SameSite=Lax\r\n"
           "Set-Cookie: b=2; Path=/; HttpOnly; SameSite=Lax\r\n");
    const std::string before = parts.fields;
    MisuseWatch misuse;
    response.cookie("a b", "1").cookie("a", "1\r\nX: y");
    porthole::CookieOptions options;
    options.same_site = SameSite::cross_site;
    response.cookie("a", "1", options);
    CHECK(misuse.count() == 3);
    CHECK(parts.refused_fields == 3);
    CHECK(parts.fields == before);
}

TEST_CASE_FIXTURE(Fixture, "response: an upgrade has an owner and a protocol (RFC 9110 7.8)") {
    MisuseWatch misuse;
    const auto owner = std::make_shared<EmptyUpgrade>();
    response.text("a").upgrade("websocket", owner);
    CHECK(parts.upgrade.get() == owner.get());
    CHECK(parts.upgrade_protocol == "websocket");
    CHECK(response.body() == "");
    response.text("changed my mind");
    CHECK(!parts.upgrade);
    response.upgrade("h2c/1.0", owner);
    CHECK(parts.upgrade_protocol == "h2c/1.0");
    CHECK(misuse.count() == 0);
    for (const char* bad : {"", "a b", "web\r\nX: y", "/1", "a/", "a/b/c", "a, b"}) {
        CAPTURE(bad);
        response.reset().upgrade(bad, owner);
        CHECK(misuse.count() == 1);
        CHECK(!parts.upgrade);
        CHECK(response.status() == 500);
    }
    response.reset().upgrade("websocket", nullptr);
    CHECK(misuse.count() == 1);
    CHECK(!parts.upgrade);
    CHECK(response.status() == 500);
}

TEST_CASE_FIXTURE(Fixture, "response: reset() forgets what was set, not what was refused") {
    MisuseWatch misuse;
    int destroyed = 0;
    response.status(404).header("X-A", "1").header("X A", "1").close_connection();
    response.header("Date", "x").send("a/b", std::make_unique<EmptySource>(&destroyed));
    CHECK(parts.must_close);
    parts.is_deferred = true;
    response.reset();
    CHECK(destroyed == 1);
    CHECK(response.status() == 200);
    CHECK(parts.fields == "");
    CHECK_FALSE(parts.must_close);
    CHECK_FALSE(parts.has_overrides);
    CHECK_FALSE(parts.is_touched);
    CHECK(parts.is_deferred);
    CHECK(parts.refused_fields == 1);
    parts.reset();
    CHECK_FALSE(parts.is_deferred);
    CHECK(parts.refused_fields == 0);
    CHECK(misuse.count() == 1);
}

TEST_CASE_FIXTURE(Fixture, "response: memory is kept for the next answer, but not much of it") {
    response.text(std::string(60'000, 'x'));
    const std::size_t kept = parts.body.capacity();
    parts.reset();
    CHECK(parts.body.capacity() == kept);
    response.text(std::string(70'000, 'x'));
    parts.reset();
    CHECK(parts.body.capacity() < 100);
}

TEST_CASE_FIXTURE(Fixture, "response: a small answer allocates nothing in steady state") {
    if (!porthole_test::counts_allocations()) {
        return;
    }
    const auto answer = [this] {
        parts.reset();
        response.header("X-Frame", "1").json(R"({"a_small_answer":"of more than a few bytes"})");
    };
    answer();
    const porthole_test::AllocationCounter allocations;
    for (int i = 0; i < 100; ++i) {
        answer();
    }
    CHECK(allocations.count() == 0);
}
