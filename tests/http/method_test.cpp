// SPDX-License-Identifier: MIT

#include "support/test.hpp"

#include <cstddef>
#include <string>
#include <string_view>

using porthole::Method;

TEST_CASE("method: every known name goes both ways (RFC 9110 section 9)") {
    const std::string_view names[] = {
        "GET",      "HEAD",      "POST",  "PUT",  "DELETE", "PATCH", "OPTIONS", "TRACE",  "CONNECT",
        "PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE",   "LOCK",  "UNLOCK",  "REPORT", "SEARCH",
    };
    std::size_t index = 0;
    for (const std::string_view name : names) {
        CAPTURE(name);
        const Method method = porthole::parse_method(name);
        CHECK(static_cast<std::size_t>(method) == index++);
        CHECK(porthole::to_string(method) == name);
    }
    CHECK(static_cast<std::size_t>(Method::other) == index);
    CHECK(porthole::parse_method("DELETE") == Method::del);
}

TEST_CASE("method: anything else is other, also another case (RFC 9110 section 9.1)") {
    const std::string_view names[] = {
        "", "G", "GE", "GETS", "get", "Get", "PURGE", "PRI", "DEL", "DELETED", "OPTION",
    };
    for (const std::string_view name : names) {
        CAPTURE(name);
        CHECK(porthole::parse_method(name) == Method::other);
    }
    CHECK(porthole::parse_method(std::string("GET\0", 4)) == Method::other);
    CHECK(porthole::to_string(Method::other).empty());
}
