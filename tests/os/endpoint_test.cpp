// SPDX-License-Identifier: MIT

// Endpoints as values, their text, and the resolver with names that need no network.

#include "support/test.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

using porthole::Endpoint;
using porthole::ErrorCode;
using porthole::Family;
using porthole::detail::resolve;
using porthole::detail::ResolveOptions;

namespace {

using Bytes16 = std::array<std::uint8_t, 16>;

Bytes16 groups(std::initializer_list<unsigned> values) {
    Bytes16 bytes{};
    std::size_t i = 0;
    for (const unsigned value : values) {
        bytes[i++] = static_cast<std::uint8_t>(value >> 8);
        bytes[i++] = static_cast<std::uint8_t>(value & 0xff);
    }
    return bytes;
}

std::vector<std::string> resolved(std::string_view host, ResolveOptions options = {}) {
    std::vector<Endpoint> endpoints;
    const auto error = resolve(host, 80, options, endpoints);
    std::vector<std::string> texts;
    if (error) {
        texts.push_back("error: " + std::string(porthole::describe(error.code())));
    }
    for (const Endpoint& endpoint : endpoints) {
        texts.push_back(endpoint.to_string());
    }
    return texts;
}

using Texts = std::vector<std::string>;

} // namespace

TEST_CASE("endpoint: one that was never set has no family and no text") {
    const Endpoint endpoint;
    CHECK(endpoint.family() == Family::any);
    CHECK(endpoint.to_string().empty());
    CHECK(endpoint.host_text().empty());
    CHECK_FALSE(endpoint.is_loopback());
    CHECK_FALSE(endpoint.is_wildcard());
}

TEST_CASE("endpoint: shows IPv4 and unix addresses") {
    CHECK(Endpoint::ipv4({127, 0, 0, 1}, 8080).to_string() == "127.0.0.1:8080");
    CHECK(Endpoint::ipv4({255, 10, 200, 0}, 65535).to_string() == "255.10.200.0:65535");
    CHECK(Endpoint::local("/run/x").to_string() == "unix:/run/x");
    CHECK(Endpoint::local("/run/x").host_text() == "/run/x");
}

TEST_CASE("endpoint: shows IPv6 addresses in their canonical form (RFC 5952 section 4)") {
    struct Row {
        std::initializer_list<unsigned> bytes;
        const char* text;
    };
    const Row rows[] = {
        {{0, 0, 0, 0, 0, 0, 0, 0}, "::"},
        {{0, 0, 0, 0, 0, 0, 0, 1}, "::1"},
        {{1, 0, 0, 0, 0, 0, 0, 0}, "1::"},
        {{0x2001, 0xdb8, 0, 0, 0, 0, 0, 1}, "2001:db8::1"},
        {{0x2001, 0xdb8, 0, 1, 1, 1, 1, 1}, "2001:db8:0:1:1:1:1:1"},
        {{0x2001, 0, 0, 1, 0, 0, 0, 1}, "2001:0:0:1::1"},
        {{0x2001, 0xdb8, 0, 0, 1, 0, 0, 1}, "2001:db8::1:0:0:1"},
        {{0x2001, 0xdb8, 0xaaaa, 0xbbbb, 0xcccc, 0xdddd, 0xeeee, 0xaa},
         "2001:db8:aaaa:bbbb:cccc:dddd:eeee:aa"},
        {{0, 1, 0, 1, 0, 1, 0, 1}, "0:1:0:1:0:1:0:1"},
        {{0, 0, 0, 0, 0, 0xffff, 0x0808, 0x0404}, "::ffff:8.8.4.4"},
        {{0, 0x100, 0, 0, 0, 0, 0, 0xf000}, "0:100::f000"},
    };
    for (const Row& row : rows) {
        const Endpoint endpoint = Endpoint::ipv6(groups(row.bytes), 80);
        CHECK(endpoint.host_text() == row.text);
        CHECK(endpoint.to_string() == "[" + std::string(row.text) + "]:80");
    }
    CHECK(
        Endpoint::ipv6(groups({0xfe80, 0, 0, 0, 0, 0, 0, 1}), 80, 3).to_string()
        == "[fe80::1%3]:80");
}

TEST_CASE("endpoint: knows loopback and its neighbours") {
    CHECK(Endpoint::ipv4({127, 0, 0, 1}, 0).is_loopback());
    CHECK(Endpoint::ipv4({127, 255, 255, 255}, 0).is_loopback());
    CHECK_FALSE(Endpoint::ipv4({126, 255, 255, 255}, 0).is_loopback());
    CHECK_FALSE(Endpoint::ipv4({128, 0, 0, 1}, 0).is_loopback());
    CHECK_FALSE(Endpoint::ipv4({0, 0, 0, 0}, 0).is_loopback());
    CHECK(Endpoint::ipv6(groups({0, 0, 0, 0, 0, 0, 0, 1}), 0).is_loopback());
    CHECK_FALSE(Endpoint::ipv6(groups({0, 0, 0, 0, 0, 0, 0, 2}), 0).is_loopback());
    CHECK_FALSE(Endpoint::ipv6(groups({1, 0, 0, 0, 0, 0, 0, 1}), 0).is_loopback());
    CHECK(Endpoint::ipv6(groups({0, 0, 0, 0, 0, 0xffff, 0x7f08, 1}), 0).is_loopback());
    CHECK_FALSE(Endpoint::ipv6(groups({0, 0, 0, 0, 0, 0xfffe, 0x7f08, 1}), 0).is_loopback());
    CHECK_FALSE(Endpoint::ipv6(groups({0, 0, 0, 0, 0, 0xffff, 0x8008, 1}), 0).is_loopback());
    CHECK(Endpoint::local("/x").is_loopback());
}

TEST_CASE("endpoint: knows the three wildcards") {
    CHECK(Endpoint::ipv4({0, 0, 0, 0}, 0).is_wildcard());
    CHECK_FALSE(Endpoint::ipv4({0, 0, 0, 1}, 0).is_wildcard());
    CHECK(Endpoint::ipv6(groups({0, 0, 0, 0, 0, 0, 0, 0}), 0).is_wildcard());
    CHECK(Endpoint::ipv6(groups({0, 0, 0, 0, 0, 0xffff, 0, 0}), 0).is_wildcard());
    CHECK_FALSE(Endpoint::ipv6(groups({0, 0, 0, 0, 0, 0, 0, 1}), 0).is_wildcard());
    CHECK_FALSE(Endpoint::local("").is_wildcard());
}

TEST_CASE("endpoint: equal means every part") {
    const Endpoint endpoint = Endpoint::ipv4({127, 0, 0, 1}, 80);
    Endpoint other = endpoint;
    CHECK(endpoint == other);
    other.set_port(81);
    CHECK(endpoint != other);
    CHECK(endpoint != Endpoint::ipv4({127, 0, 0, 2}, 80));
    CHECK(Endpoint::ipv6({}, 80) != Endpoint::ipv4({0, 0, 0, 0}, 80));
    CHECK(Endpoint::ipv6({}, 80, 1) != Endpoint::ipv6({}, 80, 2));
    CHECK(Endpoint::local("/a") != Endpoint::local("/b"));
}

TEST_CASE("endpoint: localhost is both loopback addresses whatever the machine says (RFC 6761)") {
    const Texts both{"[::1]:80", "127.0.0.1:80"};
    for (const char* host :
         {"localhost", "LocalHost", "localhost.", "a.localhost", "A.B.LOCALHOST."}) {
        CHECK(resolved(host) == both);
    }
    ResolveOptions options;
    options.family = Family::ipv4;
    CHECK(resolved("localhost", options) == Texts{"127.0.0.1:80"});
    options.family = Family::ipv6;
    CHECK(resolved("localhost", options) == Texts{"[::1]:80"});
}

TEST_CASE("endpoint: resolves numeric hosts") {
    CHECK(resolved("127.0.0.1") == Texts{"127.0.0.1:80"});
    CHECK(resolved("10.1.2.3") == Texts{"10.1.2.3:80"});
    CHECK(resolved("::1") == Texts{"[::1]:80"});
    CHECK(resolved("[::1]") == Texts{"[::1]:80"});
    CHECK(resolved("2001:DB8:0:0::1") == Texts{"[2001:db8::1]:80"});
}

TEST_CASE("endpoint: an empty host is every interface to bind, loopback to connect (RFC 3493)") {
    ResolveOptions options;
    options.is_passive = true;
    Texts passive = resolved("", options);
    Texts active = resolved("");
    std::sort(passive.begin(), passive.end());
    std::sort(active.begin(), active.end());
    CHECK(passive == Texts{"0.0.0.0:80", "[::]:80"});
    CHECK(active == Texts{"127.0.0.1:80", "[::1]:80"});
}

TEST_CASE("endpoint: refuses what cannot be a host") {
    const Texts unknown{"error: unknown host"};
    CHECK(resolved(std::string("127.0.0.1\0.example", 18)) == unknown);
    CHECK(resolved(std::string(1000, 'a')) == unknown);
    ResolveOptions options;
    options.family = Family::local;
    CHECK(
        resolved("localhost", options)
        == Texts{"error: this machine does not support that address family"});
}

TEST_CASE("endpoint: an unknown name is an error that says which") {
    std::vector<Endpoint> endpoints;
    const auto error = resolve("no-such-host.invalid", 80, {}, endpoints);
    if (!error) {
        MESSAGE("skipped: the resolver here answers for names that do not exist");
        return;
    }
    CHECK(error.code() == ErrorCode::unknown_host);
    CHECK(error.call() == "getaddrinfo");
    CHECK(error.endpoint() == "no-such-host.invalid");
    CHECK_FALSE(error.system_text().empty());
    CHECK_FALSE(error.advice().empty());
    CHECK(endpoints.empty());
}

TEST_CASE("endpoint: the interfaces of this machine carry no port and no wildcard") {
    const std::vector<Endpoint> addresses = porthole::detail::interface_addresses();
    const auto loopback = Endpoint::ipv4({127, 0, 0, 1}, 0);
    CHECK(std::find(addresses.begin(), addresses.end(), loopback) != addresses.end());
    for (const Endpoint& address : addresses) {
        CHECK(address.port() == 0);
        CHECK_FALSE(address.is_wildcard());
    }
}
