// SPDX-License-Identifier: MIT

#include "support/counting_transport.hpp"

using porthole::ManualClock;
using porthole::Options;
using porthole::Request;
using porthole::Response;
using porthole::Server;
using porthole_test::add_routes;
using porthole_test::get;
using porthole_test::options;
using porthole_test::Peer;
using porthole_test::post;

namespace {

/// The request is sent with another one behind it; returns the status of the first answer. A
/// refusal is one answer, closes, and what stands behind it is never looked at.
int status_of_request(Server& server, const std::string& bytes) {
    const auto before = server.stats();
    Peer peer(server, 4 * 1024 * 1024);
    const std::string all = bytes + get("/n/behind");
    REQUIRE(peer.send(all) == all.size());
    peer.tick(4);
    const auto answers = peer.answers();
    REQUIRE_FALSE(answers.empty());
    CHECK(peer.received.empty());
    const int status = answers[0].status;
    if (status < 400) {
        REQUIRE(answers.size() == 2);
        CHECK(answers[1].body == "behind");
        CHECK_FALSE(peer.is_closed);
    } else {
        CHECK(answers.size() == 1);
        CHECK(answers[0].header("Connection") == "close");
        CHECK(peer.is_closed);
        CHECK(server.stats().responses == before.responses + 1);
    }
    peer.end.reset();
    server.tick();
    CHECK(server.stats().connections == 0);
    return status;
}

std::string request_line_of(std::size_t bytes) {
    std::string line = "GET /n/ HTTP/1.1\r\n";
    line.insert(7, bytes - line.size(), 'x');
    return line + "Host: localhost\r\n\r\n";
}

std::string fields_of(std::size_t bytes) {
    const std::string host = "Host: localhost\r\n";
    std::string field = "X: \r\n";
    field.insert(3, bytes - host.size() - field.size(), 'x');
    return "GET / HTTP/1.1\r\n" + host + field + "\r\n";
}

std::string fields_counted(std::size_t count) {
    std::string bytes = "GET / HTTP/1.1\r\nHost: localhost\r\n";
    for (std::size_t i = 1; i < count; ++i) {
        bytes += "X: y\r\n";
    }
    return bytes + "\r\n";
}

std::string chunked(const std::string& chunks, std::string_view target = "/echo") {
    return "POST " + std::string(target)
           + " HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks;
}

std::string chunked_of(std::size_t bytes, std::string_view target = "/echo") {
    char head[porthole::detail::max_chunk_head_size];
    std::string chunks;
    std::size_t left = bytes;
    while (left != 0) {
        const std::size_t size = left < 1000 ? left : 1000;
        chunks.append(head, porthole::detail::write_chunk_head(head, size));
        chunks.append(size, 'c').append("\r\n");
        left -= size;
    }
    return chunked(chunks + "0\r\n\r\n", target);
}

} // namespace

TEST_CASE("connection limits: the request line has 8 KiB, then 414 (RFC 9110 15.5.15)") {
    ManualClock clock;
    Server server(options(clock));
    add_routes(server);
    const std::size_t limit = porthole::Limits{}.max_request_line_bytes;
    CHECK(limit == 8192);
    CHECK(status_of_request(server, request_line_of(limit - 1)) == 200);
    CHECK(status_of_request(server, request_line_of(limit)) == 200);
    CHECK(status_of_request(server, request_line_of(limit + 1)) == 414);
}

TEST_CASE("connection limits: a line that never ends is refused as soon as it is too long") {
    ManualClock clock;
    Server server(options(clock));
    add_routes(server);
    Peer peer(server);
    peer.send("GET /" + std::string(porthole::Limits{}.max_request_line_bytes - 5, 'x'));
    peer.tick();
    CHECK(peer.answers().front().status == 414);
}

TEST_CASE("connection limits: the fields have 16 KiB and 100 lines, then 431 (RFC 6585 5)") {
    ManualClock clock;
    Server server(options(clock));
    add_routes(server);
    const std::size_t bytes = porthole::Limits{}.max_fields_bytes;
    const std::size_t count = porthole::Limits{}.max_fields;
    CHECK(bytes == 16 * 1024);
    CHECK(count == 100);
    CHECK(status_of_request(server, fields_of(bytes - 1)) == 200);
    CHECK(status_of_request(server, fields_of(bytes)) == 200);
    CHECK(status_of_request(server, fields_of(bytes + 1)) == 431);
    CHECK(status_of_request(server, fields_counted(count - 1)) == 200);
    CHECK(status_of_request(server, fields_counted(count)) == 200);
    CHECK(status_of_request(server, fields_counted(count + 1)) == 431);
}

TEST_CASE("connection limits: the longest head that is allowed arrives byte by byte") {
    ManualClock clock;
    Server server(options(clock));
    add_routes(server);
    std::string bytes = request_line_of(porthole::Limits{}.max_request_line_bytes);
    bytes.resize(porthole::Limits{}.max_request_line_bytes);
    const std::string rest = fields_of(porthole::Limits{}.max_fields_bytes);
    bytes += rest.substr(rest.find('\n') + 1);
    Peer peer(server, 64 * 1024, 1);
    peer.send("\r\n" + bytes);
    peer.tick(3);
    CHECK(peer.answers().front().status == 200);
}

TEST_CASE("connection limits: content has 1 MiB, then 413 (RFC 9110 15.5.14)") {
    ManualClock clock;
    Options made = options(clock);
    made.limits.max_read_bytes_per_turn = 8 * 1024;
    Server server(made);
    add_routes(server);
    const std::size_t limit = 1024 * 1024;
    CHECK(porthole::Limits{}.max_body_bytes == limit);
    for (const std::size_t size : {limit - 1, limit}) {
        CHECK(status_of_request(server, post("/echo", std::string(size, 'x'))) == 200);
        CHECK(status_of_request(server, chunked_of(size)) == 200);
    }
    CHECK(status_of_request(server, post("/echo", std::string(limit + 1, 'x'))) == 413);
    CHECK(status_of_request(server, chunked_of(limit + 1)) == 413);
}

TEST_CASE("connection limits: 413 comes before announced content is read, and inside of chunked") {
    ManualClock clock;
    Server server(options(clock));
    add_routes(server);
    Peer announced(server);
    announced.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048577\r\n\r\n");
    announced.tick();
    CHECK(announced.answers().front().status == 413);
    Peer pieces(server, 4 * 1024 * 1024);
    const std::string bytes = chunked_of(1024 * 1024 + 1);
    pieces.send(bytes.substr(0, 1024 * 1024));
    pieces.tick();
    CHECK(pieces.received.empty());
    pieces.send(bytes.substr(1024 * 1024, bytes.size() - 1024 * 1024 - 5)); // not its end
    pieces.tick();
    CHECK(pieces.answers().front().status == 413);
}

TEST_CASE("connection limits: routes and groups have their own limit of content") {
    ManualClock clock;
    Options made = options(clock);
    made.limits.max_body_bytes = 10;
    Server server(made);
    add_routes(server);
    const auto echo = [](const Request& request, Response& response) {
        response.text(request.body());
    };
    auto group = server.group("/group");
    group.max_body_bytes(20);
    auto inner = group.group("/inner");
    group.post("/own", echo).max_body_bytes(30);
    group.post("/groups", echo);
    inner.post("/outer", echo);
    server.post("/route", echo).max_body_bytes(0);
    struct Case {
        const char* target;
        std::size_t limit;
    };
    const Case cases[] = {
        {"/echo", 10}, {"/group/own", 30}, {"/group/groups", 20}, {"/group/inner/outer", 20}};
    for (const Case& each : cases) {
        CAPTURE(each.target);
        for (const std::size_t size : {each.limit - 1, each.limit}) {
            CHECK(status_of_request(server, post(each.target, std::string(size, 'x'))) == 200);
            CHECK(status_of_request(server, chunked_of(size, each.target)) == 200);
        }
        const std::size_t past = each.limit + 1;
        CHECK(status_of_request(server, post(each.target, std::string(past, 'x'))) == 413);
        CHECK(status_of_request(server, chunked_of(past, each.target)) == 413);
    }
    CHECK(status_of_request(server, post("/route", "x")) == 413);
    CHECK(status_of_request(server, chunked_of(0, "/route")) == 200);
}

TEST_CASE("connection limits: chunk lines and trailers are bounded") {
    ManualClock clock;
    Server server(options(clock));
    add_routes(server);
    const porthole::Limits limits;
    const auto chunk_line = [](std::size_t size) {
        std::string line = "1;x=\r\n";
        line.insert(4, size - line.size(), 'y');
        return chunked(line + "z\r\n0\r\n\r\n");
    };
    CHECK(status_of_request(server, chunk_line(limits.max_chunk_line_bytes - 1)) == 200);
    CHECK(status_of_request(server, chunk_line(limits.max_chunk_line_bytes)) == 200);
    CHECK(status_of_request(server, chunk_line(limits.max_chunk_line_bytes + 1)) == 400);
    const auto trailer = [](std::size_t size) {
        std::string line = "X: \r\n";
        line.insert(3, size - line.size(), 'y');
        return chunked("1\r\nz\r\n0\r\n" + line + "\r\n");
    };
    CHECK(status_of_request(server, trailer(limits.max_trailer_bytes - 1)) == 200);
    CHECK(status_of_request(server, trailer(limits.max_trailer_bytes)) == 200);
    CHECK(status_of_request(server, trailer(limits.max_trailer_bytes + 1)) == 431);
    const auto trailers = [](std::size_t count) {
        std::string lines;
        for (std::size_t i = 0; i < count; ++i) {
            lines += "X: y\r\n";
        }
        return chunked("0\r\n" + lines + "\r\n");
    };
    CHECK(status_of_request(server, trailers(limits.max_fields)) == 200);
    CHECK(status_of_request(server, trailers(limits.max_fields + 1)) == 431);
}

TEST_CASE("connection limits: every refusal is one answer and a close, also byte by byte") {
    struct Case {
        int status;
        const char* bytes;
    };
    const Case cases[] = {
        {400, "GET  / HTTP/1.1\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n\r\n"},
        {400, "GET / HTTP/1.1\nHost: localhost\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost : localhost\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: localhost\r\n folded\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n"
              "Transfer-Encoding: chunked\r\n\r\n"},
        {400, "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
              "0x1\r\n"},
        {417, "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nExpect: tea\r\n\r\n"},
        {501, "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"},
        {505, "GET / HTTP/2.0\r\nHost: localhost\r\n\r\n"},
    };
    ManualClock clock;
    Server server(options(clock));
    add_routes(server);
    const int misuse = porthole_test::misuse_count;
    for (const Case& each : cases) {
        CAPTURE(each.bytes);
        CHECK(status_of_request(server, each.bytes) == each.status);
        Peer peer(server, 8192, 1);
        peer.send(each.bytes + get("/n/behind"));
        peer.tick(500);
        const auto answers = peer.answers();
        REQUIRE(answers.size() == 1);
        CHECK(answers[0].status == each.status);
        CHECK(peer.is_closed);
    }
    CHECK(porthole_test::misuse_count == misuse);
}

TEST_CASE("connection limits: answers before a refusal are sent, and nothing behind it") {
    ManualClock clock;
    Server server(options(clock));
    add_routes(server);
    Peer peer(server);
    peer.send(get("/n/1") + get("/n/2") + "oh no\r\n\r\n" + get("/n/3"));
    peer.tick(3);
    const auto answers = peer.answers();
    REQUIRE(answers.size() == 3);
    CHECK(answers[0].body == "1");
    CHECK(answers[1].body == "2");
    CHECK(answers[2].status == 400);
    CHECK(server.stats().requests == 2);
}

TEST_CASE("connection limits: a connection has a thousand requests") {
    ManualClock clock;
    Options made = options(clock);
    CHECK(made.limits.max_requests_per_connection == 1000);
    made.limits.max_requests_per_connection = 3;
    Server server(made);
    add_routes(server);
    Peer peer(server);
    for (int i = 1; i <= 2; ++i) {
        peer.send(get("/"));
        peer.tick();
        CHECK_FALSE(peer.answers().front().has_header("Connection"));
    }
    peer.send(get("/") + get("/"));
    peer.tick(2);
    const auto answers = peer.answers();
    REQUIRE(answers.size() == 1);
    CHECK(answers[0].header("Connection") == "close");
    CHECK(peer.is_closed);
}

TEST_CASE("connection limits: a lingering close drains so much and so long, and no longer") {
    ManualClock clock;
    Options made = options(clock);
    made.limits.max_linger_bytes = 10'000;
    Server server(made);
    add_routes(server);
    Peer peer(server);
    peer.send("oh no\r\n\r\n");
    peer.tick(2);
    CHECK(peer.answers().size() == 1);
    CHECK(peer.is_closed);
    CHECK(server.stats().connections == 1);
    SUBCASE("up to the bound") {
        for (int i = 0; i < 10; ++i) {
            CHECK(peer.send(std::string(1000, 'x')) == 1000);
            peer.tick();
        }
        CHECK(server.stats().connections == 1);
        peer.send("x");
        peer.tick();
        CHECK(server.stats().connections == 0);
    }
    SUBCASE("up to the time, which more bytes do not extend") {
        for (int i = 0; i < 18; ++i) {
            porthole::testing::pass_time(server, clock, std::chrono::milliseconds(100));
            peer.send("x");
        }
        CHECK(server.stats().connections == 1);
        porthole::testing::pass_time(server, clock, std::chrono::milliseconds(400));
        CHECK(server.stats().connections == 0);
    }
    SUBCASE("until the peer ends") {
        peer.end->shut_write();
        peer.tick();
        CHECK(server.stats().connections == 0);
    }
}

TEST_CASE("limits: a unit of nothing counts as one, so that everything still gets somewhere") {
    Options made = options();
    made.limits.max_accepts_per_tick = 0;
    made.limits.max_read_bytes_per_turn = 0;
    made.limits.max_write_bytes_per_turn = 0;
    Server server(made);
    add_routes(server);
    porthole::testing::Client client(server);
    CHECK(client.get("/").body == "hello");
}
