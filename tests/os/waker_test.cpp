// SPDX-License-Identifier: MIT

// The waker alone and between two threads.

#include "os/pair.hpp"

#include <atomic>
#include <thread>

using porthole::detail::Waker;
using porthole_test::wait_for;

TEST_CASE("waker: is readable from wake to drain, however often it was woken") {
    Waker waker;
    REQUIRE_FALSE(waker.open());
    CHECK_FALSE(wait_for(waker.handle(), {true, false}, 0).read);
    for (int round = 0; round < 3; ++round) {
        waker.wake();
        waker.wake();
        waker.wake();
        CHECK(wait_for(waker.handle(), {true, false}).read);
        waker.drain();
        CHECK_FALSE(wait_for(waker.handle(), {true, false}, 0).read);
        waker.drain();
    }
}

TEST_CASE("waker: one that is not open does nothing") {
    Waker waker;
    waker.wake();
    waker.drain();
    waker.close();
    CHECK(waker.handle() == porthole::invalid_handle);
    REQUIRE_FALSE(waker.open());
    CHECK_FALSE(wait_for(waker.handle(), {true, false}, 0).read);
    waker.wake();
    CHECK(wait_for(waker.handle(), {true, false}).read);
}

TEST_CASE("waker: opened again it begins unwoken") {
    Waker waker;
    REQUIRE_FALSE(waker.open());
    waker.wake();
    REQUIRE_FALSE(waker.open());
    CHECK_FALSE(wait_for(waker.handle(), {true, false}, 0).read);
    waker.wake();
    CHECK(wait_for(waker.handle(), {true, false}).read);
}

TEST_CASE("waker: no wake of another thread is lost") {
    constexpr int rounds = 2000;
    Waker waker;
    REQUIRE_FALSE(waker.open());
    std::atomic<int> posted{0};
    std::thread other([&] {
        for (int i = 0; i < rounds; ++i) {
            posted.fetch_add(1);
            waker.wake();
        }
    });
    int seen = 0;
    while (seen < rounds) {
        if (!wait_for(waker.handle(), {true, false}).read) {
            break; // a wake was lost
        }
        waker.drain();
        seen = posted.load();
    }
    other.join();
    CHECK(seen == rounds);
    waker.drain(); // a last wake may have come after the last look
    CHECK_FALSE(wait_for(waker.handle(), {true, false}, 0).read);
}
