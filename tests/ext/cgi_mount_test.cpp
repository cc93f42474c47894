// SPDX-License-Identifier: MIT

// Which file a path runs, what is never run, and what the program finds around it.

#include "support/cgi_fixture.hpp"
#include "support/descriptors.hpp"

#include <algorithm>
#include <cstdlib>

using namespace porthole;
using porthole_test::CgiFixture;
using porthole_test::with_type;

namespace {

/// Prints its environment, one variable in a line.
const std::vector<std::string> environment_page{"print", with_type(""), "environment"};

std::string value_of(std::string_view page, std::string_view name) {
    std::string line = "\n" + std::string(name) + "=";
    const std::string text = "\n" + std::string(page);
    const std::size_t at = text.find(line);
    if (at == std::string::npos) {
        return "(none)";
    }
    const std::size_t begin = at + line.size();
    std::string value = text.substr(begin, text.find('\n', begin) - begin);
    if (!value.empty() && value.back() == '\r') {
        value.pop_back();
    }
    return value;
}

} // namespace

TEST_CASE("cgi mount: the longest beginning of the path that is a file is the script") {
    CgiFixture f;
    f.script("deep/er/env.run", environment_page);
    f.mount();
    const std::string page = f.get("/cgi-bin/deep/er/env.run/more/of%20it?a=%20b").body;
    CHECK(value_of(page, "SCRIPT_NAME") == "/cgi-bin/deep/er/env.run");
    CHECK(value_of(page, "PATH_INFO") == "/more/of it");
    CHECK(value_of(page, "QUERY_STRING") == "a=%20b");
    CHECK(value_of(page, "REQUEST_URI") == "/cgi-bin/deep/er/env.run/more/of%20it?a=%20b");
    CHECK(value_of(page, "REQUEST_METHOD") == "GET");
    CHECK(value_of(page, "REMOTE_ADDR") == "127.0.0.1");
    CHECK(value_of(page, "HTTP_HOST") == "localhost");
#if !defined(_WIN32)
    CHECK(value_of(page, "SCRIPT_FILENAME") == f.place.path("root/deep/er/env.run"));
    CHECK(value_of(page, "PATH_TRANSLATED") == f.place.path("root/more/of it"));
    CHECK(value_of(page, "DOCUMENT_ROOT") == f.place.path("root"));
#endif
    CHECK(value_of(f.get("/cgi-bin/deep/er/env.run").body, "PATH_INFO").empty());
}

TEST_CASE("cgi mount: programs start in the script's directory") {
    CgiFixture f;
    f.script("deep/where.run", {"print", with_type(""), "directory"});
    f.mount();
    const std::string where = f.get("/cgi-bin/deep/where.run").body;
    CHECK(where.find("deep") != std::string::npos);
}

TEST_CASE("cgi mount: what is not there, hidden, or outside is never run") {
    CgiFixture f;
    f.script("ok.run", {"print", with_type("ok")});
    f.script(".hidden.run", {"print", with_type("SECRET")});
    f.script(".dir/x.run", {"print", with_type("SECRET")});
    f.place.write("outside/evil.run", "print\nContent-Type: a/b\\n\\nSECRET\n");
    f.place.write("root/plain.txt", "SECRET");
    f.place.make_directory("root/empty");
    const bool has_link = f.place.link("root/link.run", "../outside/evil.run");
    f.mount();
    const struct {
        std::string_view target;
        int status;
    } rows[] = {
        {"/cgi-bin/ok.run", 200},
        {"/cgi-bin/nothing.run", 404},
        {"/cgi-bin/.hidden.run", 404},
        {"/cgi-bin/.dir/x.run", 404},
        {"/cgi-bin/../outside/evil.run", 404},
        {"/cgi-bin/%2e%2e/outside/evil.run", 404},
        {"/cgi-bin/..%2foutside/evil.run", 400},
        {"/cgi-bin/..%5coutside/evil.run", 400},
        {"/cgi-bin/..\\outside/evil.run", 400},
        {"/cgi-bin/ok.run/..\\..\\outside", 400}, // PATH_TRANSLATED would lead out of the root
        {"/cgi-bin/ok.run%00.txt", 400},
        {"/cgi-bin/ok%0a.run", 400},
        {"/cgi-bin/ok.run/a%0d%0aX:b", 400}, // a program may well print its PATH_INFO in a field
        {"/cgi-bin/ok.run?a%0d%0ab", 200},
        {"/cgi-bin//ok.run", 404},
        {"/cgi-bin/plain.txt", 403},
        {"/cgi-bin/empty", 404},
        {"/cgi-bin/empty/", 404},
        {"/cgi-bin/", 404},
        {"/cgi-bin", 404},
    };
    for (const auto& row : rows) {
        CAPTURE(row.target);
        for (const std::string_view method : {"GET", "POST"}) {
            const auto answer = f.request(method, row.target, {}, method == "POST" ? "x" : "");
            CHECK(answer.status == row.status);
            CHECK(answer.body.find("SECRET") == std::string::npos);
        }
    }
    if (has_link) {
        CHECK(f.get("/cgi-bin/link.run").status == 404);
    }
    CHECK(f.has_logged("plain.txt: it cannot be run (chmod +x); the answer is 403"));
}

TEST_CASE("cgi mount: a link within the root is as good as what it leads to") {
    CgiFixture f;
    f.script("real.run", {"print", with_type("ok")});
    if (f.place.link("root/link.run", "real.run")) {
        f.mount();
        CHECK(f.get("/cgi-bin/link.run").body == "ok");
    }
}

TEST_CASE("cgi mount: batch files are never run") {
    CgiFixture f;
    f.place.write("root/a.bat", "@echo off");
    f.place.write("root/b.CMD", "@echo off");
    f.allow("root/a.bat");
    f.allow("root/b.CMD");
    f.mount(CgiOptions{}.interpreter(".bat", PORTHOLE_TEST_CHILD));
    CHECK(f.get("/cgi-bin/a.bat").status == 403);
    CHECK(f.get("/cgi-bin/b.CMD").status == 403);
}

TEST_CASE("cgi mount: a directory is answered by its index script, behind its slash") {
    CgiFixture f;
    f.script("dir/index.run", environment_page);
    f.mount(CgiOptions{}.index({"index.cgi", "index.run"}));
    const std::string page = f.get("/cgi-bin/dir/?q=1").body;
    CHECK(value_of(page, "SCRIPT_NAME") == "/cgi-bin/dir/index.run");
    CHECK(value_of(page, "PATH_INFO").empty());
    const auto answer = f.get("/cgi-bin/dir?q=1");
    CHECK(answer.status == 301);
    CHECK(answer.header("Location") == "/cgi-bin/dir/?q=1");
}

TEST_CASE("cgi mount: the first index script that is there has to be one") {
    CgiFixture f;
    f.place.write("root/dir/index.cgi", "SECRET");
    f.place.make_directory("root/other/index.cgi");
    f.script("dir/index.run", {"print", with_type("second")});
    f.script("other/index.run", {"print", with_type("second")});
    f.mount(CgiOptions{}.index({"index.cgi", "index.run"}));
    CHECK(f.get("/cgi-bin/dir/").status == 403);
    CHECK(f.has_logged("dir/index.cgi: it cannot be run (chmod +x); the answer is 403"));
    CHECK(f.get("/cgi-bin/other/").body == "second");
}

#if defined(__linux__)

TEST_CASE("cgi mount: without descriptors scripts and index scripts are 503, not missing") {
    CgiFixture f;
    f.script("dir/index.run", {"print", with_type("ok")});
    f.mount(CgiOptions{}.index({"index.run"}));
    for (const std::string_view target : {"/cgi-bin/dir/index.run", "/cgi-bin/dir/", "/cgi-bin/"}) {
        CAPTURE(target);
        testing::Client client(f.server);
        // The sanitizers ask for each kind of object once, and need descriptors for that.
        CHECK(client.get("/cgi-bin/none/").status == 404);
        f.lines.clear();
        int status = 0;
        {
            const porthole_test::NoDescriptors none;
            status = client.get(target).status;
        }
        CHECK(status == 503);
        CHECK(f.has_logged("no descriptor is left"));
    }
    CHECK(f.get("/cgi-bin/dir/").body == "ok");
}

#endif

TEST_CASE("cgi mount: the environment is the allow-list and nothing else") {
    CgiFixture f;
    f.script("env.run", environment_page);
    f.mount(CgiOptions{}.variable("OWN", "value").variable("SERVER_SOFTWARE", "mine"));
    const std::string page = f.request(
                                  "GET", "/cgi-bin/env.run",
                                  {{"Host", "localhost:81"},
                                   {"Proxy", "http://evil"},
                                   {"X_Under_Score", "smuggled"},
                                   {"X-Under-Score", "honest"},
                                   {"Authorization", "Bearer secret"},
                                   {"Cookie", "a=1"},
                                   {"Cookie", "b=2"},
                                   {"Accept", "text/html"},
                                   {"Accept", "text/plain"},
                                   {"Connection", "close"},
                                   {"TE", "trailers"},
                                   {"X-Bytes", "a\xff"},
                                   {"X-Word", "gr\xc3\xbc\xc3\x9f"}})
                                 .body;
    std::vector<std::string> names;
    for (std::size_t at = 0; at < page.size(); at = page.find('\n', at) + 1) {
        const std::string name = page.substr(at, page.find('=', at) - at);
        names.push_back(name);
    }
    const std::vector<std::string> allowed{
        "GATEWAY_INTERFACE",
        "SERVER_PROTOCOL",
        "SERVER_SOFTWARE",
        "REQUEST_METHOD",
        "SERVER_NAME",
        "SERVER_PORT",
        "REQUEST_SCHEME",
        "SCRIPT_NAME",
        "PATH_INFO",
        "SCRIPT_FILENAME",
        "DOCUMENT_ROOT",
        "REQUEST_URI",
        "QUERY_STRING",
        "REMOTE_ADDR",
        "REMOTE_HOST",
        "REMOTE_PORT",
        "REDIRECT_STATUS",
        "HTTP_HOST",
        "HTTP_ACCEPT",
        "HTTP_COOKIE",
        "HTTP_X_BYTES",
        "HTTP_X_WORD",
        "PATH",
        "OWN",
        "HTTP_X_UNDER_SCORE",
        "SystemRoot",
        "SYSTEMROOT",
        "TEMP",
        "TMP"};
    for (const std::string& name : names) {
        CAPTURE(name);
        const bool is_allowed =
            std::find(allowed.begin(), allowed.end(), name) != allowed.end() || name[0] == '=';
#if !defined(_WIN32)
        CHECK(is_allowed);
#else
        static_cast<void>(is_allowed); // wine adds some of its own
#endif
    }
    CHECK(value_of(page, "HTTP_PROXY") == "(none)");
    CHECK(value_of(page, "HTTP_AUTHORIZATION") == "(none)");
    CHECK(value_of(page, "HTTP_X_UNDER_SCORE") == "honest");
    CHECK(value_of(page, "HTTP_COOKIE") == "a=1; b=2");
    CHECK(value_of(page, "HTTP_ACCEPT") == "text/html, text/plain");
    CHECK(value_of(page, "HTTP_X_WORD") == "gr\xc3\xbc\xc3\x9f");
    CHECK(value_of(page, "HTTP_X_BYTES").substr(0, 1) == "a"); // no text on Windows
    CHECK(value_of(page, "SERVER_PORT") == "81");
    CHECK(value_of(page, "OWN") == "value");
    CHECK(value_of(page, "SERVER_SOFTWARE") == "mine");
    CHECK(value_of(page, "CONTENT_LENGTH") == "(none)");
}

TEST_CASE("cgi mount: what the options let through to a program, and where it is started") {
    CgiFixture f;
    f.place.make_directory("elsewhere");
    f.script("env.run", environment_page);
    f.script("where.run", {"print", with_type(""), "directory"});
    f.mount(CgiOptions{}
                .inherit("HOME")
                .inherit("PORTHOLE_TEST_NO_SUCH_VARIABLE")
                .authorization()
                .working_directory(f.place.path("elsewhere")));
    const std::string page =
        f.request("GET", "/cgi-bin/env.run", {{"Authorization", "Bearer secret"}}).body;
    const char* const home = std::getenv("HOME");
    CHECK(value_of(page, "HOME") == (home == nullptr ? "(none)" : home));
    CHECK(value_of(page, "PORTHOLE_TEST_NO_SUCH_VARIABLE") == "(none)");
    CHECK(value_of(page, "HTTP_AUTHORIZATION") == "Bearer secret");
    CHECK(f.get("/cgi-bin/where.run").body.find("elsewhere") != std::string::npos);
}

TEST_CASE("cgi mount: one program for all below a path") {
    CgiFixture f;
    f.accept(f.server.mount("/one", cgi_program(PORTHOLE_TEST_CHILD, {{"OWN", "value"}})));
    f.mount();
    // Without a command the child prints nothing; that it has run is what the log tells.
    CHECK(f.get("/one/any/path").status == 502);
    CHECK(f.has_logged("child"));
    CHECK(f.has_logged("it ended without printing anything"));
    for (const std::string& line : f.lines) {
        CHECK(line.find_first_of("/\\") == std::string::npos); // its name, not its path
    }
}

#if !defined(_WIN32)

TEST_CASE("cgi mount: an executable runs by itself, and gets no argument but its name") {
    CgiFixture f;
    f.shell("argc", "printf 'Content-Type: text/plain\\n\\n%s:%s' \"$#\" \"$0\"");
    f.mount();
    for (const std::string_view query : {"", "?-s", "?-d+allow_url_include%3d1", "?a+b+c"}) {
        const auto answer = f.get("/cgi-bin/argc" + std::string(query));
        CHECK(answer.body == "0:" + f.place.path("root/argc"));
    }
}

TEST_CASE("cgi mount: a script that is not executable is 403, one without its interpreter 500") {
    CgiFixture f;
    f.place.write("root/not-allowed", "#!/bin/sh\necho no\n");
    f.place.write("root/orphan", "#!/no/such/interpreter\n");
    f.place.write("root/text", "just text\n");
    f.allow("root/orphan");
    f.allow("root/text");
    f.mount();
    CHECK(f.get("/cgi-bin/not-allowed").status == 403);
    CHECK(f.get("/cgi-bin/orphan").status == 500);
    CHECK(f.has_logged("the interpreter that its first line names is not there"));
    CHECK(f.get("/cgi-bin/text").status == 500);
}

TEST_CASE("cgi mount: the program has three descriptors and its own group") {
    CgiFixture f;
    f.script("fds.run", {"print", with_type(""), "descriptors", "group"});
    f.mount();
    CHECK(f.get("/cgi-bin/fds.run").body == "0o 1p 2p \nleader\n");
}

#endif
