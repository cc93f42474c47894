// SPDX-License-Identifier: MIT

// The whole server against everything that lets two parsers disagree: one answer, the connection's
// end, and nothing for what was pipelined behind. And against its own handlers, which cannot make
// it send what a client would read in two ways. Most malformed requests are rows of the attack
// table; here are those that are about versions, methods and answers.

#include "support/options.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

using porthole::BodySource;
using porthole::Reply;
using porthole::Request;
using porthole::Response;
using porthole::Server;
using porthole::testing::Answer;
using porthole::testing::Client;

namespace {

constexpr std::string_view follower =
    "GET /follower HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// The answers that `received` is made of, all of it; `is_head` is for the first.
std::vector<Answer> split(std::string_view received, bool is_head) {
    std::vector<Answer> answers;
    while (!received.empty()) {
        Answer answer;
        const auto reading = porthole::testing::read_answer(received, is_head, true, answer);
        REQUIRE(reading.status == porthole::detail::ParseStatus::complete);
        received.remove_prefix(reading.size);
        is_head = false;
        answers.push_back(answer);
    }
    return answers;
}

/// What `bytes` with the follower behind them are answered with, up to the connection's end.
std::vector<Answer> converse(Server& server, std::string_view bytes) {
    Client client(server);
    client.send(std::string(bytes) + std::string(follower));
    for (int i = 0; i < 100 && !client.is_closed(); ++i) {
        client.tick();
    }
    CHECK(client.is_closed());
    return split(client.received(), bytes.substr(0, 5) == "HEAD ");
}

struct Outcome {
    int status = 0;
    bool lets_follow = false;
};

Outcome outcome_of(std::string_view bytes) {
    Server server(porthole_test::options());
    int followers = 0;
    server.get("/", [](const Request&, Response& response) { response.text("in"); });
    server.get("/follower", [&](const Request&, Response& response) {
        ++followers;
        response.text("follower");
    });
    const std::vector<Answer> answers = converse(server, bytes);
    REQUIRE_FALSE(answers.empty());
    CHECK(answers.size() == 1 + static_cast<std::size_t>(followers));
    if (followers == 0 && answers[0].status >= 400) {
        CHECK(answers[0].header("Connection") == "close");
    }
    return {answers[0].status, followers == 1};
}

void check_refused(std::string_view bytes, int status) {
    CAPTURE(bytes);
    const Outcome outcome = outcome_of(bytes);
    CHECK(outcome.status == status);
    CHECK_FALSE(outcome.lets_follow);
}

void check_served(std::string_view bytes, int status) {
    CAPTURE(bytes);
    const Outcome outcome = outcome_of(bytes);
    CHECK(outcome.status == status);
    CHECK(outcome.lets_follow);
}

const std::string host = "Host: localhost\r\n\r\n";

/// What a client of that handler sees when it goes on on the same connection: the handler's answer
/// and the follower's, and nothing in between.
Answer answer_of(
    const porthole::Handler& handler, std::string_view method = "GET",
    std::string_view version = "HTTP/1.1") {
    Server server(porthole_test::options());
    server.route("GET", "/", handler);
    server.get("/follower", [](const Request&, Response& response) { response.text("follower"); });
    std::string bytes(method);
    bytes.append(" / ").append(version).append("\r\n").append("Connection: keep-alive\r\n");
    const std::vector<Answer> answers = converse(server, bytes + host);
    REQUIRE(answers.size() == 2);
    CHECK(answers[1].body == "follower");
    return answers[0];
}

/// Says it is that long, and yields what it likes.
class Liar final : public BodySource {
public:
    Liar(std::uint64_t said, std::string yielded) : said_(said), yielded_(std::move(yielded)) {}
    std::optional<std::uint64_t> size() const override { return said_; }
    Piece pull(char* into, std::size_t capacity) override {
        const std::size_t size = yielded_.copy(into, capacity, at_);
        at_ += size;
        return {at_ == yielded_.size() ? State::end : State::more, size};
    }

private:
    std::uint64_t said_;
    std::string yielded_;
    std::size_t at_ = 0;
};

constexpr std::string_view bad_values[] = {
    "a\r\nX-Evil: 1", "a\nX-Evil: 1", "a\rX-Evil: 1", "a\r\n\r\nHTTP/1.1 200 OK\r\n",
    {"a\0b", 3},      "a\x01",        "a\x7f",
};

} // namespace

TEST_CASE("strictness: versions (RFC 9112 2.3)") {
    check_served("GET / HTTP/1.1\r\n" + host, 200);
    for (const std::string_view version : {"HTTP/2.0", "HTTP/1.2", "HTTP/0.9", "HTTP/3.0"}) {
        check_refused("GET / " + std::string(version) + "\r\n" + host, 505);
    }
    for (const std::string_view version :
         {"http/1.1", "HTTP/1.1 ", "HTTP/1", "HTTP/1.", "HTTP/11", "HTTP/1.1.1", "HTTP/01.1",
          "HTTP/1.10", "HTTPS/1.1", "HTTP /1.1", "HTTP/ 1.1", "HTTP/1,1", "H", "HTTP/-1.1"}) {
        check_refused("GET / " + std::string(version) + "\r\n" + host, 400);
    }
    check_refused("GET /\r\n" + host, 400); // HTTP/0.9
    check_refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505);
}

TEST_CASE("strictness: one empty line before the request line, and no more (RFC 9112 2.2)") {
    check_served("\r\nGET / HTTP/1.1\r\n" + host, 200);
    check_refused("\r\n\r\nGET / HTTP/1.1\r\n" + host, 400);
    check_refused("\nGET / HTTP/1.1\r\n" + host, 400);
    check_refused("\r\rGET / HTTP/1.1\r\n" + host, 400);
    check_refused(" GET / HTTP/1.1\r\n" + host, 400);
}

TEST_CASE("strictness: blanks in the request line are single spaces (RFC 9112 3)") {
    for (const std::string_view line :
         {"GET  / HTTP/1.1", "GET /  HTTP/1.1", "GET\t/ HTTP/1.1", "GET /\tHTTP/1.1",
          "GET / a HTTP/1.1", "GET /\vHTTP/1.1", "GET  HTTP/1.1", "GET HTTP/1.1", "GET",
          "G\rET / HTTP/1.1", "GET / HTTP/1.1\r"}) {
        check_refused(std::string(line) + "\r\n" + host, 400);
    }
}

TEST_CASE("strictness: method names are case-sensitive tokens (RFC 9110 9.1)") {
    check_served("get / HTTP/1.1\r\n" + host, 501);
    check_served("BREW / HTTP/1.1\r\n" + host, 501);
    check_served("BREW /lost HTTP/1.1\r\n" + host, 501);
    check_served("POST / HTTP/1.1\r\nContent-Length: 0\r\n" + host, 405);
    check_served("DELETE / HTTP/1.1\r\n" + host, 405);
    check_served("DELETE /lost HTTP/1.1\r\n" + host, 404);
    check_refused("G@T / HTTP/1.1\r\n" + host, 400);
    check_refused("G\xc3\x89T / HTTP/1.1\r\n" + host, 400);
    check_refused("CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n", 501);
    check_refused("CONNECT / HTTP/1.1\r\n" + host, 400);
}

TEST_CASE("strictness: the asterisk is for OPTIONS only (RFC 9112 3.2.4)") {
    check_served("OPTIONS * HTTP/1.1\r\n" + host, 204);
    check_refused("GET * HTTP/1.1\r\n" + host, 400);
    check_refused("POST * HTTP/1.1\r\n" + host, 400);
    check_refused("OPTIONS ** HTTP/1.1\r\n" + host, 400);
}

TEST_CASE("strictness: content in HTTP/1.0 has a length, and expectations are 100-continue") {
    check_refused("POST / HTTP/1.0\r\n" + host, 411);
    check_refused("PUT / HTTP/1.0\r\n" + host, 411);
    check_refused("PATCH / HTTP/1.0\r\n" + host, 411);
    check_refused("GET / HTTP/1.1\r\nExpect: 200-ok\r\n" + host, 417);
    check_refused("GET / HTTP/1.1\r\nExpect: 100-continue, x\r\n" + host, 417);
    CHECK(outcome_of("GET / HTTP/1.0\r\n" + host).status == 200);
}

TEST_CASE("strictness: trailers have no field that frames, routes or authenticates") {
    const std::string chunked = "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + host;
    check_served(chunked + "0\r\nX-Sum: 1\r\n\r\n", 200);
    for (const std::string_view name :
         {"Transfer-Encoding", "content-length", "HOST", "Trailer", "Authorization", "Cookie",
          "Connection", "TE", "Upgrade", "Content-Type", "Content-Encoding", "Expect"}) {
        check_refused(chunked + "0\r\n" + std::string(name) + ": 1\r\n\r\n", 400);
    }
    check_refused(chunked + "0\r\n X: 1\r\n\r\n", 400);
    check_refused(chunked + "0\r\nX: \x01\r\n\r\n", 400);
    check_refused(chunked + "0\r\nX: 1\n\r\n", 400);
    check_refused(chunked + "0\r\nX: " + std::string(4096, 'a') + "\r\n\r\n", 431);
}

TEST_CASE("strictness: a handler cannot split its answer with a field") {
    for (const std::string_view value : bad_values) {
        CAPTURE(value);
        const int before = porthole_test::misuse_count;
        const Answer answer = answer_of([&](const Request&, Response& response) {
            response.text("in");
            response.header("X-A", value).add_header("X-B", value);
            response.header(value, "1").add_header(value, "1");
            response.header("Content-Type", value);
        });
        CHECK(answer.status == 200);
        CHECK(answer.body == "in");
        CHECK_FALSE(answer.has_header("X-Evil"));
        CHECK_FALSE(answer.has_header("X-A"));
        CHECK_FALSE(answer.has_header("X-B"));
        CHECK(porthole_test::misuse_count > before);
    }
    for (const std::string_view name : {"", " X", "X ", "X:", "X Y", "X\xc3\xa9", "(X)"}) {
        const Answer answer = answer_of(
            [&](const Request&, Response& response) { response.text("in").header(name, "1"); });
        CHECK(answer.body == "in");
    }
}

TEST_CASE("strictness: a handler cannot split its answer with a redirect, cookie or content type") {
    for (const std::string_view value : bad_values) {
        CAPTURE(value);
        const Answer redirect =
            answer_of([&](const Request&, Response& response) { response.redirect(value); });
        CHECK(redirect.status == 500);
        CHECK_FALSE(redirect.has_header("Location"));
        CHECK_FALSE(redirect.has_header("X-Evil"));
        const Answer cookie = answer_of([&](const Request&, Response& response) {
            porthole::CookieOptions options;
            options.path = value;
            response.text("in").cookie("a", value).cookie(value, "a").cookie("b", "1", options);
        });
        CHECK(cookie.body == "in");
        CHECK_FALSE(cookie.has_header("Set-Cookie"));
        const Answer type =
            answer_of([&](const Request&, Response& response) { response.send(value, "in"); });
        CHECK(type.body == "in");
        CHECK_FALSE(type.has_header("Content-Type"));
        CHECK_FALSE(type.has_header("X-Evil"));
    }
}

TEST_CASE("strictness: a deferred answer passes the same choke point") {
    for (const std::string_view value : bad_values) {
        CAPTURE(value);
        std::vector<Reply> replies;
        Server server(porthole_test::options());
        server.get(
            "/", [&](const Request&, Response& response) { replies.push_back(response.defer()); });
        server.get(
            "/follower", [](const Request&, Response& response) { response.text("follower"); });
        Client client(server);
        client.send("GET / HTTP/1.1\r\n" + host + std::string(follower));
        client.tick();
        REQUIRE(replies.size() == 1);
        replies[0].header("X-A", value).header("Content-Length", "1").cookie("a", value);
        replies[0].redirect(value);
        for (int i = 0; i < 100 && !client.is_closed(); ++i) {
            client.tick();
        }
        const std::vector<Answer> answers = split(client.received(), false);
        REQUIRE(answers.size() == 2);
        CHECK(answers[0].status == 500);
        CHECK_FALSE(answers[0].has_header("X-A"));
        CHECK_FALSE(answers[0].has_header("X-Evil"));
        CHECK_FALSE(answers[0].has_header("Location"));
        CHECK(answers[1].body == "follower");
    }
}

TEST_CASE("strictness: the framing of an answer is the server's own (RFC 9112 6)") {
    const Answer answer = answer_of([](const Request&, Response& response) {
        response.text("four");
        response.header("Content-Length", "2").add_header("content-length", "100");
        response.header("Transfer-Encoding", "chunked").header("Upgrade", "h2c");
        response.header("Connection", "keep-alive, X").header("Keep-Alive", "timeout=1");
    });
    CHECK(answer.body == "four");
    CHECK(answer.header("Content-Length") == "4");
    CHECK_FALSE(answer.has_header("Transfer-Encoding"));
    CHECK_FALSE(answer.has_header("Upgrade"));
    CHECK_FALSE(answer.has_header("Keep-Alive"));
}

TEST_CASE("strictness: HEAD, 204 and 304 end with their head, whatever the handler sends") {
    const Answer head =
        answer_of([](const Request&, Response& response) { response.text("not sent"); }, "HEAD");
    CHECK(head.status == 200);
    CHECK(head.header("Content-Length") == "8");
    for (const int status : {204, 304}) {
        for (const std::string_view method : {"GET", "HEAD"}) {
            CAPTURE(status);
            const Answer text = answer_of(
                [&](const Request&, Response& response) {
                    response.text("not sent").status(status);
                },
                method);
            CHECK(text.status == status);
            CHECK(text.body.empty());
            CHECK_FALSE(text.has_header("Transfer-Encoding"));
            const Answer source = answer_of(
                [&](const Request&, Response& response) {
                    response.send("text/plain", std::make_unique<Liar>(3, "not sent"));
                    response.status(status);
                },
                method);
            CHECK(source.status == status);
            CHECK(source.body.empty());
        }
    }
    const Answer reset = answer_of(
        [](const Request&, Response& response) { response.text("not sent").status(205); });
    CHECK(reset.header("Content-Length") == "0");
}

TEST_CASE("strictness: a handler cannot send an interim status, or one that is none") {
    for (const int status : {-1, 0, 99, 100, 101, 199, 600, 1000, 2000000000}) {
        CAPTURE(status);
        const Answer answer = answer_of(
            [&](const Request&, Response& response) { response.text("in").status(status); });
        CHECK(answer.status == 500);
    }
    const Answer unregistered =
        answer_of([](const Request&, Response& response) { response.text("in").status(299); });
    CHECK(unregistered.status == 299);
    CHECK(unregistered.reason.empty()); // reasons are the registry's or none
}

TEST_CASE("strictness: a body source that yields too much is cut to what it announced") {
    const Answer answer = answer_of([](const Request&, Response& response) {
        response.send("text/plain", std::make_unique<Liar>(3, "abcHTTP/1.1 200 OK\r\n\r\n"));
    });
    CHECK(answer.body == "abc");
}

TEST_CASE("strictness: a body source that yields too little ends the connection, not the frame") {
    Server server(porthole_test::options());
    int followers = 0;
    server.get("/", [](const Request&, Response& response) {
        response.send("text/plain", std::make_unique<Liar>(10, "abc"));
    });
    server.get("/follower", [&](const Request&, Response&) { ++followers; });
    Client client(server);
    client.send("GET / HTTP/1.1\r\n" + host + std::string(follower));
    for (int i = 0; i < 100 && !client.is_closed(); ++i) {
        client.tick();
    }
    CHECK(client.is_closed());
    CHECK(followers == 0);
    Answer answer;
    CHECK(
        porthole::testing::read_answer(client.received(), false, true, answer).status
        == porthole::detail::ParseStatus::need_more);
}

TEST_CASE("strictness: chunked is never sent to HTTP/1.0 (RFC 9112 6.1)") {
    class Unsized final : public BodySource {
    public:
        Piece pull(char* into, std::size_t capacity) override {
            return {State::end, std::string_view("abc").copy(into, capacity)};
        }
    };
    Server server(porthole_test::options());
    server.get("/", [](const Request&, Response& response) {
        response.send("text/plain", std::make_unique<Unsized>());
    });
    const std::vector<Answer> answers =
        converse(server, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n" + host);
    REQUIRE(answers.size() == 1);
    CHECK(answers[0].body == "abc");
    CHECK_FALSE(answers[0].has_header("Transfer-Encoding"));
    CHECK(answers[0].header("Connection") == "close");
}
