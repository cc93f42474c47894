// SPDX-License-Identifier: MIT

#include "support/counting_transport.hpp"

#include <algorithm>

using porthole::ManualClock;
using porthole::Request;
using porthole::Response;
using porthole::Server;
using porthole_test::add_routes;
using porthole_test::get;
using porthole_test::options;
using porthole_test::Peer;
using porthole_test::post;

TEST_CASE("connection: answers, keeps alive, and owns nothing when idle") {
    ManualClock clock;
    Server server(options(clock));
    add_routes(server);
    Peer peer(server);
    for (int i = 0; i < 3; ++i) {
        peer.send(get("/"));
        peer.tick();
        const auto answers = peer.answers();
        REQUIRE(answers.size() == 1);
        CHECK(answers[0].status == 200);
        CHECK(answers[0].body == "hello");
        CHECK_FALSE(answers[0].has_header("Connection"));
    }
    CHECK_FALSE(peer.is_closed);
    CHECK(server.stats().connections == 1);
    CHECK(server.stats().requests == 3);
    CHECK(server.stats().responses == 3);
}

TEST_CASE("connection: pipelined requests are answered in order with one read and one send") {
    ManualClock clock;
    Server server(options(clock));
    add_routes(server);
    Peer peer(server);
    std::string bytes;
    constexpr int count = 100;
    for (int i = 0; i < count; ++i) {
        bytes += get("/n/" + std::to_string(i));
    }
    REQUIRE(peer.send(bytes) == bytes.size());
    peer.tick();
    const auto answers = peer.answers();
    REQUIRE(answers.size() == count);
    for (int i = 0; i < count; ++i) {
        CHECK(answers[static_cast<std::size_t>(i)].body == std::to_string(i));
    }
    CHECK(peer.received.empty());
    CHECK(peer.counts->writes == 1);
    CHECK(peer.counts->reads <= 2);
}

TEST_CASE("connection: pipelined requests beyond the buffers arrive complete and in order") {
    ManualClock clock;
    Server server(options(clock));
    add_routes(server);
    Peer peer(server, 4 * 1024 * 1024);
    std::string bytes;
    constexpr int count = 5000;
    for (int i = 0; i < count; ++i) {
        bytes += get("/n/" + std::to_string(i));
    }
    REQUIRE(peer.send(bytes) == bytes.size());
    peer.tick(5);
    const auto answers = peer.answers();
    // Limits::max_requests_per_connection ends it at a thousand.
    REQUIRE(answers.size() == 1000);
    for (int i = 0; i < 1000; ++i) {
        REQUIRE(answers[static_cast<std::size_t>(i)].body == std::to_string(i));
    }
    CHECK(answers.back().header("Connection") == "close");
    CHECK(peer.is_closed);
}

namespace {

/// One connection's worth of requests of every framing, and what their answers hold.
std::string mixed_requests() {
    return get("/n/1") + post("/echo", "some content")
           + "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
             "5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nX-Check: 1\r\n\r\n"
           + "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
           + get("/n/last", "Connection: close\r\n");
}

void check_mixed_answers(Peer& peer) {
    const auto answers = peer.answers();
    REQUIRE(answers.size() == 5);
    const char* const bodies[] = {"1", "some content", "hello world", "", "last"};
    for (std::size_t i = 0; i < 5; ++i) {
        REQUIRE(answers[i].status == 200);
        REQUIRE(answers[i].body == bodies[i]);
    }
    REQUIRE(answers.back().header("Connection") == "close");
    REQUIRE(peer.is_closed);
}

} // namespace

TEST_CASE("connection: requests split at every byte have the same answers") {
    ManualClock clock;
    Server server(options(clock));
    add_routes(server);
    const std::string bytes = mixed_requests();
    const int misuse = porthole_test::misuse_count;
    for (std::size_t split = 0; split <= bytes.size(); ++split) {
        CAPTURE(split);
        Peer peer(server, 64 * 1024);
        peer.send(std::string_view(bytes).substr(0, split));
        peer.tick();
        peer.send(std::string_view(bytes).substr(split));
        peer.tick(2);
        check_mixed_answers(peer);
    }
    CHECK(porthole_test::misuse_count == misuse);
}

TEST_CASE("connection: requests that arrive byte by byte have the same answers") {
    ManualClock clock;
    Server server(options(clock));
    add_routes(server);
    const std::string bytes = mixed_requests();
    const int misuse = porthole_test::misuse_count;
    {
        Peer peer(server, 64 * 1024, 1); // one byte to a read
        peer.send(bytes);
        peer.tick(static_cast<int>(bytes.size()));
        check_mixed_answers(peer);
    }
    Peer peer(server, 64 * 1024);
    for (const char& byte : bytes) { // one byte to a tick
        peer.send({&byte, 1});
        peer.tick();
    }
    peer.tick();
    check_mixed_answers(peer);
    CHECK(porthole_test::misuse_count == misuse);
}

TEST_CASE("connection: an answer of which each byte has to wait for room is whole") {
    ManualClock clock;
    Server server(options(clock));
    add_routes(server);
    Peer peer(server, 1);
    const std::string bytes = mixed_requests();
    std::size_t sent = 0;
    for (int i = 0; i < 20'000 && !peer.is_closed; ++i) {
        sent += sent < bytes.size() ? peer.send(std::string_view(bytes).substr(sent)) : 0;
        peer.tick();
    }
    CHECK(sent == bytes.size());
    check_mixed_answers(peer);
}

TEST_CASE("connection: keeps alive and closes as the version and Connection say (RFC 9112 9.3)") {
    struct Case {
        const char* version;
        const char* connection;
        bool keeps;
        const char* answer;
    };
    const Case cases[] = {
        {"1.1", "", true, ""},
        {"1.1", "keep-alive", true, ""},
        {"1.1", "close", false, "close"},
        {"1.1", "CLOSE", false, "close"},
        {"1.1", "keep-alive, close", false, "close"},
        {"1.0", "", false, "close"},
        {"1.0", "keep-alive", true, "keep-alive"},
        {"1.0", "Keep-Alive", true, "keep-alive"},
        {"1.0", "close", false, "close"},
    };
    ManualClock clock;
    Server server(options(clock));
    add_routes(server);
    for (const Case& each : cases) {
        CAPTURE(each.version);
        CAPTURE(each.connection);
        Peer peer(server, 8192);
        std::string bytes = "GET / HTTP/";
        bytes.append(each.version).append("\r\nHost: localhost\r\n");
        if (each.connection[0] != '\0') {
            bytes.append("Connection: ").append(each.connection).append("\r\n");
        }
        bytes += "\r\n";
        peer.send(bytes + bytes); // the second is answered by those that keep alive
        peer.tick(2);
        const auto answers = peer.answers();
        REQUIRE(answers.size() == (each.keeps ? 2u : 1u));
        CHECK(answers[0].header("Connection") == each.answer);
        CHECK(peer.is_closed == !each.keeps);
    }
}

TEST_CASE("connection: 100 Continue is sent once, before the content (RFC 9110 10.1.1)") {
    ManualClock clock;
    Server server(options(clock));
    add_routes(server);
    const std::string head = "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n"
                             "Expect: 100-continue\r\n\r\n";
    const std::string_view interim = "HTTP/1.1 100 Continue\r\n\r\n";
    SUBCASE("to a client that waits") {
        Peer peer(server);
        peer.send(head);
        peer.tick(3);
        CHECK(peer.received == interim);
        peer.send("ab");
        peer.tick(3);
        CHECK(peer.received == interim);
        peer.send("cd");
        peer.tick();
        CHECK(peer.received.rfind(interim) == 0);
        const auto answers = peer.answers();
        REQUIRE(answers.size() == 1);
        CHECK(answers[0].body == "abcd");
    }
    SUBCASE("and not to one that sends its content along") {
        for (const std::string_view content : {"abcd", "a"}) {
            Peer peer(server);
            peer.send(head + std::string(content));
            peer.tick();
            CHECK(peer.received.find("100 Continue") == std::string::npos);
            peer.send(std::string_view("abcd").substr(content.size()));
            peer.tick();
            CHECK(peer.answers().front().body == "abcd");
        }
    }
    SUBCASE("and not behind a request without content") {
        Peer peer(server);
        peer.send(get("/", "Expect: 100-continue\r\n"));
        peer.tick();
        CHECK(peer.received.find("100 Continue") == std::string::npos);
        CHECK(peer.answers().size() == 1);
    }
    SUBCASE("and never to HTTP/1.0") {
        Peer peer(server);
        peer.send("POST /echo HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n"
                  "Host: localhost\r\n\r\n");
        peer.tick();
        CHECK(peer.received.empty());
        peer.send("x");
        peer.tick(2);
        CHECK(peer.answers().front().body == "x");
    }
    SUBCASE("413 comes instead when the content is too large") {
        Peer peer(server);
        peer.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n"
                  "Expect: 100-continue\r\n\r\n");
        peer.tick();
        CHECK(peer.received.find("100 Continue") == std::string::npos);
        CHECK(peer.answers().front().status == 413);
    }
    SUBCASE("behind the answers before it") {
        Peer peer(server);
        peer.send(get("/n/7") + head);
        peer.tick();
        const auto first = peer.received.find("\r\n\r\n7");
        REQUIRE(first != std::string::npos);
        CHECK(peer.received.find("HTTP/1.1 100") > first);
    }
}

TEST_CASE("connection: trailers are there for the handler (RFC 9112 7.1.2)") {
    ManualClock clock;
    Server server(options(clock));
    server.post("/", [](const Request& request, Response& response) {
        response.text(request.trailer("X-Check").value_or("none"));
    });
    const std::string bytes = "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked"
                              "\r\n\r\n1\r\nx\r\n0\r\nX-Check: fine\r\n\r\n";
    Peer peer(server);
    peer.send(bytes);
    peer.tick();
    CHECK(peer.answers().front().body == "fine");
    peer.send(bytes.substr(0, bytes.size() - 6));
    peer.tick();
    peer.send(bytes.substr(bytes.size() - 6));
    peer.tick();
    CHECK(peer.answers().front().body == "fine");
}

TEST_CASE("connection: HEAD, 204 and 304 end with their heads (RFC 9112 6.3)") {
    ManualClock clock;
    Server server(options(clock));
    add_routes(server);
    server.get("/204", [](const Request&, Response& response) {
        response.status(204).text("not to be sent");
    });
    server.get("/304", [](const Request&, Response& response) {
        response.status(304).text("not to be sent");
    });
    Peer peer(server, 4 * 1024 * 1024);
    const auto sentinel = get("/n/sentinel");
    for (const char* target : {"/", "/big", "/n/3"}) {
        peer.send("HEAD " + std::string(target) + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
        peer.tick();
        const auto end = peer.received.find("\r\n\r\n");
        REQUIRE(end != std::string::npos);
        CHECK(end + 4 == peer.received.size());
        const auto answers = peer.answers(true);
        REQUIRE(answers.size() == 1);
        CHECK(answers[0].has_header("Content-Length"));
    }
    for (const char* target : {"/204", "/304"}) {
        peer.send(get(target) + sentinel);
        peer.tick();
        CHECK(peer.received.find("not to be sent") == std::string::npos);
        const auto answers = peer.answers();
        REQUIRE(answers.size() == 2);
        CHECK(answers[1].body == "sentinel");
    }
}

TEST_CASE("connection: a client that has finished sending still gets all its answers") {
    ManualClock clock;
    Server server(options(clock));
    add_routes(server);
    porthole::Reply kept;
    server.get("/later", [&](const Request&, Response& response) { kept = response.defer(); });
    SUBCASE("at once") {
        Peer peer(server);
        peer.send(get("/n/1") + get("/n/2"));
        peer.end->shut_write();
        peer.tick(3);
        CHECK(peer.answers().size() == 2);
        CHECK(peer.is_closed);
    }
    SUBCASE("later") {
        Peer peer(server);
        peer.send(get("/later") + get("/n/2"));
        peer.end->shut_write();
        peer.tick(3);
        CHECK(kept.peer_gone());
        kept.text("at last");
        peer.tick(3);
        const auto answers = peer.answers();
        REQUIRE(answers.size() == 2);
        CHECK(answers[0].body == "at last");
        CHECK(answers[1].body == "2");
        CHECK(peer.is_closed);
    }
    SUBCASE("slowly, and the server rests meanwhile") {
        Peer peer(server, 64);
        peer.send(get("/n/1"));
        server.tick(std::chrono::seconds(1));
        peer.send(get("/n/2"));
        peer.end->shut_write();
        for (int i = 0; i < 3; ++i) {
            server.tick(std::chrono::seconds(1));
        }
        const int writes = peer.counts->writes;
        for (int i = 0; i < 5; ++i) {
            CHECK_FALSE(server.tick(std::chrono::seconds(1)).more);
        }
        CHECK(peer.counts->writes == writes);
        peer.tick(50);
        CHECK(peer.answers().size() == 2);
        CHECK(peer.is_closed);
    }
    CHECK(server.stats().connections == 0);
}

TEST_CASE("connection: a peer that goes in any phase leaves nothing behind") {
    ManualClock clock;
    Server server(options(clock));
    add_routes(server);
    std::vector<porthole::Reply> kept;
    server.get(
        "/later", [&](const Request&, Response& response) { kept.push_back(response.defer()); });
    const std::string all[] = {
        "",
        "GET",
        get("/"),
        get("/later"),
        get("/later") + get("/"),
        post("/echo", "content").substr(0, 60),
        get("/big"),
        "bad\r\n\r\n",
        get("/", "Connection: close\r\n")};
    for (const std::string& bytes : all) {
        for (const bool is_reset : {false, true}) {
            CAPTURE(bytes);
            Peer peer(server, 1024);
            peer.send(bytes);
            server.tick(std::chrono::seconds(1));
            if (is_reset) {
                peer.end->reset();
            }
            peer.end.reset();
            for (int i = 0; i < 3; ++i) {
                server.tick(std::chrono::seconds(1));
            }
            for (porthole::Reply& reply : kept) {
                CHECK(reply.peer_gone());
                reply.text("too late");
            }
            kept.clear();
            server.tick(std::chrono::seconds(1));
            CHECK(server.stats().connections == 0);
        }
    }
}
