// SPDX-License-Identifier: MIT

#include "os/pair.hpp"
#include "support/options.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

using porthole::Endpoint;
using porthole::Interest;
using porthole::ManualClock;
using porthole::MemoryTransport;
using porthole::NativeHandle;
using porthole::Options;
using porthole::Request;
using porthole::Response;
using porthole::Server;
using porthole::testing::Client;
using porthole::testing::write_request;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

using SteadyClock = std::chrono::steady_clock;
constexpr seconds patience{30};

void add_hello(Server& server) {
    server.get("/", [](const Request&, Response& response) { response.text("hello"); });
}

/// One request over a real connection, while `serve` is called in turn.
template <class Serve>
std::string ask(const Endpoint& where, const Serve& serve) {
    auto socket = porthole_test::connect_to(where);
    REQUIRE(socket.is_open());
    const std::string bytes = write_request("GET", "/", {{"Connection", "close"}});
    const std::string_view view = bytes;
    REQUIRE(socket.send(&view, 1).bytes == bytes.size());
    std::string received;
    const auto end = SteadyClock::now() + patience;
    while (SteadyClock::now() < end) {
        serve();
        char piece[1000];
        const auto result = socket.receive(piece, sizeof piece);
        received.append(piece, result.bytes);
        if (result.status == porthole::IoStatus::end
            || result.status == porthole::IoStatus::failed) {
            break;
        }
    }
    return received;
}

bool is_hello(std::string_view received) {
    return received.find("HTTP/1.1 200") == 0 && received.find("hello") != std::string_view::npos;
}

} // namespace

TEST_CASE("server: options reach the wire and can be read back") {
    Options options = porthole_test::options();
    options.server_name = "the-tool";
    options.limits.max_body_bytes = 7;
    Server server(options);
    add_hello(server);
    CHECK(server.options().limits.max_body_bytes == 7);
    CHECK(Client(server).get("/").header("Server") == "the-tool");
    Server silent(porthole_test::options());
    add_hello(silent);
    CHECK_FALSE(Client(silent).get("/").has_header("Server"));
}

TEST_CASE("server: TickReport and Stats count what was done") {
    ManualClock clock;
    Server server(porthole_test::options(clock));
    server.get("/", [&clock](const Request&, Response& response) {
        clock.advance(milliseconds(3));
        response.text("hello");
    });
    Client client(server);
    const std::string request = write_request("GET", "/");
    client.send(request + request);
    const auto report = client.tick();
    CHECK(report.requests == 2);
    CHECK(report.responses == 2);
    CHECK(report.bytes_in == 2 * request.size());
    CHECK(report.bytes_out == client.received().size());
    CHECK(report.handler_time == milliseconds(6));
    CHECK(report.elapsed == milliseconds(6));
    CHECK_FALSE(report.more);
    const auto idle = client.tick();
    CHECK(idle.requests + idle.responses == 0);
    CHECK(idle.bytes_in + idle.bytes_out == 0);
    const auto stats = server.stats();
    CHECK(stats.ticks == 2);
    CHECK(stats.requests == 2);
    CHECK(stats.responses == 2);
    CHECK(stats.bytes_in == report.bytes_in);
    CHECK(stats.bytes_out == report.bytes_out);
    CHECK(stats.accepted == 1);
    CHECK(stats.connections == 1);
    CHECK(stats.handler_time == milliseconds(6));
    CHECK(stats.tick_times.count() == 1); // an idle tick is none
    CHECK(stats.library_times.count() == 1);
    client.close();
    server.tick();
    CHECK(server.stats().connections == 0);
}

TEST_CASE("server: more work than the budget allows is left for the next tick") {
    ManualClock clock;
    Server server(porthole_test::options(clock));
    server.get("/", [&clock](const Request&, Response& response) {
        clock.advance(milliseconds(2));
        response.text("hello");
    });
    Client a(server);
    Client b(server);
    const std::string requests = write_request("GET", "/") + write_request("GET", "/");
    a.send(requests);
    b.send(requests);
    const auto report = server.tick(milliseconds(1));
    CHECK(report.requests == 1);
    CHECK(report.more);
    CHECK(server.next_deadline() == clock.now());
    CHECK(server.tick(milliseconds(1)).requests == 1);
    CHECK(b.read_answer().status == 200); // its turn came before the other's second one
    CHECK(a.read_answer().status == 200);
    CHECK(a.read_answer().status == 200);
}

TEST_CASE("server: pumping it from inside a handler is misuse and harmless") {
    Server server(porthole_test::options());
    REQUIRE_FALSE(server.listen("127.0.0.1", 0));
    server.get("/", [&server](const Request&, Response& response) {
        const auto report = server.tick();
        server.wait(milliseconds(10'000));
        server.tick_until(SteadyClock::now() + patience);
        server.run();
        response.text(std::to_string(report.requests));
    });
    const int misuse = porthole_test::misuse_count;
    Client client(server);
    CHECK(client.get("/").body == "0");
    CHECK(porthole_test::misuse_count == misuse + 4);
    CHECK(client.get("/").body == "0");
}

TEST_CASE("server: it may be destroyed inside a handler, a hook or a page") {
    for (const std::string_view where : {"handler", "before", "after", "page"}) {
        for (const int how : {0, 1, 2, 3}) {
            CAPTURE(where);
            CAPTURE(how);
            auto server = std::make_unique<Server>(porthole_test::options());
            Server& called = *server;
            int calls_after = 0;
            const auto end = [&](std::string_view place) {
                calls_after += server == nullptr ? 1 : 0;
                if (place == where) {
                    server.reset();
                }
            };
            server->before([&](const Request&, Response&) {
                end("before");
                return porthole::Next::go_on;
            });
            server->after([&](const Request&, Response&) { end("after"); });
            server->after([&](const Request&, Response&) { end("last"); });
            server->on_error([&](const Request&, Response&) { end("page"); });
            server->get("/:x", [&](const Request& request, Response& response) {
                end("handler");
                response.status(404).header("X", request.param("x"));
            });
            Client client(*server);
            Client other(*server);
            const std::string request = write_request("GET", "/value");
            client.send(request + request);
            other.send(request);
            if (how == 0) {
                called.tick();
            } else if (how == 1) {
                called.wait(milliseconds(0));
            } else if (how == 2) {
                called.tick_until(SteadyClock::now() + patience);
            } else {
                called.run();
            }
            CHECK(server == nullptr);
            CHECK(calls_after == 0);
        }
    }
}

TEST_CASE("server: stop() in a handler lets its answer leave") {
    Server server(porthole_test::options());
    REQUIRE_FALSE(server.listen("127.0.0.1", 0));
    server.get("/", [&server](const Request&, Response& response) {
        server.stop();
        server.stop();
        response.text("hello");
    });
    Client client(server);
    Client idle(server);
    client.send(write_request("GET", "/"));
    client.tick();
    client.tick();
    CHECK(client.read_answer().body == "hello");
    CHECK_FALSE(server.is_running());
    CHECK(server.endpoints().empty());
    idle.tick();
    CHECK(idle.is_closed());
}

TEST_CASE("server: run() ends at once when it was stopped before, or has nothing to serve") {
    for (const int how : {0, 1, 2}) {
        CAPTURE(how);
        Options options = porthole_test::options();
        options.limits.stop_grace = std::chrono::duration_cast<milliseconds>(patience);
        Server server(options);
        if (how != 0) {
            REQUIRE_FALSE(server.listen("127.0.0.1", 0));
        }
        if (how == 1) {
            server.stop();
        } else if (how == 2) {
            server.post([&server] { server.stop(); });
        }
        const auto began = SteadyClock::now();
        server.run();
        CHECK(SteadyClock::now() - began < patience / 2);
        CHECK_FALSE(server.is_running());
        CHECK(server.endpoints().empty());
    }
}

TEST_CASE("server: stop() while tick_until() waits is noticed") {
    Server server(porthole_test::options());
    REQUIRE_FALSE(server.listen("127.0.0.1", 0));
    std::thread stopper([&server] { server.stop(); });
    server.tick_until(SteadyClock::now() + milliseconds(300));
    stopper.join();
    server.tick();
    CHECK(server.endpoints().empty());
}

TEST_CASE("server: what does not end is cut after stop_grace") {
    ManualClock clock;
    Options options = porthole_test::options(clock);
    options.limits.stop_grace = milliseconds(500);
    Server server(options);
    porthole::Reply reply;
    server.get("/", [&reply](const Request&, Response& response) { reply = response.defer(); });
    Client waiting(server);
    Client partial(server);
    waiting.send(write_request("GET", "/"));
    partial.send("GET / HT");
    waiting.tick();
    server.stop();
    porthole::testing::pass_time(server, clock, milliseconds(400));
    CHECK(server.stats().connections == 2);
    CHECK_FALSE(server.is_running());
    porthole::testing::pass_time(server, clock, milliseconds(200));
    CHECK(server.stats().connections == 0);
    CHECK(reply.peer_gone());
}

TEST_CASE("server: listen() starts anew behind stop()") {
    Server server(porthole_test::options());
    add_hello(server);
    REQUIRE_FALSE(server.listen("127.0.0.1", 0));
    CHECK(server.is_running());
    server.stop();
    CHECK_FALSE(server.is_running());
    server.run();
    CHECK_FALSE(server.is_running());
    REQUIRE_FALSE(server.listen("127.0.0.1", 0));
    CHECK(server.is_running());
    const auto serve = [&server] {
        server.wait(milliseconds(10));
    };
    CHECK(is_hello(ask(server.endpoints().front(), serve)));
    server.stop();
    REQUIRE_FALSE(server.listen("127.0.0.1", 0)); // before anything noticed the stop
    CHECK(server.is_running());
    CHECK(server.endpoints().size() == 1);
    CHECK(is_hello(ask(server.endpoints().front(), serve)));
}

TEST_CASE("server: listen() inside a handler that has stopped it is harmless") {
    Server server(porthole_test::options());
    add_hello(server);
    server.get("/again", [&server](const Request&, Response& response) {
        server.stop();
        CHECK_FALSE(server.listen("127.0.0.1", 0));
        response.text("again");
    });
    Client client(server);
    client.send(write_request("GET", "/again"));
    client.tick();
    client.tick();
    CHECK(client.is_closed());
    CHECK(Client(server).get("/").body == "hello");
}

TEST_CASE("server: endpoints(), port() and urls() tell where it is") {
    Server server(porthole_test::options());
    CHECK(server.port() == 0);
    CHECK(server.endpoints().empty());
    CHECK(server.urls().empty());
    REQUIRE_FALSE(server.listen("localhost", 0));
    REQUIRE(server.port() != 0);
    for (const Endpoint& endpoint : server.endpoints()) {
        CHECK(endpoint.port() == server.port());
        CHECK(endpoint.is_loopback());
    }
    const std::string url = "http://localhost:" + std::to_string(server.port()) + "/";
    CHECK(server.urls() == std::vector<std::string>{url});
    const auto count = server.endpoints().size();
    CHECK_FALSE(server.listen("localhost", server.port())); // shares what is there
    CHECK(server.endpoints().size() == count);
}

TEST_CASE("server: the host may wait for the descriptors itself") {
    for (const bool uses_one : {false, true}) {
        Server server(porthole_test::options());
        add_hello(server);
        REQUIRE_FALSE(server.listen("127.0.0.1", 0));
        const NativeHandle one = server.native_handle();
        if (uses_one && one == porthole::invalid_handle) {
            continue;
        }
        const auto wait_and_tick = [&] {
            std::unique_ptr<porthole::detail::Poller> poller;
            REQUIRE_FALSE(porthole::detail::make_poller(porthole::PollerKind::poll, poller));
            int watched = 0;
            const auto add = [&](NativeHandle handle, Interest interest) {
                CHECK(handle != porthole::invalid_handle);
                CHECK_FALSE(poller->add(handle, nullptr, interest));
                ++watched;
            };
            if (uses_one) {
                add(one, {true, false, false});
            } else {
                server.for_each_pollfd(add);
                CHECK(watched >= 2);
            }
            porthole::detail::Poller::Event events[porthole::detail::Poller::max_events];
            poller->poll(milliseconds(100), events);
            server.tick();
        };
        CHECK(is_hello(ask(server.endpoints().front(), wait_and_tick)));
        std::atomic<bool> ran{false};
        std::thread poster([&] { server.post([&ran] { ran = true; }); });
        const auto end = SteadyClock::now() + patience;
        while (!ran && SteadyClock::now() < end) {
            wait_and_tick();
        }
        poster.join();
        CHECK(ran);
    }
}

TEST_CASE("server: next_deadline() is now, later, or never") {
    ManualClock clock;
    Options options = porthole_test::options(clock);
    Server server(options);
    CHECK(server.next_deadline() == porthole::TimePoint::max());
    server.post([] {});
    CHECK(server.next_deadline() == clock.now());
    server.tick();
    CHECK(server.next_deadline() == porthole::TimePoint::max());
    porthole_test::ConnectedPair pair = porthole_test::connected_pair();
    REQUIRE_FALSE(server.adopt(
        std::make_unique<porthole::detail::SocketTransport>(std::move(pair.server)), "test"));
    server.tick();
    const auto next = server.next_deadline();
    CHECK(next > clock.now());
    CHECK(next <= clock.now() + options.limits.head_timeout + seconds(1));
    server.stop();
    CHECK(server.next_deadline() == clock.now());
    server.tick();
}

TEST_CASE("server: adopt() says why it cannot take a connection") {
    ManualClock clock;
    Server server(porthole_test::options(clock));
    CHECK(server.adopt(nullptr, "nobody").code() == porthole::ErrorCode::misuse);
    porthole::Reply reply;
    server.get("/", [&reply](const Request&, Response& response) { reply = response.defer(); });
    Client client(server);
    client.send(write_request("GET", "/"));
    client.tick();
    server.stop();
    client.tick();
    auto pair = MemoryTransport::make_pair();
    CHECK(server.adopt(std::move(pair.server), "late").code() == porthole::ErrorCode::misuse);
    CHECK(Client(server).is_closed());
    CHECK(server.stats().connections == 1);
}

TEST_CASE("server: its end attempts to send what is complete") {
    Options options = porthole_test::options();
    options.limits.max_write_bytes_per_turn = 1000;
    auto server = std::make_unique<Server>(options);
    const std::string large(50'000, 'x');
    server->get("/", [&large](const Request&, Response& response) { response.text(large); });
    auto pair = MemoryTransport::make_pair();
    REQUIRE_FALSE(server->adopt(std::move(pair.server), "memory"));
    const std::string request = write_request("GET", "/");
    const std::string_view view = request;
    REQUIRE(pair.client->write(&view, 1).bytes == request.size());
    server->tick(std::chrono::microseconds(0));
    server->tick(std::chrono::microseconds(0));
    server.reset();
    std::string received(100'000, '\0');
    const auto result = pair.client->read(&received[0], received.size());
    CHECK(result.bytes > large.size());
}

TEST_CASE("server: it may be destroyed by a hook that sees a newcomer being refused") {
    Options options = porthole_test::options();
    options.limits.max_connections = 1;
    auto server = std::make_unique<Server>(options);
    Server& called = *server;
    int refused = 0;
    server->after([&](const Request&, Response& response) {
        refused = response.status();
        server.reset();
    });
    REQUIRE_FALSE(server->listen("127.0.0.1", 0));
    Client busy(*server);
    busy.send("GET / HT");
    busy.tick();
    const auto newcomer = porthole_test::connect_to(server->endpoints().front());
    REQUIRE(newcomer.is_open());
    for (int i = 0; i < 10 && server; ++i) {
        called.wait(milliseconds(1000));
    }
    CHECK(refused == 503);
    CHECK(server == nullptr);
}
