// SPDX-License-Identifier: MIT

// Listeners that are open to more than this machine, reached through loopback: they want the token
// and take any literal address as Host. The cap for each address does not count loopback peers, so
// it cannot be reached from here.

#include "os/pair.hpp"
#include "support/options.hpp"

#include <chrono>
#include <string>
#include <string_view>
#include <utility>

using porthole::Expose;
using porthole::ListenOptions;
using porthole::Request;
using porthole::Response;
using porthole::Server;
using porthole::testing::Answer;
using porthole::testing::FieldList;

namespace {

struct Exposed {
    explicit Exposed(Expose expose, std::string_view host = "0.0.0.0")
        : server(porthole_test::options()) {
        ListenOptions options;
        options.expose = expose;
        const auto error = server.listen(host, 0, options);
        REQUIRE_FALSE(error);
        server.get("/", [](const Request&, Response& response) { response.text("in"); });
    }

    /// One request over a connection of its own to 127.0.0.1.
    Answer ask(std::string_view target, const FieldList& fields = {}) {
        using Clock = std::chrono::steady_clock;
        auto socket =
            porthole_test::connect_to(porthole::Endpoint::ipv4({127, 0, 0, 1}, server.port()));
        REQUIRE(socket.is_open());
        const std::string bytes = porthole::testing::write_request("GET", target, fields);
        const std::string_view slice = bytes;
        REQUIRE(socket.send(&slice, 1).bytes == bytes.size());
        std::string received;
        Answer answer;
        char piece[4096];
        const auto deadline = Clock::now() + std::chrono::milliseconds(porthole_test::patience_ms);
        while (Clock::now() < deadline) {
            server.tick(std::chrono::milliseconds(100));
            const auto result = socket.receive(piece, sizeof piece);
            received.append(piece, result.bytes);
            const auto reading = porthole::testing::read_answer(received, false, false, answer);
            if (reading.status == porthole::detail::ParseStatus::complete) {
                return answer;
            }
            if (result.status == porthole::IoStatus::would_block) {
                server.wait(std::chrono::milliseconds(1));
            }
        }
        FAIL("no answer came");
        return answer;
    }

    Server server;
};

} // namespace

TEST_CASE("expose: a wildcard is an error until it is asked for") {
    for (const std::string_view host :
         {"0.0.0.0", "::", "", "0", "0x0", "::ffff:0.0.0.0", "0.0", "00000000000"}) {
        CAPTURE(host);
        Server server(porthole_test::options());
        CHECK(server.listen(host, 0));
        CHECK(server.endpoints().empty());
    }
}

TEST_CASE("expose: lan_with_token asks everybody for the token, also on loopback") {
    Exposed exposed(Expose::lan_with_token);
    const Answer refused = exposed.ask("/");
    CHECK(refused.status == 401);
    CHECK(refused.header("WWW-Authenticate") == "Bearer");
    const std::string token = exposed.server.token();
    CHECK(token.size() == 43);
    CHECK(exposed.ask("/", {{"Authorization", "Bearer " + token}}).status == 200);
    const Answer login = exposed.ask("/?token=" + token);
    CHECK(login.status == 303);
    CHECK(login.header("Location") == "/");
    const std::string cookie(
        login.header("Set-Cookie").substr(0, login.header("Set-Cookie").find(';')));
    CHECK(exposed.ask("/", {{"Cookie", cookie}}).status == 200);
    CHECK(exposed.ask("/?token=" + token + "x").status == 401);
}

TEST_CASE("expose: the urls of an exposed listener carry the token") {
    Exposed exposed(Expose::lan_with_token);
    const auto urls = exposed.server.urls();
    REQUIRE_FALSE(urls.empty());
    for (const std::string& url : urls) {
        CAPTURE(url);
        CHECK(url.find("/?token=" + exposed.server.token()) != std::string::npos);
    }
    CHECK(urls[0].rfind("http://localhost:", 0) == 0);
    Exposed open(Expose::lan_without_token);
    for (const std::string& url : open.server.urls()) {
        CHECK(url.find("token") == std::string::npos);
    }
}

TEST_CASE("expose: literal addresses are good names there, others are still refused") {
    Exposed exposed(Expose::lan_without_token);
    for (const std::string_view host :
         {"localhost", "192.168.1.7", "192.168.1.7:8080", "10.0.0.1.", "[fe80::1]", "[::1]:80",
          "[::ffff:8.8.8.8]"}) {
        CAPTURE(host);
        CHECK(exposed.ask("/", {{"Host", host}}).status == 200);
    }
    for (const std::string_view host :
         {"evil.test", "0.0.0.0", "[::]", "[::ffff:0.0.0.0]", "192.168.1.07", "192.168.1",
          "3232235783", "192.168.1.7.nip.io"}) {
        CAPTURE(host);
        CHECK(exposed.ask("/", {{"Host", host}}).status == 403);
    }
    CHECK(exposed.ask("/", {{"Host", "192.168.1.7"}, {"Origin", "http://10.0.0.1"}}).status == 403);
}

TEST_CASE("expose: a loopback listener of the same server stays as strict as it was") {
    Exposed exposed(Expose::lan_with_token);
    const auto error = exposed.server.listen("127.0.0.1", 0);
    REQUIRE_FALSE(error);
    auto socket = porthole_test::connect_to(exposed.server.endpoints().back());
    REQUIRE(socket.is_open());
    const std::string_view bytes = "GET / HTTP/1.1\r\nHost: 192.168.1.7\r\n\r\n"
                                   "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    REQUIRE(socket.send(&bytes, 1).bytes == bytes.size());
    // The exposed one takes the address as a name; this listener must not, whatever it took.
    CHECK(exposed.ask("/", {{"Host", "192.168.1.7"}}).status == 401);
    const std::string received = porthole_test::read_all(socket, 12);
    CHECK(received.substr(0, 12) == "HTTP/1.1 403");
}

TEST_CASE("expose: a listener on loopback with that option asks, too") {
    Exposed exposed(Expose::lan_with_token, "127.0.0.1");
    CHECK(exposed.ask("/").status == 401);
}

TEST_CASE("expose: loopback peers are not capped by address") {
    porthole::Options options = porthole_test::options();
    options.limits.max_connections_per_address = 1;
    Server server(options);
    ListenOptions listen;
    listen.expose = Expose::lan_without_token;
    const auto error = server.listen("0.0.0.0", 0, listen);
    REQUIRE_FALSE(error);
    const auto to = porthole::Endpoint::ipv4({127, 0, 0, 1}, server.port());
    auto first = porthole_test::connect_to(to);
    auto second = porthole_test::connect_to(to);
    for (int i = 0; i < 100 && server.stats().connections < 2; ++i) {
        server.wait(std::chrono::milliseconds(50));
    }
    CHECK(server.stats().connections == 2);
    CHECK(server.stats().refused == 0);
}

TEST_CASE("expose: an endpoint that is open is not listened on with other rules") {
    porthole::Server server(porthole_test::options());
    porthole::ListenOptions open;
    open.expose = porthole::Expose::lan_without_token;
    REQUIRE_FALSE(server.listen("127.0.0.1", 0, open));
    porthole::ListenOptions with_token;
    with_token.expose = porthole::Expose::lan_with_token;
    const porthole::Error error = server.listen("127.0.0.1", server.port(), with_token);
    CHECK(error.code() == porthole::ErrorCode::misuse);
    CHECK(error.message().find("ListenOptions::expose") != std::string::npos);
    CHECK_FALSE(server.listen("127.0.0.1", server.port(), open));
    CHECK(server.endpoints().size() == 1);
}
