// SPDX-License-Identifier: MIT

// Files without a name, and variables of the environment.

#include "support/test.hpp"

#include <string>

using namespace porthole::detail;

TEST_CASE("scratch file: bytes come back from where they were put") {
    ScratchFile file;
    CHECK_FALSE(file.is_open());
    REQUIRE(file.open());
    CHECK(file.append("hello "));
    CHECK(file.append({}));
    CHECK(file.append("world"));
    CHECK(file.size() == 11);
    char bytes[20];
    CHECK(std::string(bytes, file.read_at(6, bytes, sizeof bytes)) == "world");
    CHECK(file.read_at(11, bytes, sizeof bytes) == 0);
    file.close();
    CHECK_FALSE(file.is_open());
    CHECK(file.size() == 0);
}

TEST_CASE("scratch file: two of them are two") {
    ScratchFile one;
    ScratchFile two;
    REQUIRE(one.open());
    REQUIRE(two.open());
    CHECK(one.append("1"));
    CHECK(two.append("2"));
    char byte = 0;
    CHECK(one.read_at(0, &byte, 1) == 1);
    CHECK(byte == '1');
}

TEST_CASE("environment: a variable that is set, and one that is not") {
    CHECK_FALSE(environment_variable("PATH").empty());
    CHECK(environment_variable("PORTHOLE_NO_SUCH_VARIABLE").empty());
    CHECK(environment_variable("").empty());
}
