// SPDX-License-Identifier: MIT

#include "support/test.hpp"

#include <array>
#include <cstddef>
#include <set>
#include <string>

using porthole::detail::fill_random;

TEST_CASE("random: fills exactly what it is asked for, up to 256 bytes") {
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{1}, std::size_t{32}, std::size_t{255}, std::size_t{256}}) {
        CAPTURE(size);
        std::array<char, 260> bytes{};
        REQUIRE(fill_random(bytes.data(), size));
        for (std::size_t i = size; i < bytes.size(); ++i) {
            CHECK(bytes[i] == '\0');
        }
    }
}

TEST_CASE("random: no two secrets are equal, and every bit is used") {
    constexpr std::size_t secret_size = 32;
    constexpr int rounds = 64;
    std::set<std::string> seen;
    std::array<unsigned char, secret_size> ones{};
    std::array<unsigned char, secret_size> zeros{};
    for (int i = 0; i < rounds; ++i) {
        std::array<char, secret_size> bytes{};
        REQUIRE(fill_random(bytes.data(), bytes.size()));
        seen.insert(std::string(bytes.data(), bytes.size()));
        for (std::size_t j = 0; j < secret_size; ++j) {
            const auto byte = static_cast<unsigned char>(bytes[j]);
            ones[j] = static_cast<unsigned char>(ones[j] | byte);
            zeros[j] = static_cast<unsigned char>(zeros[j] | static_cast<unsigned char>(~byte));
        }
    }
    CHECK(seen.size() == rounds);
    for (std::size_t j = 0; j < secret_size; ++j) { // one bit fails once in 2^55 runs
        CHECK(ones[j] == 0xff);
        CHECK(zeros[j] == 0xff);
    }
}
