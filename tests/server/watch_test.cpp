// SPDX-License-Identifier: MIT

#include "os/pair.hpp"
#include "support/options.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

using porthole::Interest;
using porthole::Readiness;
using porthole::Server;
using porthole::WatchHandle;
using porthole::detail::Socket;
using porthole_test::connected_pair;
using porthole_test::ConnectedPair;

namespace {

constexpr Interest reading{true, false};
constexpr Interest nothing{false, false, false};

void send(Socket& socket, std::string_view bytes) {
    const auto result = socket.send(&bytes, 1);
    REQUIRE(result.bytes == bytes.size());
}

/// Serves until `is_done`, for a bounded number of turns, each of which may wait.
template <class Done>
void serve_until(Server& server, const Done& is_done) {
    for (int i = 0; i < 20 && !is_done(); ++i) {
        server.wait(std::chrono::milliseconds(1000));
    }
}

} // namespace

TEST_CASE("watch: the callback is called inside tick() when the descriptor is ready") {
    Server server(porthole_test::options());
    ConnectedPair pair = connected_pair();
    std::string got;
    WatchHandle watch;
    CHECK_FALSE(watch.is_watching());
    const auto callback = [&](Readiness ready) {
        CHECK(ready.read);
        char bytes[100];
        const auto result = pair.server.receive(bytes, sizeof bytes);
        got.append(bytes, result.bytes);
    };
    REQUIRE_FALSE(server.watch(pair.server.handle(), reading, callback, watch));
    CHECK(watch.is_watching());
    server.tick();
    CHECK(got.empty());
    send(pair.client, "hello");
    serve_until(server, [&] { return !got.empty(); });
    CHECK(got == "hello");
    watch.stop();
    CHECK_FALSE(watch.is_watching());
    send(pair.client, "more");
    REQUIRE(porthole_test::wait_for(pair.server, reading).read);
    server.tick();
    CHECK(got == "hello");
}

TEST_CASE("watch: set_interest() changes what is waited for") {
    Server server(porthole_test::options());
    ConnectedPair pair = connected_pair();
    int reads = 0;
    int writes = 0;
    WatchHandle watch;
    const auto callback = [&](Readiness ready) {
        reads += ready.read ? 1 : 0;
        writes += ready.write ? 1 : 0;
        watch.set_interest(nothing);
    };
    REQUIRE_FALSE(server.watch(pair.server.handle(), nothing, callback, watch));
    send(pair.client, "x");
    REQUIRE(porthole_test::wait_for(pair.server, reading).read);
    server.tick();
    CHECK(reads == 0);
    watch.set_interest(reading);
    server.tick();
    CHECK(reads == 1);
    server.tick();
    CHECK(reads == 1);
    watch.set_interest({false, true, false});
    server.tick();
    CHECK(writes == 1);
    CHECK(reads == 1);
}

TEST_CASE("watch: the callback may stop its watch, destroy its handle, or replace it") {
    for (const int how : {0, 1, 2}) {
        CAPTURE(how);
        Server server(porthole_test::options());
        ConnectedPair pair = connected_pair();
        const auto sentinel = std::make_shared<int>(42);
        int calls = 0;
        auto watch = std::make_unique<WatchHandle>();
        const auto callback = [&, sentinel](Readiness) {
            ++calls;
            if (how == 0) {
                watch->stop();
            } else if (how == 1) {
                watch.reset();
            } else {
                *watch = WatchHandle();
            }
            CHECK(*sentinel == 42);
        };
        send(pair.client, "x");
        REQUIRE(porthole_test::wait_for(pair.server, reading).read);
        REQUIRE_FALSE(server.watch(pair.server.handle(), reading, callback, *watch));
        server.tick();
        server.tick();
        CHECK(calls == 1);
    }
}

TEST_CASE("watch: a handle may outlive the server, and the server's end inside the callback") {
    ConnectedPair pair = connected_pair();
    WatchHandle watch;
    auto server = std::make_unique<Server>(porthole_test::options());
    Server& called = *server;
    const auto callback = [&server](Readiness) {
        server.reset();
    };
    REQUIRE_FALSE(server->watch(pair.server.handle(), reading, callback, watch));
    send(pair.client, "x");
    REQUIRE(porthole_test::wait_for(pair.server, reading).read);
    called.tick();
    CHECK(server == nullptr);
    watch.set_interest(nothing);
    watch.stop();
    CHECK_FALSE(watch.is_watching());
}

TEST_CASE("watch: what a callback holds is freed with its watch, or with the "
          "server") {
    struct Holder {
        WatchHandle watch;
    };
    for (const std::string_view how : {"server", "stop", "inside"}) {
        CAPTURE(how);
        auto server = std::make_unique<Server>(porthole_test::options());
        ConnectedPair pair = connected_pair();
        const auto holder = std::make_shared<Holder>();
        bool was_held = false;
        const auto callback = [&was_held, keep = holder](Readiness) {
            keep->watch.stop();
            was_held = keep.use_count() > 1; // until it returns
        };
        REQUIRE_FALSE(server->watch(pair.server.handle(), reading, callback, holder->watch));
        if (how == "server") {
            server.reset();
        } else if (how == "stop") {
            holder->watch.stop();
        } else {
            send(pair.client, "x");
            serve_until(*server, [&] { return was_held; });
            CHECK(was_held);
        }
        CHECK(holder.use_count() == 2); // and the test's own copy of the callback
    }
}

TEST_CASE("watch: a stopped callback may hold the last share of what owns its "
          "handle") {
    struct Holder {
        WatchHandle watch;
        std::shared_ptr<int> held;
    };
    for (const bool is_replaced : {false, true}) {
        Server server(porthole_test::options());
        ConnectedPair pair = connected_pair();
        const auto held = std::make_shared<int>();
        auto holder = std::make_shared<Holder>();
        holder->held = held;
        WatchHandle& watch = holder->watch;
        const int handles = static_cast<int>(held.use_count());
        REQUIRE_FALSE(server.watch(
            pair.server.handle(), reading, [keep = holder](Readiness) {}, watch));
        holder.reset();
        CHECK(held.use_count() == handles);
        if (is_replaced) {
            watch = WatchHandle();
        } else {
            watch.stop();
        }
        CHECK(held.use_count() == 1);
    }
}

TEST_CASE("watch: a callback that may stop another one that is ready, too") {
    Server server(porthole_test::options());
    ConnectedPair a = connected_pair();
    ConnectedPair b = connected_pair();
    WatchHandle first;
    WatchHandle second;
    int calls = 0;
    const auto stop_both = [&](Readiness) {
        ++calls;
        first.stop();
        second.stop();
    };
    REQUIRE_FALSE(server.watch(a.server.handle(), reading, stop_both, first));
    REQUIRE_FALSE(server.watch(b.server.handle(), reading, stop_both, second));
    send(a.client, "x");
    send(b.client, "x");
    REQUIRE(porthole_test::wait_for(a.server, reading).read);
    REQUIRE(porthole_test::wait_for(b.server, reading).read);
    server.tick();
    CHECK(calls == 1);
}

TEST_CASE("watch: errors are told, and leave an empty handle") {
    Server server(porthole_test::options());
    WatchHandle watch;
    const auto error = server.watch(
        porthole::invalid_handle, reading, [](Readiness) {}, watch);
    CHECK(error);
    CHECK_FALSE(watch.is_watching());
    ConnectedPair pair = connected_pair();
    const int misuse = porthole_test::misuse_count;
    CHECK(server.watch(pair.server.handle(), reading, {}, watch));
    CHECK(porthole_test::misuse_count == misuse + 1);
    CHECK_FALSE(watch.is_watching());
}

#if defined(__cpp_exceptions)
TEST_CASE("watch: a callback that throws is watched no longer, and the server lives on") {
    Server server(porthole_test::options());
    ConnectedPair pair = connected_pair();
    WatchHandle watch;
    int calls = 0;
    const auto callback = [&calls](Readiness) {
        ++calls;
        throw 1;
    };
    REQUIRE_FALSE(server.watch(pair.server.handle(), reading, callback, watch));
    send(pair.client, "x");
    REQUIRE(porthole_test::wait_for(pair.server, reading).read);
    server.tick();
    server.tick();
    CHECK(calls == 1);
}
#endif
