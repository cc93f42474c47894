// SPDX-License-Identifier: MIT
#include "support/test.hpp"

#include <string>
#include <type_traits>

#define PORTHOLE_TEST_TEXT_OF(name) #name
#define PORTHOLE_TEST_TEXT(name) PORTHOLE_TEST_TEXT_OF(name)

TEST_CASE("config: the inline namespace carries version and mode") {
    const std::string abi = PORTHOLE_TEST_TEXT(PORTHOLE_ABI);
    const std::string version = "v" + std::to_string(PORTHOLE_VERSION_MAJOR) + "_"
                                + std::to_string(PORTHOLE_VERSION_MINOR) + "_";
    CHECK(abi == version + (PORTHOLE_HEADER_ONLY ? "header_only" : "compiled"));
    CHECK(std::is_same_v<porthole::Error, porthole::PORTHOLE_ABI::Error>);
}

TEST_CASE("config: misuse reaches the assertion that the program has chosen") {
    const int before = porthole_test::misuse_count;
    PORTHOLE_ASSERT(before >= 0, "a true condition is no misuse");
    CHECK(porthole_test::misuse_count == before);
    PORTHOLE_ASSERT(before < 0, "a false one is");
    CHECK(porthole_test::misuse_count == before + 1);
}

TEST_CASE("config: guarded code runs once, with exceptions and without") {
    int runs = 0;
    int failures = 0;
    PORTHOLE_TRY {
        ++runs;
    }
    PORTHOLE_CATCH_ALL {
        ++failures;
    }
    CHECK(runs == 1);
    CHECK(failures == 0);
}

#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
TEST_CASE("config: guarded code catches whatever is thrown") {
    int failures = 0;
    PORTHOLE_TRY {
        throw 1;
    }
    PORTHOLE_CATCH_ALL {
        ++failures;
    }
    CHECK(failures == 1);
}
#endif
