// SPDX-License-Identifier: MIT

#include "support/guarded_bytes.hpp"
#include "support/test.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <utility>

using porthole::Limits;
using porthole::Request;
using porthole::RequestFault;
using porthole::detail::ParseStatus;
using porthole::detail::RequestParser;
using porthole::detail::RequestParts;

namespace {

/// A request whose head lies in a heap block of its size.
struct Sample {
    Limits limits;
    std::unique_ptr<porthole_test::HeapBytes> bytes;
    RequestParser parser{limits};
    RequestParts parts;
    Request request{parts};
    RequestFault fault = RequestFault::none;

    explicit Sample(std::string_view head)
        : bytes(std::make_unique<porthole_test::HeapBytes>(head)) {
        REQUIRE(parser.parse(bytes->view()) == ParseStatus::complete);
        fault = parts.set_head(parser.head(), bytes->view().data());
    }

    /// The old place of the head is gone afterwards.
    void move() {
        auto elsewhere = std::make_unique<porthole_test::HeapBytes>(bytes->view());
        parts.move_to(elsewhere->view().data());
        bytes = std::move(elsewhere);
    }
};

std::string get(std::string_view target, std::string_view lines = "") {
    return "GET " + std::string(target) + " HTTP/1.1\r\nHost: a.test:80\r\n" + std::string(lines)
           + "\r\n";
}

} // namespace

TEST_CASE("request: shows what the head says") {
    const Sample sample("PURGE /a%20b/../c%2Fd?x=1&y=%41+b&x=2 HTTP/1.1\r\nHost: Localhost:8080\r\n"
                        "Accept: a\r\naccept: b\r\n\r\n");
    REQUIRE(sample.fault == RequestFault::none);
    const Request& request = sample.request;
    CHECK(request.method() == porthole::Method::other);
    CHECK(request.method_name() == "PURGE");
    CHECK(request.target() == "/a%20b/../c%2Fd?x=1&y=%41+b&x=2");
    CHECK(request.path() == "/c/d");
    CHECK(request.mount_path() == "/c/d");
    CHECK(request.query_string() == "x=1&y=%41+b&x=2");
    CHECK(request.query("x") == "1");
    CHECK(request.query("y") == "A b");
    CHECK_FALSE(request.query("z").has_value());
    CHECK(request.query_all("x").size() == 2);
    CHECK(request.header("ACCEPT") == "a");
    CHECK(request.header_all("accept").size() == 2);
    CHECK_FALSE(request.header("X").has_value());
    CHECK(request.fields().size() == 3);
    CHECK_FALSE(request.trailer("X").has_value());
    CHECK(request.host() == "Localhost");
    CHECK(request.http_version() == "HTTP/1.1");
    CHECK(request.scheme() == "http");
    CHECK(request.body().empty());
}

TEST_CASE("request: a path that needs no work stays in the head's bytes") {
    const Sample sample(get("/a/b.c?d"));
    CHECK_FALSE(sample.parts.path_is_normalized);
    CHECK(sample.request.path() == "/a/b.c");
    const std::string_view bytes = sample.bytes->view();
    CHECK(sample.request.path().data() == bytes.data() + 4);
}

TEST_CASE("request: bad targets are refused when the head is set (RFC 9112 section 3.2)") {
    for (const std::string_view target :
         {"*", "a", "/a#b", "/%", "/%2", "/%zz", "/..", "/a/../..", "/%2e%2e", "/a%00b", "http://",
          "ftp://a/", "a.test:80"}) {
        CAPTURE(target);
        CHECK(Sample(get(target)).fault == RequestFault::bad_target);
    }
    const std::string options = "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n";
    const Sample sample(options);
    CHECK(sample.fault == RequestFault::none);
    CHECK(sample.request.path() == "*");
}

TEST_CASE("request: the target's authority takes the place of Host (RFC 9112 section 3.2.2)") {
    const Sample absolute(get("http://B.test:81?q=1", "X: y\r\n"));
    REQUIRE(absolute.fault == RequestFault::none);
    CHECK(absolute.request.host() == "B.test");
    CHECK(absolute.request.path() == "/");
    CHECK(absolute.request.query("q") == "1");
    CHECK(Sample(get("/")).request.host() == "a.test");
    CHECK(Sample("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n").request.host() == "[::1]");
    const Sample old("GET / HTTP/1.0\r\n\r\n");
    CHECK(old.request.host().empty());
    CHECK(old.request.http_version() == "HTTP/1.0");
}

TEST_CASE("request: every view follows the head's bytes when they move") {
    for (const std::string_view target :
         {"/app/x?q=1", "/app/%78?q=1", "http://a.test/app/x?q=1"}) {
        CAPTURE(target);
        Sample sample(get(target, "Cookie: c=d\r\n"));
        REQUIRE(sample.fault == RequestFault::none);
        sample.parts.is_mounted = true;
        sample.parts.mount_path = {4, 2};
        sample.parts.parameters.push_back({"first", {1, 3}});
        sample.move();
        CHECK(sample.request.target() == target);
        CHECK(sample.request.method_name() == "GET");
        CHECK(sample.request.path() == "/app/x");
        CHECK(sample.request.mount_path() == "/x");
        CHECK(sample.request.query_string() == "q=1");
        CHECK(sample.request.query("q") == "1");
        CHECK(sample.request.host() == "a.test");
        CHECK(sample.request.cookie("c") == "d");
        CHECK(sample.request.param("first") == "app");
        CHECK(sample.request.fields()[0].value == "a.test:80");
    }
}

TEST_CASE("request: below a mount that is all of the path nothing is left, not even a slash") {
    Sample mounted(get("/app"));
    mounted.parts.is_mounted = true;
    mounted.parts.mount_path = {4, 0};
    mounted.move();
    CHECK(mounted.request.mount_path().empty());
    CHECK(mounted.request.path() == "/app");
    Sample empty(get("http://a.test"));
    empty.move();
    CHECK(empty.request.path() == "/");
    CHECK(empty.request.mount_path() == "/");
}

TEST_CASE("request: cookies are found in any Cookie line (RFC 6265 section 5.4)") {
    const Sample sample(get("/", "Cookie: a=1; b=2\r\ncookie: c=\"3\"\r\n"));
    CHECK(sample.request.cookie("a") == "1");
    CHECK(sample.request.cookie("b") == "2");
    CHECK(sample.request.cookie("c") == "3");
    CHECK_FALSE(sample.request.cookie("d").has_value());
    CHECK_FALSE(sample.request.cookie("A").has_value());
}

TEST_CASE("request: forms are read only from content of their type") {
    struct Row {
        std::string_view line;
        bool is_form;
    };
    const Row rows[] = {
        {"Content-Type: application/x-www-form-urlencoded\r\n", true},
        {"Content-Type: Application/X-WWW-Form-URLencoded ; charset=utf-8\r\n", true},
        {"Content-Type: text/plain\r\n", false},
        {"Content-Type: application/x-www-form-urlencoded2\r\n", false},
        {"Content-Type:\r\n", false},
        {"", false},
    };
    for (const Row& row : rows) {
        CAPTURE(row.line);
        Sample sample(get("/?a=no", row.line));
        sample.parts.body = "a=1&b=%32&a=3";
        CHECK(sample.request.form("a").has_value() == row.is_form);
        CHECK(sample.request.form_all("a").size() == (row.is_form ? 2 : 0));
        if (row.is_form) {
            CHECK(sample.request.form("b") == "2");
        }
        CHECK(sample.request.body() == "a=1&b=%32&a=3");
    }
}

TEST_CASE(
    "request: path parameters are pieces of the decoded path, and empty when there are none") {
    Sample sample(get("/users/%61nn/x%2Fy"));
    sample.parts.parameters.push_back({"id", {7, 3}});
    sample.parts.parameters.push_back({"*", {11, 3}});
    CHECK(sample.request.param("id") == "ann");
    CHECK(sample.request.param("*") == "x/y");
    CHECK(sample.request.param("").empty());
    CHECK(sample.request.param("ID").empty());
}

TEST_CASE("request: the next request sees nothing of the last one") {
    Sample first(get("/%41?q=1", "Content-Type: application/x-www-form-urlencoded\r\n"));
    first.parts.body = "f=1";
    first.parts.is_mounted = true;
    first.parts.mount_path = {1, 1};
    first.parts.peer = "127.0.0.1:1";
    CHECK(first.request.query("q") == "1");
    CHECK(first.request.form("f") == "1");
    first.parts.reset();
    CHECK(first.parts.head == nullptr);
    CHECK(first.parts.body.empty());
    CHECK(first.parts.parameters.empty());

    Sample second(get("/B?r=2"));
    CHECK(
        first.parts.set_head(second.parser.head(), second.bytes->view().data())
        == RequestFault::none);
    const Request& request = first.request;
    CHECK(request.path() == "/B");
    CHECK(request.mount_path() == "/B");
    CHECK_FALSE(request.query("q").has_value());
    CHECK(request.query("r") == "2");
    CHECK_FALSE(request.form("f").has_value());

    Sample third(get("/%43?r=3", "Content-Type: application/x-www-form-urlencoded\r\n"));
    first.parts.body = "f=3";
    CHECK(
        first.parts.set_head(third.parser.head(), third.bytes->view().data())
        == RequestFault::none);
    CHECK(request.path() == "/C");
    CHECK(request.query("r") == "3");
    CHECK(request.form("f") == "3");
    CHECK(request.peer() == "127.0.0.1:1"); // the connection's, not the request's
}

TEST_CASE("request: shows the trailer's fields when there are some") {
    Sample sample(get("/"));
    const std::string_view bytes = "Digest1";
    porthole::Fields trailer;
    porthole::detail::FieldSpan span;
    span.name = {0, 6};
    span.value = {6, 1};
    trailer.add(span);
    trailer.set_base(bytes.data());
    sample.parts.trailer = &trailer;
    CHECK(sample.request.trailer("digest") == "1");
    CHECK_FALSE(sample.request.trailer("host").has_value());
}
