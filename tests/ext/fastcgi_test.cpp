// SPDX-License-Identifier: MIT

// Requests through a FastCGI and an SCGI server and back: what they are told, content both ways,
// and each kind of answer.

#include "support/fastcgi_fixture.hpp"
#include "support/temporary_directory.hpp"

#include <string>

using namespace porthole;
using porthole_test::fastcgi_end;
using porthole_test::fastcgi_record;
using porthole_test::FastCgiFixture;
using porthole_test::Responder;
using porthole_test::SocketClient;

namespace {

std::string pattern(std::size_t size) {
    std::string text(size, ' ');
    for (std::size_t i = 0; i < size; ++i) {
        text[i] = static_cast<char>('a' + i % 23);
    }
    return text;
}

/// Sends back what comes, as it comes.
void echo(Responder::Peer& peer) {
    if (peer.most_out == 0) {
        peer.say(fastcgi_record(6, "Content-Type: text/plain\n\n"));
        peer.most_out = 1;
    }
    while (!peer.content.empty() && peer.out.size() < 64 * 1024) {
        const std::string piece = peer.content.substr(0, 10'000);
        peer.content.erase(0, piece.size());
        peer.say(fastcgi_record(6, piece));
    }
    peer.reads = peer.content.size() < 64 * 1024;
    if (peer.has_content_end && peer.content.empty()) {
        peer.most_out = 0;
        peer.say(fastcgi_record(6, "") + fastcgi_end());
        peer.next();
    }
}

} // namespace

TEST_CASE("fastcgi: a request arrives with its variables, and the answer comes back") {
    FastCgiFixture f;
    f.mount(FastCgiOptions{}.variable("APP_ENV", "test"));
    std::map<std::string, std::string> seen;
    f.responder.serve = [&seen](Responder::Peer& peer) {
        if (peer.has_content_end) {
            seen = peer.variables;
            peer.answer("Status: 201\r\nContent-Type: text/plain\r\nX-Own: yes\r\n\r\nhello");
        }
    };
    const auto answer = f.request("GET", "/app/a/b?x=1", {{"Proxy", "evil"}, {"X-Y", "z"}});
    CHECK(answer.status == 201);
    CHECK(answer.header("X-Own") == "yes");
    CHECK(answer.header("Content-Type") == "text/plain");
    CHECK(answer.body == "hello");
    CHECK(seen["SCRIPT_NAME"] == "/app");
    CHECK(seen["PATH_INFO"] == "/a/b");
    CHECK(seen["QUERY_STRING"] == "x=1");
    CHECK(seen["APP_ENV"] == "test");
    CHECK(seen["HTTP_X_Y"] == "z");
    CHECK(seen.count("HTTP_PROXY") == 0);
    CHECK(seen.count("SCRIPT_FILENAME") == 0);
    CHECK(seen["REQUEST_METHOD"] == "GET");
}

TEST_CASE("fastcgi: content goes in and comes out at the same time, of any size") {
    FastCgiFixture f;
    f.mount();
    f.responder.serve = echo;
    for (const std::size_t size : {1u, 1000u, 65535u, 65536u, 2'000'000u}) {
        CAPTURE(size);
        const std::string body = pattern(size);
        const auto answer = f.request("POST", "/app/", {}, body);
        CHECK(answer.status == 200);
        CHECK(answer.body == body);
    }
    CHECK(f.responder.peers.size() == 1);
}

TEST_CASE("fastcgi: an upload in chunks is spooled, passed on, or refused, by option") {
    const std::string request = "POST /app/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: "
                                "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    for (const ChunkedUpload how :
         {ChunkedUpload::spool, ChunkedUpload::stream, ChunkedUpload::refuse}) {
        FastCgiFixture f;
        f.mount(FastCgiOptions{}.chunked_upload(how).spool(4, 100));
        std::string length = "none";
        f.responder.serve = [&length](Responder::Peer& peer) {
            if (peer.has_content_end) {
                const auto found = peer.variables.find("CONTENT_LENGTH");
                length = found != peer.variables.end() ? found->second : "none";
                peer.answer("Content-Type: text/plain\n\n" + peer.content);
            }
        };
        const auto answer = f.send(request);
        if (how == ChunkedUpload::refuse) {
            CHECK(answer.status == 411);
        } else {
            CHECK(answer.body == "abcde");
            CHECK(length == (how == ChunkedUpload::spool ? "5" : "none"));
        }
    }
}

TEST_CASE("fastcgi: a client that does not read holds the application server back") {
    FastCgiFixture f;
    f.mount();
    constexpr std::size_t pieces = 600;
    constexpr std::size_t piece = 60'000;
    std::size_t made = 0;
    f.responder.serve = [&made](Responder::Peer& peer) {
        if (made == 0) {
            peer.say(fastcgi_record(6, "Content-Type: text/plain\n\n"));
        }
        if (made < pieces && peer.out.size() < piece) {
            peer.say(fastcgi_record(6, pattern(piece)));
            ++made;
        }
        if (made == pieces) {
            peer.say(fastcgi_record(6, "") + fastcgi_end());
            peer.next();
        }
    };
    SocketClient client("127.0.0.1", f.server.port());
    client.is_reading = false;
    client.send("GET /app/ HTTP/1.1\r\nHost: localhost\r\n\r\n");
    int quiet = 0;
    std::size_t before = 0;
    CHECK(f.until({&client}, [&] {
        quiet = made == before && made != 0 ? quiet + 1 : 0;
        before = made;
        return quiet >= 200;
    }));
    CHECK(made < pieces);
    client.is_reading = true;
    const auto answer = f.read(client);
    CHECK(answer.body.size() == pieces * piece);
    CHECK((answer.body.substr(0, piece) == pattern(piece)));
}

TEST_CASE("fastcgi: redirects, local ones through the router (RFC 3875 section 6.2)") {
    FastCgiFixture f;
    f.mount();
    f.server.get("/there", [](const Request&, Response& response) { response.text("local"); });
    f.answer_with("Location: /there\n\n");
    CHECK(f.get("/app/").body == "local");
    f.answer_with("Location: http://localhost/x\n\n");
    const auto answer = f.get("/app/");
    CHECK(answer.status == 302);
    CHECK(answer.header("Location") == "http://localhost/x");
    f.answer_with("Status: 204\n\n");
    CHECK(f.get("/app/").status == 204);
    CHECK(f.responder.peers.size() == 1);
}

TEST_CASE("fastcgi: HEAD has the fields and no content, and the connection is kept") {
    FastCgiFixture f;
    f.mount();
    f.answer_with("Content-Type: text/plain\nContent-Length: 5\n\nhello");
    const auto answer = f.request("HEAD", "/app/");
    CHECK(answer.status == 200);
    CHECK(answer.header("Content-Length") == "5");
    CHECK(answer.body.empty());
    CHECK(f.get("/app/").body == "hello");
    CHECK(f.responder.peers.size() == 1);
}

TEST_CASE("fastcgi: what goes to the log is told line by line") {
    FastCgiFixture f;
    f.mount();
    f.responder.serve = [](Responder::Peer& peer) {
        if (peer.has_content_end) {
            peer.say(fastcgi_record(7, "PHP Warning: \x1b[2J\nsecond"));
            peer.answer("Content-Type: text/plain\n\nx");
        }
    };
    CHECK(f.get("/app/").body == "x");
    CHECK(f.until({}, [&] { return f.has_logged("second"); }));
    CHECK(f.has_logged("PHP Warning: \\x1b[2J"));
}

TEST_CASE("scgi: a request and its answer, to the end of the connection") {
    FastCgiFixture f(porthole_test::options(), true);
    f.accept(f.server.mount("/app", scgi(f.responder.address())));
    f.accept(f.server.listen("127.0.0.1", 0));
    std::string first;
    f.responder.serve = [&first](Responder::Peer& peer) {
        if (peer.has_content_end && !peer.closes) {
            first = peer.first_variable;
            peer.say(
                "Content-Type: text/plain\n\n" + peer.variables["CONTENT_LENGTH"] + peer.content
                + peer.variables["SCGI"] + peer.variables["PATH_INFO"]);
            peer.closes = true;
        }
    };
    CHECK(f.get("/app/x").body == "01/x");
    CHECK(first == "CONTENT_LENGTH");
    CHECK(f.request("POST", "/app/", {}, "abc").body == "3abc1/");
    CHECK(
        f.send("POST /app/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
               "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
            .body
        == "5abcde1/");
}

#if !defined(_WIN32)
TEST_CASE("fastcgi: over a unix socket") {
    porthole_test::TemporaryDirectory place;
    FastCgiFixture f;
    const std::string path = place.path("app.sock");
    f.accept(
        detail::Listener::open(Endpoint::local(path), ListenOptions{}, 0600, f.responder.listener));
    f.accept(f.server.mount("/app", fastcgi("unix:" + path)));
    f.accept(f.server.listen("127.0.0.1", 0));
    f.answer_with("Content-Type: text/plain\n\nhello");
    CHECK(f.get("/app/").body == "hello");
    CHECK(f.get("/app/").body == "hello");
    CHECK(f.responder.peers.size() == 1);
}
#endif
