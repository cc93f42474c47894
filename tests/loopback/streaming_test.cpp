// SPDX-License-Identifier: MIT

// Streamed content over real sockets, with each poller: back-pressure reaches the client, a paused
// sink costs no turns, and a client that goes is noticed.

#include "support/recording_sink.hpp"
#include "support/socket_client.hpp"

#include <string>

using namespace std::chrono_literals;
using porthole::BodySink;
using porthole::Request;
using porthole::Response;
using porthole::Server;
using porthole::Stream;
using porthole_test::ask;
using porthole_test::options;
using porthole_test::post_head;
using porthole_test::pump_until;
using porthole_test::simple_get;
using porthole_test::SinkRecord;
using porthole_test::SocketClient;

namespace {

struct SocketWorld {
    SinkRecord record;
    Stream stream;
    int aborted = 0;
    Server server{options()};
    SocketClient client;

    SocketWorld() {
        server.post_stream("/up", [this](const Request&) { return record.sink(); });
        server.get("/s", [this](const Request&, Response& response) {
            stream = response.stream("text/plain");
            stream.on_abort([this] { ++aborted; });
        });
        server.get("/", [](const Request&, Response& response) { response.text("hello"); });
        REQUIRE_FALSE(server.listen("127.0.0.1", 0));
        client.connect("127.0.0.1", server.port());
    }
    template <class Predicate>
    bool until(const Predicate& is_done) {
        return pump_until(server, {&client}, is_done);
    }
    /// Ticks while there is work, then counts what ten more ticks find to do.
    int busy_ticks() {
        for (int i = 0; i < 100 && server.tick().more; ++i) {}
        const auto before = server.stats();
        int busy = 0;
        for (int i = 0; i < 10; ++i) {
            busy += server.tick().more ? 1 : 0;
        }
        return busy + static_cast<int>(server.stats().bytes_in - before.bytes_in);
    }
};

} // namespace

TEST_CASE("streaming: a paused upload stays in the client's socket, and goes on whole") {
    SocketWorld world;
    constexpr std::size_t size = 32 * 1024 * 1024; // more than the system's buffers hold
    world.record.when_data = [&world] {
        if (world.record.pieces == 1) {
            world.record.flow.pause();
        }
        world.record.data.clear();
    };
    std::uint64_t taken = 0;
    world.record.when_ended = [&taken](const Request&, Response& response) {
        response.text("took all");
        taken = 1;
    };
    world.client.send(post_head("/up", size) + std::string(size, 'u'));
    REQUIRE(world.until([&] { return world.record.pieces == 1; }));
    for (int i = 0; i < 1000; ++i) {
        world.client.pump();
        world.server.tick();
    }
    CHECK_FALSE(world.client.has_sent_all());
    CHECK(world.record.pieces == 1);
    CHECK(world.busy_ticks() == 0);
    const auto began = std::chrono::steady_clock::now();
    world.server.wait(50ms); // sleeps, since there is nothing to do
    CHECK(std::chrono::steady_clock::now() - began >= 40ms);
    world.record.flow.resume();
    porthole::testing::Answer answer;
    REQUIRE(world.until([&] { return world.client.take_answer(answer); }));
    CHECK(answer.body == "took all");
    CHECK(world.record.ended == 1);
    CHECK(ask(world.server, world.client, simple_get("/")).body == "hello");
}

TEST_CASE("streaming: a client that goes while its upload is paused costs no turns") {
    for (const bool is_half : {true, false}) {
        CAPTURE(is_half);
        SocketWorld world;
        world.record.when_data = [&world] {
            world.record.flow.pause();
        };
        world.client.send(post_head("/up", 1000) + "abc");
        REQUIRE(world.until([&] { return world.record.pieces == 1; }));
        is_half ? world.client.shut_write() : world.client.close();
        for (int i = 0; i < 20; ++i) {
            world.server.wait(1ms);
        }
        CHECK(world.busy_ticks() == 0);
        const auto began = std::chrono::steady_clock::now();
        world.server.wait(50ms);
        CHECK(std::chrono::steady_clock::now() - began >= 40ms);
        world.record.flow.resume();
        const auto deadline = began + SocketClient::patience;
        while (world.record.aborted == 0 && std::chrono::steady_clock::now() < deadline) {
            world.server.wait(10ms);
        }
        CHECK(world.record.aborted == 1);
        CHECK(world.record.ended == 0);
        CHECK(world.record.is_free());
    }
}

TEST_CASE("streaming: refused midway, the client reads the answer and no reset") {
    SocketWorld world;
    world.record.when_data = [&world] {
        world.record.flow.refuse(415, "Not this.");
    };
    world.client.send(post_head("/up", 8'000'000) + std::string(1'000'000, 'u'));
    porthole::testing::Answer answer;
    REQUIRE(world.until([&] { return world.client.take_answer(answer); }));
    CHECK(answer.status == 415);
    CHECK_FALSE(world.client.is_broken);
    CHECK(world.record.aborted == 1);
}

TEST_CASE("streaming: a written answer follows a client that reads late, within its marks") {
    SocketWorld world;
    world.client.is_reading = false;
    world.client.send(simple_get("/s"));
    REQUIRE(world.until([&] { return world.stream.is_open(); }));
    constexpr std::size_t size = 32 * 1024 * 1024;
    std::size_t left = size;
    const std::string piece(100'000, 's');
    const auto fill = [&] {
        while (left != 0) {
            const std::size_t taken = world.stream.write(std::string_view(piece).substr(0, left));
            left -= taken;
            CHECK(world.stream.queued_bytes() <= porthole::Limits{}.max_queue_bytes);
            if (taken == 0) {
                return;
            }
        }
        world.stream.finish();
    };
    world.stream.on_writable(fill);
    fill();
    for (int i = 0; i < 1000; ++i) {
        world.server.tick();
    }
    CHECK(left != 0); // the client has not read
    CHECK(world.busy_ticks() == 0);
    world.client.is_reading = true;
    porthole::testing::Answer answer;
    REQUIRE(world.until([&] { return left == 0 && world.client.take_answer(answer); }));
    CHECK(answer.body.size() == size);
    CHECK(world.aborted == 0);
}

TEST_CASE("streaming: a client that leaves a waiting answer is noticed") {
    SocketWorld world;
    world.client.send(simple_get("/s"));
    REQUIRE(world.until([&] { return !world.client.received.empty(); }));
    CHECK(world.busy_ticks() == 0);
    world.client.close();
    const auto deadline = std::chrono::steady_clock::now() + SocketClient::patience;
    while (world.aborted == 0 && std::chrono::steady_clock::now() < deadline) {
        world.server.wait(10ms);
    }
    CHECK(world.aborted == 1);
    CHECK_FALSE(world.stream.is_open());
}
