// SPDX-License-Identifier: MIT

// Every poller that this system has goes through the same cases.

#include "os/pair.hpp"

#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#if !defined(_WIN32)
#include <sys/socket.h>
#include <unistd.h>
#endif

using porthole::ErrorCode;
using porthole::Interest;
using porthole::PollerKind;
using porthole::Readiness;
using porthole::detail::make_poller;
using porthole::detail::Poller;
using porthole_test::connected_pair;
using porthole_test::patience_ms;

namespace {

constexpr Interest nothing{false, false};
constexpr Interest reading{true, false};
constexpr Interest writing{false, true};

/// Runs the case with each kind; those that the system lacks have a case of their own.
template <class Case>
void for_each_kind(Case run) {
    for (const PollerKind kind : {PollerKind::automatic, PollerKind::epoll, PollerKind::poll}) {
        std::unique_ptr<Poller> poller;
        if (const auto error = make_poller(kind, poller)) {
            CHECK(kind == PollerKind::epoll);
            continue;
        }
        CAPTURE(static_cast<int>(kind));
        run(*poller);
    }
}

struct Polled {
    std::size_t count = 0;
    void* owner = nullptr;
    Readiness readiness;
};

Polled poll_once(Poller& poller, int timeout_ms) {
    Poller::Event events[Poller::max_events];
    Polled polled;
    polled.count = poller.poll(std::chrono::milliseconds(timeout_ms), events);
    if (polled.count != 0) {
        polled.owner = events[0].owner;
        polled.readiness = events[0].readiness;
    }
    return polled;
}

} // namespace

TEST_CASE("poller: the automatic kind always exists; one that is missing says what to choose") {
    std::unique_ptr<Poller> poller;
    REQUIRE_FALSE(make_poller(PollerKind::automatic, poller));
    REQUIRE(poller != nullptr);
    poller.reset();
    const auto error = make_poller(PollerKind::epoll, poller);
    if (error) {
        CHECK(poller == nullptr);
        CHECK(error.advice().find("PollerKind::poll") != std::string::npos);
    }
}

TEST_CASE("poller: nothing watched, nothing ready") {
    for_each_kind([](Poller& poller) {
        CHECK(poll_once(poller, 0).count == 0);
        CHECK(poll_once(poller, 1).count == 0);
    });
}

TEST_CASE("poller: tells of bytes until they are read") {
    for_each_kind([](Poller& poller) {
        auto pair = connected_pair();
        int owner = 0;
        REQUIRE_FALSE(poller.add(pair.server.handle(), &owner, reading));
        CHECK(poll_once(poller, 0).count == 0);
        const std::string_view text = "hi";
        REQUIRE(pair.client.send(&text, 1).bytes == text.size());
        for (int i = 0; i < 2; ++i) { // level-triggered
            const Polled polled = poll_once(poller, patience_ms);
            CHECK(polled.count == 1);
            CHECK(polled.owner == &owner);
            CHECK(polled.readiness.read);
            CHECK_FALSE(polled.readiness.write);
            CHECK_FALSE(polled.readiness.hangup);
        }
        CHECK(porthole_test::read_all(pair.server, text.size()) == text);
        CHECK(poll_once(poller, 0).count == 0);
        poller.remove(pair.server.handle());
    });
}

TEST_CASE("poller: modify changes interest and owner") {
    for_each_kind([](Poller& poller) {
        auto pair = connected_pair();
        int first = 0;
        int second = 0;
        REQUIRE_FALSE(poller.add(pair.server.handle(), &first, reading));
        CHECK(poll_once(poller, 0).count == 0);
        REQUIRE_FALSE(poller.modify(pair.server.handle(), &second, writing));
        const Polled polled = poll_once(poller, patience_ms);
        CHECK(polled.owner == &second);
        CHECK(polled.readiness.write);
        CHECK_FALSE(polled.readiness.read);
        REQUIRE_FALSE(poller.modify(pair.server.handle(), &second, nothing));
        CHECK(poll_once(poller, 0).count == 0);
        poller.remove(pair.server.handle());
    });
}

TEST_CASE("poller: tells of a peer that has finished, and keeps the bytes readable") {
    for_each_kind([](Poller& poller) {
        auto pair = connected_pair();
        int owner = 0;
        REQUIRE_FALSE(poller.add(pair.server.handle(), &owner, reading));
        pair.client.shut_write();
        const Polled polled = poll_once(poller, patience_ms);
        CHECK(polled.count == 1);
        CHECK((polled.readiness.read || polled.readiness.hangup));
#if defined(__linux__)
        CHECK(polled.readiness.read);
        CHECK(polled.readiness.hangup);
        REQUIRE_FALSE(poller.modify(pair.server.handle(), &owner, nothing));
        const Polled without_interest = poll_once(poller, patience_ms);
        CHECK(without_interest.count == 1);
        CHECK(without_interest.readiness.hangup);
        CHECK_FALSE(without_interest.readiness.read);
#endif
        poller.remove(pair.server.handle());
    });
}

#if defined(__linux__)
TEST_CASE("poller: says nothing of a peer that has finished to who did not ask") {
    for_each_kind([](Poller& poller) {
        auto pair = connected_pair();
        const Interest broken_only{false, false, false};
        REQUIRE_FALSE(poller.add(pair.server.handle(), nullptr, broken_only));
        pair.client.shut_write();
        CHECK(porthole_test::wait_for(pair.server, reading).read); // it has arrived
        CHECK(poll_once(poller, 0).count == 0);
        REQUIRE_FALSE(poller.modify(pair.server.handle(), nullptr, nothing));
        CHECK(poll_once(poller, patience_ms).readiness.hangup);
        poller.remove(pair.server.handle());
    });
}
#endif

#if !defined(_WIN32)
TEST_CASE("poller: tells of a reset without interest in anything") {
    for_each_kind([](Poller& poller) {
        auto pair = connected_pair();
        int owner = 0;
        REQUIRE_FALSE(poller.add(pair.server.handle(), &owner, nothing));
        linger abort_on_close{1, 0};
        const int client = static_cast<int>(pair.client.handle());
        REQUIRE(
            ::setsockopt(client, SOL_SOCKET, SO_LINGER, &abort_on_close, sizeof abort_on_close)
            == 0);
        pair.client.close();
        const Polled polled = poll_once(poller, patience_ms);
        CHECK(polled.count == 1);
        CHECK(polled.readiness.error);
        CHECK(polled.readiness.hangup);
        poller.remove(pair.server.handle());
    });
}
#endif

#if !defined(_WIN32)
TEST_CASE("poller: the end of a pipe can be read") {
    for_each_kind([](Poller& poller) {
        int ends[2] = {-1, -1};
        REQUIRE(::pipe(ends) == 0);
        REQUIRE_FALSE(poller.add(ends[0], nullptr, reading));
        CHECK(poll_once(poller, 0).count == 0);
        ::close(ends[1]);
        const Polled polled = poll_once(poller, patience_ms);
        CHECK(polled.readiness.read);
        CHECK(polled.readiness.hangup);
        poller.remove(ends[0]);
        ::close(ends[0]);
    });
}
#endif

TEST_CASE("poller: a listener is readable when somebody connects") {
    for_each_kind([](Poller& poller) {
        auto listener = porthole_test::loopback_listener();
        int owner = 0;
        REQUIRE_FALSE(poller.add(listener.handle(), &owner, reading));
        CHECK(poll_once(poller, 0).count == 0);
        const auto client = porthole_test::connect_to(listener.endpoint());
        CHECK(poll_once(poller, patience_ms).readiness.read);
        poller.remove(listener.handle());
    });
}

TEST_CASE("poller: what was removed is silent, and the others stay what they are") {
    for_each_kind([](Poller& poller) {
        std::vector<porthole_test::ConnectedPair> pairs;
        for (int i = 0; i < 3; ++i) {
            pairs.push_back(connected_pair());
        }
        for (auto& pair : pairs) {
            REQUIRE_FALSE(poller.add(pair.server.handle(), &pair, writing));
        }
        poller.remove(pairs[0].server.handle());
        poller.remove(pairs[0].server.handle()); // twice does no harm
        Poller::Event events[Poller::max_events];
        const std::size_t count = poller.poll(std::chrono::milliseconds(patience_ms), events);
        REQUIRE(count == 2);
        const std::set<void*> owners{events[0].owner, events[1].owner};
        CHECK(owners == std::set<void*>{&pairs[1], &pairs[2]});
        REQUIRE_FALSE(poller.modify(pairs[2].server.handle(), &pairs[2], reading));
        CHECK(poll_once(poller, patience_ms).owner == &pairs[1]);
        poller.remove(pairs[1].server.handle());
        poller.remove(pairs[2].server.handle());
        CHECK(poll_once(poller, 0).count == 0);
    });
}

TEST_CASE("poller: adding twice, and modifying what is not watched, are errors") {
    for_each_kind([](Poller& poller) {
        auto pair = connected_pair();
        REQUIRE_FALSE(poller.add(pair.server.handle(), nullptr, reading));
        CHECK(poller.add(pair.server.handle(), nullptr, reading));
        CHECK(poller.modify(pair.client.handle(), nullptr, reading));
        CHECK(poller.add(porthole::invalid_handle, nullptr, reading));
        poller.remove(pair.server.handle());
    });
}

TEST_CASE("poller: more ready than fit are told of in the next calls") {
    for_each_kind([](Poller& poller) {
        auto listener = porthole_test::loopback_listener();
        constexpr std::size_t watched = Poller::max_events / 2 + 10;
        std::vector<porthole::detail::Socket> sockets;
        for (std::size_t i = 0; i < watched; ++i) {
            sockets.push_back(porthole_test::connect_to(listener.endpoint()));
            sockets.push_back(porthole_test::accept_one(listener));
            REQUIRE(sockets.back().is_open());
        }
        for (auto& socket : sockets) {
            REQUIRE_FALSE(poller.add(socket.handle(), &socket, writing));
        }
        std::set<void*> told;
        Poller::Event events[Poller::max_events];
        for (int call = 0; call < 2; ++call) {
            const std::size_t count = poller.poll(std::chrono::milliseconds(patience_ms), events);
            CHECK(count == Poller::max_events);
            for (std::size_t i = 0; i < count; ++i) {
                told.insert(events[i].owner);
            }
        }
        CHECK(told.size() == sockets.size());
        for (auto& socket : sockets) {
            poller.remove(socket.handle());
        }
    });
}

#if defined(__linux__)
TEST_CASE("poller: epoll is one descriptor that a host's own loop can watch") {
    std::unique_ptr<Poller> poller;
    REQUIRE_FALSE(make_poller(PollerKind::epoll, poller));
    auto pair = connected_pair();
    REQUIRE_FALSE(poller->add(pair.server.handle(), nullptr, reading));
    CHECK_FALSE(porthole_test::wait_for(poller->native_handle(), reading, 0).read);
    const std::string_view text = "x";
    REQUIRE(pair.client.send(&text, 1).bytes == 1);
    CHECK(porthole_test::wait_for(poller->native_handle(), reading).read);
    REQUIRE_FALSE(make_poller(PollerKind::poll, poller));
    CHECK(poller->native_handle() == porthole::invalid_handle);
}
#endif
