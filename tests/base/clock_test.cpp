// SPDX-License-Identifier: MIT
#include "support/test.hpp"

#include <chrono>

using namespace std::chrono_literals;

TEST_CASE("clock: a manual one stands still until it is told to move") {
    porthole::ManualClock clock;
    const auto start = clock.now();
    CHECK(clock.now() == start);
    CHECK(clock.wall_time() == porthole::ManualClock::wall_epoch);
    clock.advance(90s);
    CHECK(clock.now() == start + 90s);
    CHECK(clock.wall_time() == porthole::ManualClock::wall_epoch + 90s);
}

TEST_CASE("clock: a manual one can make each reading cost time") {
    porthole::ManualClock clock;
    const auto start = clock.now();
    clock.advance_per_reading(3us);
    CHECK(clock.now() == start);
    CHECK(clock.now() == start + 3us);
    CHECK(clock.now() == start + 6us);
    clock.advance_per_reading(0us);
    CHECK(clock.now() == start + 9us);
    CHECK(clock.now() == start + 9us);
}

TEST_CASE("clock: the wall epoch is the example of RFC 9110 section 5.6.7") {
    char text[porthole::date_size];
    porthole::write_date(porthole::ManualClock::wall_epoch, text);
    CHECK(std::string_view(text, sizeof text) == "Sun, 06 Nov 1994 08:49:37 GMT");
}

TEST_CASE("clock: the machine's own never goes back") {
    porthole::SystemClock clock;
    porthole::Clock& seam = clock;
    const auto first = seam.now();
    CHECK(seam.now() >= first);
    CHECK(seam.wall_time() > porthole::ManualClock::wall_epoch);
}
