// SPDX-License-Identifier: MIT

// How streamed content ends before its end: refused, too slow, thrown at, or with its client or
// server gone. Exactly one of on_end() and on_abort() is called, and all is freed.

#include "support/counting_transport.hpp"
#include "support/recording_sink.hpp"

#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using porthole::BodyFlow;
using porthole::BodySink;
using porthole::Limits;
using porthole::Request;
using porthole::Response;
using porthole::RouteHandle;
using porthole::testing::Answer;
using porthole::testing::Client;
using porthole::testing::pass_time;
using porthole_test::chunked_post;
using porthole_test::get;
using porthole_test::Peer;
using porthole_test::post_head;
using porthole_test::SinkWorld;

namespace {

constexpr std::string_view expects = "Expect: 100-continue\r\n";

/// One of the two, once, and nothing is left of the sink.
void check_ended_by_abort(const SinkWorld& world) {
    CHECK(world.record.ended == 0);
    CHECK(world.record.aborted == 1);
    CHECK(world.record.is_free());
}

} // namespace

TEST_CASE("body sink: refused at the head, the client never sends (RFC 9110 section 10.1.1)") {
    SinkWorld world;
    int errors = 0;
    int seen_after = 0;
    world.server->on_error([&errors](const Request&, Response& response) {
        ++errors;
        response.text("page");
    });
    world.server->after([&seen_after](const Request&, Response&) { ++seen_after; });
    world.server->post_stream(
        "/no", [](const Request&) { return BodySink::refuse(403, "Not for you."); });
    for (const std::string_view fields : {std::string_view(), expects}) {
        Peer peer(*world.server);
        peer.send(post_head("/no", 1000, fields));
        peer.tick();
        CHECK(peer.received.find("100 Continue") == std::string::npos);
        const auto answers = peer.answers();
        REQUIRE(answers.size() == 1);
        CHECK(answers[0].status == 403);
        CHECK(answers[0].body == "page");
        CHECK(answers[0].header("Connection") == "close");
        CHECK(peer.is_closed);
    }
    CHECK(errors == 2);
    CHECK(seen_after == 2);
}

TEST_CASE("body sink: wanted content is asked for with 100, once") {
    SinkWorld world;
    Peer peer(*world.server);
    peer.send(post_head("/up", 3, expects));
    peer.tick();
    CHECK(peer.received == "HTTP/1.1 100 Continue\r\n\r\n");
    peer.send("abc" + get("/"));
    peer.tick();
    const auto answers = peer.answers();
    REQUIRE(answers.size() == 2);
    CHECK(answers[0].body == "took 3");
    CHECK(peer.received.empty());
}

TEST_CASE("body sink: a refusal without a sensible status is misuse and 500") {
    SinkWorld world;
    const int before = porthole_test::misuse_count;
    world.server->post_stream("/no", [](const Request&) { return BodySink::refuse(200); });
    Client client(*world.server);
    CHECK(client.request("POST", "/no", {}, "abc").status == 500);
    CHECK(porthole_test::misuse_count == before + 1);
}

TEST_CASE("body sink: one that is shared by two requests is misuse, and 500 for the second") {
    for (const bool is_first_over : {false, true}) {
        CAPTURE(is_first_over);
        SinkWorld world;
        BodySink shared = world.record.sink();
        world.server->post_stream("/shared", [&shared](const Request&) { return shared; });
        Peer first(*world.server);
        first.send(post_head("/shared", 6) + (is_first_over ? "abcdef" : "abc"));
        first.tick();
        const int misuses = porthole_test::misuse_count;
        Peer second(*world.server);
        second.send(post_head("/shared", 6) + "abc");
        second.tick();
        CHECK(porthole_test::misuse_count == misuses + 1);
        CHECK(second.answers().at(0).status == 500);
        second.end.reset();
        world.server->tick();
        if (!is_first_over) {
            first.send("def");
            first.tick();
        }
        CHECK(first.answers().at(0).body == "took 6");
        world.record.flow.resume(); // of nobody
        shared = BodySink();
        CHECK(world.record.is_free());
    }
}

TEST_CASE("body sink: on_abort is called when the sink refuses by its flow at the head") {
    SinkWorld world;
    world.server->post_stream("/no", [&world](const Request&) {
        BodySink sink = world.record.sink();
        sink.flow().refuse(409, "Busy.");
        return sink;
    });
    for (const std::string_view content : {"abc", ""}) {
        world.record = {};
        Client client(*world.server);
        CHECK(client.request("POST", "/no", {}, content).status == 409);
        check_ended_by_abort(world);
    }
}

TEST_CASE("body sink: refused from on_data, the rest is not read") {
    for (const bool is_chunked : {false, true}) {
        CAPTURE(is_chunked);
        SinkWorld world;
        int seen_after = 0;
        world.server->after([&seen_after](const Request&, Response& response) {
            CHECK(response.status() == 415);
            ++seen_after;
        });
        world.record.when_data = [&world] {
            world.record.flow.refuse(415, "Not this.");
            world.record.flow.refuse(416); // the first one counts
        };
        Peer peer(*world.server);
        peer.send(is_chunked ? chunked_post("/up", {"abc", "def"}) : post_head("/up", 100) + "abc");
        peer.tick();
        const auto answers = peer.answers();
        REQUIRE(answers.size() == 1);
        CHECK(answers[0].status == 415);
        CHECK(answers[0].body.find("Not this.") != std::string::npos);
        CHECK(world.record.pieces == 1);
        CHECK(world.record.flow.is_over());
        CHECK(seen_after == 1);
        CHECK(peer.is_closed);
        check_ended_by_abort(world);
    }
}

TEST_CASE("body sink: refused from a task, its own client gets the answer and nobody else") {
    for (const bool is_paused : {false, true}) {
        CAPTURE(is_paused);
        SinkWorld world;
        Peer peer(*world.server);
        Peer other(*world.server);
        peer.send(post_head("/up", 100) + "abc");
        peer.tick();
        if (is_paused) {
            world.record.flow.pause();
        }
        world.server->post([&world] { world.record.flow.refuse(507, "The disk is full."); });
        other.send(get("/"));
        peer.tick(2);
        other.take();
        const auto answers = peer.answers();
        REQUIRE(answers.size() == 1);
        CHECK(answers[0].status == 507);
        CHECK(peer.is_closed);
        const auto others = other.answers();
        REQUIRE(others.size() == 1);
        CHECK(others[0].body == "hello");
        check_ended_by_abort(world);
    }
}

TEST_CASE("body sink: refused outside of a tick it is answered by the next one") {
    SinkWorld world;
    Peer peer(*world.server);
    peer.send(post_head("/up", 100) + "abc");
    peer.tick();
    world.record.flow.refuse(400);
    CHECK(world.record.aborted == 0);
    peer.tick();
    CHECK(peer.answers().at(0).status == 400);
    check_ended_by_abort(world);
}

TEST_CASE("body sink: too much of a chunked body is 413, also for a client that does not read") {
    Limits limits;
    limits.max_streamed_body_bytes = 10;
    limits.max_read_bytes_per_turn = 128;
    SinkWorld world(limits);
    Peer peer(*world.server, 64); // the answer does not fit in
    const std::string bytes = chunked_post("/up", {"0123456789", "x", std::string(300, 'y')});
    std::string_view rest = bytes;
    for (int i = 0; i < 20 && !rest.empty(); ++i) {
        rest.remove_prefix(peer.send(rest));
        world.server->tick(1s);
    }
    world.server->tick(1s);
    for (int i = 0; i < 100; ++i) {
        peer.tick();
    }
    const auto answers = peer.answers();
    REQUIRE(answers.size() == 1);
    CHECK(answers[0].status == 413);
    CHECK(world.record.data == "0123456789");
    check_ended_by_abort(world);
}

TEST_CASE("body sink: a broken chunk and a forbidden trailer are 400, and given up") {
    for (const std::string_view tail : {"zz\r\n", "0\r\nContent-Length: 3\r\n\r\n"}) {
        CAPTURE(tail);
        SinkWorld world;
        Peer peer(*world.server);
        peer.send(
            "POST /up HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            "3\r\nabc\r\n"
            + std::string(tail));
        peer.tick();
        CHECK(peer.answers().at(0).status == 400);
        CHECK(world.record.data == "abc");
        check_ended_by_abort(world);
    }
}

TEST_CASE("body sink: a client that goes is told to the sink once") {
    for (const int how : {0, 1, 2}) {
        CAPTURE(how);
        SinkWorld world;
        Peer peer(*world.server);
        peer.send(post_head("/up", 100) + "abc");
        peer.tick();
        how == 0 ? peer.end->shut_write() : how == 1 ? peer.end->reset() : peer.end.reset();
        for (int i = 0; i < 5; ++i) {
            world.server->tick(1s);
        }
        CHECK(world.server->stats().connections == 0);
        CHECK(world.record.flow.is_over());
        check_ended_by_abort(world);
    }
}

TEST_CASE("body sink: content that comes too slowly is 408, and given up") {
    SinkWorld world;
    Client client(*world.server);
    client.send(post_head("/up", 100'000) + "abc");
    client.tick();
    pass_time(*world.server, world.clock, 4s);
    CHECK(world.record.aborted == 0);
    pass_time(*world.server, world.clock, 2s);
    CHECK(client.read_answer().status == 408);
    CHECK(world.server->stats().timeouts == 1);
    check_ended_by_abort(world);
}

#if defined(__cpp_exceptions)
TEST_CASE("body sink: whatever throws makes it a 500") {
    for (const std::string_view where : {"route", "data", "end", "abort"}) {
        CAPTURE(where);
        SinkWorld world;
        int seen_after = 0;
        world.server->after([&seen_after](const Request&, Response& response) {
            seen_after += response.status() >= 500 ? 1 : 0;
        });
        world.server->post_stream("/throws", [&](const Request&) -> BodySink {
            if (where == "route") {
                throw std::runtime_error("route");
            }
            return world.record.sink();
        });
        world.record.when_data = [&] {
            if (where == "data") {
                throw std::runtime_error("data");
            }
            if (where == "abort") {
                world.record.flow.refuse(501);
            }
        };
        world.record.when_ended = [](const Request&, Response&) {
            throw std::runtime_error("end");
        };
        world.record.when_aborted = [] {
            throw std::runtime_error("abort");
        };
        Peer peer(*world.server);
        Peer other(*world.server);
        peer.send(chunked_post("/throws", {"abc"}));
        other.send(get("/"));
        peer.tick(2);
        const auto answers = peer.answers();
        REQUIRE(answers.size() == 1);
        CHECK(answers[0].status == (where == "abort" ? 501 : 500));
        CHECK(seen_after == 1);
        CHECK(other.answers().size() == 0);
        other.take();
        CHECK(other.answers().size() == 1);
        CHECK(world.record.ended == (where == "end" ? 1 : 0));
        CHECK(world.record.aborted == (where == "data" || where == "abort" ? 1 : 0));
        CHECK(world.record.is_free());
    }
}
#endif

TEST_CASE("body sink: the server may be destroyed inside any of its functions") {
    for (const std::string_view where : {"route", "data", "end", "refused", "gone", "stopped"}) {
        CAPTURE(where);
        SinkWorld world;
        const auto destroy = [&world] {
            world.server.reset();
        };
        world.server->post_stream("/dies", [&](const Request&) {
            BodySink sink = world.record.sink();
            if (where == "route") {
                destroy();
            }
            return sink;
        });
        world.record.when_data = [&] {
            if (where == "data") {
                destroy();
            } else if (where == "refused") {
                world.record.flow.refuse(400);
            }
        };
        world.record.when_ended = [&](const Request&, Response&) {
            destroy();
        };
        world.record.when_aborted = [&] {
            if (where != "data" && where != "route") {
                destroy();
            }
        };
        Peer peer(*world.server);
        Peer other(*world.server); // is not idle either
        porthole_test::SinkRecord others;
        world.server->post_stream("/other", [&](const Request&) { return others.sink(); });
        other.send(post_head("/other", 9) + "x");
        other.tick();
        peer.send(chunked_post("/dies", {"abc", "def"}).substr(0, where == "end" ? 1000 : 78));
        world.server->tick(1s);
        if (where == "gone") {
            peer.end.reset();
            world.server->tick(1s);
        } else if (where == "stopped") {
            world.server->stop();
            for (int i = 0; i < 200 && world.server; ++i) {
                world.clock.advance(16ms);
                world.server->tick(1s);
            }
        }
        CHECK(world.server == nullptr);
        CHECK(world.record.ended == (where == "end" ? 1 : 0));
        CHECK(world.record.aborted == (where == "end" ? 0 : 1));
        CHECK(world.record.is_free());
        CHECK(others.aborted == 1);
        CHECK(others.is_free());
    }
}

TEST_CASE("body sink: a server that goes, or stops, gives its sinks up") {
    for (const bool stops : {false, true}) {
        SinkWorld world;
        Client client(*world.server);
        client.send(post_head("/up", 100) + "abc");
        client.tick();
        if (stops) {
            world.server->stop();
            pass_time(*world.server, world.clock, 2s);
        } else {
            world.server.reset();
        }
        check_ended_by_abort(world);
    }
}

TEST_CASE("body sink: its route may go while content comes") {
    SinkWorld world;
    RouteHandle route = world.server->post_stream(
        "/gone/:name", [&world](const Request&) { return world.record.sink(); });
    std::string name = "?";
    world.record.when_ended = [&name](const Request& request, Response& response) {
        name = request.param("name");
        response.text("ended");
    };
    Client client(*world.server);
    client.send(post_head("/gone/x", 6) + "abc");
    client.tick();
    route.remove();
    client.send("def");
    CHECK(client.read_answer().body == "ended");
    CHECK(name.empty());
    CHECK(world.record.data == "abcdef");
    CHECK(world.record.is_free());
}
