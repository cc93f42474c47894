// SPDX-License-Identifier: MIT

// What user code may do while the library answers by itself: error pages and after hooks of
// requests that never reach a handler.

#include "support/options.hpp"

#include <string_view>

using porthole::Reply;
using porthole::Request;
using porthole::Response;
using porthole::Server;
using porthole::testing::Client;

namespace {

constexpr std::string_view refused_requests[] = {
    "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n",                              // by the guard
    "GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",           // by the parser
    "GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n",                           // the target
    "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n", // a limit
    "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", // its content
};

} // namespace

TEST_CASE("refusal: an error page that defers does not outlive its connection") {
    for (const std::string_view bytes : refused_requests) {
        CAPTURE(bytes);
        Reply kept;
        Server server(porthole_test::options());
        server.on_error([&](const Request&, Response& response) { kept = response.defer(); });
        {
            Client client(server);
            client.send(bytes);
            const auto answer = client.read_answer();
            CHECK(answer.status >= 400);
            CHECK(answer.header("Connection") == "close");
            client.tick();
            CHECK(client.is_closed());
        }
        for (int i = 0; i < 4; ++i) {
            server.tick();
        }
        CHECK(server.stats().connections == 0);
        kept.text("too late"); // for nobody
        for (int i = 0; i < 4; ++i) {
            server.tick();
        }
    }
}

TEST_CASE("refusal: an after hook that defers does not outlive its connection") {
    for (const std::string_view bytes : refused_requests) {
        CAPTURE(bytes);
        Reply kept;
        Server server(porthole_test::options());
        server.after([&](const Request&, Response& response) { kept = response.defer(); });
        {
            Client client(server);
            client.send(bytes);
            const auto answer = client.read_answer();
            CHECK(answer.status >= 400);
            client.tick();
            CHECK(client.is_closed());
        }
        for (int i = 0; i < 4; ++i) {
            server.tick();
        }
        kept.text("too late");
        for (int i = 0; i < 4; ++i) {
            server.tick();
        }
        CHECK(server.stats().connections == 0);
    }
}

TEST_CASE("refusal: a deferred answer's after hook cannot defer it again") {
    Reply first;
    Reply second;
    Server server(porthole_test::options());
    server.get("/", [&](const Request&, Response& response) { first = response.defer(); });
    server.after([&](const Request&, Response& response) { second = response.defer(); });
    {
        Client client(server);
        client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        client.tick();
        first.text("first");
        CHECK(client.read_answer().body == "first");
    }
    for (int i = 0; i < 4; ++i) {
        server.tick();
    }
    second.text("second");
    for (int i = 0; i < 4; ++i) {
        server.tick();
    }
    CHECK(server.stats().connections == 0);
}

TEST_CASE("refusal: HEAD is refused without content, whatever is wrong (RFC 9110 9.3.2)") {
    for (const std::string_view rest :
         {"/%zz HTTP/1.1\r\nHost: localhost\r\n\r\n", "/ HTTP/1.1\r\n\r\n",
          "/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "/ HTTP/1.1\r\nHost: evil.test\r\n\r\n",
          "/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n",
          "/lost HTTP/1.1\r\nHost: localhost\r\n\r\n"}) {
        CAPTURE(rest);
        Server server(porthole_test::options());
        Client client(server);
        client.send("HEAD " + std::string(rest));
        const auto answer = client.read_answer(true);
        CHECK(answer.status >= 400);
        client.tick();
        CHECK(client.received().empty());
    }
}
