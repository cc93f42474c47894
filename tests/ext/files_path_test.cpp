// SPDX-License-Identifier: MIT

#include "support/test.hpp"

#include <string>

using namespace porthole::detail;

TEST_CASE("files_path: which paths are malformed, and which are only not served") {
    PathRules strict;
    strict.is_portable = true;
    const struct {
        const char* path;
        PathVerdict verdict;
    } cases[] = {
        {"/", PathVerdict::fine},
        {"/a", PathVerdict::fine},
        {"/a/", PathVerdict::fine},
        {"/a/b.c/d", PathVerdict::fine},
        {"/a..b", PathVerdict::fine},
        {"/a b", PathVerdict::fine},
        {"/\xc3\xa4", PathVerdict::fine},
        {"", PathVerdict::malformed},
        {"a", PathVerdict::malformed},
        {"//", PathVerdict::malformed},
        {"//a", PathVerdict::malformed},
        {"/a//b", PathVerdict::malformed},
        {"/a//", PathVerdict::malformed},
        {"/.", PathVerdict::malformed},
        {"/..", PathVerdict::malformed},
        {"/../a", PathVerdict::malformed},
        {"/a/./b", PathVerdict::malformed},
        {"/a/..", PathVerdict::malformed},
        {"/a\\b", PathVerdict::malformed},
        {"/a\nb", PathVerdict::malformed},
        {"/a\x7f", PathVerdict::malformed},
        {"/a\x01", PathVerdict::malformed},
        {"/.a", PathVerdict::hidden},
        {"/a/.b/c", PathVerdict::hidden},
        {"/...", PathVerdict::hidden},
        {"/.a/..", PathVerdict::malformed},
        {"/.a\\", PathVerdict::malformed},
        {"/con", PathVerdict::hidden},
        {"/a/con.txt/b", PathVerdict::hidden},
        {"/a:b", PathVerdict::hidden},
    };
    for (const auto& one : cases) {
        CAPTURE(one.path);
        CHECK(check_path(one.path, strict) == one.verdict);
    }
    CHECK(check_path(std::string("/a\0b", 4), strict) == PathVerdict::malformed);
    PathRules open;
    open.allows_dotfiles = true;
    CHECK(check_path("/.a", open) == PathVerdict::fine);
    CHECK(check_path("/con", open) == PathVerdict::fine);
    CHECK(check_path("/..", open) == PathVerdict::malformed);
}

TEST_CASE("files_path: the longest path") {
    const PathRules rules;
    CHECK(check_path("/" + std::string(max_file_path - 2, 'a'), rules) == PathVerdict::fine);
    CHECK(check_path("/" + std::string(max_file_path - 1, 'a'), rules) == PathVerdict::fine);
    CHECK(check_path("/" + std::string(max_file_path, 'a'), rules) == PathVerdict::malformed);
}

TEST_CASE("files_path: no encoded slash, backslash or control in the path, any in the query") {
    for (const char* bad :
         {"/a%2fb", "/a%2Fb", "/%5c", "/%5C", "/%2f", "/a%20%2f", "/%00", "/a%0ab", "/%0D", "/%1f",
          "/%7F", "http://localhost/a%2fb", "/\\", "/a\\b"}) {
        CAPTURE(bad);
        CHECK(check_raw_path(bad) == PathVerdict::malformed);
    }
    for (const char* good :
         {"/", "/a%20b", "/a%252fb", "/a?b=%2f", "/a?%5c", "/a?\\", "/a?%0a%00", "/%20", "/%7e",
          "/%80", "/%25", "/%e2%9c%93"}) {
        CAPTURE(good);
        CHECK(check_raw_path(good) == PathVerdict::fine);
    }
}

TEST_CASE("files_path: names that Windows takes for something else") {
    for (const char* bad : {"",
                            "a:b",
                            "a*",
                            "a?",
                            "a\"b",
                            "a<b",
                            "a>b",
                            "a|b",
                            "a.",
                            "a ",
                            "CON",
                            "con",
                            "Con.txt",
                            "con.tar.gz",
                            "PRN",
                            "aux.c",
                            "NUL",
                            "nul .txt",
                            "COM1",
                            "com9.log",
                            "LPT1",
                            "lpt9",
                            "CONIN$",
                            "conout$.x",
                            "COM\xc2\xb9",
                            "LPT\xc2\xb2.a",
                            "COM\xc2\xb3",
                            "PROGRA~1",
                            "a~9.txt",
                            "a::$DATA"}) {
        CAPTURE(bad);
        CHECK_FALSE(is_portable_name(bad));
    }
    for (const char* good :
         {"a", "console", "con-1", "COM0", "COM10", "COM", "LPT", "lpta", "nulled", "auxiliary.c",
          "a.con", "a b", "~", "a~", "a~b", "conin", "\xc3\xa4"}) {
        CAPTURE(good);
        CHECK(is_portable_name(good));
    }
}

TEST_CASE("files_path: extensions") {
    CHECK(extension_of("/a/b.txt") == "txt");
    CHECK(extension_of("a.tar.gz") == "gz");
    CHECK(extension_of("/a.b/c") == "");
    CHECK(extension_of(".profile") == "");
    CHECK(extension_of("a.") == "");
    CHECK(extension_of("") == "");
}

TEST_CASE("files_path: hashes of bundlers, and what only looks like one") {
    for (const char* hashed :
         {"app.3f2a9c1b.js", "assets/index-BcD3fG7h.css",
          "chunk-0a1b2c3d4e5f60718293a4b5c6d7e8f9.mjs", "font.0123456789abcdef.woff2",
          "a/b/logo.deadbee1.svg", "x-A1b2_c3D.js"}) {
        CAPTURE(hashed);
        CHECK(has_hash_in_name(hashed));
    }
    for (const char* plain :
         {"index.html", "app.js", "jquery-3.7.1.min.js", "app-settings.js", "report-20240102.pdf",
          "photo-IMG12345.jpg", "3f2a9c1b.js", "a.3f2a9c1.js", "my-document", "v1.2.3.tar",
          "x-deadbeef.js", "a.12345678.js", ".3f2a9c1b", "a-facade.css", "-3f2a9c1b.js",
          "archive-2024-01-02.zip"}) {
        CAPTURE(plain);
        CHECK_FALSE(has_hash_in_name(plain));
    }
}
