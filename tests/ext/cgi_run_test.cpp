// SPDX-License-Identifier: MIT

// Content in both directions at once, programs that hang, and clients that go.

#include "support/cgi_fixture.hpp"

#include <string>

#if !defined(_WIN32)
#include <cerrno>
#include <csignal>
#endif

using namespace porthole;
using porthole_test::CgiFixture;
using porthole_test::SocketClient;
using porthole_test::with_type;

namespace {

const std::vector<std::string> echo{"print", with_type(""), "copy"};

std::string pattern(std::size_t size) {
    std::string text(size, ' ');
    for (std::size_t i = 0; i < size; ++i) {
        text[i] = static_cast<char>('a' + i % 23);
    }
    return text;
}

std::string chunked(std::string_view target, const std::vector<std::string>& pieces) {
    std::string text = "POST " + std::string(target)
                       + " HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (const std::string& piece : pieces) {
        char size[20];
        std::snprintf(size, sizeof size, "%zx\r\n", piece.size());
        text += size + piece + "\r\n";
    }
    return text + "0\r\n\r\n";
}

/// Virtual time in frames, with a look at everything in between.
void pass(CgiFixture& f, ManualClock& clock, Duration time, SocketClient& client) {
    constexpr std::chrono::milliseconds frame{100};
    for (Duration passed{}; passed < time; passed += frame) {
        clock.advance(frame);
        f.server.tick();
        client.pump();
    }
}

#if !defined(_WIN32)
bool exists(int id) {
    return ::kill(id, 0) == 0 || errno != ESRCH;
}
#endif

} // namespace

TEST_CASE("cgi run: an upload goes into the program, and comes back while it still goes in") {
    CgiFixture f;
    f.script("echo.run", echo);
    f.mount();
    for (const std::size_t size : {1u, 1000u, 64u * 1024, 64u * 1024 + 1, 3'000'000u}) {
        CAPTURE(size);
        const std::string body = pattern(size);
        const auto answer = f.request("POST", "/cgi-bin/echo.run", {}, body);
        CHECK(answer.status == 200);
        CHECK(answer.body == body);
    }
}

TEST_CASE("cgi run: an answer may begin before the upload has ended") {
    CgiFixture f;
    f.script("echo.run", echo);
    f.mount();
    SocketClient client("127.0.0.1", f.server.port());
    client.send("POST /cgi-bin/echo.run HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\n\r\n"
                "half");
    CHECK(porthole_test::pump_until(
        f.server, {&client}, [&] { return client.received.find("half") != std::string::npos; }));
    client.send("rest");
    CHECK(porthole_test::pump_until(f.server, {&client}, [&] {
        return client.received.find("rest") != std::string::npos
               && client.received.find("\r\n0\r\n\r\n") != std::string::npos;
    }));
}

TEST_CASE("cgi run: the program learns the size of what is uploaded (RFC 3875 4.1.2)") {
    CgiFixture f;
    f.script("env.run", {"print", with_type(""), "environment", "count"});
    f.mount();
    const auto sized = f.request("POST", "/cgi-bin/env.run", {{"Content-Type", "a/b"}}, "12345");
    CHECK(sized.body.find("CONTENT_LENGTH=5\n") != std::string::npos);
    CHECK(sized.body.find("CONTENT_TYPE=a/b\n") != std::string::npos);
    const auto spooled = f.send(chunked("/cgi-bin/env.run", {"123", "4567"}));
    CHECK(spooled.body.find("CONTENT_LENGTH=7\n") != std::string::npos);
    CHECK(spooled.body.find("\n7\n") != std::string::npos);
}

TEST_CASE("cgi run: chunked uploads are spooled through memory and a file, streamed, or refused") {
    const std::string body = pattern(300'000);
    {
        CgiFixture f;
        f.script("echo.run", echo);
        f.mount(CgiOptions{}.spool(1000, 400'000));
        const auto answer =
            f.send(chunked("/cgi-bin/echo.run", {body.substr(0, 100'000), body.substr(100'000)}));
        CHECK(answer.body == body);
        const auto larger = f.send(chunked("/cgi-bin/echo.run", {body, body}));
        CHECK(larger.status == 413);
    }
    {
        CgiFixture f;
        f.script("env.run", {"print", with_type(""), "environment", "count"});
        f.mount(CgiOptions{}.chunked_upload(ChunkedUpload::stream));
        const auto answer = f.send(chunked("/cgi-bin/env.run", {body}));
        CHECK(answer.body.find("CONTENT_LENGTH") == std::string::npos);
        CHECK(answer.body.find("\n300000\n") != std::string::npos);
    }
    CgiFixture f;
    f.script("echo.run", echo);
    f.mount(CgiOptions{}.chunked_upload(ChunkedUpload::refuse).max_body_bytes(10));
    CHECK(f.send(chunked("/cgi-bin/echo.run", {"x"})).status == 411);
    CHECK(f.request("POST", "/cgi-bin/echo.run", {}, "0123456789").status == 200);
    CHECK(f.request("POST", "/cgi-bin/echo.run", {}, "0123456789a").status == 413);
}

TEST_CASE("cgi run: a program that stops reading still answers, and the rest is dropped") {
    CgiFixture f;
    f.script("deaf.run", {"close-input", "print", with_type("enough")});
    f.script("early.run", {"print", with_type("enough")}); // ends without reading
    f.mount();
    for (const std::string_view name : {"deaf.run", "early.run"}) {
        CAPTURE(name);
        SocketClient client("127.0.0.1", f.server.port());
        client.send(testing::write_request(
            "POST", "/cgi-bin/" + std::string(name), {}, pattern(1'500'000)));
        testing::Answer answer;
        CHECK(porthole_test::pump_until(
            f.server, {&client}, [&] { return client.take_answer(answer) || client.is_closed; }));
        CHECK(answer.status == 200);
        CHECK(answer.body == "enough");
    }
}

TEST_CASE("cgi run: a slow reader holds the program back, and gets everything") {
    CgiFixture f;
    f.script("much.run", {"print", with_type(""), "write", "8000000"});
    f.mount();
    SocketClient client("127.0.0.1", f.server.port());
    client.is_reading = false;
    client.send(porthole_test::simple_get("/cgi-bin/much.run"));
    std::uint64_t sent = 0;
    int quiet_ticks = 0;
    CHECK(f.until([&] { // until nothing moves any more
        const std::uint64_t now = f.server.stats().bytes_out;
        client.pump();
        quiet_ticks = now == sent && now != 0 ? quiet_ticks + 1 : 0;
        sent = now;
        return quiet_ticks > 20;
    }));
    CHECK(sent < 8'000'000);
    client.is_reading = true;
    testing::Answer answer;
    CHECK(porthole_test::pump_until(
        f.server, {&client}, [&] { return client.take_answer(answer) || client.is_closed; }));
    CHECK(answer.body == pattern(64 * 1024 * 130).substr(0, 8'000'000));
}

TEST_CASE("cgi run: a program that does nothing is ended at the timeout: 504") {
    ManualClock clock;
    CgiFixture f(porthole_test::options(clock));
    f.script("hang.run", {"hang"});
    f.mount(CgiOptions{}.timeout(std::chrono::seconds(4)));
    SocketClient client("127.0.0.1", f.server.port());
    client.send(porthole_test::simple_get("/cgi-bin/hang.run"));
    CHECK(f.until(clock, {&client}, [&] { return f.server.stats().requests == 1; }));
    pass(f, clock, std::chrono::seconds(2), client);
    CHECK(client.received.empty());
    pass(f, clock, std::chrono::seconds(4), client);
    testing::Answer answer;
    CHECK(f.until(clock, {&client}, [&] { return client.take_answer(answer); }));
    CHECK(answer.status == 504);
    CHECK(f.has_logged("hang.run: it did nothing for longer than CgiOptions::timeout"));
}

TEST_CASE("cgi run: an answer that stalls is broken off, not ended") {
    ManualClock clock;
    CgiFixture f(porthole_test::options(clock));
    f.script("stall.run", {"print", with_type("some"), "hang"});
    f.mount(CgiOptions{}.timeout(std::chrono::seconds(4)));
    SocketClient client("127.0.0.1", f.server.port());
    client.send(porthole_test::simple_get("/cgi-bin/stall.run"));
    CHECK(f.until(
        clock, {&client}, [&] { return client.received.find("some") != std::string::npos; }));
    pass(f, clock, std::chrono::seconds(6), client);
    CHECK(f.until(clock, {&client}, [&] { return client.is_closed; }));
    CHECK(client.received.find("\r\n0\r\n") == std::string::npos);
    CHECK(f.has_logged("the answer is broken off"));
}

TEST_CASE("cgi run: a program that is busy for too long is ended, too") {
    ManualClock clock;
    CgiFixture f(porthole_test::options(clock));
    f.script("busy.run", {"print", with_type("some"), "hang"});
    f.mount(CgiOptions{}.max_run_time(std::chrono::seconds(2)));
    SocketClient client("127.0.0.1", f.server.port());
    client.send(porthole_test::simple_get("/cgi-bin/busy.run"));
    CHECK(f.until(
        clock, {&client}, [&] { return client.received.find("some") != std::string::npos; }));
    pass(f, clock, std::chrono::seconds(4), client);
    CHECK(f.until(clock, {&client}, [&] { return client.is_closed; }));
    CHECK(f.has_logged("CgiOptions::max_run_time"));
}

#if !defined(_WIN32)

// Not under wine, which starts a console host that holds the pipe open.
TEST_CASE("cgi run: a program that goes on without its output has ended its answer") {
    ManualClock clock;
    CgiFixture f(porthole_test::options(clock));
    f.script("go_on.run", {"print", with_type("some"), "close-output", "hang"});
    f.mount();
    SocketClient client("127.0.0.1", f.server.port());
    client.send(porthole_test::simple_get("/cgi-bin/go_on.run"));
    testing::Answer answer;
    CHECK(f.until(clock, {&client}, [&] { return client.take_answer(answer); }));
    CHECK(answer.body == "some");
}

TEST_CASE("cgi run: a program that crashes behind its last byte has not ended its answer") {
    for (const bool crashes : {false, true}) {
        CAPTURE(crashes);
        CgiFixture f;
        // Any code is fine: the last command of a shell script is often a test that says no.
        f.script(
            "end.run",
            {"print", with_type("some"), crashes ? "raise" : "exit", crashes ? "9" : "3"});
        f.mount();
        SocketClient client("127.0.0.1", f.server.port());
        client.send(porthole_test::simple_get("/cgi-bin/end.run"));
        testing::Answer answer;
        bool has_answer = false;
        CHECK(porthole_test::pump_until(f.server, {&client}, [&] {
            has_answer = has_answer || client.take_answer(answer);
            return has_answer || client.is_closed;
        }));
        CHECK(has_answer == !crashes);
        CHECK(f.until([&] { return f.has_logged(crashes ? "signal 9" : "code 3"); }));
        CHECK(f.has_logged("the answer is broken off") == crashes);
    }
}

TEST_CASE("cgi run: what a program has started is ended with it") {
    CgiFixture f;
    f.script("forking.run", {"print", with_type(""), "grandchild", "hang"});
    f.mount();
    int id = 0;
    {
        SocketClient client("127.0.0.1", f.server.port());
        client.send(porthole_test::simple_get("/cgi-bin/forking.run"));
        CHECK(porthole_test::pump_until(f.server, {&client}, [&] {
            const std::size_t at = client.received.find("\r\n\r\n");
            const std::size_t line = client.received.find('\n', at + 4);
            if (at == std::string::npos || line == std::string::npos
                || client.received.find('\n', line + 1) == std::string::npos) {
                return false;
            }
            id = std::atoi(client.received.c_str() + line + 1);
            return id != 0;
        }));
        CHECK(exists(id));
    } // the client goes
    CHECK(f.until([&] { return !exists(id); }));
}

TEST_CASE("cgi run: a client that goes before there is an answer ends the program") {
    CgiFixture f;
    f.shell("hang", "echo $$ >&2; sleep 1000");
    f.mount();
    int id = 0;
    {
        SocketClient client("127.0.0.1", f.server.port());
        client.send(porthole_test::simple_get("/cgi-bin/hang"));
        CHECK(porthole_test::pump_until(f.server, {&client}, [&] {
            for (const std::string& line : f.lines) {
                if (line.compare(0, 6, "hang: ") == 0) {
                    id = std::atoi(line.c_str() + 6);
                }
            }
            return id != 0;
        }));
    }
    CHECK(f.until([&] { return !exists(id); }));
}

TEST_CASE("cgi run: a client that goes within its upload ends the program at once") {
    ManualClock clock;
    CgiFixture f(porthole_test::options(clock));
    f.shell("hang", "echo $$ >&2; exec sleep 1000");
    f.mount();
    int id = 0;
    {
        SocketClient client("127.0.0.1", f.server.port());
        client.send(
            "POST /cgi-bin/hang HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\nx");
        CHECK(porthole_test::pump_until(f.server, {&client}, [&] {
            for (const std::string& line : f.lines) {
                id = line.compare(0, 6, "hang: ") == 0 ? std::atoi(line.c_str() + 6) : id;
            }
            return id != 0;
        }));
    }
    Duration passed{}; // less than the grace of a program that may end by itself
    CHECK(f.until([&] {
        const std::chrono::milliseconds step(passed < std::chrono::seconds(2) ? 1 : 0);
        clock.advance(step);
        passed += step;
        return !exists(id);
    }));
}

#endif
