// SPDX-License-Identifier: MIT
#include "support/test.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

using porthole::CookieOptions;
using porthole::SameSite;

namespace {

std::string
written(std::string_view name, std::string_view value, const CookieOptions& options = {}) {
    std::string into = "<";
    if (!porthole::write_cookie(name, value, options, into)) {
        CHECK(into == "<");
        return "refused";
    }
    return into.substr(1);
}

} // namespace

TEST_CASE("cookie: finds the first of that name (RFC 6265 5.4)") {
    constexpr std::string_view field = "a=1; session=xyz;b=2;  c = 3 ; a=9; Session=other";
    CHECK(porthole::find_cookie(field, "a") == "1");
    CHECK(porthole::find_cookie(field, "session") == "xyz");
    CHECK(porthole::find_cookie(field, "b") == "2");
    CHECK(porthole::find_cookie(field, "c") == "3");
    CHECK(porthole::find_cookie(field, "Session") == "other");
    CHECK_FALSE(porthole::find_cookie(field, "ession"));
    CHECK_FALSE(porthole::find_cookie(field, "sessio"));
    CHECK_FALSE(porthole::find_cookie(field, "xyz"));
    CHECK_FALSE(porthole::find_cookie("", "a"));
}

TEST_CASE("cookie: values may be quoted, empty, or have an equals sign") {
    CHECK(porthole::find_cookie("a=\"q v\"; b=; c=x=y=; d=\"", "a") == "q v");
    CHECK(porthole::find_cookie("a=\"q v\"; b=; c=x=y=; d=\"", "b") == "");
    CHECK(porthole::find_cookie("a=\"q v\"; b=; c=x=y=; d=\"", "c") == "x=y=");
    CHECK(porthole::find_cookie("a=\"q v\"; b=; c=x=y=; d=\"", "d") == "\"");
    CHECK(porthole::find_cookie("a=\"\"", "a") == "");
}

TEST_CASE("cookie: takes any bytes without harm") {
    for (const char* field : {";", ";;;", "=", "=;=", "a", "a;", "a;b", " ; =x", "\xff\x01=;"}) {
        CAPTURE(field);
        CHECK_FALSE(porthole::find_cookie(field, "a"));
    }
    CHECK(porthole::find_cookie("junk; a=1", "a") == "1");
}

TEST_CASE("cookie: writes attributes in a fixed order, with safe defaults (RFC 6265 4.1)") {
    CHECK(written("id", "abc") == "id=abc; Path=/; HttpOnly; SameSite=Lax");
    CHECK(written("id", "") == "id=; Path=/; HttpOnly; SameSite=Lax");
    CookieOptions options;
    options.path = "/app";
    options.domain = "tools.localhost";
    options.max_age = std::chrono::hours(1);
    options.secure = true;
    options.same_site = SameSite::strict;
    CHECK(
        written("id", "abc", options)
        == "id=abc; Path=/app; Domain=tools.localhost; Max-Age=3600; HttpOnly; Secure; "
           "SameSite=Strict");
    CookieOptions bare;
    bare.path = {};
    bare.http_only = false;
    bare.same_site = SameSite::unset;
    CHECK(written("id", "abc", bare) == "id=abc");
}

TEST_CASE("cookie: an age of zero or less deletes") {
    CookieOptions options;
    options.max_age = std::chrono::seconds(1);
    CHECK(written("a", "", options) == "a=; Path=/; Max-Age=1; HttpOnly; SameSite=Lax");
    options.max_age = std::chrono::seconds(0);
    CHECK(written("a", "", options) == "a=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
    options.max_age = (std::chrono::seconds::min)();
    CHECK(written("a", "", options) == "a=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
    options.max_age = (std::chrono::seconds::max)();
    CHECK(written("a", "", options).find("Max-Age=9223372036854775807;") != std::string::npos);
}

TEST_CASE("cookie: a cross-site one needs secure") {
    CookieOptions options;
    options.same_site = SameSite::cross_site;
    CHECK(written("a", "b", options) == "refused");
    options.secure = true;
    CHECK(written("a", "b", options) == "a=b; Path=/; HttpOnly; Secure; SameSite=None");
}

TEST_CASE("cookie: names are tokens and values cookie-octets, for every byte (RFC 6265 4.1.1)") {
    for (int i = 0; i < 256; ++i) {
        CAPTURE(i);
        const std::string byte(1, static_cast<char>(i));
        const bool is_octet =
            i > 0x20 && i < 0x7f && std::string_view("\",;\\").find(byte) == std::string_view::npos;
        CHECK((written("n", "a" + byte) != "refused") == is_octet);
        CHECK((written("n" + byte, "a") != "refused") == porthole::ascii::is_token(byte));
        CookieOptions path;
        path.path = byte;
        CookieOptions domain;
        domain.domain = byte;
        const bool is_attribute = i >= 0x20 && i != 0x7f && i != ';';
        CHECK((written("n", "v", path) != "refused") == is_attribute);
        CHECK((written("n", "v", domain) != "refused") == is_attribute);
    }
    CHECK(written("", "v") == "refused");
}
