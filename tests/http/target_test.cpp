// SPDX-License-Identifier: MIT
#include "support/test.hpp"

#include <random>
#include <string>
#include <string_view>

using porthole::Authority;
using porthole::Target;
using porthole::TargetForm;

namespace {

bool is_target(std::string_view text, std::string_view method = "GET") {
    Target target;
    return porthole::parse_target(text, method, target);
}

bool is_authority(std::string_view text) {
    Authority authority;
    return porthole::parse_authority(text, authority);
}

/// What normalize_path makes of it; "refused" when it does.
std::string normalized(std::string_view path) {
    std::string into = "before";
    if (!porthole::normalize_path(path, into)) {
        CHECK(into == "before");
        return "refused";
    }
    CHECK(into.substr(0, 6) == "before");
    return into.substr(6);
}

} // namespace

TEST_CASE("target: origin form is a path and a query (RFC 9112 3.2.1)") {
    Target target;
    CHECK(porthole::parse_target("/", "GET", target));
    CHECK(target.form == TargetForm::origin);
    CHECK(target.path == "/");
    CHECK(target.query == "");
    CHECK(porthole::parse_target("/a/b%20c?x=1&y=?&z=/", "POST", target));
    CHECK(target.path == "/a/b%20c");
    CHECK(target.query == "x=1&y=?&z=/");
    CHECK(porthole::parse_target("/?", "GET", target));
    CHECK(target.path == "/");
    CHECK(target.query == "");
    CHECK(porthole::parse_target("//evil.test/x", "GET", target));
    CHECK(target.form == TargetForm::origin);
    CHECK(target.path == "//evil.test/x");
    CHECK(porthole::parse_target("/*", "GET", target));
    CHECK(porthole::parse_target("/http://a/", "GET", target));
}

TEST_CASE("target: absolute form is http or https with an authority (RFC 9112 3.2.2)") {
    Target target;
    CHECK(porthole::parse_target("http://localhost:8080/a?b", "GET", target));
    CHECK(target.form == TargetForm::absolute);
    CHECK(target.scheme == "http");
    CHECK(target.authority == "localhost:8080");
    CHECK(target.path == "/a");
    CHECK(target.query == "b");
    CHECK(porthole::parse_target("HTTPS://[::1]", "GET", target));
    CHECK(target.scheme == "HTTPS");
    CHECK(target.authority == "[::1]");
    CHECK(target.path == "/");
    CHECK(porthole::parse_target("http://h?q=/x", "GET", target));
    CHECK(target.authority == "h");
    CHECK(target.path == "/");
    CHECK(target.query == "q=/x");
    for (const char* bad :
         {"http:///x", "http://", "http:/x", "http:x", "ftp://host/", "http://user@host/",
          "http://user:pw@host/", "http://host:/", "http://host:99999/", "http://[::1/", "://host/",
          "http://ho%73t/", "x", "a/b", "localhost:80", "?x", "http ://h/"}) {
        CAPTURE(bad);
        CHECK_FALSE(is_target(bad));
    }
}

TEST_CASE("target: authority form is for CONNECT, and CONNECT has no other (RFC 9112 3.2.3)") {
    Target target;
    CHECK(porthole::parse_target("example.test:443", "CONNECT", target));
    CHECK(target.form == TargetForm::authority);
    CHECK(target.authority == "example.test:443");
    CHECK(target.path == "");
    CHECK(is_target("[::1]:80", "CONNECT"));
    CHECK_FALSE(is_target("example.test", "CONNECT"));
    CHECK_FALSE(is_target("example.test:443", "GET"));
    CHECK_FALSE(is_target("/", "CONNECT"));
    CHECK_FALSE(is_target("*", "CONNECT"));
    CHECK_FALSE(is_target("http://example.test:443/", "CONNECT"));
    CHECK(is_target("/", "connect")); // methods are case-sensitive: this is another one
}

TEST_CASE("target: asterisk form is for OPTIONS only (RFC 9112 3.2.4)") {
    Target target;
    CHECK(porthole::parse_target("*", "OPTIONS", target));
    CHECK(target.form == TargetForm::asterisk);
    CHECK(target.path == "*");
    CHECK(is_target("/x", "OPTIONS"));
    CHECK_FALSE(is_target("*", "GET"));
    CHECK_FALSE(is_target("*", "options"));
    CHECK_FALSE(is_target("**", "OPTIONS"));
    CHECK_FALSE(is_target("*?x", "OPTIONS"));
}

TEST_CASE("target: every byte that is not visible ASCII, and the fragment, is refused") {
    for (int i = 0; i < 256; ++i) {
        const char c = static_cast<char>(i);
        const bool is_fine = i > 0x20 && i < 0x7f && c != '#' && c != '%';
        CAPTURE(i);
        CHECK(is_target(std::string("/a") + c + "b") == is_fine);
        CHECK(is_target(std::string("/?a") + c) == is_fine);
    }
    CHECK_FALSE(is_target(""));
    CHECK_FALSE(is_target("#"));
}

TEST_CASE("target: a '%' needs two hexadecimal digits, in path and query alike") {
    CHECK(is_target("/%20"));
    CHECK(is_target("/?%fF"));
    CHECK(is_target("/%00")); // what it decodes to is the path's business
    for (const char* bad : {"/%", "/%2", "/%2g", "/%g2", "/%%20", "/?%", "/?a=%4", "/?%u0041"}) {
        CAPTURE(bad);
        CHECK_FALSE(is_target(bad));
    }
}

TEST_CASE("target: an authority is a host and perhaps a port (RFC 3986 3.2)") {
    Authority authority;
    CHECK(porthole::parse_authority("localhost", authority));
    CHECK(authority.host == "localhost");
    CHECK_FALSE(authority.has_port);
    CHECK(porthole::parse_authority("a-b_c.D.:0", authority));
    CHECK(authority.host == "a-b_c.D.");
    CHECK(authority.has_port);
    CHECK(authority.port == 0);
    CHECK(porthole::parse_authority("[::1]:65535", authority));
    CHECK(authority.host == "[::1]");
    CHECK(authority.port == 65535);
    CHECK(porthole::parse_authority("127.0.0.1:00080", authority));
    CHECK(authority.port == 80);
    for (const char* bad :
         {"",
          ":",
          ":80",
          "a:",
          "a:b",
          "a:65536",
          "a:000080",
          "a:-1",
          "a:+1",
          "a: 1",
          "a:1 ",
          "a:b:c",
          "a:1:2",
          " a",
          "a b",
          "user@a",
          "evil.com:80@127.0.0.1",
          "a/b",
          "a?b",
          "a#b",
          "a%41",
          "a,b",
          "a\\b",
          "\xc3\xa4",
          "[",
          "]",
          "[]",
          "[::1",
          "::1",
          "[::1]80",
          "[::1]:",
          "[::1]x",
          "[[::1]]",
          "a[::1]",
          "*"}) {
        CAPTURE(bad);
        CHECK_FALSE(is_authority(bad));
    }
}

TEST_CASE("target: an authority has at most 255 bytes") {
    CHECK(is_authority(std::string(255, 'a')));
    CHECK_FALSE(is_authority(std::string(256, 'a')));
    CHECK(is_authority(std::string(252, 'a') + ":80"));
    CHECK_FALSE(is_authority(std::string(253, 'a') + ":80"));
}

TEST_CASE("target: IPv6 in all its forms, and nothing that only looks like it (RFC 4291 2.2)") {
    for (const char* good :
         {"::", "::1", "1::", "1::8", "1:2:3:4:5:6:7:8", "2001:db8:0:0:8:800:200C:417A",
          "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1:2:3::5:6:7:8", "::ffff:127.0.0.1",
          "1:2:3:4:5:6:1.2.3.4", "1::255.255.255.255", "64:ff9b::0.0.0.0", "::13.1.68.3",
          "abcd::", "1:2:3:4:5::1.2.3.4"}) {
        CAPTURE(good);
        CHECK(is_authority(std::string("[") + good + "]"));
    }
    for (const char* bad :
         {":",
          ":::",
          "1",
          "1:2:3:4:5:6:7",
          "1:2:3:4:5:6:7:8:9",
          "1:2:3:4:5:6:7:8::",
          "1:2:3:4::5:6:7:8",
          "::1:2:3:4:5:6:7:8",
          "1::2::3",
          "12345::",
          "g::",
          ":1",
          "1:",
          "1:2:3:4:5:6:7:",
          ":1:2:3:4:5:6:7",
          "::1%eth0",
          "::1%25eth0",
          "fe80::1%1",
          "1.2.3.4",
          "::1.2.3",
          "::1.2.3.4.5",
          "::256.1.1.1",
          "::01.1.1.1",
          "::1.2.3.4:5",
          "1.2.3.4::",
          "1:2:3:4:5:6:7:1.2.3.4",
          "1:2:3:4:5:6::1.2.3.4",
          "::a.1.1.1",
          "::1.1.1.a",
          "::-1",
          "v1.x",
          "::1 ",
          " ::1",
          "::.1.1.1",
          "1:::2"}) {
        CAPTURE(bad);
        CHECK_FALSE(is_authority(std::string("[") + bad + "]"));
    }
}

TEST_CASE("target: percent-decoding is done once, and whole or not at all (RFC 3986 2.1)") {
    std::string into = "<";
    CHECK(porthole::percent_decode("a%20b%2541+%00%fF", into));
    CHECK(into == std::string("<a b%41+\0\xff", 10));
    into = "<";
    for (const char* bad : {"%", "abc%2", "%zz", "ok%20%", "%2 ", "%-1"}) {
        CHECK_FALSE(porthole::percent_decode(bad, into));
        CHECK(into == "<");
    }
    CHECK(porthole::percent_decode("", into));
    CHECK(into == "<");
}

TEST_CASE("target: percent-encoding leaves the unreserved alone and comes back (RFC 3986 2.3)") {
    std::string encoded = "<";
    porthole::percent_encode("aZ09-._~ /?%\n\xff", encoded);
    CHECK(encoded == "<aZ09-._~%20%2F%3F%25%0A%FF");
    std::string every;
    for (int i = 0; i < 256; ++i) {
        every += static_cast<char>(i);
    }
    std::string there, back;
    porthole::percent_encode(every, there);
    CHECK(porthole::ascii::is_visible(there));
    CHECK(porthole::percent_decode(there, back));
    CHECK(back == every);
}

TEST_CASE("target: only paths with a '%' or a dot segment need work") {
    for (const char* plain :
         {"/", "/a", "/a/b/", "/.well-known", "/...", "/a.b", "/a./b", "/a..", "/..a/b", "/.a.",
          "//", "/a/.../b", ""}) {
        CAPTURE(plain);
        CHECK_FALSE(porthole::path_needs_work(plain));
    }
    for (const char* other :
         {"/.", "/..", "/./", "/../", "/a/.", "/a/..", "/a/./b", "/a/../b", "/%41", "/a%", "//.",
          "/.a/.."}) {
        CAPTURE(other);
        CHECK(porthole::path_needs_work(other));
    }
}

TEST_CASE("target: dot segments are removed, also encoded ones (RFC 3986 5.2.4)") {
    CHECK(normalized("/") == "/");
    CHECK(normalized("/a/b/c/./../../g") == "/a/g");
    CHECK(normalized("/.") == "/");
    CHECK(normalized("/./") == "/");
    CHECK(normalized("/a/.") == "/a/");
    CHECK(normalized("/a/..") == "/");
    CHECK(normalized("/a/../") == "/");
    CHECK(normalized("/a/b/..") == "/a/");
    CHECK(normalized("/a//../b") == "/a/b");
    CHECK(normalized("/a/./b/") == "/a/b/");
    CHECK(normalized("/...") == "/...");
    CHECK(normalized("/a/%2e/b") == "/a/b");
    CHECK(normalized("/a/%2E%2e/b") == "/b");
    CHECK(normalized("/a/.%2e/b") == "/b");
    CHECK(normalized("/a%20b/%c3%a4") == "/a b/\xc3\xa4");
}

TEST_CASE("target: a path is decoded once") {
    CHECK(normalized("/%2541") == "/%41");
    CHECK(normalized("/%252e%252e/x") == "/%2e%2e/x");
    CHECK(normalized("/a+b") == "/a+b");
}

TEST_CASE("target: an encoded slash divides no segments, and smuggles in no dot segment") {
    CHECK(normalized("/a%2Fb") == "/a/b");
    CHECK(normalized("/a%2Fb/../c") == "/c"); // one segment is removed, not half of it
    CHECK(normalized("/x/a%2fb/c") == "/x/a/b/c");
    CHECK(normalized("/..%2f..%2fetc") == "refused");
    CHECK(normalized("/a/%2e%2e%2fb") == "refused");
    CHECK(normalized("/a%2f..") == "refused");
    CHECK(normalized("/a%2f.") == "refused");
    CHECK(normalized("/%2f../a") == "refused");
    CHECK(normalized("/a%2f..b") == "/a/..b");
}

TEST_CASE("target: a path that climbs above the root, has a NUL or a bad '%' is refused") {
    for (const std::string_view bad :
         {std::string_view("/.."), std::string_view("/../a"), std::string_view("/a/../.."),
          std::string_view("/%2e%2e/a"), std::string_view("/./../a"), std::string_view("/a%00"),
          std::string_view("/a\0b", 4), std::string_view("/%"), std::string_view("/a/%4"),
          std::string_view("/%xx"), std::string_view(""), std::string_view("a"),
          std::string_view("*")}) {
        CAPTURE(bad);
        CHECK(normalized(bad) == "refused");
    }
}

TEST_CASE("target: whatever the bytes, a normalized path has no dot segment and stays as it is") {
    std::mt19937 random(99);
    const std::string_view pieces[] = {"/", "/",   ".", "..",  "%2e", "%2F",
                                       "a", "%41", "%", "%00", "b",   "?"};
    for (int round = 0; round < 20000; ++round) {
        std::string path = "/";
        for (auto i = random() % 12; i > 0; --i) {
            path += pieces[random() % (sizeof pieces / sizeof pieces[0])];
        }
        std::string into;
        if (porthole::normalize_path(path, into)) {
            std::string again = into + "/";
            const bool has_dots =
                again.find("/./") != std::string::npos || again.find("/../") != std::string::npos;
            if (has_dots || into[0] != '/' || into.find('\0') != std::string::npos) {
                FAIL_CHECK(path, " became ", into);
            }
            if (!porthole::path_needs_work(path) && into != path) {
                FAIL_CHECK(path, " was not left alone");
            }
        }
    }
}
