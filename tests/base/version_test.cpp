// SPDX-License-Identifier: MIT
#include "support/test.hpp"

#include <string>

TEST_CASE("version: the text is made of the three numbers") {
    const std::string text = std::to_string(PORTHOLE_VERSION_MAJOR) + "."
                             + std::to_string(PORTHOLE_VERSION_MINOR) + "."
                             + std::to_string(PORTHOLE_VERSION_PATCH);
    CHECK(text == PORTHOLE_VERSION_STRING);
}
