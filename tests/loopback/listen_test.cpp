// SPDX-License-Identifier: MIT

// Listening and being reached, with real sockets.

#include "support/socket_client.hpp"

#include <algorithm>

#if !defined(_WIN32)
#include <cstdio>
#include <sys/stat.h>
#include <unistd.h>
#endif

using namespace std::chrono_literals;
using porthole::Endpoint;
using porthole::ErrorCode;
using porthole::ListenOptions;
using porthole::ManualClock;
using porthole::Options;
using porthole::Request;
using porthole::Response;
using porthole::Server;
using porthole_test::ask;
using porthole_test::options;
using porthole_test::pump_until;
using porthole_test::simple_get;
using porthole_test::SocketClient;

namespace {

void add_hello(Server& server, const char* text = "hello") {
    server.get("/", [text](const Request& request, Response& response) {
        response.header("X-Peer", request.peer()).text(text);
    });
}

bool has_ipv6() {
    porthole::detail::Listener listener;
    return !porthole::detail::Listener::open(
        Endpoint::ipv6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 0), ListenOptions{}, 0,
        listener);
}

std::string body_from(Server& server, std::string_view host) {
    SocketClient client(host, server.port());
    return ask(server, client, simple_get("/")).body;
}

} // namespace

TEST_CASE("listen: localhost with port 0 is one port on every family, and each answers") {
    Server server(options());
    add_hello(server);
    const auto error = server.listen("localhost", 0);
    REQUIRE_FALSE(error);
    CHECK(server.port() != 0);
    for (const Endpoint& endpoint : server.endpoints()) {
        CHECK(endpoint.port() == server.port());
        CHECK(endpoint.is_loopback());
    }
    CHECK(body_from(server, "127.0.0.1") == "hello");
    if (has_ipv6()) {
        CHECK(server.endpoints().size() == 2);
        CHECK(body_from(server, "::1") == "hello");
        SocketClient client("::1", server.port());
        CHECK(ask(server, client, simple_get("/")).header("X-Peer").substr(0, 6) == "[::1]:");
    } else {
        MESSAGE("this machine has no IPv6");
    }
    CHECK(body_from(server, "localhost") == "hello");
    REQUIRE_FALSE(server.urls().empty());
    CHECK(server.urls().front() == "http://localhost:" + std::to_string(server.port()) + "/");
}

TEST_CASE("listen: a port that is taken is an error, and who had it goes on") {
    Server first(options());
    add_hello(first, "first");
    const auto error = first.listen("127.0.0.1", 0);
    REQUIRE_FALSE(error);
    Server second(options());
    const auto taken = second.listen("127.0.0.1", first.port());
    REQUIRE(taken);
    CHECK(taken.code() == ErrorCode::address_in_use);
    CHECK(taken.message().find(std::to_string(first.port())) != std::string::npos);
    CHECK(second.endpoints().empty());
    CHECK(body_from(first, "127.0.0.1") == "first");
}

TEST_CASE("listen: port_range takes the next one") {
    Server first(options());
    add_hello(first, "first");
    REQUIRE_FALSE(first.listen("127.0.0.1", 0));
    Server second(options());
    add_hello(second, "second");
    ListenOptions with_range;
    with_range.port_range = 20;
    const auto error = second.listen("127.0.0.1", first.port(), with_range);
    if (error && first.port() > 65535 - 20) {
        return; // the system gave the last ports there are
    }
    REQUIRE_FALSE(error);
    CHECK(second.port() > first.port());
    CHECK(body_from(first, "127.0.0.1") == "first");
    CHECK(body_from(second, "127.0.0.1") == "second");
}

TEST_CASE("listen: the same endpoint twice is one listener, others are added") {
    Server server(options());
    add_hello(server);
    REQUIRE_FALSE(server.listen("127.0.0.1", 0));
    const std::uint16_t port = server.port();
    REQUIRE_FALSE(server.listen("127.0.0.1", port));
    CHECK(server.endpoints().size() == 1);
    REQUIRE_FALSE(server.listen("127.0.0.1", 0));
    REQUIRE(server.endpoints().size() == 2);
    for (const Endpoint& endpoint : server.endpoints()) {
        SocketClient client("127.0.0.1", endpoint.port());
        CHECK(ask(server, client, simple_get("/")).body == "hello");
    }
}

TEST_CASE("listen: a restart gets its port back from connections in TIME_WAIT") {
    std::uint16_t port = 0;
    SocketClient client;
    {
        Server server(options());
        add_hello(server);
        REQUIRE_FALSE(server.listen("127.0.0.1", 0));
        port = server.port();
        client.connect("127.0.0.1", port);
        CHECK(ask(server, client, simple_get("/", "Connection: close\r\n")).status == 200);
        // The server has closed first: the wait is on its side.
    }
    client.close();
    Server server(options());
    add_hello(server, "again");
    const auto error = server.listen("127.0.0.1", port);
    REQUIRE_FALSE(error);
    CHECK(body_from(server, "127.0.0.1") == "again");
}

TEST_CASE("listen: what the network could reach is refused without expose") {
    for (const char* host : {"0.0.0.0", "::", ""}) {
        CAPTURE(host);
        Server server(options());
        const auto error = server.listen(host, 0);
        REQUIRE(error);
        CHECK(error.code() == ErrorCode::not_exposed);
        CHECK(server.endpoints().empty());
    }
}

TEST_CASE("listen: several servers in one process answer for themselves") {
    Server first(options());
    Server second(options());
    add_hello(first, "first");
    add_hello(second, "second");
    REQUIRE_FALSE(first.listen("127.0.0.1", 0));
    REQUIRE_FALSE(second.listen("127.0.0.1", 0));
    for (int i = 0; i < 3; ++i) {
        CHECK(body_from(first, "127.0.0.1") == "first");
        CHECK(body_from(second, "127.0.0.1") == "second");
    }
}

TEST_CASE("listen: a server that stops closes its listeners and serves what it has") {
    Server server(options());
    porthole::Reply kept;
    server.get("/later", [&](const Request&, Response& response) { kept = response.defer(); });
    REQUIRE_FALSE(server.listen("127.0.0.1", 0));
    const std::uint16_t port = server.port();
    SocketClient waiting("127.0.0.1", port);
    waiting.send(simple_get("/later"));
    REQUIRE(pump_until(server, {&waiting}, [&] { return server.stats().requests == 1; }));
    server.stop();
    server.tick();
    CHECK(server.endpoints().empty());
    SocketClient late("127.0.0.1", port);
    CHECK(pump_until(
        server, {&late}, [&] { return late.has_failed_to_connect() || late.is_closed; }));
    kept.text("still served");
    CHECK(ask(server, waiting, "").body == "still served");
    CHECK(pump_until(server, {&waiting}, [&] { return waiting.is_closed; }));
}

#if !defined(_WIN32)
TEST_CASE("listen: a unix socket, its permissions, and its file") {
    const std::string path = "/tmp/porthole_test_" + std::to_string(::getpid()) + ".sock";
    {
        Server server(options());
        add_hello(server);
        const auto error = server.listen_unix(path);
        REQUIRE_FALSE(error);
        struct stat file {};
        REQUIRE(::stat(path.c_str(), &file) == 0);
        CHECK((file.st_mode & 0777) == 0600);
        SocketClient client("unix:" + path, 0);
        const auto answer = ask(server, client, simple_get("/"));
        CHECK(answer.body == "hello");
        CHECK(answer.header("X-Peer") == "unix:");
        Server other(options());
        CHECK(other.listen_unix(path));
        SocketClient leaving("unix:" + path, 0);
        leaving.send(simple_get("/"));
        leaving.close(); // all of it, unlike a half-close
        client.close();
        CHECK(pump_until(server, {}, [&] { return server.stats().connections == 0; }));
    }
    CHECK(::access(path.c_str(), F_OK) != 0);
}
#endif
