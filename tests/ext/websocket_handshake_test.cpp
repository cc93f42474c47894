// SPDX-License-Identifier: MIT

#include "support/counting_transport.hpp"

#include <string>
#include <string_view>
#include <vector>

using porthole::Server;
using porthole_test::options;
using porthole_test::Peer;

namespace {

constexpr std::string_view good_key = "dGhlIHNhbXBsZSBub25jZQ==";

struct Handshake {
    std::string method = "GET";
    std::string version = "HTTP/1.1";
    std::string host = "Host: localhost\r\n";
    std::string upgrade = "Upgrade: websocket\r\n";
    std::string connection = "Connection: Upgrade\r\n";
    std::string key = "Sec-WebSocket-Key: " + std::string(good_key) + "\r\n";
    std::string socket_version = "Sec-WebSocket-Version: 13\r\n";
    std::string more;

    std::string bytes() const {
        return method + " /ws " + version + "\r\n" + host + upgrade + connection + key
               + socket_version + more + "\r\n";
    }
};

porthole::testing::Answer answer_to(const Handshake& handshake) {
    Server server(options());
    server.route(handshake.method, "/ws", porthole::websocket().protocols({"chat", "superchat"}));
    Peer peer(server);
    peer.send(handshake.bytes());
    peer.tick(2);
    const auto answers = peer.answers();
    REQUIRE(answers.size() == 1);
    return answers[0];
}

} // namespace

TEST_CASE("websocket handshake: the example of RFC 6455 section 1.3") {
    CHECK(porthole::detail::websocket_accept_key(good_key) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    const auto answer = answer_to({});
    CHECK(answer.status == 101);
    CHECK(answer.header("Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    CHECK(answer.header("Upgrade") == "websocket");
    CHECK(answer.header("Connection") == "Upgrade");
    CHECK_FALSE(answer.has_header("Sec-WebSocket-Protocol"));
    CHECK_FALSE(answer.has_header("Sec-WebSocket-Extensions"));
}

TEST_CASE("websocket handshake: what is no handshake is refused (RFC 6455 4.2.1, 4.4)") {
    struct Row {
        std::string Handshake::*part;
        const char* value;
        int status;
    };
    const std::vector<Row> rows = {
        {&Handshake::method, "POST", 405},
        {&Handshake::version, "HTTP/1.0", 400},
        {&Handshake::upgrade, "", 426},
        {&Handshake::upgrade, "Upgrade: h2c\r\n", 426},
        {&Handshake::upgrade, "Upgrade: h2c, WebSocket\r\n", 101},
        {&Handshake::connection, "", 400},
        {&Handshake::connection, "Connection: keep-alive\r\n", 400},
        {&Handshake::connection, "Connection: keep-alive, upgrade\r\n", 101},
        {&Handshake::key, "", 400},
        {&Handshake::key, "Sec-WebSocket-Key:\r\n", 400},
        {&Handshake::key, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n", 400},
        {&Handshake::key, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n", 400},
        {&Handshake::key, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\n", 400},
        {&Handshake::key, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZSEhISE=\r\n", 400},
        {&Handshake::key, "Sec-WebSocket-Key: dGhlIHNhbXBs_SBub25jZQ==\r\n", 400},
        {&Handshake::more, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", 400},
        {&Handshake::socket_version, "", 400},
        {&Handshake::socket_version, "Sec-WebSocket-Version: 8\r\n", 426},
        {&Handshake::socket_version, "Sec-WebSocket-Version: 14\r\n", 426},
        {&Handshake::socket_version, "Sec-WebSocket-Version: 13a\r\n", 400},
        {&Handshake::more, "Sec-WebSocket-Version: 13\r\n", 400},
        {&Handshake::more, "Sec-WebSocket-Protocol: a b\r\n", 400},
        {&Handshake::more, "Sec-WebSocket-Protocol:\r\n", 400},
        {&Handshake::more, "Origin: http://localhost\r\n", 101},
        {&Handshake::more, "Origin: http://evil.example\r\n", 403},
        {&Handshake::more, "Origin: null\r\n", 403},
        {&Handshake::more, "Origin: http://localhost\r\nOrigin: http://localhost\r\n", 403},
        {&Handshake::more, "Origin: http://localhost:8080.evil.com\r\n", 403},
        {&Handshake::host, "Host: evil.example\r\n", 403},
        {&Handshake::more, "Sec-Fetch-Site: cross-site\r\n", 403},
    };
    for (const Row& row : rows) {
        CAPTURE(row.value);
        Handshake handshake;
        handshake.*row.part = row.value;
        const auto answer = answer_to(handshake);
        CHECK(answer.status == row.status);
        CHECK((answer.header("Sec-WebSocket-Version") == "13") == (row.status == 426));
        CHECK(answer.has_header("Sec-WebSocket-Accept") == (row.status == 101));
    }
}

TEST_CASE("websocket handshake: the server's preferred subprotocol is echoed (RFC 6455 4.2.2)") {
    struct Row {
        const char* offered;
        const char* chosen;
    };
    const std::vector<Row> rows = {
        {"superchat, chat", "chat"},
        {"superchat", "superchat"},
        {"SuperChat", ""},
        {"other, superchat", "superchat"},
        {"other", ""},
    };
    for (const Row& row : rows) {
        CAPTURE(row.offered);
        Handshake handshake;
        handshake.more = std::string("Sec-WebSocket-Protocol: ") + row.offered + "\r\n";
        const auto answer = answer_to(handshake);
        CHECK(answer.status == 101);
        CHECK(answer.header("Sec-WebSocket-Protocol") == row.chosen);
        CHECK(answer.has_header("Sec-WebSocket-Protocol") == (*row.chosen != '\0'));
    }
}

TEST_CASE("websocket handshake: accept() decides by the request") {
    Server server(options());
    server.get(
        "/ws", porthole::websocket().accept(
                   [](const porthole::Request& request, porthole::Response& response) {
                       if (request.query("who") == "teapot") {
                           response.status(418).text("no\n");
                           return porthole::Next::stop;
                       }
                       return request.query("who") ? porthole::Next::go_on : porthole::Next::stop;
                   }));
    for (const auto& [target, status] :
         {std::pair("/ws", 403), std::pair("/ws?who=me", 101), std::pair("/ws?who=teapot", 418)}) {
        Handshake handshake;
        std::string bytes = handshake.bytes();
        bytes.replace(4, 3, target);
        Peer peer(server);
        peer.send(bytes);
        peer.tick(2);
        const auto answers = peer.answers();
        REQUIRE(answers.size() == 1);
        CHECK(answers[0].status == status);
    }
}
