// SPDX-License-Identifier: MIT

#include "support/test.hpp"

#include <string>
#include <string_view>

using porthole::detail::base64;
using porthole::detail::base64url;

TEST_CASE("base64: the vectors of RFC 4648 section 10, padded") {
    CHECK(base64("") == "");
    CHECK(base64("f") == "Zg==");
    CHECK(base64("fo") == "Zm8=");
    CHECK(base64("foo") == "Zm9v");
    CHECK(base64("foob") == "Zm9vYg==");
    CHECK(base64("fooba") == "Zm9vYmE=");
    CHECK(base64("foobar") == "Zm9vYmFy");
}

TEST_CASE("base64: for urls without padding, and without '+' and '/' (RFC 4648 5)") {
    CHECK(base64url("") == "");
    CHECK(base64url("f") == "Zg");
    CHECK(base64url("fo") == "Zm8");
    CHECK(base64url("foo") == "Zm9v");
    CHECK(base64("\xfb\xff\xbf") == "+/+/");
    CHECK(base64url("\xfb\xff\xbf") == "-_-_");
    CHECK(base64url(std::string(32, '\xff')).size() == 43);
}

TEST_CASE("base64: every byte counts, also NUL and those beyond ASCII") {
    CHECK(base64(std::string_view("\0", 1)) == "AA==");
    CHECK(base64(std::string_view("\0\0\0", 3)) == "AAAA");
    CHECK(base64("\xff\xff\xff") == "////");
    std::string all;
    for (int c = 0; c < 256; ++c) {
        all += static_cast<char>(c);
    }
    const std::string text = base64(all);
    CHECK(text.size() == 344);
    CHECK(text.substr(0, 16) == "AAECAwQFBgcICQoL");
    CHECK(text.substr(340) == "/w==");
}
