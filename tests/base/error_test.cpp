// SPDX-License-Identifier: MIT
#include "support/test.hpp"

#include <string>
#include <utility>

using porthole::Error;
using porthole::ErrorCode;

TEST_CASE("error: converts to true only when there is one") {
    const Error none;
    CHECK_FALSE(static_cast<bool>(none));
    CHECK(none.code() == ErrorCode::ok);
    CHECK(none.message() == "no error");
    CHECK(static_cast<bool>(Error(ErrorCode::misuse, "listen", "twice")));
}

TEST_CASE("error: names the call, the endpoint, the system's words and what to do") {
    const Error error = Error(
                            ErrorCode::address_in_use, "bind", "[::1]:8080",
                            "stop the other program or choose another port")
                            .with_system(98, "Address already in use");
    CHECK(error.call() == "bind");
    CHECK(error.endpoint() == "[::1]:8080");
    CHECK(error.system_code() == 98);
    CHECK(error.system_text() == "Address already in use");
    CHECK(error.advice() == "stop the other program or choose another port");
    CHECK(
        error.message()
        == "bind [::1]:8080: Address already in use (98); "
           "stop the other program or choose another port");
}

TEST_CASE("error: speaks for itself where the system was not asked") {
    CHECK(
        Error(ErrorCode::bad_port, "listen", "70000").message()
        == "listen 70000: not a port from 0 to 65535");
    CHECK(Error(ErrorCode::misuse, "run", "").message() == "run: not allowed in this state");
    CHECK(Error(ErrorCode::misuse, "", "").message() == "not allowed in this state");
    CHECK(Error(ErrorCode::not_found, "", "web").message() == "web: not found");
}

TEST_CASE("error: every code has its own sentence") {
    for (int i = 0; i <= static_cast<int>(ErrorCode::system); ++i) {
        const auto sentence = porthole::describe(static_cast<ErrorCode>(i));
        CHECK_FALSE(sentence.empty());
        CHECK(sentence != "unknown error");
        for (int j = 0; j < i; ++j) {
            CHECK(sentence != porthole::describe(static_cast<ErrorCode>(j)));
        }
    }
}

TEST_CASE("error: moves and copies as a value") {
    Error error(ErrorCode::timed_out, "connect", "10.0.0.1:80");
    const Error copy = error;
    const Error moved = std::move(error);
    CHECK(copy.message() == "connect 10.0.0.1:80: timed out");
    CHECK(moved.message() == copy.message());
}
