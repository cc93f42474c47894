// SPDX-License-Identifier: MIT

// How a written answer ends early: broken off by the program, its client gone or wanting no
// content, or the server gone. on_abort() is called once, and all that was captured is freed.

#include "support/counting_transport.hpp"

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

using namespace std::chrono_literals;
using porthole::ManualClock;
using porthole::Reply;
using porthole::Request;
using porthole::Response;
using porthole::Server;
using porthole::Stream;
using porthole::StreamOptions;
using porthole::testing::Answer;
using porthole::testing::Client;
using porthole::testing::pass_time;
using porthole_test::get;
using porthole_test::options;
using porthole_test::Peer;

namespace {

/// GET /s streams, and counts what it is told. All functions hold `held`.
struct EndWorld {
    ManualClock clock;
    Stream stream;
    std::size_t high_mark = 10'000;
    int aborted = 0;
    int writable = 0;
    std::shared_ptr<int> held = std::make_shared<int>(0);
    std::function<void()> when_aborted;
    std::function<void()> when_writable;
    std::unique_ptr<Server> server = std::make_unique<Server>(options(clock));

    EndWorld() {
        server->get("/s", [this](const Request&, Response& response) {
            StreamOptions marks;
            marks.high_mark_bytes = high_mark;
            open(response.stream("text/plain", marks));
        });
        server->get("/", [](const Request&, Response& response) { response.text("hello"); });
    }
    void open(Stream opened) {
        stream = std::move(opened);
        stream.on_abort([this, keep = held] {
            ++aborted;
            if (when_aborted) {
                when_aborted();
            }
        });
        stream.on_writable([this, keep = held] {
            ++writable;
            if (when_writable) {
                when_writable();
            }
        });
    }
    void tick(int times = 3) {
        for (int i = 0; i < times && server; ++i) {
            server->tick(1s);
        }
    }
    bool is_free() const { return held.use_count() == 1; }
};

} // namespace

TEST_CASE("stream: abort() and the last copy's end break the answer off") {
    for (const bool is_dropped : {false, true}) {
        CAPTURE(is_dropped);
        EndWorld world;
        Peer peer(*world.server);
        peer.send(get("/s"));
        peer.tick();
        world.stream.write("abc");
        peer.tick();
        {
            const Stream copy = world.stream;
            world.stream.write("def");
            is_dropped ? static_cast<void>(world.stream = Stream()) : world.stream.abort();
            CHECK(copy.is_open() == is_dropped);
        }
        peer.tick(2);
        CHECK(peer.is_closed);
        CHECK(peer.answers().empty()); // not whole
        CHECK(world.server->stats().connections == 0);
        CHECK(world.aborted == 0); // its own doing
        CHECK(world.is_free());
    }
}

TEST_CASE("stream: dropped behind finish() it is whole") {
    EndWorld world;
    Peer peer(*world.server);
    peer.send(get("/s"));
    peer.tick();
    world.stream.write("abc");
    world.stream.finish();
    world.stream = Stream();
    peer.tick();
    CHECK(peer.answers().at(0).body == "abc");
    CHECK(world.aborted == 0);
    CHECK(world.is_free());
}

TEST_CASE("stream: when the client goes, on_abort is called once") {
    enum class When { waiting, queued, blocked, half_closed };
    for (const When when : {When::waiting, When::queued, When::blocked, When::half_closed}) {
        CAPTURE(static_cast<int>(when));
        EndWorld world;
        Peer peer(*world.server, 512);
        peer.send(get("/s"));
        peer.tick();
        if (when == When::blocked || when == When::queued) {
            CHECK(world.stream.write(std::string(8000, 'x')) == 8000);
        }
        if (when == When::blocked) {
            world.tick();
        }
        when == When::half_closed ? peer.end->shut_write() : peer.end.reset();
        world.tick();
        CHECK(world.aborted == 1);
        CHECK_FALSE(world.stream.is_open());
        CHECK(world.stream.write("x") == 0);
        CHECK(world.server->stats().connections == 0);
        CHECK(world.is_free());
        world.stream.abort();
        world.stream.finish();
        CHECK(world.aborted == 1);
    }
}

TEST_CASE("stream: behind finish() a client that goes is not told of") {
    EndWorld world;
    world.high_mark = 1'000'000; // more than leaves the stream at a time
    Peer peer(*world.server, 512);
    peer.send(get("/s"));
    peer.tick();
    world.stream.write(std::string(1'000'000, 'x'));
    world.stream.finish();
    world.tick();
    peer.end.reset();
    world.tick();
    CHECK(world.server->stats().connections == 0);
    CHECK(world.aborted == 0);
    CHECK(world.is_free());
}

TEST_CASE("stream: a client that takes nothing is cut, one that has nothing to take is not") {
    EndWorld world;
    Peer peer(*world.server, 512);
    peer.send(get("/s"));
    peer.tick();
    pass_time(*world.server, world.clock, 120s);
    CHECK(world.stream.is_open());
    world.stream.write(std::string(8000, 'x'));
    pass_time(*world.server, world.clock, 29s);
    CHECK(world.stream.is_open());
    pass_time(*world.server, world.clock, 2s);
    CHECK(world.aborted == 1);
    CHECK(world.is_free());
}

TEST_CASE("stream: HEAD wants no content, and is told so at once") {
    EndWorld world;
    world.when_aborted = [&world] {
        CHECK(world.stream.write("x") == 0);
    };
    Client client(*world.server);
    const Answer answer = client.request("HEAD", "/s");
    CHECK(answer.status == 200);
    CHECK(answer.header("Transfer-Encoding") == "chunked");
    CHECK(world.aborted == 1);
    CHECK(world.is_free());
    CHECK(client.get("/").body == "hello");
}

TEST_CASE("stream: the server may be destroyed inside its functions") {
    for (const std::string_view where : {"writable", "gone", "head", "handler", "stopped"}) {
        CAPTURE(where);
        EndWorld world;
        const auto destroy = [&world] {
            world.server.reset();
        };
        world.when_aborted = [&] {
            if (where != "writable" && where != "handler") {
                destroy();
            }
        };
        world.when_writable = destroy;
        world.server->get("/dies", [&](const Request&, Response& response) {
            world.open(response.stream("text/plain"));
            destroy();
        });
        Peer peer(*world.server, 512);
        std::string request = get(where == "handler" ? "/dies" : "/s");
        request.replace(0, where == "head" ? 3 : 0, where == "head" ? "HEAD" : "");
        peer.send(request);
        world.tick(1);
        if (where == "writable") {
            CHECK(world.stream.write(std::string(20'000, 'x')) == 10'000);
            for (int i = 0; i < 100 && world.server; ++i) {
                peer.take();
                world.tick(1);
            }
        } else if (where == "gone") {
            peer.end.reset();
            world.tick();
        } else if (where == "stopped") {
            world.server->stop();
            for (int i = 0; i < 200 && world.server; ++i) {
                world.clock.advance(16ms);
                world.tick(1);
            }
        }
        CHECK(world.server == nullptr);
        CHECK(world.aborted == 1);
        CHECK(world.is_free());
        CHECK_FALSE(world.stream.is_open());
    }
}

TEST_CASE("stream: it outlives the server, and then does nothing") {
    EndWorld world;
    Peer peer(*world.server);
    peer.send(get("/s"));
    peer.tick();
    Stream copy = world.stream;
    world.server.reset();
    CHECK(world.aborted == 1);
    CHECK(world.is_free());
    CHECK(copy.write("x") == 0);
    copy.finish();
    copy.abort();
}

TEST_CASE("stream: an answer that a later hook or page replaces gives it up") {
    EndWorld world;
    world.server->after([](const Request&, Response& response) {
        if (response.header("Content-Type") == "text/plain") {
            response.text("instead");
        }
    });
    Client client(*world.server);
    CHECK(client.get("/s").body == "instead");
    CHECK(world.aborted == 1);
    CHECK(world.is_free());
}

#if defined(__cpp_exceptions)
TEST_CASE("stream: what throws ends its connection or its answer, and nothing else") {
    for (const std::string_view where : {"handler", "writable", "abort"}) {
        CAPTURE(where);
        EndWorld world;
        world.server->get("/throws", [&](const Request&, Response& response) {
            world.open(response.stream("text/plain"));
            if (where == "handler") {
                throw std::runtime_error("handler");
            }
        });
        world.when_writable = [] {
            throw std::runtime_error("writable");
        };
        world.when_aborted = [] {
            throw std::runtime_error("abort");
        };
        Peer peer(*world.server, 4096);
        Peer other(*world.server);
        peer.send(get(where == "handler" ? "/throws" : "/s"));
        peer.tick();
        if (where == "handler") {
            CHECK(peer.answers().at(0).status == 500);
        } else if (where == "writable") {
            world.stream.write(std::string(20'000, 'x'));
            peer.tick(20);
            CHECK(peer.is_closed);
        } else {
            peer.end.reset();
            world.tick();
        }
        CHECK(world.aborted == 1);
        CHECK(world.is_free());
        CHECK_FALSE(world.stream.is_open());
        other.send(get("/"));
        other.tick();
        CHECK(other.answers().at(0).body == "hello");
    }
}
#endif
