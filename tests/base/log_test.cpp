// SPDX-License-Identifier: MIT
#include "support/test.hpp"

#include <string>

TEST_CASE("log: no sink by default, and a sink is given the whole event") {
    porthole::LogSink sink;
    CHECK_FALSE(static_cast<bool>(sink));
    std::string seen;
    sink = [&seen](const porthole::LogEvent& event) {
        CHECK(event.level == porthole::LogLevel::warning);
        CHECK(event.id == porthole::LogId::field_refused);
        seen.append(event.peer).append(": ").append(event.sentence);
    };
    sink({porthole::LogLevel::warning, porthole::LogId::field_refused, "dropped", "127.0.0.1:1"});
    CHECK(seen == "127.0.0.1:1: dropped");
}

TEST_CASE("log: levels are in order") {
    CHECK(porthole::LogLevel::debug < porthole::LogLevel::info);
    CHECK(porthole::LogLevel::info < porthole::LogLevel::warning);
    CHECK(porthole::LogLevel::warning < porthole::LogLevel::error);
}
