// SPDX-License-Identifier: MIT

// Uploads that wait in memory and then in a file, at the edge between the two.

#include "support/test.hpp"

#include <string>

using porthole::detail::CgiSpool;

TEST_CASE("cgi spool: what went in comes out, whichever side of the edge it lay on") {
    for (const std::size_t memory : {0u, 1u, 99u, 100u, 101u, 1000u}) {
        for (const std::size_t piece : {1u, 7u, 100u, 1000u}) {
            CAPTURE(memory);
            CAPTURE(piece);
            CgiSpool spool(memory);
            std::string text;
            for (int i = 0; i < 100; ++i) {
                text += static_cast<char>('a' + i % 26);
            }
            for (std::size_t at = 0; at < text.size(); at += piece) {
                REQUIRE(spool.append(std::string_view(text).substr(at, piece)));
            }
            CHECK(spool.size() == text.size());
            std::string back;
            char bytes[33];
            while (!spool.is_read()) {
                const std::size_t size = spool.read(bytes, sizeof bytes);
                REQUIRE(size != 0);
                back.append(bytes, size);
            }
            CHECK(back == text);
            CHECK(spool.read(bytes, sizeof bytes) == 0);
        }
    }
}

TEST_CASE("cgi spool: an empty one is read from the start") {
    CgiSpool spool(10);
    CHECK(spool.is_read());
    CHECK(spool.append({}));
    CHECK(spool.size() == 0);
}
