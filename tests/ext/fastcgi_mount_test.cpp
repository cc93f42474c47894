// SPDX-License-Identifier: MIT

// Which part of a path names the script, what an application server is told of it, and addresses.

#include "support/fastcgi_fixture.hpp"

#include <map>
#include <string>

using namespace porthole;
using porthole_test::FastCgiFixture;
using porthole_test::Responder;

namespace {

class Php : public FastCgiFixture {
public:
    Php() {
        mount(FastCgiOptions{}.document_root("/srv/www"));
        responder.serve = [this](Responder::Peer& peer) {
            if (peer.has_content_end) {
                seen = peer.variables;
                peer.answer("Content-Type: text/plain\n\nx");
            }
        };
    }
    int ask(std::string_view target) {
        seen.clear();
        return get(target).status;
    }
    std::map<std::string, std::string> seen;
};

} // namespace

TEST_CASE("fastcgi mount: the first part with the extension is the script's end") {
    const std::vector<std::string> php{".php"};
    constexpr std::size_t none = std::string_view::npos;
    CHECK(detail::find_script_end("/a.php", php) == 6);
    CHECK(detail::find_script_end("/a.php/b", php) == 6);
    CHECK(detail::find_script_end("/a.php/b.php", php) == 6);
    CHECK(detail::find_script_end("/d/a.php/", php) == 8);
    CHECK(detail::find_script_end("/a.php.jpg", php) == none);
    CHECK(detail::find_script_end("/a.phpx/b.php", php) == 13);
    CHECK(detail::find_script_end("/.php", php) == none);
    CHECK(detail::find_script_end("/", php) == none);
    CHECK(detail::find_script_end("", php) == none);
    CHECK(detail::find_script_end("/a.php", {}) == none);
    CHECK(detail::find_script_end("/a.x/b.y", {".y", ".x"}) == 4);
}

TEST_CASE("fastcgi mount: a script below the document root") {
    Php php;
    CHECK(php.ask("/app/d/page.php/more/of%20it?q=%20") == 200);
    CHECK(php.seen["SCRIPT_NAME"] == "/app/d/page.php");
    CHECK(php.seen["SCRIPT_FILENAME"] == "/srv/www/d/page.php");
    CHECK(php.seen["DOCUMENT_ROOT"] == "/srv/www");
    CHECK(php.seen["PATH_INFO"] == "/more/of it");
    CHECK(php.seen["PATH_TRANSLATED"] == "/srv/www/more/of it");
    CHECK(php.seen["QUERY_STRING"] == "q=%20");
}

TEST_CASE("fastcgi mount: a path that ends with a slash has an index") {
    Php php;
    CHECK(php.ask("/app/d/") == 200);
    CHECK(php.seen["SCRIPT_NAME"] == "/app/d/index.php");
    CHECK(php.seen["SCRIPT_FILENAME"] == "/srv/www/d/index.php");
    CHECK(php.seen["PATH_INFO"].empty());
}

TEST_CASE("fastcgi mount: what names no script never reaches the application server") {
    Php php;
    CHECK(php.ask("/app/picture.jpg") == 404);
    CHECK(php.ask("/app/d") == 404);
    CHECK(php.ask("/app/.hidden/a.php") == 404);
    CHECK(php.ask("/app/a.php%00.jpg") == 400);
    CHECK(php.ask("/app/..%2fa.php") == 400);
    CHECK(php.ask("/app/%5ca.php") == 400);
    CHECK(php.responder.peers.size() == 0);
}

TEST_CASE("fastcgi mount: one script for all paths, by a variable") {
    FastCgiFixture f;
    f.mount(FastCgiOptions{}.variable("SCRIPT_FILENAME", "/srv/app/front.php"));
    std::map<std::string, std::string> seen;
    f.responder.serve = [&seen](Responder::Peer& peer) {
        if (peer.has_content_end) {
            seen = peer.variables;
            peer.answer("Content-Type: text/plain\n\nx");
        }
    };
    CHECK(f.get("/app/any/path").status == 200);
    CHECK(seen["SCRIPT_FILENAME"] == "/srv/app/front.php");
    CHECK(seen["PATH_INFO"] == "/any/path");
}

TEST_CASE("fastcgi mount: other extensions, and the client's Authorization, by option") {
    FastCgiFixture f;
    f.mount(FastCgiOptions{}.document_root("/srv").extensions({".fcgi"}).authorization());
    std::map<std::string, std::string> seen;
    f.responder.serve = [&seen](Responder::Peer& peer) {
        if (peer.has_content_end) {
            seen = peer.variables;
            peer.answer("Content-Type: text/plain\n\nx");
        }
    };
    CHECK(f.request("GET", "/app/a.fcgi/b", {{"Authorization", "Basic YTpi"}}).status == 200);
    CHECK(seen["SCRIPT_FILENAME"] == "/srv/a.fcgi");
    CHECK(seen["HTTP_AUTHORIZATION"] == "Basic YTpi");
    CHECK(f.request("GET", "/app/a.php").status == 404);
}

TEST_CASE("fastcgi mount: an address that is none is an error of mount()") {
    Server server(porthole_test::options());
    for (const char* address :
         {"", "127.0.0.1", "localhost:", "127.0.0.1:0", "127.0.0.1:99999", "unix:", ":80",
          "a b:1"}) {
        CAPTURE(address);
        const Error error = server.mount("/app", fastcgi(address));
        CHECK(error);
        CHECK(error.message().find("mount") != std::string::npos);
    }
    for (const char* address : {"127.0.0.1:9", "[::1]:9", "localhost:9", "unix:/nowhere/x.sock"}) {
        CAPTURE(address);
        CHECK_FALSE(server.mount(
            std::string("/") + std::to_string(address[0]) + address[1], scgi(address)));
    }
}
