// SPDX-License-Identifier: MIT

// Application servers that are not there, break the protocol, hang or go, and clients that go.

#include "support/fastcgi_fixture.hpp"

#include <optional>
#include <string>

using namespace porthole;
using porthole_test::fastcgi_end;
using porthole_test::fastcgi_record;
using porthole_test::FastCgiFixture;
using porthole_test::Responder;
using porthole_test::SocketClient;

namespace {

const std::string typed = "Content-Type: text/plain\n\n";

/// The answer to a GET that is answered with these bytes, and by closing if `closes`.
testing::Answer get_with(FastCgiFixture& f, std::string_view bytes, bool closes = true) {
    f.mount();
    f.responder.serve = [bytes = std::string(bytes), closes](Responder::Peer& peer) {
        if (peer.has_content_end) {
            peer.say(bytes);
            peer.next();
            peer.closes = closes;
        }
    };
    return f.get("/app/");
}

} // namespace

TEST_CASE("fastcgi request: nobody listens: 502, and the log names the address") {
    FastCgiFixture f;
    f.mount();
    const std::string address = f.responder.address();
    f.responder.listener.close();
    const auto answer = f.get("/app/");
    CHECK(answer.status == 502);
    CHECK(answer.body.find(address) == std::string::npos);
    CHECK(f.has_logged(address));
    CHECK(f.has_logged("the answer is 502"));
    CHECK(f.request("POST", "/app/", {}, "content").status == 502);
}

TEST_CASE("fastcgi request: what is no answer is 502, and the log says which") {
    const std::string cases[][2] = {
        {"", "closed the connection before the end"},
        {fastcgi_record(6, typed).substr(0, 20), "closed the connection before the end"},
        {fastcgi_record(6, "") + fastcgi_end(), "without having printed"},
        {fastcgi_record(6, "Content-Type: text/plain\n") + fastcgi_end(), "head"},
        {fastcgi_record(6, "no field\n\n") + fastcgi_end(), "\"no field\""},
        {"HTTP/1.1 200 OK\r\n\r\n", "version 1"},
        {fastcgi_record(6, typed, 2), "never sent"},
        {fastcgi_record(5, typed), "not for a web server"},
        {fastcgi_record(3, "short"), "wrong size"},
        {fastcgi_end(1), "takes no more"},
        {fastcgi_end(3), "no responder"},
        {fastcgi_end(9), "no known reason"},
        {fastcgi_record(6, "X: " + std::string(17'000, 'x')), "head"},
    };
    for (const auto& one : cases) {
        CAPTURE(one[1]);
        FastCgiFixture f;
        CHECK(get_with(f, one[0]).status == 502);
        CHECK(f.has_logged("502"));
        const bool is_told =
            f.has_logged(one[1]) || one[1] == "without having printed" || one[1] == "head";
        CHECK(is_told);
    }
}

TEST_CASE("fastcgi request: overloaded is 503 with Retry-After (FastCGI section 5.5)") {
    FastCgiFixture f;
    const auto answer = get_with(f, fastcgi_end(2));
    CHECK(answer.status == 503);
    CHECK(answer.header("Retry-After") == "1");
    CHECK(f.has_logged("overloaded"));
}

TEST_CASE("fastcgi request: an error page of the host's stands for each refusal") {
    for (const int outcome : {1, 2}) { // cannot multiplex, overloaded
        FastCgiFixture f;
        f.server.on_error([](const Request& request, Response& response) {
            static_cast<void>(request);
            response.text("page for " + std::to_string(response.status()));
        });
        const auto answer = get_with(f, fastcgi_end(static_cast<char>(outcome)));
        const bool is_overloaded = outcome == 2;
        CHECK(answer.status == (is_overloaded ? 503 : 502));
        CHECK(answer.body == (is_overloaded ? "page for 503" : "page for 502"));
        CHECK(answer.header("Retry-After") == (is_overloaded ? "1" : ""));
    }
}

TEST_CASE("fastcgi request: a code of the application's is told to the log alone") {
    FastCgiFixture f;
    const auto answer =
        get_with(f, fastcgi_record(6, typed + "x") + fastcgi_record(6, "") + fastcgi_end(0, 7));
    CHECK(answer.status == 200);
    CHECK(answer.body == "x");
    CHECK(f.until({}, [&] { return f.has_logged("ended with code 7"); }));
}

TEST_CASE("fastcgi request: an answer that ends before it is whole is broken off") {
    for (const bool is_sized : {false, true}) {
        CAPTURE(is_sized);
        FastCgiFixture f;
        const std::string length = is_sized ? "Content-Length: 10\n" : "";
        const std::string end = is_sized ? fastcgi_record(6, "") + fastcgi_end() : "";
        f.mount();
        f.responder.serve = [&](Responder::Peer& peer) {
            peer.say(fastcgi_record(6, length + typed + "abc") + end);
            peer.next();
            peer.closes = true;
        };
        SocketClient client("127.0.0.1", f.server.port());
        client.send(porthole_test::simple_get("/app/"));
        CHECK(f.until({&client}, [&] { return client.is_closed; }));
        testing::Answer answer;
        CHECK_FALSE((client.take_answer(answer) && answer.body.size() == 10));
        CHECK(client.received.find("\r\n0\r\n\r\n") == std::string::npos);
        CHECK(f.until({}, [&] { return f.has_logged("broken off"); }));
    }
}

TEST_CASE("fastcgi request: content beyond what was promised is dropped, and told") {
    FastCgiFixture f;
    const auto answer = get_with(
        f, fastcgi_record(6, "Content-Length: 3\n" + typed + "abcdef") + fastcgi_end(), false);
    CHECK(answer.status == 200);
    CHECK(answer.body == "abc");
    f.answer_with(typed + "next");
    CHECK(f.get("/app/").body == "next");
}

TEST_CASE("fastcgi request: a stale connection is tried once more, on a new one") {
    FastCgiFixture f;
    f.mount();
    f.answer_with(typed + "first");
    CHECK(f.get("/app/").body == "first");
    REQUIRE(f.responder.peers.size() == 1);
    // It takes the next request, and closes without a word.
    Responder::Peer* const old = &f.responder.peer(0);
    f.responder.serve = [old](Responder::Peer& peer) {
        if (&peer == old) {
            peer.next();
            peer.closes = true;
        } else if (peer.has_content_end) {
            peer.answer(typed + "second");
        }
    };
    CHECK(f.get("/app/").body == "second");
    CHECK(f.responder.peers.size() == 2);
}

TEST_CASE("fastcgi request: it is not tried again when content has been sent") {
    FastCgiFixture f;
    f.mount();
    f.answer_with(typed + "first");
    CHECK(f.get("/app/").body == "first");
    f.responder.serve = [](Responder::Peer& peer) {
        if (peer.has_content_end) {
            peer.next();
            peer.closes = true;
        }
    };
    CHECK(f.request("POST", "/app/", {}, "content").status == 502);
    CHECK(f.responder.peers.size() == 1);
}

TEST_CASE("fastcgi request: one that says nothing is 504 at its timeout, and is left") {
    ManualClock clock;
    FastCgiFixture f(porthole_test::options(clock));
    f.mount(FastCgiOptions{}.timeout(std::chrono::seconds(2)));
    SocketClient client("127.0.0.1", f.server.port());
    client.send(porthole_test::simple_get("/app/"));
    testing::Answer answer;
    CHECK(f.until({&client}, [&] {
        return f.responder.peers.size() == 1 && f.responder.peer(0).has_content_end;
    }));
    const TimePoint begin = clock.now();
    CHECK(f.until(clock, std::chrono::milliseconds(10), {&client}, [&] {
        return client.take_answer(answer);
    }));
    CHECK(answer.status == 504);
    CHECK((clock.now() - begin >= std::chrono::seconds(2)));
    CHECK((clock.now() - begin < std::chrono::seconds(4)));
    CHECK(f.until({}, [&] { return f.responder.peer(0).has_gone; }));
}

TEST_CASE("fastcgi request: the client goes: the application server is left") {
    for (const bool has_begun : {false, true}) {
        CAPTURE(has_begun);
        FastCgiFixture f;
        f.mount();
        f.responder.serve = [has_begun](Responder::Peer& peer) {
            if (has_begun && peer.most_out == 0) {
                peer.most_out = 1;
                peer.say(fastcgi_record(6, typed + "begin"));
            }
        };
        SocketClient client("127.0.0.1", f.server.port());
        client.send(porthole_test::simple_get("/app/"));
        CHECK(f.until({&client}, [&] {
            return f.responder.peers.size() == 1 && f.responder.peer(0).has_content_end
                   && (!has_begun || client.received.find("begin") != std::string::npos);
        }));
        client.close();
        CHECK(f.until({}, [&] { return f.responder.peer(0).has_gone; }));
    }
}

TEST_CASE("fastcgi request: an upload whose client goes is not completed") {
    FastCgiFixture f;
    f.mount();
    SocketClient client("127.0.0.1", f.server.port());
    client.send("POST /app/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\n\r\nhalf");
    CHECK(f.until({&client}, [&] {
        return f.responder.peers.size() == 1 && f.responder.peer(0).content == "half";
    }));
    client.close();
    CHECK(f.until({}, [&] { return f.responder.peer(0).has_gone; }));
    CHECK_FALSE(f.responder.peer(0).has_content_end);
}

TEST_CASE("fastcgi request: an answer before the end of the upload reaches the client") {
    FastCgiFixture f;
    f.mount();
    f.responder.serve = [](Responder::Peer& peer) {
        peer.answer(typed + "early");
    };
    SocketClient client("127.0.0.1", f.server.port());
    client.send("POST /app/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\n\r\nhalf");
    const auto answer = f.read(client);
    CHECK(answer.status == 200);
    CHECK(answer.body == "early");
}

TEST_CASE("fastcgi request: the server goes in the middle of it") {
    for (const bool has_begun : {false, true}) {
        std::optional<FastCgiFixture> f;
        f.emplace();
        Responder app;
        auto& server = f->server;
        f->accept(server.mount("/app", fastcgi(app.address())));
        f->accept(server.listen("127.0.0.1", 0));
        SocketClient client("127.0.0.1", server.port());
        client.send(porthole_test::simple_get("/app/"));
        app.serve = [has_begun](Responder::Peer& peer) {
            if (has_begun && peer.most_out == 0) {
                peer.most_out = 1;
                peer.say(fastcgi_record(6, typed + "begin"));
            }
        };
        CHECK(f->until({&client}, [&] {
            app.pump();
            return app.peers.size() == 1 && app.peer(0).has_content_end
                   && (!has_begun || client.received.find("begin") != std::string::npos);
        }));
        f.reset();
        app.pump();
        CHECK(app.peer(0).has_gone);
    }
}

TEST_CASE("fastcgi request: its mount goes in the middle of it: the client is told") {
    for (const bool has_begun : {false, true}) {
        CAPTURE(has_begun);
        FastCgiFixture f;
        f.mount();
        f.responder.serve = [has_begun](Responder::Peer& peer) {
            if (has_begun && peer.most_out == 0) {
                peer.most_out = 1;
                peer.say(fastcgi_record(6, typed + "begin"));
            }
        };
        SocketClient client("127.0.0.1", f.server.port());
        client.send(porthole_test::simple_get("/app/"));
        CHECK(f.until({&client}, [&] {
            return f.responder.peers.size() == 1 && f.responder.peer(0).has_content_end
                   && (!has_begun || client.received.find("begin") != std::string::npos);
        }));
        CHECK(f.server.unmount("/app"));
        testing::Answer answer;
        bool is_whole = false;
        CHECK(f.until({&client}, [&] {
            is_whole = is_whole || client.take_answer(answer);
            return is_whole || client.is_closed;
        }));
        CHECK(is_whole == !has_begun);
        CHECK((has_begun || answer.status == 503));
        CHECK(f.until({}, [&] { return f.responder.peer(0).has_gone; }));
    }
}
