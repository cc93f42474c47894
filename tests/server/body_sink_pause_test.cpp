// SPDX-License-Identifier: MIT

// Back-pressure on what comes in: a paused sink leaves the content in the client's socket, costs
// nothing while it waits, and loses nothing when it goes on.

#include "support/counting_transport.hpp"
#include "support/recording_sink.hpp"

#include <string>

using namespace std::chrono_literals;
using porthole::BodySink;
using porthole::Limits;
using porthole::Request;
using porthole::Response;
using porthole::testing::Client;
using porthole::testing::pass_time;
using porthole_test::chunked_post;
using porthole_test::get;
using porthole_test::Peer;
using porthole_test::post;
using porthole_test::post_head;
using porthole_test::SinkWorld;

TEST_CASE("body sink: paused before the first piece, nothing is given until it goes on") {
    const std::string forms[] = {
        post("/paused", "abcdef"), chunked_post("/paused", {"abc", "def"})};
    for (const std::string& form : forms) {
        for (const std::size_t step : {std::size_t{1}, std::size_t{100'000}}) {
            CAPTURE(form);
            CAPTURE(step);
            SinkWorld world;
            world.server->post_stream("/paused", [&world](const Request&) {
                BodySink sink = world.record.sink();
                sink.flow().pause();
                return sink;
            });
            Peer peer(*world.server, 1000, step);
            peer.send(form + get("/"));
            peer.tick(1000);
            CHECK(world.record.flow.is_over() == false);
            CHECK(world.record.pieces == 0);
            CHECK_FALSE(world.moves());
            world.server->post([&world] { world.record.flow.resume(); });
            peer.tick(1000);
            const auto answers = peer.answers();
            REQUIRE(answers.size() == 2);
            CHECK(answers[0].body == "took 6");
            CHECK(world.record.data == "abcdef");
            CHECK(world.record.is_free());
        }
    }
}

TEST_CASE("body sink: paused in the middle of a read, its other chunks wait") {
    SinkWorld world;
    world.record.when_data = [&world] {
        world.record.flow.pause();
    };
    Peer peer(*world.server);
    peer.send(chunked_post("/up", {"a", "b", "c"}, "X-Sum: 3\r\n") + get("/"));
    for (int pieces = 1; pieces <= 3; ++pieces) {
        peer.tick(3);
        CHECK(world.record.pieces == pieces);
        CHECK_FALSE(world.moves());
        world.record.flow.resume(); // between two ticks
        CHECK(world.record.pieces == pieces);
    }
    peer.tick();
    CHECK(peer.answers().size() == 2);
    CHECK(world.record.data == "abc");
}

TEST_CASE("body sink: paused and resumed in one call goes on") {
    SinkWorld world;
    world.record.when_data = [&world] {
        world.record.flow.pause();
        world.record.flow.resume();
    };
    Client client(*world.server);
    client.send(chunked_post("/up", {"a", "b", "c"}));
    CHECK(client.read_answer().body == "took 3");
}

TEST_CASE("body sink: while it is paused the socket is not read, and no deadline runs") {
    Limits limits;
    limits.max_read_bytes_per_turn = 1000;
    SinkWorld world(limits);
    world.record.when_data = [&world] {
        world.record.flow.pause();
    };
    Peer peer(*world.server, 10'000);
    peer.send(post_head("/up", 50'000));
    peer.send(std::string(9'000, 'x'));
    peer.tick(3);
    const int reads = peer.counts->reads;
    CHECK(peer.counts->bytes_read <= 2000);
    pass_time(*world.server, world.clock, 60s);
    CHECK(peer.counts->reads == reads);
    CHECK(world.record.aborted == 0);
    world.record.when_data = nullptr;
    world.record.flow.resume();
    pass_time(*world.server, world.clock, 4s); // its time begins anew
    CHECK(world.record.aborted == 0);
    CHECK(world.record.data.size() > 8'000);
    pass_time(*world.server, world.clock, 14s); // grace, and a second for each KiB
    CHECK(world.record.aborted == 1);
    peer.take();
    CHECK(peer.answers().at(0).status == 408);
}

TEST_CASE("body sink: a pause from outside of the connection's turn stops the deadline, too") {
    SinkWorld world;
    Client client(*world.server);
    client.send(post_head("/up", 6) + "abc");
    client.tick();
    world.record.flow.pause();
    pass_time(*world.server, world.clock, 60s);
    CHECK(world.record.aborted == 0);
    world.record.flow.resume();
    client.send("def");
    CHECK(client.read_answer().body == "took 6");
}

TEST_CASE("body sink: a client that goes while it is paused costs nothing, and is noticed then") {
    for (const int how : {0, 1, 2}) {
        CAPTURE(how);
        SinkWorld world;
        world.record.when_data = [&world] {
            world.record.flow.pause();
        };
        Peer peer(*world.server);
        peer.send(post_head("/up", 100) + "abc");
        peer.tick();
        how == 0 ? peer.end->shut_write() : how == 1 ? peer.end->reset() : peer.end.reset();
        for (int i = 0; i < 3; ++i) {
            world.server->tick(1s);
        }
        CHECK_FALSE(world.moves());
        if (world.record.aborted == 0) {
            world.record.flow.resume();
            for (int i = 0; i < 3; ++i) {
                world.server->tick(1s);
            }
        }
        CHECK(world.record.ended == 0);
        CHECK(world.record.aborted == 1);
        CHECK(world.server->stats().connections == 0);
        CHECK(world.record.is_free());
    }
}

TEST_CASE("body sink: flow and sink may outlive the connection and the server") {
    SinkWorld world;
    Client client(*world.server);
    client.send(post_head("/up", 100) + "abc");
    client.tick();
    const porthole::BodyFlow flow = world.record.flow;
    porthole::BodyFlow copy = flow;
    world.server.reset();
    CHECK(flow.is_over());
    copy.pause();
    copy.resume();
    copy.refuse(400);
    const int before = porthole_test::misuse_count;
    CHECK(copy.defer().is_finished());
    CHECK(porthole_test::misuse_count == before + 1);
    porthole::BodyFlow none;
    none.pause();
    none.resume();
    none.refuse(400);
    CHECK(none.is_over());
    CHECK(world.record.aborted == 1);
}
