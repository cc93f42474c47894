// SPDX-License-Identifier: MIT

// What a wrong or malicious application server puts before its content: the answer that leaves has
// one head, framed by the server alone, or it is a 502.

#include "support/fastcgi_fixture.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace porthole;
using porthole_test::FastCgiFixture;
using porthole_test::Responder;
using porthole_test::SocketClient;

namespace {

const std::string typed = "Content-Type: text/plain\n";

/// All that the client of one request gets, to the end of its connection.
std::string raw(FastCgiFixture& f, std::string_view method = "GET") {
    SocketClient client("127.0.0.1", f.server.port());
    std::string bytes(method);
    client.send(bytes + " /app/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    CHECK(f.until({&client}, [&] { return client.is_closed; }));
    return client.received;
}

bool has(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

std::size_t count_of(std::string_view text, std::string_view part) {
    std::size_t count = 0;
    for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) {
        ++count;
    }
    return count;
}

/// Lines that could not do anything to a terminal or pass for two.
bool is_harmless(const std::vector<std::string>& lines) {
    for (const std::string& line : lines) {
        for (const char c : line) {
            if (static_cast<unsigned char>(c) < 0x20 || c == '\x7f') {
                return false;
            }
        }
    }
    return true;
}

} // namespace

TEST_CASE("fastcgi hostile: a head that would be two is 502") {
    using namespace std::string_literals;
    const std::string heads[] = {
        "Content-Type: text/html\rX-Evil: 1\n\n"s,
        "Content-Type: text/html\0X-Evil: 1\n\n"s,
        "Content-Type: \x1b[2J\n\n"s,
        "Content-Type:\n\n"s,
        "Location: /there\rX-Evil: 1\n\n"s,
        "Location: /there HTTP/1.1\n\n"s,
        "Location: http://localhost/\0\n\n"s,
        "Location:\n\n"s,
        "X-A: 1\n X-Evil: 1\n" + typed + "\n",
        "X-A: 1\n\tX-Evil: 1\n" + typed + "\n",
        "X-Evil : 1\n" + typed + "\n",
        "X Evil: 1\n" + typed + "\n",
        "X-Evil\r: 1\n" + typed + "\n",
        "X-Evil\0: 1\n"s + typed + "\n",
        ": X-Evil\n" + typed + "\n",
        "\rX-Evil: 1\n" + typed + "\n",
        "HTTP/1.1 200 OK\r\n" + typed + "\n",
        typed + typed + "\n",
        "Status: 200\nStatus: 404\n" + typed + "\n",
        "Location: /a\nLocation: /b\n\n",
        "X-Evil: 1\n\n", // none of those that a head needs
        "\n",
        "\r\n\r\n",
    };
    FastCgiFixture f;
    f.mount();
    for (const std::string& head : heads) {
        CAPTURE(head);
        f.answer_with(head + "HTTP/1.1 200 OK\r\nX-Evil: 1\r\n\r\n");
        const std::string answer = raw(f);
        CHECK(answer.substr(0, 13) == "HTTP/1.1 502 ");
        CHECK_FALSE(has(answer, "Evil"));
        CHECK(count_of(answer, "HTTP/1.1 ") == 1);
    }
    CHECK(is_harmless(f.lines));
    f.answer_with(typed + "\nfine");
    CHECK(f.get("/app/").body == "fine");
}

TEST_CASE("fastcgi hostile: a status that nobody could send is 502") {
    FastCgiFixture f;
    f.mount();
    for (const std::string_view status :
         {"101 Switching Protocols",
          "100 Continue",
          "103 Early Hints",
          "199",
          "99",
          "999",
          "600",
          "0",
          "-1",
          "+20",
          "2e2",
          "0x200",
          "200OK",
          "2000",
          "20",
          "",
          " ",
          "OK",
          "200\r200\r",
          "18446744073709551816"}) {
        CAPTURE(status);
        f.answer_with("Status: " + std::string(status) + "\nUpgrade: evil\n" + typed + "\nx");
        const auto answer = f.get("/app/");
        CHECK(answer.status == 502);
        CHECK_FALSE(answer.has_header("Upgrade"));
    }
    for (const int status : {200, 299, 599}) {
        f.answer_with("Status: " + std::to_string(status) + " a reason\n" + typed + "\nx");
        CHECK(f.get("/app/").status == status);
    }
    f.answer_with("Status: 200 OK\rX-Evil: 1\n" + typed + "\nx"); // the reason is not sent
    CHECK_FALSE(has(raw(f), "Evil"));
}

TEST_CASE("fastcgi hostile: fields with control characters do not split the answer") {
    using namespace std::string_literals;
    const std::string fields[] = {
        "X-A: a\rSet-Cookie: evil=1\n"s,  "X-A: a\0evil\n"s,         "X-A: \x1b]0;evil\x07\n"s,
        "X-A: a\r\rHTTP/1.1 200 evil\n"s, "Set-Cookie: evil\x7f\n"s, "X-A: evil\x0b\n"s,
    };
    for (const std::string& field : fields) {
        CAPTURE(field);
        FastCgiFixture f;
        f.mount();
        f.answer_with(field + typed + "X-B: good\n\nhello");
        const std::string answer = raw(f);
        CHECK_FALSE(has(answer, "evil"));
        CHECK(has(answer, "\r\nX-B: good\r\n"));
        CHECK(has(answer, "hello"));
        CHECK(count_of(answer, "\r") == count_of(answer, "\r\n"));
        CHECK(f.has_logged("of its head was dropped"));
        CHECK(is_harmless(f.lines));
    }
}

TEST_CASE("fastcgi hostile: fields about the connection stay behind (RFC 9110 section 7.6.1)") {
    FastCgiFixture f;
    f.mount();
    f.answer_with(
        "Connection: close, X-B\nKeep-Alive: timeout=5\nProxy-Connection: close\n"
        "TE: trailers\nTrailer: X-C\nUpgrade: websocket\ntransfer-encoding: gzip\n"
        "Transfer-Encoding: chunked\nX-B: stays\n"
        + typed + "\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    SocketClient client("127.0.0.1", f.server.port());
    for (int i = 0; i < 2; ++i) { // the connection is kept: it is not theirs to close
        client.send(porthole_test::simple_get("/app/"));
        const auto answer = f.read(client);
        CHECK(answer.status == 200);
        CHECK(answer.body == "0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
        CHECK(answer.header("X-B") == "stays");
        for (const std::string_view name :
             {"Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Upgrade"}) {
            CAPTURE(name);
            CHECK_FALSE(answer.has_header(name));
        }
        CHECK(client.received.empty());
    }
    const std::string bytes = raw(f);
    CHECK(count_of(bytes, "Transfer-Encoding: chunked\r\n") == 1);
    CHECK_FALSE(has(bytes, "gzip"));
    CHECK_FALSE(has(bytes.substr(0, bytes.find("\r\n\r\n")), "Content-Length"));
}

TEST_CASE("fastcgi hostile: a length that is none, or two, is not passed on") {
    const std::pair<std::string_view, bool> cases[] = {
        {"Content-Length: 5\n", true},
        {"Content-Length: 5\ncontent-length: 5\n", true},
        {"Content-Length: 5\nContent-Length: 6\n", false},
        {"Content-Length: 6\nContent-Length: 5\n", false},
        {"Content-Length: 3\nContent-Length: x\nContent-Length: 3\n", false},
        {"Content-Length: 5, 5\n", false},
        {"Content-Length: -5\n", false},
        {"Content-Length: +5\n", false},
        {"Content-Length: 0x5\n", false},
        {"Content-Length: 5 5\n", false},
        {"Content-Length: 5\r5\n", false},
        {"Content-Length:\n", false},
        {"Content-Length: 18446744073709551621\n", false},
    };
    FastCgiFixture f;
    f.mount();
    for (const auto& one : cases) {
        CAPTURE(one.first);
        f.lines.clear();
        f.answer_with(std::string(one.first) + typed + "\nhello");
        const std::string bytes = raw(f);
        const std::string head = bytes.substr(0, bytes.find("\r\n\r\n") + 2);
        CHECK(count_of(head, "\r\nContent-Length: 5\r\n") == (one.second ? 1 : 0));
        CHECK(count_of(head, "ontent-Length") + count_of(head, "ontent-length") == one.second);
        CHECK(has(head, "\r\nTransfer-Encoding: chunked\r\n") != one.second);
        CHECK(f.has_logged("of its head was dropped") != one.second);
        CHECK(f.get("/app/").body == "hello");
    }
}

TEST_CASE("fastcgi hostile: the largest length of all is a promise that is not kept") {
    FastCgiFixture f;
    f.mount();
    f.answer_with("Content-Length: 18446744073709551615\n" + typed + "\nhello");
    const std::string bytes = raw(f);
    CHECK(has(bytes, "Content-Length: 18446744073709551615\r\n"));
    CHECK(has(bytes, "\r\n\r\nhello"));
    CHECK(f.has_logged("less than its Content-Length"));
}

TEST_CASE("fastcgi hostile: fields that the server sends itself are there once") {
    FastCgiFixture f;
    f.mount();
    f.answer_with("Date: yesterday\nServer: other\nX-Content-Type-Options: none\n" + typed + "\nx");
    const std::string bytes = raw(f);
    for (const std::string_view name :
         {"\r\nDate:", "\r\nServer:", "\r\nX-Content-Type-Options:"}) {
        CAPTURE(name);
        CHECK(count_of(bytes, name) <= 1);
    }
    CHECK(count_of(bytes, "\r\nDate:") == 1);
}

TEST_CASE("fastcgi hostile: a head has to end within max_head_bytes") {
    constexpr std::size_t most = 200;
    for (const std::size_t size : {most - 1, most, most + 1}) {
        for (const std::size_t step : {std::size_t{1}, std::size_t{7}, size}) {
            CAPTURE(size);
            CAPTURE(step);
            FastCgiFixture f;
            f.mount(FastCgiOptions{}.max_head_bytes(most));
            std::string head = typed + "X-A: ";
            head.append(size - head.size() - 2, 'a').append("\n\n");
            f.responder.serve = [&, at = std::size_t{0}](Responder::Peer& peer) mutable {
                if (at < head.size()) {
                    peer.say(porthole_test::fastcgi_record(6, head.substr(at, step)));
                    at += step;
                } else {
                    peer.answer("content");
                }
            };
            const auto answer = f.get("/app/");
            CHECK(answer.status == (size <= most ? 200 : 502));
            CHECK((size > most || answer.body == "content"));
            CHECK((size <= most || f.has_logged("max_head_bytes")));
        }
    }
}

TEST_CASE("fastcgi hostile: a head that never ends is 502, and its server is left") {
    for (const std::string& piece : {std::string("X-A: a\n"), std::string(1000, 'x')}) {
        FastCgiFixture f;
        f.mount(FastCgiOptions{}.max_head_bytes(4096));
        f.responder.serve = [&piece](Responder::Peer& peer) {
            if (peer.out.size() < 10'000) {
                peer.say(porthole_test::fastcgi_record(6, piece));
            }
        };
        CHECK(f.get("/app/").status == 502);
        CHECK(f.until({}, [&] { return f.responder.peer(0).has_gone; }));
    }
}

TEST_CASE("fastcgi hostile: a hundred fields are enough") {
    for (const int count : {99, 100}) { // and the type
        FastCgiFixture f;
        f.mount();
        std::string head;
        for (int i = 0; i < count; ++i) {
            head += "X-" + std::to_string(i) + ": a\n";
        }
        f.answer_with(head + typed + "\nx");
        CHECK(f.get("/app/").status == (count == 99 ? 200 : 502));
    }
}

TEST_CASE("fastcgi hostile: content where none may be does not become the next answer") {
    const std::string forged = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    const std::pair<std::string, std::string> cases[] = {
        {"Status: 204\n\n" + forged, ""},
        {"Status: 304\n\n" + forged, ""},
        {"Status: 204\n" + typed + "Content-Length: 45\n\n" + forged, ""},
        {"Status: 205\n" + typed + "\n" + forged, ""},
        {"Content-Length: 0\n" + typed + "\n" + forged, ""},
        {"Content-Length: 3\n" + typed + "\nabc" + forged, "abc"},
    };
    for (const auto& one : cases) {
        CAPTURE(one.first);
        FastCgiFixture f;
        f.mount();
        f.responder.serve = [&](Responder::Peer& peer) {
            if (peer.has_content_end) {
                const bool is_second = peer.variables["PATH_INFO"] == "/second";
                peer.answer(is_second ? typed + "\nsecond" : one.first);
            }
        };
        SocketClient client("127.0.0.1", f.server.port());
        client.send(
            porthole_test::simple_get("/app/first") + porthole_test::simple_get("/app/second"));
        CHECK(f.read(client).body == one.second);
        CHECK(f.read(client).body == "second");
        CHECK(client.received.empty());
    }
}

TEST_CASE("fastcgi hostile: a local redirect that leads to itself ends") {
    FastCgiFixture f;
    f.mount();
    int asked = 0;
    f.responder.serve = [&asked](Responder::Peer& peer) {
        if (peer.has_content_end) {
            ++asked;
            peer.answer("Location: /app/again\n\ncontent that nobody wants");
        }
    };
    CHECK(f.get("/app/").status == 500);
    CHECK(asked == 9);
    for (const std::string_view location : {"/%zz", "/a%00b", "/../../etc/passwd", "/\x80"}) {
        CAPTURE(location);
        f.answer_with("Location: " + std::string(location) + "\n\n");
        const auto answer = f.get("/app/");
        CHECK(answer.status >= 400);
        CHECK_FALSE(answer.has_header("Location"));
    }
    f.answer_with("Location: //evil.test/\n\n"); // another host's, so the client is told
    CHECK(f.get("/app/").header("Location") == "//evil.test/");
}
