// SPDX-License-Identifier: MIT

#include "support/files_fixture.hpp"

#include <string>

using namespace porthole;
using porthole_test::FilesFixture;
using testing::Answer;

TEST_CASE("files: GET and HEAD, with the fields of a static answer") {
    FilesFixture fixture;
    fixture.place.write("root/a.txt", "alpha");
    fixture.mount();
    const Answer got = fixture.get("/a.txt");
    CHECK(got.status == 200);
    CHECK(got.body == "alpha");
    CHECK(got.header("Content-Type") == "text/plain; charset=utf-8");
    CHECK(got.header("Content-Length") == "5");
    CHECK(got.header("Accept-Ranges") == "bytes");
    CHECK(got.header("Cache-Control") == "no-cache");
    CHECK(got.header("ETag").substr(0, 1) == "\"");
    CHECK(got.header("ETag").back() == '"');
    CHECK(got.header("Last-Modified").size() == date_size);
    CHECK(got.header("X-Content-Type-Options") == "nosniff");
    CHECK_FALSE(got.has_header("Vary"));
    const Answer head = fixture.request("HEAD", "/a.txt");
    CHECK(head.status == 200);
    CHECK(head.body.empty());
    CHECK(head.header("Content-Length") == "5");
    CHECK(head.header("ETag") == got.header("ETag"));
}

TEST_CASE("files: other methods are 405 with Allow (RFC 9110 15.5.6)") {
    FilesFixture fixture;
    fixture.place.write("root/a.txt", "alpha");
    fixture.mount();
    for (const char* method : {"POST", "PUT", "DELETE", "PATCH", "OPTIONS"}) {
        CAPTURE(method);
        const Answer answer = fixture.request(method, "/a.txt");
        CHECK(answer.status == 405);
        CHECK(answer.header("Allow") == "GET, HEAD");
    }
    CHECK(fixture.get("/a.txt").body == "alpha");
}

TEST_CASE("files: index files, and the slash that leads to them") {
    FilesFixture fixture(FilesOptions{}.index({"index.html", "index.htm"}));
    fixture.place.write("root/index.html", "top");
    fixture.place.write("root/docs/index.htm", "docs");
    fixture.place.write("root/empty/a.txt", "a");
    fixture.place.write("root/b\xc3\xa4r & co/index.html", "odd");
    fixture.mount();
    CHECK(fixture.get("/").body == "top");
    CHECK(fixture.get("/").header("Content-Type") == "text/html; charset=utf-8");
    CHECK(fixture.get("/docs/").body == "docs");
    CHECK(fixture.get("/empty/").status == 404);
    CHECK(fixture.get("/docs/index.htm/").status == 404);
    const Answer slash = fixture.get("/docs");
    CHECK(slash.status == 301);
    CHECK(slash.header("Location") == "/docs/");
    CHECK(fixture.get("/docs?a=1&b=%2f//x").header("Location") == "/docs/?a=1&b=%2f//x");
    CHECK(fixture.get("/b%C3%A4r%20%26%20co").header("Location") == "/b%C3%A4r%20%26%20co/");
    CHECK(fixture.get("/b%C3%A4r%20%26%20co/").body == "odd");
    CHECK(fixture.request("HEAD", "/docs").header("Location") == "/docs/");
}

TEST_CASE("files: a redirect never leaves the origin") {
    FilesFixture fixture;
    fixture.place.write("root/evil.com/index.html", "x");
    fixture.place.write("root/a/evil.com/index.html", "x");
    fixture.mount();
    for (const char* target :
         {"//evil.com", "///evil.com", "/%2fevil.com", "/%5cevil.com", "/a//evil.com",
          "/./evil.com", "/a/..//evil.com", "/%2e/evil.com", "/a/%2e%2e/evil.com", "/\\evil.com",
          "http://localhost//evil.com", "/evil.com", "/evil.com?//evil.com", "/evil.com?\\"}) {
        CAPTURE(target);
        const Answer answer = fixture.get(target);
        CHECK((answer.status == 400 || answer.status == 404 || answer.status == 301));
        const std::string_view location = answer.header("Location");
        if (answer.status == 301) {
            CHECK(location.substr(0, 10) == "/evil.com/");
        } else {
            CHECK(location.empty());
        }
    }
}

TEST_CASE("files: below a prefix") {
    FilesFixture fixture;
    fixture.place.write("root/index.html", "top");
    fixture.place.write("root/sub/index.html", "sub");
    fixture.mount("/static/site");
    CHECK(fixture.get("/static/site/").body == "top");
    CHECK(fixture.get("/static/site").header("Location") == "/static/site/");
    CHECK(fixture.get("/static/site?x").header("Location") == "/static/site/?x");
    CHECK(fixture.get("/static/site/sub").header("Location") == "/static/site/sub/");
    CHECK(fixture.get("/static/site/sub/").body == "sub");
    CHECK(fixture.get("/static/site/../site/sub/").body == "sub");
    CHECK(fixture.get("/static/sub/").status == 404);
}

TEST_CASE("files: media types, and those of the program's own") {
    FilesFixture fixture(
        FilesOptions{}.media_type("xyz", "chemical/x-xyz").media_type("TXT", "text/x-own"));
    fixture.place.write("root/a.XYZ", "x");
    fixture.place.write("root/a.txt", "x");
    fixture.place.write("root/a.mjs", "x");
    fixture.place.write("root/a.wasm", "x");
    fixture.place.write("root/a.unknown", "x");
    fixture.place.write("root/plain", "x");
    fixture.mount();
    CHECK(fixture.get("/a.XYZ").header("Content-Type") == "chemical/x-xyz");
    CHECK(fixture.get("/a.txt").header("Content-Type") == "text/x-own");
    CHECK(fixture.get("/a.mjs").header("Content-Type") == "text/javascript; charset=utf-8");
    CHECK(fixture.get("/a.wasm").header("Content-Type") == "application/wasm");
    CHECK(fixture.get("/a.unknown").header("Content-Type") == "application/octet-stream");
    CHECK(fixture.get("/plain").header("Content-Type") == "application/octet-stream");
}

TEST_CASE("files: Cache-Control by name, by rule, or by a hook") {
    FilesFixture fixture(
        FilesOptions{}.cache_control("max-age=60").before([](const Request& request, Response& r) {
            if (request.path() == "/hooked.txt") {
                r.header("Cache-Control", "no-store");
            }
            return Next::go_on;
        }));
    fixture.place.write("root/app.3f2a9c1b.js", "x");
    fixture.place.write("root/page.3f2a9c1b.html", "x");
    fixture.place.write("root/a.js", "x");
    fixture.place.write("root/hooked.txt", "x");
    fixture.mount();
    CHECK(
        fixture.get("/app.3f2a9c1b.js").header("Cache-Control")
        == "public, max-age=31536000, immutable");
    CHECK(fixture.get("/page.3f2a9c1b.html").header("Cache-Control") == "max-age=60");
    CHECK(fixture.get("/a.js").header("Cache-Control") == "max-age=60");
    CHECK(fixture.get("/hooked.txt").header("Cache-Control") == "no-store");

    FilesFixture own(
        FilesOptions{}.immutable([](std::string_view name) { return name == "dir/a.js"; }));
    own.place.write("root/dir/a.js", "x");
    own.place.write("root/app.3f2a9c1b.js", "x");
    own.mount();
    CHECK(own.get("/dir/a.js").header("Cache-Control").find("immutable") != std::string::npos);
    CHECK(own.get("/app.3f2a9c1b.js").header("Cache-Control") == "no-cache");
}

TEST_CASE("files: hooks of a mount run before it, and may stop it") {
    int calls = 0;
    FilesFixture fixture(FilesOptions{}
                             .before([&calls](const Request&, Response&) {
                                 ++calls;
                                 return Next::go_on;
                             })
                             .before([](const Request& request, Response& response) {
                                 if (request.query("teapot")) {
                                     response.status(418).text("short and stout");
                                 }
                                 return request.query("stop") ? Next::stop : Next::go_on;
                             }));
    fixture.place.write("root/a.txt", "alpha");
    fixture.mount();
    CHECK(fixture.get("/a.txt").body == "alpha");
    CHECK(fixture.get("/a.txt?stop").status == 403);
    CHECK(fixture.get("/a.txt?stop&teapot").status == 418);
    CHECK(calls == 3);
}

TEST_CASE("files: a single-page application answers navigations, and nothing else") {
    FilesFixture fixture(FilesOptions{}.spa("index.html"));
    fixture.place.write("root/index.html", "app");
    fixture.place.write("root/a.txt", "alpha");
    fixture.mount();
    CHECK(fixture.get("/users/7").body == "app");
    CHECK(fixture.get("/users/7").header("Cache-Control") == "no-cache");
    CHECK(fixture.get("/users/").body == "app");
    CHECK(fixture.request("HEAD", "/users/7").status == 200);
    CHECK(fixture.get("/users/7", {{"Accept", "text/html,*/*;q=0.8"}}).body == "app");
    CHECK(fixture.get("/users/7", {{"Accept", "application/json"}}).status == 404);
    CHECK(fixture.get("/users/7", {{"Sec-Fetch-Mode", "navigate"}}).body == "app");
    CHECK(fixture.get("/users/7", {{"Sec-Fetch-Mode", "cors"}}).status == 404);
    CHECK(fixture.get("/missing.js").status == 404);
    CHECK(fixture.get("/a/missing.png").status == 404);
    CHECK(fixture.get("/.hidden/x").status == 404);
    CHECK(fixture.get("/a%2fb").status == 400);
    CHECK(fixture.request("POST", "/users/7").status == 405);
    CHECK(fixture.get("/a.txt").body == "alpha");
}

TEST_CASE("files: dotfiles are not there unless they are asked for") {
    for (const bool is_on : {false, true}) {
        FilesFixture fixture(FilesOptions{}.dotfiles(is_on).index({".index", "index.html"}));
        fixture.place.write("root/.git/config", "secret");
        fixture.place.write("root/.env", "secret");
        fixture.mount();
        const int expected = is_on ? 200 : 404;
        CHECK(fixture.get("/.env").status == expected);
        CHECK(fixture.get("/.git/config").status == expected);
        CHECK(fixture.get("/%2egit/config").status == expected);
        CHECK(fixture.get("/.git").status == (is_on ? 301 : 404));
    }
}

TEST_CASE("files: odd names are served under their encoded form") {
    FilesFixture fixture;
    const char* names[] = {"a b.txt",         "\xc3\xa4\xe2\x9c\x93.txt",
                           "100%.txt",        "a%20b",
                           "a+b.txt",         "a#b.txt",
                           "a&b=c;d.txt",     "a'b(c)!.txt",
                           "%2e%2e",          "a,b@c$d",
                           "\xf0\x9f\x9a\xa2"};
    for (const char* name : names) {
        fixture.place.write(std::string("root/") + name, name);
    }
#if !defined(_WIN32)
    fixture.place.write("root/what?.txt", "what?.txt");
    fixture.place.write("root/not utf-8 \xff", "latin");
#endif
    fixture.mount();
    const auto encoded = [](std::string_view name) {
        std::string target = "/";
        percent_encode(name, target);
        return target;
    };
    for (const char* name : names) {
        CAPTURE(name);
        CHECK(fixture.get(encoded(name)).body == name);
    }
    CHECK(fixture.get("/a+b.txt").body == "a+b.txt"); // a plus is a plus in a path
#if !defined(_WIN32)
    CHECK(fixture.get("/what%3F.txt").body == "what?.txt");
    CHECK(fixture.get("/not%20utf-8%20%FF").body == "latin");
#endif
}

TEST_CASE("files: siblings are files like any other when precompressed() is off") {
    FilesFixture fixture(FilesOptions{}.precompressed(false));
    fixture.place.write("root/a.js", "plain");
    fixture.place.write("root/a.js.gz", "GZIP");
    fixture.mount();
    const Answer answer = fixture.get("/a.js", {{"Accept-Encoding", "gzip"}});
    CHECK(answer.body == "plain");
    CHECK_FALSE(answer.has_header("Content-Encoding"));
    CHECK_FALSE(answer.has_header("Vary"));
    CHECK(fixture.get("/a.js.gz").body == "GZIP");
}

TEST_CASE("files: precompressed siblings by quality, with Vary and an ETag of their own") {
    FilesFixture fixture;
    fixture.place.write("root/a.js", "plain plain plain");
    fixture.place.write("root/a.js.br", "BR");
    fixture.place.write("root/a.js.gz", "GZIP");
    fixture.place.write("root/g.js", "plain");
    fixture.place.write("root/g.js.gz", "GZIP");
    fixture.place.write("root/old.js", "new plain", std::chrono::seconds(100));
    fixture.place.write("root/old.js.gz", "STALE", std::chrono::seconds(5000));
    fixture.mount();
    const struct {
        const char* target;
        const char* accepted;
        const char* body;
        const char* coding;
    } cases[] = {
        {"/a.js", "gzip, deflate, br", "BR", "br"},
        {"/a.js", "br;q=0.5, gzip", "GZIP", "gzip"},
        {"/a.js", "gzip", "GZIP", "gzip"},
        {"/a.js", "*", "BR", "br"},
        {"/a.js", "*;q=0.5, br;q=0", "GZIP", "gzip"},
        {"/a.js", "identity, gzip;q=0.5", "plain plain plain", ""},
        {"/a.js", "identity;q=0, gzip;q=0.1", "GZIP", "gzip"},
        {"/a.js", "gzip;q=0, br;q=0", "plain plain plain", ""},
        {"/a.js", "deflate", "plain plain plain", ""},
        {"/a.js", "", "plain plain plain", ""},
        {"/g.js", "br, gzip;q=0.1", "GZIP", "gzip"},
        {"/g.js", "br", "plain", ""},
    };
    for (const auto& one : cases) {
        CAPTURE(one.target);
        CAPTURE(one.accepted);
        const Answer answer = fixture.get(one.target, {{"Accept-Encoding", one.accepted}});
        CHECK(answer.status == 200);
        CHECK(answer.body == one.body);
        CHECK(answer.header("Content-Encoding") == one.coding);
        CHECK(answer.header("Vary") == "Accept-Encoding");
        CHECK(answer.header("Content-Type") == "text/javascript; charset=utf-8");
    }
    const Answer stale = fixture.get("/old.js", {{"Accept-Encoding", "gzip"}});
    CHECK(stale.body == "new plain");
    CHECK_FALSE(stale.has_header("Content-Encoding"));
    const std::string plain(fixture.get("/a.js").header("ETag"));
    const Answer brotli = fixture.get("/a.js", {{"Accept-Encoding", "br"}});
    const Answer gzip = fixture.get("/a.js", {{"Accept-Encoding", "gzip"}});
    CHECK(plain != brotli.header("ETag"));
    CHECK(plain != gzip.header("ETag"));
    CHECK(brotli.header("ETag") != gzip.header("ETag"));
    const Answer same =
        fixture.get("/a.js", {{"Accept-Encoding", "gzip"}, {"If-None-Match", gzip.header("ETag")}});
    CHECK(same.status == 304);
    CHECK(same.header("Vary") == "Accept-Encoding");
    CHECK(
        fixture.get("/a.js", {{"Accept-Encoding", "gzip"}, {"If-None-Match", plain}}).status
        == 200);
    const Answer asked_for = fixture.get("/a.js.gz", {{"Accept-Encoding", "gzip"}});
    CHECK(asked_for.body == "GZIP");
    CHECK_FALSE(asked_for.has_header("Content-Encoding"));
    CHECK(asked_for.header("Content-Type") == "application/gzip");
}

TEST_CASE("files: a range is always one of the plain file") {
    FilesFixture fixture;
    fixture.place.write("root/a.js", "plain plain plain");
    fixture.place.write("root/a.js.gz", "GZIP");
    fixture.mount();
    const Answer gzip = fixture.get("/a.js", {{"Accept-Encoding", "gzip"}});
    CHECK(gzip.body == "GZIP");
    const Answer part = fixture.get("/a.js", {{"Accept-Encoding", "gzip"}, {"Range", "bytes=0-4"}});
    CHECK(part.status == 206);
    CHECK(part.body == "plain");
    CHECK(part.header("Content-Range") == "bytes 0-4/17");
    CHECK_FALSE(part.has_header("Content-Encoding"));
    CHECK(part.header("Vary") == "Accept-Encoding");
    const Answer mixed = fixture.get(
        "/a.js",
        {{"Accept-Encoding", "gzip"}, {"Range", "bytes=2-"}, {"If-Range", gzip.header("ETag")}});
    CHECK(mixed.status == 200); // it has the beginning of another coding
    CHECK(mixed.body == "plain plain plain");
}

TEST_CASE("files: mount() names what cannot be served") {
    Server server(porthole_test::options());
    const porthole_test::TemporaryDirectory place;
    place.write("file", "x");
    const Error missing = server.mount("/", files(place.path("nowhere")));
    CHECK(missing.code() == ErrorCode::not_found);
    CHECK(missing.message().find("nowhere") != std::string::npos);
    const Error file = server.mount("/", files(place.path("file")));
    CHECK(file);
    CHECK(file.message().find("file") != std::string::npos);
    testing::Client client(server);
    CHECK(client.get("/").status == 404);
    CHECK_FALSE(server.mount("/", files(place.path())));
    CHECK(client.get("/file").status == 200);
}

TEST_CASE("files: error pages say nothing about the disk, and can be the program's own") {
    FilesFixture fixture;
    fixture.mount();
    const Answer missing = fixture.get("/nothing/here.txt");
    CHECK(missing.status == 404);
    CHECK(missing.header("Content-Type") == "text/plain; charset=utf-8");
    CHECK(missing.body == "404 Not Found\nThere is no such file.\n");
    CHECK(missing.body.find(fixture.place.path()) == std::string::npos);
    fixture.server.on_error([](const Request&, Response& response) {
        response.html("<p>own " + std::to_string(response.status()));
    });
    CHECK(fixture.get("/nothing").body == "<p>own 404");
    CHECK(fixture.get("/a//b").body == "<p>own 400");
}

TEST_CASE("files: send_file() answers with a file of the program's own choice") {
    FilesFixture fixture;
    fixture.place.write("report.txt", "0123456789");
    fixture.server.get("/report", [&](const Request& request, Response& response) {
        send_file(request, response, fixture.place.path("report.txt"));
    });
    fixture.server.get("/gone", [&](const Request& request, Response& response) {
        send_file(request, response, fixture.place.path("gone.txt"));
    });
    fixture.server.get("/folder", [&](const Request& request, Response& response) {
        send_file(request, response, fixture.place.path());
    });
    const Answer whole = fixture.get("/report");
    CHECK(whole.body == "0123456789");
    CHECK(whole.header("Content-Type") == "text/plain; charset=utf-8");
    CHECK(fixture.get("/report", {{"Range", "bytes=2-4"}}).body == "234");
    CHECK(fixture.get("/report", {{"If-None-Match", whole.header("ETag")}}).status == 304);
    CHECK(fixture.request("HEAD", "/report").header("Content-Length") == "10");
    CHECK(fixture.get("/gone").status == 404);
    CHECK(fixture.get("/folder").status == 404);
}
