// SPDX-License-Identifier: MIT

#include "support/options.hpp"

#include <string>
#include <string_view>

using porthole::ManualClock;
using porthole::Options;
using porthole::Request;
using porthole::Response;
using porthole::Server;
using porthole::detail::ParseStatus;
using porthole::testing::Answer;
using porthole::testing::Client;
using porthole::testing::read_answer;
using porthole::testing::write_request;

TEST_CASE("testing: write_request() adds Host and Content-Length when they are missing") {
    CHECK(write_request("GET", "/x") == "GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n");
    CHECK(
        write_request("POST", "/", {{"host", "a"}}, "abc")
        == "POST / HTTP/1.1\r\nhost: a\r\nContent-Length: 3\r\n\r\nabc");
    CHECK(
        write_request("POST", "/", {{"Transfer-Encoding", "chunked"}}, "0\r\n\r\n")
        == "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: localhost\r\n\r\n0\r\n\r\n");
}

TEST_CASE("testing: read_answer() takes one answer, however it is framed, at every split") {
    const std::string_view answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n"
        "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    };
    for (const std::string_view bytes : answers) {
        for (std::size_t size = 0; size < bytes.size(); ++size) {
            Answer answer;
            CAPTURE(size);
            CHECK(
                read_answer(bytes.substr(0, size), false, false, answer).status
                == ParseStatus::need_more);
        }
        Answer answer;
        const auto reading = read_answer(std::string(bytes) + "next", false, false, answer);
        CHECK(reading.status == ParseStatus::complete);
        CHECK(reading.size == bytes.size());
        CHECK(answer.status == 200);
        CHECK(answer.reason == "OK");
        CHECK(answer.body == "hello");
        CHECK(answer.header("x-a") == "b");
        CHECK(answer.has_header("X-A"));
        CHECK_FALSE(answer.has_header("X-B"));
        CHECK(answer.header("X-B").empty());
    }
}

TEST_CASE("testing: read_answer() knows HEAD, answers until close, and nonsense") {
    Answer answer;
    const std::string_view head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    CHECK(read_answer(head, true, false, answer).size == head.size());
    const std::string_view open = "HTTP/1.1 200 OK\r\n\r\nrest";
    CHECK(read_answer(open, false, false, answer).status == ParseStatus::need_more);
    CHECK(read_answer(open, false, true, answer).status == ParseStatus::complete);
    CHECK(answer.body == "rest");
    CHECK(read_answer("nonsense\r\n\r\n", false, false, answer).status == ParseStatus::failed);
}

TEST_CASE("testing: a client speaks to the routes of a server") {
    Server server(porthole_test::options());
    server.post("/echo", [](const Request& request, Response& response) {
        response.send(request.header("Content-Type").value_or("none"), request.body());
        response.header("X-Peer", request.peer());
    });
    Client client(server, 64, "me");
    const std::string large(100'000, 'x');
    const Answer answer = client.post("/echo", "text/x", large);
    CHECK(answer.status == 200);
    CHECK(answer.body == large);
    CHECK(answer.header("Content-Type") == "text/x");
    CHECK(answer.header("X-Peer") == "me");
    CHECK(client.request("HEAD", "/echo").status == 405);
    CHECK(client.get("/nothing").status == 404);
    CHECK_FALSE(client.is_closed());
}

TEST_CASE("testing: 100 Continue is passed over") {
    Server server(porthole_test::options());
    server.post(
        "/", [](const Request& request, Response& response) { response.text(request.body()); });
    Client client(server);
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
                "Content-Length: 3\r\n\r\n");
    client.tick();
    CHECK(client.received() == "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("abc");
    CHECK(client.read_answer().body == "abc");
}

TEST_CASE("testing: no answer is status 0") {
    Server server(porthole_test::options());
    porthole::Reply reply;
    server.get("/", [&reply](const Request&, Response& response) { reply = response.defer(); });
    Client client(server);
    CHECK(client.get("/").status == 0);
    server.stop();
    reply = porthole::Reply();
    Client closed(server);
    closed.close();
    CHECK(closed.send("x") == 0);
    CHECK(closed.get("/").status == 0);
}

TEST_CASE("testing: a slow reader leaves bytes in the transport") {
    Server server(porthole_test::options());
    server.get("/", [](const Request&, Response& response) { response.text("hello"); });
    Client client(server);
    client.set_reading(false);
    client.send(write_request("GET", "/"));
    client.tick();
    CHECK(client.received().empty());
    client.set_reading(true);
    CHECK(client.read_answer().body == "hello");
}

TEST_CASE("testing: close and half close are seen by the server") {
    Server server(porthole_test::options());
    Client client(server);
    Client half(server);
    server.tick();
    CHECK(server.stats().connections == 2);
    client.close();
    half.shut_write();
    half.tick();
    half.tick();
    CHECK(half.is_closed());
    CHECK(server.stats().connections == 0);
}

TEST_CASE("testing: pass_time() moves the clock in frames, so that deadlines pass one by one") {
    ManualClock clock;
    Options options = porthole_test::options(clock);
    Server server(options);
    Client client(server);
    const auto before = server.stats().ticks;
    const auto began = clock.now();
    porthole::testing::pass_time(server, clock, std::chrono::milliseconds(100));
    CHECK(clock.now() - began == std::chrono::milliseconds(100));
    CHECK(server.stats().ticks - before == 7);
    porthole::testing::pass_time(server, clock, options.limits.head_timeout);
    client.tick();
    CHECK(client.is_closed());
}
