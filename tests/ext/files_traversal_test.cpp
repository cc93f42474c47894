// SPDX-License-Identifier: MIT

// Nothing outside the root is ever read: every trick of SECURITY.md, each as a raw request, with
// both ways of looking names up, and with links that change while requests run.

#include "support/files_fixture.hpp"

#include <set>
#include <string>
#include <vector>

using namespace porthole;
using porthole_test::FilesFixture;

namespace {

constexpr const char* secret = "TOP-SECRET-CONTENT";

/// Ways to write a step upward, the slash behind it, and what may stand before it.
std::set<std::string> traversal_targets() {
    std::set<std::string> targets;
    const char* dots[] = {"..",           "%2e%2e", "%2E.",      ".%2e", "%252e%252e",
                          "..%00",        "..%20",  "...",       "..;",  "%c0%ae%c0%ae",
                          "%u002e%u002e", "..%01",  "%2e%2e%2e", ".. "};
    const char* slashes[] = {"/",     "%2f",    "%2F", "\\",   "%5c",  "%5C", "//",
                             "%252f", "%c0%af", "/./", "%00/", "%2f/", ";/"};
    const char* fronts[] = {"/", "//", "/sub/", "/sub/deep/", "/%2e/"};
    for (const char* front : fronts) {
        for (const char* dot : dots) {
            for (const char* slash : slashes) {
                std::string step = std::string(dot) + slash;
                targets.insert(front + step + "secret.txt");
                targets.insert(front + step + step + step + "secret.txt");
                targets.insert(front + step + step + step + step + "etc/passwd");
            }
        }
    }
    for (const char* more :
         {"/secret.txt/..",
          "/etc/passwd",
          "//etc/passwd",
          "/%2fetc%2fpasswd",
          "/C:/secret.txt",
          "/c%3a/secret.txt",
          "/\\\\localhost\\c$\\secret.txt",
          "/%5c%5cserver%5cshare",
          "/file:///etc/passwd",
          "/link-out",
          "/link-out/secret.txt",
          "/link-absolute",
          "/link-directory/secret.txt",
          "/link-directory/",
          "/link-directory/../secret.txt",
          "/sub/link-up/secret.txt",
          "/sub/link-up/../secret.txt",
          "/link-loop/secret.txt",
          "/link-chain",
          "/link-slash/etc/passwd",
          "/link-proc/root/etc/passwd",
          "/link-fd/0",
          "/.hidden",
          "/.git/config",
          "/%2ehidden",
          "/sub/.hidden",
          "/secret.txt%00.html",
          "/a.txt%00",
          "/a.txt%00/../../secret.txt",
          "/a.txt/",
          "/a.txt/.",
          "/a.txt/../secret.txt",
          "/a.txt/x",
          "/~root/secret.txt",
          "/~/secret.txt",
          "/a.txt::$DATA",
          "/a.txt.",
          "/a.txt%20",
          "/CON",
          "/aux.txt",
          "/nul",
          "/COM1",
          "/SECRET~1.TXT",
          "/%ff%fe../secret.txt",
          "/sub%5c..%5c..%5csecret.txt",
          "/*",
          "/sub/*",
          "/?",
          "/%3f",
          "/./././../secret.txt",
          "/sub/../../secret.txt",
          "/sub/%2e%2e/%2e%2e/secret.txt",
          "http://localhost/../secret.txt",
          "http://localhost/%2e%2e/secret.txt",
          "http://localhost/..%2fsecret.txt",
          "http://localhost//etc/passwd"}) {
        targets.insert(more);
    }
    std::string climb = "/sub";
    for (int i = 0; i < 40; ++i) {
        climb += "/..";
        targets.insert(climb + "/secret.txt");
    }
    targets.insert("/" + std::string(300, 'a'));
    targets.insert("/" + std::string(5000, 'a'));
    return targets;
}

void fill(const porthole_test::TemporaryDirectory& place) {
    place.write("secret.txt", secret);
    place.write("root-beside/secret.txt", secret);
    place.write("outside/secret.txt", secret);
    place.write("root/a.txt", "public");
    place.write("root/.hidden", secret);
    place.write("root/.git/config", secret);
    place.write("root/sub/.hidden", secret);
    place.write("root/sub/deep/b.txt", "public");
    place.link("root/link-out", "../secret.txt");
    place.link("root/link-absolute", place.path("secret.txt"));
    place.link("root/link-directory", "../outside");
    place.link("root/sub/link-up", "../..");
    place.link("root/link-loop", "link-loop");
    place.link("root/link-chain", "sub/link-up/secret.txt");
    place.link("root/link-slash", "/");
    place.link("root/link-proc", "/proc/self");
    place.link("root/link-fd", "/proc/self/fd");
}

FilesOptions options_for(bool is_step_by_step) {
    FilesOptions options;
    options.step_by_step(is_step_by_step).listing();
    return options;
}

} // namespace

TEST_CASE("files: no path leads out of the root") {
    const std::set<std::string> targets = traversal_targets();
    REQUIRE(targets.size() >= 300);
    for (const bool is_step_by_step : {false, true}) {
        FilesFixture fixture(options_for(is_step_by_step));
        fill(fixture.place);
        fixture.mount();
        for (const std::string& target : targets) {
            CAPTURE(target);
            testing::Client client(fixture.server);
            client.send("GET " + target + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
            const testing::Answer answer = client.read_answer();
            CHECK(answer.status != 0);
            CHECK(answer.body.find(secret) == std::string::npos);
            CHECK(answer.body.find("root:") == std::string::npos);
            CHECK(answer.body.find(fixture.place.path()) == std::string::npos);
            const bool is_answered = answer.status == 200 || answer.status == 301;
            CHECK(
                (is_answered || answer.status == 400 || answer.status == 404
                 || answer.status == 403));
            if (answer.status == 200) { // what is left of it lies inside
                CHECK((answer.body == "public" || answer.body.find("<h1>/") != std::string::npos));
            }
        }
        CHECK(fixture.get("/a.txt").body == "public");
    }
}

TEST_CASE("files: what a path breaks decides between 400 and 404") {
    FilesFixture fixture;
    fill(fixture.place);
    fixture.mount();
    const struct {
        const char* target;
        int status;
    } cases[] = {
        {"/..%2fsecret.txt", 400},
        {"/%5c", 400},
        {"/a%2Fb", 400},
        {"/a.txt%00", 400},
        {"/%zz", 400},
        {"/a%0ab", 400},
        {"/a%7f", 400},
        {"//a.txt", 400},
        {"/sub//deep/b.txt", 400},
        {"/../a.txt", 400},
        {"/.hidden", 404},
        {"/link-out", 404},
        {"/link-loop", 404},
        {"/missing", 404},
        {"/a.txt/x", 404},
        {"/a.txt/", 404},
        {"/sub/../a.txt", 200},
        {"/./a.txt", 200},
    };
    for (const auto& one : cases) {
        CAPTURE(one.target);
        CHECK(fixture.get(one.target).status == one.status);
    }
    CHECK(fixture.get("/" + std::string(5000, 'a')).status == 400);
#if !defined(_WIN32)
    CHECK(fixture.get("/" + std::string(256, 'a')).status == 400);
#endif
}

TEST_CASE("files: portable names are those that mean the same on Windows") {
    FilesFixture fixture(FilesOptions{}.portable_names());
    for (const char* name : {"ok.txt", "console.txt"}) {
        fixture.place.write(std::string("root/") + name, "ok");
    }
#if !defined(_WIN32)
    for (const char* name : {"con", "aux.txt", "a:b", "a?b", "dot.", "blank ", "COM1.log", "A~1"}) {
        fixture.place.write(std::string("root/") + name, "odd");
    }
#endif
    fixture.mount();
    CHECK(fixture.get("/ok.txt").status == 200);
    CHECK(fixture.get("/console.txt").status == 200);
    for (const char* target :
         {"/con", "/CON", "/aux.txt", "/a:b", "/a%3Fb", "/dot.", "/blank%20", "/COM1.log", "/A~1",
          "/ok.txt::$DATA", "/nul/x"}) {
        CAPTURE(target);
        CHECK(fixture.get(target).status == 404);
    }
}

TEST_CASE("files: a link that is swapped between requests never leads out") {
    for (const bool is_step_by_step : {false, true}) {
        FilesOptions options = options_for(is_step_by_step);
        FilesFixture fixture(options.recheck_after(std::chrono::milliseconds(0)));
        fill(fixture.place);
        fixture.place.write("root/in/secret.txt", "public");
        if (!fixture.place.link("root/next-in", "in")
            || !fixture.place.link("root/next-out", "../outside")) {
            return;
        }
        fixture.mount();
        int inside = 0;
        for (int i = 0; i < 300; ++i) {
            const bool is_out = i % 2 == 0;
            fixture.place.link("root/new", is_out ? "../outside" : "in");
            fixture.place.rename("root/new", "root/current"); // atomic, as deployments do it
            const testing::Answer answer = fixture.get("/current/secret.txt");
            CHECK(answer.body.find(secret) == std::string::npos);
            CHECK(answer.status == (is_out ? 404 : 200));
            inside += answer.status == 200 ? 1 : 0;
        }
        CHECK(inside == 150);
    }
}
