// SPDX-License-Identifier: MIT

// What a wrong or malicious application server does to the protocol and to its connection. No
// client gets an answer that looks whole and is not, or one that belongs to another request; the
// log stays bounded and harmless; and the next request is served.

#include "support/fastcgi_fixture.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#if !defined(_WIN32)
#include <sys/socket.h>
#endif

using namespace porthole;
using porthole_test::fastcgi_answer;
using porthole_test::fastcgi_end;
using porthole_test::fastcgi_record;
using porthole_test::FastCgiFixture;
using porthole_test::Responder;
using porthole_test::SocketClient;

namespace {

const std::string typed = "Content-Type: text/plain\n\n";

std::string padded_record(int type, std::string_view content, std::size_t padding) {
    std::string bytes = fastcgi_record(type, content);
    bytes[6] = static_cast<char>(padding);
    return bytes.append(padding, 'p');
}

std::string of_version(char version, std::string bytes) {
    bytes[0] = version;
    return bytes;
}

/// One GET, and all that its client gets up to the end of its connection.
std::string raw(FastCgiFixture& f) {
    SocketClient client("127.0.0.1", f.server.port());
    client.send(porthole_test::simple_get("/app/", "Connection: close\r\n"));
    CHECK(f.until({&client}, [&] { return client.is_closed; }));
    return client.received;
}

bool has(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

bool is_whole(std::string_view received) {
    testing::Answer answer;
    return testing::read_answer(received, false, false, answer).status
           == detail::ParseStatus::complete;
}

/// The first request is answered with that and nothing more; later ones as they should be.
void answer_first_with(FastCgiFixture& f, std::string bytes, bool closes) {
    f.responder.serve = [bytes = std::move(bytes), closes,
                         is_first = true](Responder::Peer& peer) mutable {
        if (peer.has_content_end && std::exchange(is_first, false)) {
            peer.say(bytes);
            peer.next();
            peer.closes = closes;
        } else if (peer.has_content_end) {
            peer.answer(typed + "fine");
        }
    };
}

#if !defined(_WIN32)
/// Closes with a reset instead of an end.
void reset(Responder::Peer& peer) {
    linger now{};
    now.l_onoff = 1;
    ::setsockopt(static_cast<int>(peer.socket.handle()), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    peer.socket.close();
}
#endif

} // namespace

TEST_CASE("fastcgi hostile: what breaks the protocol within the content breaks the answer off") {
    const std::pair<std::string, std::string_view> cases[] = {
        {fastcgi_record(6, "evil", 2), "never sent"},
        {fastcgi_record(7, "evil", 255), "never sent"},
        {fastcgi_record(12, "evil"), "not for a web server"},
        {fastcgi_record(0, "evil"), "not for a web server"},
        {fastcgi_record(4, "evil"), "not for a web server"},
        {fastcgi_record(5, ""), "not for a web server"},
        {fastcgi_record(1, std::string(8, '\0')), "not for a web server"},
        {fastcgi_record(10, "evil"), "not for a web server"},
        {fastcgi_record(6, "evil", 0), "not for a web server"},
        {fastcgi_record(12, "evil", 0), "not for a web server"},
        {of_version('\2', fastcgi_record(6, "evil")), "version 1"},
        {of_version('\0', fastcgi_end()), "version 1"},
        {fastcgi_record(3, "1234567"), "wrong size"},
        {fastcgi_record(3, "123456789"), "wrong size"},
        {fastcgi_record(6, "") + fastcgi_record(6, "evil"), "behind the end"},
        {fastcgi_end(1), "takes no more"},
        {fastcgi_end(2), "overloaded"},
        {fastcgi_end(3), "no responder"},
        {fastcgi_end(255), "no known reason"},
    };
    for (const auto& one : cases) {
        CAPTURE(one.second);
        FastCgiFixture f;
        f.mount();
        answer_first_with(f, fastcgi_record(6, typed + "begin") + one.first, false);
        const std::string received = raw(f);
        CHECK(has(received, "begin"));
        CHECK_FALSE(has(received, "evil"));
        CHECK_FALSE(is_whole(received));
        CHECK(f.has_logged(one.second));
        CHECK(f.has_logged("broken off"));
        CHECK(f.until({}, [&] { return f.responder.peer(0).has_gone; }));
        CHECK(f.get("/app/").body == "fine");
    }
}

TEST_CASE("fastcgi hostile: one that goes within a record breaks the answer off") {
    const std::string begin = fastcgi_record(6, typed + "begin");
    const std::string more = fastcgi_record(6, std::string(100, 'x'));
    const std::string whole = begin + more + fastcgi_record(6, "") + fastcgi_end();
    for (const std::size_t size :
         {begin.size() - 1, begin.size(), begin.size() + 1, begin.size() + 7, begin.size() + 8,
          begin.size() + 9, begin.size() + more.size() - 1, begin.size() + more.size(),
          whole.size() - 16, whole.size() - 8, whole.size() - 1}) {
        for (const bool is_sized : {false, true}) {
            CAPTURE(size);
            CAPTURE(is_sized);
            FastCgiFixture f;
            f.mount();
            std::string bytes = whole.substr(0, size);
            if (is_sized) { // a length that all of it would keep
                const std::string length = "Content-Length: 106\n";
                bytes = fastcgi_record(6, length) + bytes;
            }
            answer_first_with(f, bytes, true);
            const std::string received = raw(f);
            CHECK(has(received, "begi"));
            CHECK_FALSE(is_whole(received));
            CHECK(f.until({}, [&] { return f.has_logged("broken off"); }));
            CHECK(f.get("/app/").body == "fine");
        }
    }
}

TEST_CASE("fastcgi hostile: padding and records of management are skipped, however many") {
    FastCgiFixture f;
    f.mount();
    std::string content;
    std::string bytes = padded_record(6, typed, 255);
    for (int i = 0; i < 2'000; ++i) {
        const std::string piece(static_cast<std::size_t>(i % 3), static_cast<char>('a' + i % 26));
        bytes += piece.empty() ? padded_record(7, "", 255) : padded_record(6, piece, 255);
        bytes += fastcgi_record(11, std::string(8, '\3'), 0) + fastcgi_record(10, "", 0);
        content += piece;
    }
    bytes += padded_record(6, "", 255) + padded_record(3, std::string(8, '\0'), 255);
    f.responder.serve = [&bytes](Responder::Peer& peer) {
        if (peer.has_content_end) {
            peer.say(bytes);
            peer.next();
        }
    };
    CHECK(f.get("/app/").body == content);
    CHECK(f.get("/app/").body == content);
    CHECK(f.responder.peers.size() == 1);
}

TEST_CASE("fastcgi hostile: what comes behind the end is nobody's answer") {
    const std::string forged = fastcgi_answer(typed + "forged");
    for (const std::string& words :
         {forged, fastcgi_end(), fastcgi_record(7, "late words\n"), std::string(1, '\0'),
          std::string(100'000, 'x'), fastcgi_record(6, std::string(60'000, 'x')) + forged}) {
        for (const bool is_later : {false, true}) {
            CAPTURE(words.size());
            CAPTURE(is_later);
            FastCgiFixture f;
            f.mount();
            answer_first_with(f, fastcgi_answer(typed + "first") + (is_later ? "" : words), false);
            CHECK(f.get("/app/").body == "first");
            if (is_later) {
                f.responder.peer(0).say(words);
            }
            CHECK(f.get("/app/").body == "fine");
            CHECK(f.responder.peers.size() == 2);
            CHECK(f.until({}, [&] { return f.responder.peer(0).has_gone; }));
        }
    }
}

TEST_CASE("fastcgi hostile: an idle connection that says something is closed at once") {
    FastCgiFixture f;
    f.mount();
    f.answer_with(typed + "fine");
    CHECK(f.get("/app/").body == "fine");
    CHECK_FALSE(f.responder.peer(0).has_gone);
    f.responder.peer(0).say(fastcgi_answer(typed + "forged"));
    CHECK(f.until({}, [&] { return f.responder.peer(0).has_gone; }));
    CHECK(f.get("/app/").body == "fine");
}

TEST_CASE("fastcgi hostile: what comes just before a request is not its answer") {
    FastCgiFixture f;
    f.mount();
    f.answer_with(typed + "fine");
    SocketClient client("127.0.0.1", f.server.port());
    client.send(porthole_test::simple_get("/app/"));
    CHECK(f.read(client).body == "fine");
    f.responder.peer(0).say(fastcgi_answer(typed + "forged"));
    client.send(porthole_test::simple_get("/app/"));
    f.responder.pump(); // the server finds both in one tick
    CHECK(f.read(client).body == "fine");
    CHECK(f.responder.peers.size() == 2);
}

TEST_CASE("fastcgi hostile: an answer before the request has been read is its answer") {
    for (const bool is_upload : {false, true}) {
        CAPTURE(is_upload);
        FastCgiFixture f;
        f.mount();
        SocketClient client("127.0.0.1", f.server.port());
        client.send(testing::write_request(
            is_upload ? "POST" : "GET", "/app/", {},
            is_upload ? std::string(8'000'000, 'x') : std::string()));
        testing::Answer answer;
        detail::Socket app; // reads nothing at all
        Endpoint from;
        const std::string early = fastcgi_answer(typed + "early");
        CHECK(porthole_test::pump_until(f.server, {&client}, [&] {
            if (!app.is_open()
                && f.responder.listener.accept(app, from) == detail::AcceptStatus::accepted) {
                const std::string_view slice(early);
                static_cast<void>(app.send(&slice, 1));
            }
            return client.take_answer(answer);
        }));
        CHECK(answer.status == 200);
        CHECK(answer.body == "early");
    }
}

TEST_CASE("fastcgi hostile: a flood for the log is bounded there, and harmless") {
    ManualClock clock; // stands still: more time would allow more lines
    for (const bool is_one_line : {false, true}) {
        for (const bool has_begun : {false, true}) {
            CAPTURE(is_one_line);
            CAPTURE(has_begun);
            FastCgiFixture f(porthole_test::options(clock));
            f.mount();
            f.lines.clear();
            std::string flood = has_begun ? fastcgi_record(6, typed + "a") : std::string();
            for (int i = 0; i < 100; ++i) {
                std::string text;
                while (text.size() < 20'000) {
                    text += "\x1b]0;evil\x07\r\v\xc2\x9b"
                            "2J";
                    text += is_one_line ? "" : "\n[info] forged\n";
                }
                flood += fastcgi_record(7, text);
            }
            answer_first_with(f, flood + fastcgi_answer(has_begun ? "b" : typed + "ab"), false);
            CHECK(f.get("/app/").body == "ab");
            CHECK(f.until({}, [&] { return f.has_logged(is_one_line ? "[cut]" : "more lines"); }));
            CHECK(f.lines.size() <= (is_one_line ? 1 : 41));
            for (const std::string& line : f.lines) {
                CHECK(line.size() <= 5 * 1024);
                CHECK(has(line, f.responder.address()));
                CHECK(line.find_first_of("\x1b\x07\r\n\v") == std::string::npos);
                CHECK_FALSE(has(line, "\xc2\x9b"));
            }
        }
    }
}

TEST_CASE("fastcgi hostile: content without end ends with what asked for it") {
    for (const std::string_view method : {"GET", "HEAD"}) {
        CAPTURE(method);
        ManualClock clock; // stands still: it is not by time that it ends
        FastCgiFixture f(porthole_test::options(clock));
        f.mount();
        const std::string length = method == "GET" ? "Content-Length: 3\n" : "";
        bool has_head = false;
        f.responder.serve = [&](Responder::Peer& peer) {
            if (!std::exchange(has_head, true)) {
                peer.say(fastcgi_record(6, length + typed));
            }
            if (peer.out.size() < 60'000) {
                peer.say(fastcgi_record(6, std::string(30'000, 'x')));
            }
        };
        const auto answer = f.request(method, "/app/");
        CHECK(answer.status == 200);
        CHECK(answer.body == (method == "GET" ? "xxx" : ""));
        CHECK(f.until({}, [&] { return f.responder.peer(0).has_gone; }));
    }
}

TEST_CASE("fastcgi hostile: one that never ends its request gives its place back") {
    ManualClock clock;
    FastCgiFixture f(porthole_test::options(clock));
    f.mount(FastCgiOptions{}.max_connections(1));
    answer_first_with(f, fastcgi_record(6, "Status: 204\n\n"), false); // and no word more
    CHECK(f.get("/app/").status == 204);
    SocketClient client("127.0.0.1", f.server.port());
    client.send(porthole_test::simple_get("/app/"));
    testing::Answer answer;
    const TimePoint begin = clock.now();
    CHECK(f.until(clock, std::chrono::milliseconds(10), {&client}, [&] {
        return client.take_answer(answer);
    }));
    CHECK(answer.body == "fine");
    CHECK((clock.now() - begin < std::chrono::seconds(5)));
    CHECK(f.responder.peer(0).has_gone);
}

TEST_CASE("fastcgi hostile: a request is tried again once, and only if nothing was said") {
    for (const bool says_something : {false, true}) {
        CAPTURE(says_something);
        FastCgiFixture f;
        f.mount();
        f.answer_with(typed + "first");
        CHECK(f.get("/app/").body == "first");
        int asked = 0;
        f.responder.serve = [&](Responder::Peer& peer) {
            ++asked;
            peer.say(says_something ? fastcgi_record(7, "so long\n") : "");
            peer.next();
            peer.closes = true;
        };
        CHECK(f.get("/app/").status == 502);
        CHECK(asked == (says_something ? 1 : 2));
        CHECK(f.responder.peers.size() == (says_something ? 1 : 2));
    }
}

TEST_CASE("scgi hostile: an answer is as long as it said, or broken off") {
    const struct {
        std::string bytes;
        int status;
        const char* body; ///< null: not whole
        const char* told;
    } cases[] = {
        {"", 502, "", "without printing"},
        {"Content-Type: text/pl", 502, "", "before the empty line"},
        {fastcgi_answer(typed), 502, "", "502"},
        {"HTTP/1.1 200 OK\r\n\r\n", 502, "", "no field"},
        {"Content-Length: 3\n" + typed + "abcHTTP/1.1 200 OK\r\n\r\n", 200, "abc", ""},
        {"Content-Length: 3\n" + typed + "ab", 200, nullptr, "less than its Content-Length"},
        {"Content-Length: 3\n" + typed, 200, nullptr, "less than its Content-Length"},
        {typed, 200, "", ""},
    };
    for (const auto& one : cases) {
        CAPTURE(one.bytes);
        FastCgiFixture f(porthole_test::options(), true);
        f.accept(f.server.mount("/app", scgi(f.responder.address())));
        f.accept(f.server.listen("127.0.0.1", 0));
        f.responder.serve = [&one](Responder::Peer& peer) {
            if (peer.has_content_end && !peer.closes) {
                peer.say(one.bytes);
                peer.closes = true;
            }
        };
        const std::string received = raw(f);
        testing::Answer answer;
        const auto reading = testing::read_answer(received, false, false, answer);
        if (one.body != nullptr) {
            CHECK(answer.status == one.status);
            CHECK(reading.size == received.size());
        }
        CHECK((reading.status == detail::ParseStatus::complete) == (one.body != nullptr));
        if (one.status == 200 && one.body != nullptr) {
            CHECK(answer.body == one.body);
        }
        CHECK((*one.told == '\0' || f.has_logged(one.told)));
    }
}

#if !defined(_WIN32)

TEST_CASE("fastcgi hostile: a reset is not the end of an answer") {
    for (const bool is_scgi : {false, true}) {
        for (const bool has_begun : {false, true}) {
            CAPTURE(is_scgi);
            CAPTURE(has_begun);
            FastCgiFixture f(porthole_test::options(), is_scgi);
            const std::string address = f.responder.address();
            f.accept(f.server.mount("/app", is_scgi ? scgi(address) : fastcgi(address)));
            f.accept(f.server.listen("127.0.0.1", 0));
            const std::string begin = typed + "begin";
            f.responder.serve = [&](Responder::Peer& peer) {
                if (has_begun && peer.most_out == 0) {
                    peer.most_out = 1;
                    peer.say(is_scgi ? begin : fastcgi_record(6, begin));
                }
            };
            SocketClient client("127.0.0.1", f.server.port());
            client.send(porthole_test::simple_get("/app/", "Connection: close\r\n"));
            CHECK(f.until({&client}, [&] {
                return f.responder.peers.size() == 1 && f.responder.peer(0).has_content_end
                       && (!has_begun || has(client.received, "begin"));
            }));
            reset(f.responder.peer(0));
            CHECK(f.until({&client}, [&] { return client.is_closed; }));
            CHECK(is_whole(client.received) != has_begun);
            CHECK((has_begun || has(client.received, "HTTP/1.1 502 ")));
            CHECK(f.has_logged(has_begun ? "broken off" : "502"));
        }
    }
}

TEST_CASE("fastcgi hostile: a kept connection that was reset is not used") {
    FastCgiFixture f;
    f.mount();
    f.answer_with(typed + "fine");
    for (const std::string_view method : {"GET", "POST"}) {
        CAPTURE(method);
        const std::size_t before = f.responder.peers.size();
        CHECK(f.request("GET", "/app/").body == "fine");
        reset(f.responder.peer(f.responder.peers.size() - 1));
        CHECK(f.request(method, "/app/", {}, method == "POST" ? "content" : "").body == "fine");
        CHECK(f.responder.peers.size() <= before + 2);
    }
    CHECK(f.responder.peers.size() == 3);
}

#endif
