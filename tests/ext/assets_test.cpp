// SPDX-License-Identifier: MIT

#include "support/options.hpp"

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace {

using porthole::Asset;
using porthole::AssetBytes;
using porthole::AssetCaching;
using porthole::testing::Answer;
using porthole::testing::Client;
using porthole::testing::FieldList;

constexpr std::size_t large_size = 300'000;
constexpr std::string_view digits = "0123456789abcdefghij";
constexpr std::string_view page = "<!doctype html><title>Tool</title>";
constexpr std::string_view squeezed = "<gzip>";
constexpr std::string_view pressed = "<br>";

constexpr AssetBytes bytes(std::string_view text) {
    return {text.data(), text.size()};
}
constexpr AssetBytes nothing{};

constexpr std::array<char, large_size> large = {};
constexpr Asset digits_asset = {
    "/digits.bin", nullptr, "d1", bytes(digits), bytes(squeezed), nothing, AssetCaching::by_name};
constexpr Asset docs = {"/docs/index.html",   nullptr, "d0c5", bytes(page), nothing, nothing,
                        AssetCaching::by_name};
constexpr Asset empty = {"/empty.txt",         nullptr, "e0", nothing, nothing, nothing,
                         AssetCaching::by_name};
constexpr Asset hashed = {"/app.3f2a9c1b.js",   nullptr, "a9", bytes(digits), nothing, nothing,
                          AssetCaching::by_name};
constexpr Asset index = {"/index.html",        nullptr,         "1dx",
                         bytes(page),          bytes(squeezed), bytes(pressed),
                         AssetCaching::by_name};
constexpr Asset large_asset = {
    "/large.bin",           nullptr, "1a", {large.data(), large.size()}, nothing, nothing,
    AssetCaching::immutable};
constexpr Asset odd = {
    "/odd name \xc3\xa9%.txt", "text/x-odd", "0d", bytes(digits), nothing, nothing,
    AssetCaching::revalidate};
constexpr const Asset* all[] = {&hashed, &digits_asset, &docs, &empty, &index, &large_asset, &odd};
constexpr porthole::AssetTable table = {all, std::size(all), nullptr, nullptr};
constexpr porthole::AssetTable spa_table = {all, std::size(all), "/index.html", nullptr};

struct Shop {
    explicit Shop(const porthole::AssetTable& shown = table, std::string_view prefix = "/")
        : server(porthole_test::options()), client(server) {
        CHECK_FALSE(server.mount(prefix, porthole::assets(shown)));
    }
    Answer get(std::string_view target, const FieldList& fields = {}) {
        return client.get(target, fields);
    }
    porthole::Server server;
    Client client;
};

std::string_view as_text(const std::array<char, large_size>& content) {
    return {content.data(), content.size()};
}

} // namespace

TEST_CASE("assets: a file is answered with its type, tag and caching") {
    Shop shop;
    const Answer answer = shop.get("/digits.bin");
    CHECK(answer.status == 200);
    CHECK(answer.body == digits);
    CHECK(answer.header("Content-Type") == "application/octet-stream");
    CHECK(answer.header("Content-Length") == "20");
    CHECK(answer.header("ETag") == "\"d1\"");
    CHECK(answer.header("Accept-Ranges") == "bytes");
    CHECK(answer.header("Vary") == "Accept-Encoding");
    CHECK(answer.header("Cache-Control") == "no-cache");
    CHECK_FALSE(answer.has_header("Content-Encoding"));
    CHECK_FALSE(answer.has_header("Last-Modified"));
}

TEST_CASE("assets: names are matched whole and decoded") {
    Shop shop;
    CHECK(shop.get("/odd%20name%20%C3%A9%25.txt").body == digits);
    CHECK(shop.get("/odd%20name%20%C3%A9%25.txt").header("Content-Type") == "text/x-odd");
    CHECK(shop.get("/Digits.bin").status == 404);
    CHECK(shop.get("/digits.bi").status == 404);
    CHECK(shop.get("/digits.bin/").status == 404);
    CHECK(shop.get("/digits.binx").status == 404);
    CHECK(shop.get("//digits.bin").status != 200);
    CHECK(shop.get("/app.js").status == 404);
    CHECK(shop.get("/zzz").status == 404);
    CHECK(shop.get("/!").status == 404);
    CHECK(shop.get("/digits.bin%00").status == 400);
}

TEST_CASE("assets: an empty table and an empty file") {
    const porthole::AssetTable none = {nullptr, 0, nullptr, nullptr};
    Shop shop(none);
    CHECK(shop.get("/").status == 404);
    CHECK(shop.get("/a").status == 404);
    Shop with_files;
    const Answer answer = with_files.get("/empty.txt");
    CHECK(answer.status == 200);
    CHECK(answer.body.empty());
    CHECK(answer.header("Content-Length") == "0");
    CHECK(with_files.get("/empty.txt", {{"Range", "bytes=0-"}}).status == 416);
}

TEST_CASE("assets: a folder is its index.html, behind a redirect that keeps the query") {
    Shop shop;
    CHECK(shop.get("/").body == page);
    CHECK(shop.get("/docs/").body == page);
    const Answer answer = shop.get("/docs?a=1&b=%20");
    CHECK(answer.status == 301);
    CHECK(answer.header("Location") == "/docs/?a=1&b=%20");
}

TEST_CASE("assets: below a prefix, whose own path leads to it") {
    Shop shop(table, "/tool x");
    CHECK(shop.get("/tool%20x/digits.bin").body == digits);
    CHECK(shop.get("/tool%20x/").body == page);
    const Answer answer = shop.get("/tool%20x?a");
    CHECK(answer.status == 301);
    CHECK(answer.header("Location") == "/tool%20x/?a");
    CHECK(shop.get("/digits.bin").status == 404);
}

TEST_CASE("assets: redirects never lead to another origin") {
    using porthole::detail::encode_request_path;
    CHECK(encode_request_path("//evil.example/x") == "/evil.example/x");
    CHECK(encode_request_path("/a b/\xc3\xa9?") == "/a%20b/%C3%A9%3F");
    CHECK(encode_request_path("/") == "/");
    CHECK(encode_request_path("/\\evil") == "/%5Cevil");
    Shop shop;
    CHECK(shop.get("//docs").header("Location").substr(0, 2) != "//");
}

TEST_CASE("assets: the fallback of a single-page program") {
    Shop shop(spa_table);
    const Answer answer = shop.get("/users/7");
    CHECK(answer.status == 200);
    CHECK(answer.body == page);
    CHECK(answer.header("Cache-Control") == "no-cache");
    CHECK(shop.get("/missing.js").status == 404);
    CHECK(shop.get("/users/7", {{"Accept", "image/*"}}).status == 404);
    CHECK(shop.get("/users/7", {{"Sec-Fetch-Mode", "no-cors"}}).status == 404);
    CHECK(shop.get("/users/7", {{"Sec-Fetch-Mode", "navigate"}}).status == 200);
    CHECK(shop.get("/digits.bin").body == digits);
    CHECK(Shop().get("/users/7").status == 404);
}

TEST_CASE("assets: only GET, HEAD and OPTIONS (RFC 9110 15.5.6)") {
    Shop shop;
    for (const std::string_view method : {"POST", "PUT", "DELETE", "PATCH"}) {
        const Answer answer = shop.client.request(method, "/digits.bin");
        CHECK(answer.status == 405);
        CHECK(answer.header("Allow") == "GET, HEAD");
    }
    CHECK(shop.client.request("OPTIONS", "/digits.bin").status == 204);
    const Answer head = shop.client.request("HEAD", "/digits.bin");
    CHECK(head.status == 200);
    CHECK(head.body.empty());
    CHECK(head.header("Content-Length") == "20");
    // RFC 9110 section 14.2: Range is for GET alone.
    CHECK(shop.client.request("HEAD", "/digits.bin", {{"Range", "bytes=0-1"}}).status == 200);
}

TEST_CASE("assets: the compressed copy by Accept-Encoding (RFC 9110 12.5.3)") {
    struct Case {
        std::string_view accept;
        std::string_view coding;
    };
    const Case cases[] = {
        {"gzip, deflate, br", "br"},
        {"gzip", "gzip"},
        {"x-gzip", "gzip"},
        {"br;q=0.5, gzip", "gzip"},
        {"br;q=0, gzip;q=0", ""},
        {"gzip;q=0.5, identity;q=0.8", ""},
        {"*", "br"},
        {"*;q=0", ""},
        {"br;q=0, *", "gzip"},
        {"identity", ""},
        {"deflate", ""},
        {"", ""},
    };
    Shop shop;
    for (const Case& one : cases) {
        CAPTURE(one.accept);
        const Answer answer = shop.get("/", {{"Accept-Encoding", one.accept}});
        CHECK(answer.status == 200);
        CHECK(answer.header("Content-Encoding") == one.coding);
        CHECK(answer.header("Vary") == "Accept-Encoding");
        CHECK(answer.header("Content-Type") == "text/html; charset=utf-8");
        if (one.coding.empty()) {
            CHECK(answer.body == page);
            CHECK(answer.header("ETag") == "\"1dx\"");
        } else {
            CHECK(answer.body == (one.coding == "br" ? pressed : squeezed));
            CHECK(answer.header("ETag") == (one.coding == "br" ? "\"1dx-br\"" : "\"1dx-gz\""));
        }
    }
    CHECK(shop.get("/digits.bin", {{"Accept-Encoding", "br, gzip;q=0.1"}}).body == squeezed);
    CHECK_FALSE(shop.get("/docs/", {{"Accept-Encoding", "gzip"}}).has_header("Vary"));
}

TEST_CASE("assets: conditional requests (RFC 9110 13)") {
    struct Case {
        FieldList fields;
        int status;
    };
    const Case cases[] = {
        {{{"If-None-Match", "\"d1\""}}, 304},
        {{{"If-None-Match", "W/\"d1\""}}, 304},
        {{{"If-None-Match", "\"x\", \"d1\""}}, 304},
        {{{"If-None-Match", "*"}}, 304},
        {{{"If-None-Match", "\"d1-gz\""}}, 200},
        {{{"If-None-Match", "\"d1-gz\""}, {"Accept-Encoding", "gzip"}}, 304},
        {{{"If-None-Match", "\"d1\""}, {"Accept-Encoding", "gzip"}}, 200},
        {{{"If-Match", "\"d1\""}}, 200},
        {{{"If-Match", "*"}}, 200},
        {{{"If-Match", "\"x\""}}, 412},
        {{{"If-Match", "W/\"d1\""}}, 412},
        {{{"If-None-Match", "\"d1\""}, {"Range", "bytes=0-1"}}, 304},
        {{{"If-Range", "\"d1\""}, {"Range", "bytes=0-1"}}, 206},
        {{{"If-Range", "W/\"d1\""}, {"Range", "bytes=0-1"}}, 200},
        {{{"If-Range", "\"d1-gz\""}, {"Range", "bytes=0-1"}, {"Accept-Encoding", "gzip"}}, 200},
        {{{"If-Range", "Sun, 06 Nov 1994 08:49:37 GMT"}, {"Range", "bytes=0-1"}}, 200},
        {{{"If-Modified-Since", "Sun, 06 Nov 2094 08:49:37 GMT"}}, 200},
    };
    Shop shop;
    int number = 0;
    for (const Case& one : cases) {
        CAPTURE(number++);
        const Answer answer = shop.get("/digits.bin", one.fields);
        CHECK(answer.status == one.status);
        if (one.status == 304) { // RFC 9110 section 15.4.5
            CHECK(answer.body.empty());
            CHECK(answer.has_header("ETag"));
            CHECK(answer.header("Cache-Control") == "no-cache");
            CHECK(answer.header("Vary") == "Accept-Encoding");
        }
    }
}

TEST_CASE("assets: ranges of the plain copy (RFC 9110 14)") {
    struct Case {
        std::string_view range;
        int status;
        std::string_view content_range;
        std::string_view body;
    };
    const Case cases[] = {
        {"bytes=0-0", 206, "bytes 0-0/20", "0"},
        {"bytes=5-9", 206, "bytes 5-9/20", "56789"},
        {"bytes=18-", 206, "bytes 18-19/20", "ij"},
        {"bytes=19-99", 206, "bytes 19-19/20", "j"},
        {"bytes=-3", 206, "bytes 17-19/20", "hij"},
        {"bytes=-99", 206, "bytes 0-19/20", digits},
        {"bytes=0-3,2-5", 206, "bytes 0-5/20", "012345"},
        {"bytes=20-", 416, "bytes */20", ""},
        {"bytes=5-1", 200, "", digits},
        {"lines=0-1", 200, "", digits},
    };
    Shop shop;
    for (const Case& one : cases) {
        CAPTURE(one.range);
        // Compressed copies and ranges are never mixed.
        const Answer answer =
            shop.get("/digits.bin", {{"Range", one.range}, {"Accept-Encoding", "br"}});
        CHECK(answer.status == one.status);
        CHECK(answer.header("Content-Range") == one.content_range);
        CHECK_FALSE(answer.has_header("Content-Encoding"));
        if (one.status != 416) {
            CHECK(answer.body == one.body);
            CHECK(answer.header("ETag") == "\"d1\"");
        }
    }
    const Answer partial =
        shop.get("/digits.bin", {{"Range", "bytes=0-4"}, {"Accept-Encoding", "gzip"}});
    CHECK(partial.status == 206);
    CHECK(partial.body == "01234");
    CHECK(partial.header("ETag") == "\"d1\"");
    CHECK_FALSE(partial.has_header("Content-Encoding"));
}

TEST_CASE("assets: several ranges are multipart/byteranges (RFC 9110 14.6)") {
    Shop shop;
    const Answer answer = shop.get("/large.bin", {{"Range", "bytes=0-3,200000-200001,-1"}});
    REQUIRE(answer.status == 206);
    const std::string_view type = answer.header("Content-Type");
    constexpr std::string_view begin = "multipart/byteranges; boundary=";
    REQUIRE(type.substr(0, begin.size()) == begin);
    const std::string boundary(type.substr(begin.size()));
    CHECK(boundary.size() == 32);
    CHECK_FALSE(answer.has_header("Content-Range"));
    const std::string head =
        "\r\n--" + boundary + "\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes ";
    std::string expected = head + "0-3/300000\r\n\r\n" + std::string(4, '\0');
    expected += head + "200000-200001/300000\r\n\r\n" + std::string(2, '\0');
    expected += head + "299999-299999/300000\r\n\r\n" + std::string(1, '\0');
    expected += "\r\n--" + boundary + "--\r\n";
    CHECK(answer.body == expected);
    CHECK(shop.get("/large.bin", {{"Range", "bytes=0-3,9-9,-1"}}).header("Content-Type") != type);
}

TEST_CASE("assets: what may be kept for ever, by rule or by name") {
    constexpr std::string_view for_ever = "public, max-age=31536000, immutable";
    Shop shop;
    CHECK(shop.get("/large.bin").header("Cache-Control") == for_ever);
    CHECK(shop.get("/app.3f2a9c1b.js").header("Cache-Control") == for_ever);
    CHECK(shop.get("/odd%20name%20%C3%A9%25.txt").header("Cache-Control") == "no-cache");
    CHECK(shop.get("/").header("Cache-Control") == "no-cache");
}

TEST_CASE("assets: a large file comes whole to a slow reader") {
    porthole::Server server(porthole_test::options());
    CHECK_FALSE(server.mount("/", porthole::assets(table)));
    Client client(server, 1000); // what each direction holds
    const Answer answer = client.get("/large.bin");
    CHECK(answer.status == 200);
    CHECK(answer.body == as_text(large));
    CHECK(client.get("/digits.bin").body == digits); // on the same connection
}

TEST_CASE("assets: a large file is sent from where it lies, and released when the client goes") {
    porthole::detail::MemorySource source(digits);
    REQUIRE(source.whole());
    CHECK(source.whole()->data() == digits.data());

    struct Owner final : porthole::BodySource {
        explicit Owner(int& count) : alive(&count) { ++*alive; }
        ~Owner() override { --*alive; }
        std::optional<std::uint64_t> size() const override { return large.size(); }
        std::optional<std::string_view> whole() const override { return as_text(large); }
        Piece pull(char*, std::size_t) override {
            FAIL("content in memory is not pulled");
            return {};
        }
        int* alive;
    };
    int alive = 0;
    porthole::Server server(porthole_test::options());
    server.get("/", [&](const porthole::Request&, porthole::Response& response) {
        response.send("application/octet-stream", std::make_unique<Owner>(alive));
    });
    {
        Client client(server, 1000);
        CHECK(client.get("/").body == as_text(large));
        CHECK(alive == 0);
        CHECK(client.get("/").body.size() == large.size());
        client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        client.set_reading(false);
        client.tick();
        CHECK(alive == 1);
        CHECK(client.request("HEAD", "/").status == 0); // still behind the first answer
        client.close();
    }
    for (int i = 0; i < 3; ++i) {
        server.tick();
    }
    CHECK(alive == 0);
}

TEST_CASE("assets: content in memory may also be pulled, in pieces of any size") {
    using porthole::BodySource;
    using porthole::detail::MemorySource;
    for (std::size_t size = 1; size <= 9; ++size) {
        CAPTURE(size);
        MemorySource source(std::vector<MemorySource::Part>{
            {"<head>", digits.substr(0, 4)}, {"", digits.substr(4, 3)}, {"<end>", ""}});
        CHECK_FALSE(source.whole());
        CHECK(source.size() == 18);
        std::string all_bytes;
        BodySource::Piece piece;
        do {
            char buffer[9];
            piece = source.pull(buffer, size);
            CHECK(piece.bytes <= size);
            all_bytes.append(buffer, piece.bytes);
        } while (piece.state == BodySource::State::more);
        CHECK(piece.state == BodySource::State::end);
        CHECK(all_bytes == "<head>0123456<end>");
    }
}
