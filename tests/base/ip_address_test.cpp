// SPDX-License-Identifier: MIT

#include "support/guarded_bytes.hpp"
#include "support/test.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

using porthole::detail::is_loopback;
using porthole::detail::is_unspecified;
using porthole::detail::parse_ipv4;
using porthole::detail::parse_ipv6;

namespace {

using V4 = std::array<std::uint8_t, 4>;
using V6 = std::array<std::uint8_t, 16>;

bool is_v4(std::string_view text) {
    const porthole_test::HeapBytes bytes(text); // with a hard end
    V4 address{};
    return parse_ipv4(bytes.view(), address);
}

bool is_v6(std::string_view text) {
    const porthole_test::HeapBytes bytes(text);
    V6 address{};
    return parse_ipv6(bytes.view(), address);
}

V4 v4(std::string_view text) {
    V4 address{};
    CHECK(parse_ipv4(text, address));
    return address;
}

V6 v6(std::string_view text) {
    V6 address{};
    CHECK(parse_ipv6(text, address));
    return address;
}

} // namespace

TEST_CASE("ip_address: IPv4 is four decimal octets (RFC 3986 3.2.2)") {
    CHECK(v4("127.0.0.1") == V4{127, 0, 0, 1});
    CHECK(v4("0.0.0.0") == V4{0, 0, 0, 0});
    CHECK(v4("255.255.255.255") == V4{255, 255, 255, 255});
    CHECK(v4("1.10.100.249") == V4{1, 10, 100, 249});
}

TEST_CASE("ip_address: IPv4 in any other spelling is none") {
    for (const std::string_view text :
         {"",           ".",          "...",        "1",
          "127.1",      "127.0.1",    "1.2.3.4.",   ".1.2.3.4",
          "1.2.3.4.5",  "1..3.4",     "256.0.0.1",  "0.0.0.256",
          "1.2.3.1000", "1.2.3.00",   "01.2.3.4",   "1.2.3.04",
          "1.2.3.004",  "0x7f.0.0.1", "0177.0.0.1", "2130706433",
          "+1.2.3.4",   "-1.2.3.4",   "1.2.3.4 ",   " 1.2.3.4",
          "1.2.3.a",    "1.2.3.4\n",  "1,2,3,4",    "99999999999999999999.2.3.4",
          "1.2.3.4/8"}) {
        CAPTURE(text);
        CHECK_FALSE(is_v4(text));
    }
    CHECK_FALSE(is_v4(std::string_view("1.2.3.4\0", 8)));
}

TEST_CASE("ip_address: IPv6 is eight groups, with one gap (RFC 4291 2.2)") {
    const V6 one = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    CHECK(v6("::1") == one);
    CHECK(v6("0:0:0:0:0:0:0:1") == one);
    CHECK(v6("0000:0000:0000:0000:0000:0000:0000:0001") == one);
    CHECK(v6("::0.0.0.1") == one);
    CHECK(v6("::") == V6{});
    CHECK(v6("1::") == V6{0, 1});
    CHECK(v6("FE80::aB") == V6{0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xab});
    CHECK(v6("1:2:3:4:5:6:7::") == V6{0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 0});
    CHECK(v6("::2:3:4:5:6:7:8") == V6{0, 0, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8});
    CHECK(v6("1:2::7:8") == V6{0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 8});
    CHECK(v6("1:2:3:4:5:6:7:8") == V6{0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8});
    CHECK(v6("1:2:3:4:5:6:127.8.9.10") == V6{0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 127, 8, 9, 10});
    CHECK(v6("::ffff:1.2.3.4") == V6{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4});
}

TEST_CASE("ip_address: IPv6 in any other spelling is none") {
    for (const std::string_view text :
         {"",
          ":",
          ":::",
          "::::",
          "1",
          "1:",
          ":1",
          "1:2",
          "1:2:3:4:5:6:7",
          "1:2:3:4:5:6:7:",
          ":1:2:3:4:5:6:7",
          "1:2:3:4:5:6:7:8:9",
          "1:2:3:4:5:6:7:8::",
          "::1:2:3:4:5:6:7:8",
          "1:2:3:4::5:6:7:8",
          "1::2::3",
          "::1::",
          "1:::2",
          "12345::",
          "::12345",
          "::g",
          "::1%lo",
          "::1%251",
          "[::1]",
          "::1]",
          "::1 ",
          " ::1",
          "1.2.3.4",
          "::1.2.3",
          "::1.2.3.4.5",
          "::1.2.3.256",
          "::01.2.3.4",
          "::1.2.3.4:5",
          "1.2.3.4::",
          "1:2:3:4:5:6:7:1.2.3.4",
          "1:2:3:4:5:6::1.2.3.4",
          "::ffff:1.2.3.4/96",
          "::-1",
          "::+1",
          "::0x1"}) {
        CAPTURE(text);
        CHECK_FALSE(is_v6(text));
    }
}

TEST_CASE("ip_address: a text that is no address leaves the IPv6 result alone") {
    V6 address = {7};
    CHECK_FALSE(parse_ipv6("1::2::3", address));
    CHECK(address == V6{7});
}

TEST_CASE("ip_address: loopback is 127/8, ::1 and 127/8 as seen by IPv6") {
    CHECK(is_loopback(v4("127.0.0.0")));
    CHECK(is_loopback(v4("127.255.255.255")));
    CHECK_FALSE(is_loopback(v4("126.255.255.255")));
    CHECK_FALSE(is_loopback(v4("128.0.0.0")));
    CHECK_FALSE(is_loopback(v4("0.0.0.0")));
    CHECK(is_loopback(v6("::1")));
    CHECK(is_loopback(v6("::ffff:127.0.0.1")));
    CHECK(is_loopback(v6("::ffff:7fff:ffff")));
    for (const std::string_view text :
         {"::", "::2", "::1:1", "1::1", "::127.0.0.1", "::ffff:128.0.0.1", "::ffff:8.8.8.8",
          "::fffe:127.0.0.1", "::1:ffff:127.0.0.1", "64:ff9b::127.0.0.1", "::ffff:0.0.0.1"}) {
        CAPTURE(text);
        CHECK_FALSE(is_loopback(v6(text)));
    }
}

TEST_CASE("ip_address: unspecified is nobody's address, in each family") {
    CHECK(is_unspecified(v4("0.0.0.0")));
    CHECK_FALSE(is_unspecified(v4("0.0.0.1")));
    CHECK_FALSE(is_unspecified(v4("1.0.0.0")));
    CHECK(is_unspecified(v6("::")));
    CHECK(is_unspecified(v6("::ffff:0.0.0.0")));
    CHECK_FALSE(is_unspecified(v6("::1")));
    CHECK_FALSE(is_unspecified(v6("1::")));
    CHECK_FALSE(is_unspecified(v6("::ffff:0.0.0.1")));
}
