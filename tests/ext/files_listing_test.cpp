// SPDX-License-Identifier: MIT

#include "support/files_fixture.hpp"

#include <string>

using namespace porthole;
using porthole_test::FilesFixture;
using testing::Answer;

namespace {

std::size_t place_of(const Answer& answer, std::string_view text) {
    CAPTURE(text);
    const std::size_t at = answer.body.find(text);
    CHECK(at != std::string::npos);
    return at;
}

} // namespace

TEST_CASE("files_listing: off by default") {
    FilesFixture fixture;
    fixture.place.write("root/a.txt", "alpha");
    fixture.mount();
    CHECK(fixture.get("/").status == 404);
}

TEST_CASE("files_listing: a sorted page with sizes, dates, and a policy") {
    FilesFixture fixture(FilesOptions{}.listing());
    fixture.place.write("root/sub/b.txt", "beta");
    fixture.place.write("root/sub/a.txt", std::string(12345, 'a'));
    fixture.place.write("root/sub/.hidden", "x");
    fixture.place.write("root/sub/zoo/x", "x");
    fixture.place.write("root/with-index/index.html", "index");
    fixture.mount();
    const Answer page = fixture.get("/sub/");
    CHECK(page.status == 200);
    CHECK(page.header("Content-Type") == "text/html; charset=utf-8");
    const std::string_view policy = page.header("Content-Security-Policy");
    CHECK(policy.find("default-src 'none'") == 0);
    CHECK(policy.find("frame-ancestors 'none'") != std::string_view::npos);
    CHECK(policy.find("unsafe") == std::string_view::npos);
    CHECK(page.header("Vary") == "Accept");
    const std::size_t zoo = place_of(page, "<a href=\"./zoo/\">zoo/</a>");
    const std::size_t a = place_of(page, "<a href=\"./a.txt\">a.txt</a></td><td>12345</td>");
    const std::size_t b = place_of(page, "<a href=\"./b.txt\">b.txt</a></td><td>4</td>");
    CHECK(zoo < a);
    CHECK(a < b);
    place_of(page, "<html lang=\"en\">");
    place_of(page, "<title>/sub/</title>");
    place_of(page, "<h1>/sub/</h1>");
    place_of(page, "<th scope=\"col\">Name</th>");
    place_of(page, "<a href=\"../\">");
    place_of(page, "<time datetime=\"20");
    CHECK(page.body.find(".hidden") == std::string::npos);
    CHECK(page.body.find("<script") == std::string::npos);
    CHECK(fixture.get("/").body.find("href=\"../\"") == std::string::npos);
    CHECK(fixture.get("/with-index/").body == "index");
    CHECK(fixture.get("/sub").header("Location") == "/sub/");
    CHECK(fixture.request("HEAD", "/sub/").status == 200);
    CHECK(fixture.get("/nowhere/").status == 404);
    CHECK(fixture.get("/sub/a.txt/").status == 404);
}

TEST_CASE("files_listing: names are escaped in text and encoded in links") {
    FilesFixture fixture(FilesOptions{}.listing());
    fixture.place.write("root/a b%#'&.txt", "x");
    fixture.place.write("root/\xc3\xa4", "x");
#if !defined(_WIN32)
    fixture.place.write("root/<b>\"q\"", "x");
    fixture.place.write("root/javascript:alert(1)", "x");
    fixture.place.write("root/bad\xff", "x");
#endif
    fixture.mount();
    const Answer page = fixture.get("/");
    place_of(page, "<a href=\"./a%20b%25%23%27%26.txt\">a b%#&#39;&amp;.txt</a>");
    place_of(page, "<a href=\"./%C3%A4\">\xc3\xa4</a>");
#if !defined(_WIN32)
    place_of(page, "<a href=\"./%3Cb%3E%22q%22\">&lt;b&gt;&quot;q&quot;</a>");
    place_of(page, "<a href=\"./javascript%3Aalert%281%29\">");
    place_of(page, "<a href=\"./bad%FF\">bad\xef\xbf\xbd</a>");
    const Answer json = fixture.get("/", {{"Accept", "application/json"}});
    place_of(
        json,
        "{\"name\":\"<b>\\\"q\\\"\",\"href\":\"./%3Cb%3E%22q%22\",\"type\":\"file\",\"size\":1,");
    place_of(json, "\"name\":\"bad\xef\xbf\xbd\"");
#endif
}

TEST_CASE("files_listing: JSON for those who prefer it (RFC 9110 12.5.1)") {
    FilesFixture fixture(FilesOptions{}.listing());
    fixture.place.write("root/a.txt", "alpha");
    fixture.place.make_directory("root/sub");
    fixture.mount();
    const Answer json = fixture.get("/", {{"Accept", "application/json"}});
    CHECK(json.header("Content-Type") == "application/json");
    CHECK(json.header("Vary") == "Accept");
    CHECK(
        json.body.find(
            "[\n{\"name\":\"sub\",\"href\":\"./sub/\",\"type\":\"directory\",\"modified\":\"20")
        == 0);
    CHECK(
        json.body.find(
            "{\"name\":\"a.txt\",\"href\":\"./a.txt\",\"type\":\"file\",\"size\":5,\"modified\":\"")
        != std::string::npos);
    CHECK(json.body.substr(json.body.size() - 3) == "\n]\n");
    CHECK(fixture.get("/sub/", {{"Accept", "application/json"}}).body == "[\n]\n");
    for (const char* html :
         {"*/*", "text/html", "text/html, application/json", "application/json;q=0.5, */*"}) {
        CAPTURE(html);
        CHECK(
            fixture.get("/", {{"Accept", html}}).header("Content-Type")
            == "text/html; charset=utf-8");
    }
}

TEST_CASE("files_listing: shows links that stay inside, and nothing that is not served") {
    FilesFixture fixture(FilesOptions{}.listing().portable_names());
    fixture.place.write("secret.txt", "secret");
    fixture.place.write("root/a.txt", "alpha");
    fixture.place.write("root/sub/x", "x");
    if (!fixture.place.link("root/inside", "a.txt")
        || !fixture.place.link("root/inside-directory", "sub")) {
        return;
    }
    fixture.place.link("root/outside", "../secret.txt");
    fixture.place.link("root/dangling", "nothing");
#if !defined(_WIN32)
    fixture.place.write("root/con", "x");
#endif
    fixture.mount();
    const Answer page = fixture.get("/");
    place_of(page, "<a href=\"./inside\">inside</a></td><td>5</td>");
    place_of(page, "<a href=\"./inside-directory/\">");
    CHECK(page.body.find("outside") == std::string::npos);
    CHECK(page.body.find("dangling") == std::string::npos);
    CHECK(page.body.find("./con\"") == std::string::npos);
}

TEST_CASE("files_listing: large directories come in pieces, and only so far") {
    FilesFixture fixture(FilesOptions{}.listing().max_listed_entries(500));
    for (int i = 0; i < 500; ++i) {
        fixture.place.write("root/d/" + std::to_string(1000 + i), "x");
    }
    fixture.mount();
    Answer page = fixture.get("/d/");
    std::size_t at = 0;
    for (int i = 0; i < 500; ++i) {
        const std::size_t next = page.body.find(">" + std::to_string(1000 + i) + "</a>", at);
        REQUIRE(next != std::string::npos);
        at = next;
    }
    CHECK(page.body.find("more entries") == std::string::npos);
    fixture.place.write("root/d/more", "x");
    page = fixture.get("/d/");
    CHECK(page.body.find("more entries") != std::string::npos);
    std::size_t rows = 0;
    for (at = page.body.find("<tr><td>"); at != std::string::npos;
         at = page.body.find("<tr><td>", at + 1)) {
        ++rows;
    }
    CHECK(rows == 500);
}

TEST_CASE("files_listing: outlives its mount") {
    FilesFixture fixture(FilesOptions{}.listing());
    for (int i = 0; i < 100; ++i) {
        fixture.place.write("root/" + std::to_string(i), "x");
    }
    fixture.mount();
    testing::Client client(fixture.server, 100);
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client.set_reading(false);
    client.tick();
    CHECK(fixture.server.unmount("/"));
    client.set_reading(true);
    const Answer page = client.read_answer();
    CHECK(page.status == 200);
    place_of(page, ">99</a>");
    place_of(page, "</html>");
}
