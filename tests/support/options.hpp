// SPDX-License-Identifier: MIT
#pragma once

// The options that every server in the tests starts from: the whole suite runs once for each
// poller, named by the environment.

#include "support/test.hpp"

#include <cstdlib>
#include <string_view>

namespace porthole_test {

/// PORTHOLE_TEST_POLLER: "epoll", "poll", or unset for the system's best.
inline porthole::PollerKind poller_kind() {
    const char* name = std::getenv("PORTHOLE_TEST_POLLER");
    const std::string_view wanted = name != nullptr ? name : "";
    if (wanted == "epoll") {
        return porthole::PollerKind::epoll;
    }
    return wanted == "poll" ? porthole::PollerKind::poll : porthole::PollerKind::automatic;
}

inline porthole::Options options() {
    porthole::Options options;
    options.poller = poller_kind();
    return options;
}

/// With a clock that only the test moves.
inline porthole::Options options(porthole::ManualClock& clock) {
    porthole::Options made = options();
    made.clock = &clock;
    return made;
}

} // namespace porthole_test
