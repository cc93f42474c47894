// SPDX-License-Identifier: MIT

// Answers that a program writes piece by piece: what is queued, when it may go on, and how it ends.
// Its end by the client's or the server's doing is in stream_end_test.cpp.

#include "support/counting_transport.hpp"

#include <functional>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using porthole::Request;
using porthole::Response;
using porthole::Server;
using porthole::Stream;
using porthole::StreamOptions;
using porthole::testing::Answer;
using porthole::testing::Client;
using porthole_test::get;
using porthole_test::Peer;

namespace {

/// A server whose GET /s is a stream that the test holds.
struct StreamWorld {
    StreamOptions options;
    Stream stream;
    std::function<void(Stream&)> when_asked;
    std::unique_ptr<Server> server = std::make_unique<Server>(porthole_test::options());
    StreamWorld() {
        server->get("/s", [this](const Request&, Response& response) {
            stream = response.stream("text/csv", options);
            if (when_asked) {
                when_asked(stream);
            }
        });
        server->get("/", [](const Request&, Response& response) { response.text("hello"); });
    }
    bool moves() {
        const porthole::TickReport report = server->tick(1s);
        return report.more || report.bytes_in != 0 || report.bytes_out != 0;
    }
};

} // namespace

TEST_CASE("stream: written in the handler it is chunked, and the connection stays") {
    StreamWorld world;
    world.when_asked = [](Stream& stream) {
        CHECK(stream.write("a,b\n") == 4);
        CHECK(stream.queued_bytes() == 4);
        CHECK(stream.write("") == 0);
        CHECK(stream.write_whole("1,2\n"));
        stream.finish();
        CHECK_FALSE(stream.is_open());
        CHECK(stream.write("more") == 0);
        CHECK(stream.room() == 0);
    };
    Peer peer(*world.server);
    peer.send(get("/s") + get("/"));
    peer.tick();
    CHECK(peer.received.find("Transfer-Encoding: chunked\r\n") != std::string::npos);
    const auto answers = peer.answers();
    REQUIRE(answers.size() == 2);
    CHECK(answers[0].header("Content-Type") == "text/csv");
    CHECK(answers[0].body == "a,b\n1,2\n");
    CHECK(answers[1].body == "hello");
}

TEST_CASE("stream: written from later frames, tasks and between ticks") {
    StreamWorld world;
    Peer peer(*world.server);
    peer.send(get("/s"));
    peer.tick();
    CHECK(peer.received.find("200 OK") != std::string::npos);
    CHECK_FALSE(world.moves());
    CHECK(world.stream.write("one ") == 4);
    peer.tick();
    CHECK(peer.received.find("one ") != std::string::npos);
    world.server->post([&world] { world.stream.write("two "); });
    peer.tick();
    CHECK(peer.received.find("two ") != std::string::npos);
    CHECK(world.stream.queued_bytes() == 0);
    CHECK_FALSE(world.moves());
    world.stream.write("three");
    world.stream.finish();
    peer.tick();
    const auto answers = peer.answers();
    REQUIRE(answers.size() == 1);
    CHECK(answers[0].body == "one two three");
    peer.send(get("/"));
    peer.tick();
    CHECK(peer.answers().at(0).body == "hello");
}

TEST_CASE("stream: a write wakes a server that waits") {
    StreamWorld world;
    Peer peer(*world.server);
    peer.send(get("/s"));
    peer.tick();
    CHECK_FALSE(world.moves());
    world.stream.write("x");
    const auto began = std::chrono::steady_clock::now();
    const auto report = world.server->wait(5s);
    CHECK(report.bytes_out != 0);
    CHECK(std::chrono::steady_clock::now() - began < 4s);
}

TEST_CASE("stream: the high mark bounds what is queued, the low mark tells when to go on") {
    StreamWorld world;
    world.options.high_mark_bytes = 1000;
    world.options.low_mark_bytes = 100;
    Peer peer(*world.server, 64);
    peer.send(get("/s"));
    for (int i = 0; i < 3; ++i) {
        world.server->tick(1s); // the head alone fills the peer's window
    }
    int calls = 0;
    world.stream.on_writable([&] {
        ++calls;
        CHECK(world.stream.queued_bytes() <= 100);
    });
    CHECK(world.stream.room() == 1000);
    CHECK(world.stream.write(std::string(999, 'a')) == 999);
    CHECK(world.stream.write_whole("bb") == false);
    CHECK(world.stream.queued_bytes() == 999);
    CHECK(world.stream.write("bb") == 1);
    CHECK(world.stream.write("b") == 0);
    CHECK(world.stream.room() == 0);
    world.server->tick(1s);
    CHECK(calls == 0); // the client has not read
    peer.tick(100);
    CHECK(calls == 1);
    CHECK(world.stream.write("c") == 1); // taken whole: nobody waits for room
    peer.tick(100);
    CHECK(calls == 1);
    world.stream.finish();
    peer.tick(10);
    CHECK(peer.answers().at(0).body == std::string(999, 'a') + "bc");
}

TEST_CASE("stream: the marks by default are Limits::max_queue_bytes and a quarter of it") {
    porthole::Options made = porthole_test::options();
    made.limits.max_queue_bytes = 4000;
    Server server(std::move(made));
    Stream stream;
    server.get("/s", [&stream](const Request&, Response& response) {
        stream = response.stream("text/plain");
    });
    Peer peer(server, 16);
    peer.send(get("/s"));
    for (int i = 0; i < 10; ++i) {
        peer.send("");
        server.tick(1s);
    }
    CHECK(stream.room() == 0); // not asked yet: the request has not come whole
    std::string rest = get("/s").substr(16);
    for (int i = 0; i < 10; ++i) {
        rest.erase(0, peer.send(rest));
        server.tick(1s);
    }
    CHECK(stream.room() == 4000);
    int calls = 0;
    stream.on_writable([&] {
        ++calls;
        CHECK(stream.queued_bytes() <= 1000);
    });
    CHECK(stream.write(std::string(5000, 'x')) == 4000);
    peer.tick(1000);
    CHECK(calls == 1);
}

TEST_CASE("stream: on_writable writes on, for as long as there is something") {
    StreamWorld world;
    world.options.high_mark_bytes = 10'000;
    std::size_t left = 1'000'000;
    world.when_asked = [&left](Stream& stream) {
        const auto fill = [&left, &stream] {
            while (left != 0) {
                const std::size_t taken = stream.write(std::string(left < 999 ? left : 999, 'x'));
                left -= taken;
                if (taken == 0) {
                    return;
                }
            }
            stream.finish();
        };
        stream.on_writable(fill);
        fill();
    };
    Client client(*world.server);
    const Answer answer = client.get("/s");
    CHECK(answer.body.size() == 1'000'000);
    CHECK(client.get("/").body == "hello");
}

TEST_CASE("stream: on_writable keeps what it holds from call to call, and may put another") {
    StreamWorld world;
    world.options.high_mark_bytes = 1000;
    world.options.low_mark_bytes = 100;
    std::string calls;
    world.when_asked = [&calls](Stream& stream) {
        stream.on_writable([&calls, &stream, count = 0, held = std::string(40, 'h')]() mutable {
            ++count;
            if (count == 3) {
                stream.on_writable([&calls, &stream] {
                    calls += "other";
                    stream.finish();
                });
            }
            calls += std::to_string(count) + held[0]; // still there behind its successor
            stream.write(std::string(calls.size() < 100 ? 2000 : 0, 'x'));
        });
        stream.write(std::string(2000, 'x'));
    };
    Client client(*world.server);
    CHECK(client.get("/s").body.size() == 4000);
    CHECK(calls == "1h2h3hother");
}

TEST_CASE("stream: a flood of writes keeps the tick's budget and its bytes in order") {
    porthole::ManualClock clock;
    Server server(porthole_test::options(clock));
    Stream stream;
    StreamOptions options;
    options.high_mark_bytes = 64 * 1024 * 1024;
    server.get("/s", [&](const Request&, Response& response) {
        stream = response.stream("text/plain", options);
        CHECK(stream.write_whole(std::string(16 * 1024 * 1024, 'x')));
        stream.finish();
    });
    Peer peer(server, 32 * 1024 * 1024);
    peer.send(get("/s"));
    clock.advance_per_reading(20us);
    int ticks = 0;
    for (; ticks < 10'000 && server.tick(1ms).more; ++ticks) {}
    CHECK(ticks > 1); // not all in one
    peer.take();
    CHECK(peer.answers().at(0).body == std::string(16 * 1024 * 1024, 'x'));
}

TEST_CASE("stream: with its size it is sent with Content-Length, and ends by itself") {
    for (const bool is_at_once : {false, true}) {
        StreamWorld world;
        world.options.size = 8;
        auto held = std::make_shared<int>();
        int aborted = 0;
        world.when_asked = [&](Stream& stream) {
            stream.on_abort([&aborted, held] { ++aborted; });
            stream.write("abcd");
            if (is_at_once) {
                stream.write("efgh");
            }
        };
        Peer peer(*world.server);
        peer.send(get("/s"));
        peer.tick(2);
        if (!is_at_once) {
            CHECK(world.stream.is_open());
            world.stream.write("efgh"); // finish() comes too late for the last byte
            peer.tick(2);
        }
        const auto answers = peer.answers();
        REQUIRE(answers.size() == 1);
        CHECK(answers[0].header("Content-Length") == "8");
        CHECK(answers[0].body == "abcdefgh");
        CHECK_FALSE(world.stream.is_open());
        world.stream.finish();
        CHECK(aborted == 0);
        CHECK(held.use_count() == 1);
        peer.send(get("/"));
        peer.tick();
        CHECK(peer.answers().at(0).body == "hello");
    }
}

TEST_CASE("stream: more than its size is not sent, less breaks the answer off") {
    for (const bool is_more : {false, true}) {
        CAPTURE(is_more);
        StreamWorld world;
        world.options.size = 8;
        world.when_asked = [&](Stream& stream) {
            stream.write(is_more ? "abcdefghijkl" : "abcd");
            stream.finish();
        };
        Peer peer(*world.server);
        peer.send(get("/s"));
        peer.tick(3);
        const auto answers = peer.answers();
        CHECK(answers.size() == (is_more ? 1 : 0));
        CHECK(peer.is_closed == !is_more);
        CHECK_FALSE(world.stream.is_open());
        if (is_more) {
            CHECK(answers.at(0).body == "abcdefgh");
            CHECK(peer.received.empty());
        }
    }
}

TEST_CASE("stream: a size of 0 is an empty answer") {
    StreamWorld world;
    world.options.size = 0;
    int aborted = 0;
    world.when_asked = [&](Stream& stream) {
        stream.on_abort([&aborted] { ++aborted; });
    };
    Client client(*world.server);
    const Answer answer = client.get("/s");
    CHECK(answer.status == 200);
    CHECK(answer.header("Content-Length") == "0");
    CHECK(client.get("/").body == "hello");
    CHECK(aborted == 0);
}

TEST_CASE("stream: for HTTP/1.0 the connection's end ends it") {
    StreamWorld world;
    Peer peer(*world.server);
    peer.send("GET /s HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n");
    peer.tick();
    world.stream.trailer("X-Sum", "3");
    world.stream.write("abc");
    peer.tick();
    CHECK_FALSE(peer.is_closed);
    world.stream.finish();
    peer.tick();
    CHECK(peer.is_closed);
    CHECK(peer.received.find("Transfer-Encoding") == std::string::npos);
    CHECK(peer.received.find("X-Sum") == std::string::npos);
    CHECK(peer.answers().at(0).body == "abc");
}

TEST_CASE("stream: a trailer comes behind the last chunk (RFC 9112 section 7.1.2)") {
    StreamWorld world;
    const int before = porthole_test::misuse_count;
    world.when_asked = [](Stream& stream) {
        stream.write("abc");
        stream.trailer("X-Sum", " 3 ");
        stream.trailer("Server-Timing", "db;dur=53");
        stream.finish();
        stream.trailer("X-Late", "1"); // behind finish(): nothing happens
    };
    Peer peer(*world.server);
    peer.send(get("/s"));
    peer.tick();
    const std::string_view end = "3\r\nabc\r\n0\r\nX-Sum: 3\r\nServer-Timing: db;dur=53\r\n\r\n";
    REQUIRE(peer.received.size() > end.size());
    CHECK(peer.received.substr(peer.received.size() - end.size()) == end);
    CHECK(porthole_test::misuse_count == before);
    for (const auto& [name, value] : std::vector<std::pair<std::string_view, std::string_view>>{
             {"Content-Length", "3"},
             {"transfer-encoding", "chunked"},
             {"Set-Cookie", "a=b"},
             {"Content-Type", "text/html"},
             {"Trailer", "X"},
             {"Keep-Alive", "timeout=5"},
             {"Proxy-Connection", "close"},
             {"Access-Control-Allow-Origin", "*"},
             {"Bad Name", "1"},
             {"", "1"},
             {"X-Split", "1\r\nX-Forged: 1"},
             {"X-Nul", std::string_view("a\0b", 3)}}) {
        const std::string_view sent = name; // CAPTURE takes no structured binding
        CAPTURE(sent);
        const int misuse = porthole_test::misuse_count;
        StreamWorld other;
        other.when_asked = [n = name, v = value](Stream& stream) {
            stream.trailer(n, v);
            stream.finish();
        };
        Peer client(*other.server);
        client.send(get("/s"));
        client.tick();
        CHECK(porthole_test::misuse_count == misuse + 1);
        CHECK(client.received.substr(client.received.size() - 9) == "\r\n\r\n0\r\n\r\n");
    }
}

TEST_CASE("stream: one that leads nowhere takes nothing") {
    Stream none;
    CHECK(none.write("x") == 0);
    CHECK_FALSE(none.write_whole("x"));
    CHECK_FALSE(none.is_open());
    CHECK(none.room() == 0);
    CHECK(none.queued_bytes() == 0);
    none.on_writable([] {});
    none.on_abort([] {});
    none.finish();
    none.abort();
}
