// SPDX-License-Identifier: MIT

// Files without a name, and variables of the environment.

#include "support/full_disk.hpp"

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

#if !defined(_WIN32)

TEST_CASE("scratch file: a limit on the size of files is met without a signal") {
    ScratchFile file;
    REQUIRE(file.open());
    bool fits = false;
    bool exceeds = false;
    bool begins_beyond = false;
    {
        const porthole_test::FileSizeLimit limit(10);
        fits = file.append("12345");
        exceeds = file.append("678901");
        begins_beyond = file.append("67890") && file.append("1");
    }
    CHECK(fits);
    CHECK_FALSE(exceeds);
    CHECK_FALSE(begins_beyond);
    CHECK(file.size() == 10);
}

#endif

TEST_CASE("environment: a variable that is set, and one that is not") {
    CHECK_FALSE(environment_variable("PATH").empty());
    CHECK(environment_variable("PORTHOLE_NO_SUCH_VARIABLE").empty());
    CHECK(environment_variable("").empty());
}
