// SPDX-License-Identifier: MIT

#include "support/options.hpp"

#include <chrono>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

using porthole::BodySource;
using porthole::LogId;
using porthole::Reply;
using porthole::Request;
using porthole::Response;
using porthole::Server;
using porthole::testing::Client;
using porthole::testing::write_request;

namespace {

/// A server whose "/later" waits for a test to answer, and what it has logged.
struct Deferring {
    int dropped = 0;
    int repeated = 0;
    std::vector<Reply> replies;
    Server server;

    Deferring() : server(make_options(*this)) {
        server.get("/later", [this](const Request&, Response& response) {
            replies.push_back(response.defer());
        });
        server.get("/now", [](const Request&, Response& response) { response.text("now"); });
    }

    static porthole::Options make_options(Deferring& self) {
        porthole::Options options = porthole_test::options();
        options.log = [&self](const porthole::LogEvent& event) {
            self.dropped += event.id == LogId::reply_dropped ? 1 : 0;
            self.repeated += event.id == LogId::reply_twice ? 1 : 0;
        };
        return options;
    }

    /// Sends the request and lets its handler run.
    void ask(Client& client, std::string_view method = "GET") {
        client.send(write_request(method, "/later"));
        client.tick();
        REQUIRE_FALSE(replies.empty());
    }
};

class TextSource final : public BodySource {
public:
    explicit TextSource(std::string text) : text_(std::move(text)) {}
    Piece pull(char* into, std::size_t capacity) override {
        const std::size_t size = text_.size() < capacity ? text_.size() : capacity;
        std::memcpy(into, text_.data(), size);
        text_.erase(0, size);
        return {text_.empty() ? State::end : State::more, size};
    }

private:
    std::string text_;
};

} // namespace

TEST_CASE("reply: answers in a later frame, with what the handler had set before") {
    Deferring d;
    d.server.get("/set", [&d](const Request&, Response& response) {
        response.status(201).header("X-Early", "1");
        d.replies.push_back(response.defer());
    });
    Client client(d.server);
    client.send(write_request("GET", "/set"));
    for (int i = 0; i < 5; ++i) {
        client.tick();
        CHECK(client.received().empty());
    }
    CHECK_FALSE(d.replies[0].is_finished());
    CHECK_FALSE(d.replies[0].peer_gone());
    d.replies[0].header("X-Late", "2").add_header("X-More", "3").cookie("a", "b");
    d.replies[0].send("text/plain", "late");
    CHECK(d.replies[0].is_finished());
    client.tick();
    const auto answer = client.read_answer();
    CHECK(answer.status == 201);
    CHECK(answer.header("X-Early") == "1");
    CHECK(answer.header("X-Late") == "2");
    CHECK(answer.header("X-More") == "3");
    CHECK(answer.has_header("Set-Cookie"));
    CHECK(answer.body == "late");
    CHECK(client.get("/now").body == "now");
}

TEST_CASE("reply: every way to finish") {
    Deferring d;
    Client client(d.server);
    const auto finish = [&](auto&& how) {
        d.replies.clear();
        d.ask(client);
        how(d.replies.back());
        return client.read_answer();
    };
    CHECK(
        finish([](Reply& r) { r.text("t"); }).header("Content-Type")
        == "text/plain; charset=utf-8");
    CHECK(
        finish([](Reply& r) { r.html("h"); }).header("Content-Type") == "text/html; charset=utf-8");
    CHECK(finish([](Reply& r) { r.json("{}"); }).header("Content-Type") == "application/json");
    CHECK(finish([](Reply& r) { r.redirect("/x", 303); }).header("Location") == "/x");
    CHECK(finish([](Reply& r) { r.no_content(); }).status == 204);
    CHECK(finish([](Reply& r) { r.status(202).finish(); }).status == 202);
    const std::vector<unsigned char> bytes{'a', 0, 'b'};
    CHECK(finish([&](Reply& r) { r.send("x/y", bytes); }).body == std::string("a\0b", 3));
    CHECK(d.dropped == 0);
}

TEST_CASE("reply: from another thread, waking a server that waits") {
    Deferring d;
    Client client(d.server);
    d.ask(client);
    std::thread worker([reply = d.replies[0]]() mutable { reply.text("from a thread"); });
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (client.received().empty() && std::chrono::steady_clock::now() < end) {
        d.server.wait(std::chrono::milliseconds(10'000));
        client.tick();
    }
    worker.join();
    CHECK(client.read_answer().body == "from a thread");
}

TEST_CASE("reply: the last copy that goes away unanswered sends 500") {
    Deferring d;
    Client client(d.server);
    d.ask(client);
    Reply copy = d.replies[0];
    d.replies.clear();
    client.tick();
    CHECK(client.received().empty());
    copy = Reply();
    CHECK(client.read_answer().status == 500);
    CHECK(d.dropped == 1);
    CHECK(client.get("/now").body == "now");
}

TEST_CASE("reply: dropped inside its handler is 500, too, and may have the user's page") {
    Deferring d;
    d.server.on_error([](const Request&, Response& response) { response.text("page"); });
    d.server.get("/drop", [](const Request&, Response& response) { response.defer(); });
    const auto answer = Client(d.server).get("/drop");
    CHECK(answer.status == 500);
    CHECK(answer.body == "page");
}

TEST_CASE("reply: a second answer is misuse, is logged, and is not sent") {
    Deferring d;
    Client client(d.server);
    d.ask(client);
    Reply copy = d.replies[0];
    d.replies[0].text("first");
    const int misuse = porthole_test::misuse_count;
    copy.text("second");
    copy.status(404).header("X-Late", "1");
    CHECK(porthole_test::misuse_count == misuse + 1);
    const auto answer = client.read_answer();
    CHECK(answer.status == 200);
    CHECK(answer.body == "first");
    CHECK_FALSE(answer.has_header("X-Late"));
    client.tick();
    CHECK(client.received().empty());
    copy.finish();
    CHECK(porthole_test::misuse_count == misuse + 2);
    client.tick();
    CHECK(client.received().empty());
}

TEST_CASE("reply: a default one answers nothing") {
    Reply reply;
    CHECK(reply.is_finished());
    CHECK(reply.peer_gone());
    reply.status(200).header("A", "b").text("x");
    reply.finish();
}

TEST_CASE("reply: defer() twice, and outside a server, is misuse and harmless") {
    Deferring d;
    bool second_is_empty = false;
    d.server.get("/twice", [&](const Request&, Response& response) {
        d.replies.push_back(response.defer());
        second_is_empty = response.defer().is_finished();
        response.text("ignored");
    });
    const int misuse = porthole_test::misuse_count;
    Client client(d.server);
    client.send(write_request("GET", "/twice"));
    client.tick();
    CHECK(second_is_empty);
    CHECK(porthole_test::misuse_count == misuse + 1);
    d.replies[0].text("once");
    CHECK(client.read_answer().body == "once");
    porthole::detail::ResponseParts parts;
    CHECK(Response(parts).defer().is_finished());
    CHECK(porthole_test::misuse_count == misuse + 2);
}

TEST_CASE("reply: finished before its handler returns") {
    Deferring d;
    d.server.get("/inside", [](const Request&, Response& response) {
        Reply reply = response.defer();
        reply.text("at once");
    });
    Client client(d.server);
    client.send(write_request("GET", "/inside") + write_request("GET", "/now"));
    client.tick();
    CHECK(client.read_answer().body == "at once");
    CHECK(client.read_answer().body == "now");
}

TEST_CASE("reply: peer_gone() tells of a client that closed") {
    Deferring d;
    auto client = std::make_unique<Client>(d.server);
    d.ask(*client);
    client->close();
    d.server.tick();
    CHECK(d.replies[0].peer_gone());
    d.replies[0].text("nobody");
    d.server.tick();
    d.server.tick();
    CHECK(d.server.stats().connections == 0);
}

TEST_CASE("reply: a client that has only finished sending still gets its answer") {
    Deferring d;
    Client client(d.server);
    d.ask(client);
    client.shut_write();
    client.tick();
    CHECK(d.replies[0].peer_gone());
    CHECK_FALSE(client.is_closed());
    d.replies[0].text("still here");
    CHECK(client.read_answer().body == "still here");
    client.tick();
    CHECK(client.is_closed());
    CHECK(d.server.stats().connections == 0);
}

TEST_CASE("reply: HEAD has the length and no content") {
    Deferring d;
    Client client(d.server);
    d.ask(client, "HEAD");
    d.replies[0].text("12345");
    const auto answer = client.read_answer(true);
    CHECK(answer.header("Content-Length") == "5");
    CHECK(answer.body.empty());
    CHECK(client.get("/now").body == "now");
}

TEST_CASE("reply: after hooks see the answer and the request, with the route's group") {
    Deferring d;
    std::string seen;
    porthole::Group group = d.server.group("/g");
    group.post("/later", [&d](const Request&, Response& response) {
        d.replies.push_back(response.defer());
    });
    group.after([&seen](const Request& request, Response& response) {
        seen = std::string(request.path()) + " " + std::string(request.header("X-A").value_or("?"))
               + " " + std::string(response.body());
        response.header("X-After", "1");
    });
    Client client(d.server);
    client.send(write_request("POST", "/g/later?q=1", {{"X-A", "a"}}, "content"));
    client.tick();
    CHECK(seen.empty());
    d.replies[0].text("body");
    CHECK(client.read_answer().header("X-After") == "1");
    CHECK(seen == "/g/later a body");
}

TEST_CASE("reply: content by pulling") {
    Deferring d;
    Client client(d.server);
    d.ask(client);
    const std::string text(200'000, 'x');
    d.replies[0].send("text/plain", std::make_unique<TextSource>(text));
    const auto answer = client.read_answer();
    CHECK(answer.header("Transfer-Encoding") == "chunked");
    CHECK(answer.body == text);
    CHECK(client.get("/now").body == "now");
}

TEST_CASE("reply: requests behind a deferred one wait their turn") {
    Deferring d;
    Client client(d.server);
    const std::string next = write_request("GET", "/now");
    client.send(write_request("GET", "/later") + next);
    client.tick();
    client.send(next + write_request("GET", "/later"));
    client.tick();
    CHECK(client.received().empty());
    REQUIRE(d.replies.size() == 1);
    d.replies[0].text("first");
    CHECK(client.read_answer().body == "first");
    CHECK(client.read_answer().body == "now");
    CHECK(client.read_answer().body == "now");
    REQUIRE(d.replies.size() == 2);
    d.replies[1].text("last");
    CHECK(client.read_answer().body == "last");
}

TEST_CASE("reply: POST content that came whole is not taken for the next request") {
    Deferring d;
    int requests = 0;
    d.server.before([&requests](const Request&, Response&) {
        ++requests;
        return porthole::Next::go_on;
    });
    d.server.post("/later", [&d](const Request&, Response& response) {
        d.replies.push_back(response.defer());
    });
    d.server.post(
        "/now", [](const Request& request, Response& response) { response.text(request.body()); });
    Client client(d.server);
    const std::string inner = write_request("GET", "/now");
    client.send(write_request("POST", "/now", {}, inner));
    client.tick();
    CHECK(client.read_answer().body == inner);
    CHECK(requests == 1);
    client.send(write_request("POST", "/later", {}, inner));
    client.tick();
    REQUIRE(d.replies.size() == 1);
    d.replies[0].text("done");
    CHECK(client.read_answer().body == "done");
    client.tick();
    CHECK(client.received().empty());
    CHECK(requests == 2);
}

TEST_CASE("reply: the server may be destroyed with open replies") {
    auto d = std::make_unique<Deferring>();
    Client client(d->server);
    Client other(d->server);
    d->ask(client);
    d->ask(other);
    std::vector<Reply> replies = std::move(d->replies);
    Reply finished = replies[0];
    finished.text("in the mail");
    d.reset();
    CHECK(replies[1].peer_gone());
    replies[1].status(200).text("too late");
}

#if defined(__cpp_exceptions)
TEST_CASE("reply: an exception behind defer() is 500, and the Reply answers nothing") {
    Deferring d;
    d.server.get("/throw", [&d](const Request&, Response& response) {
        d.replies.push_back(response.defer());
        throw 1;
    });
    Client client(d.server);
    CHECK(client.get("/throw").status == 500);
    d.replies[0].text("too late");
    client.tick();
    CHECK(client.received().empty());
    CHECK(client.get("/now").body == "now");
}

TEST_CASE("reply: a source that throws costs its own connection only") {
    class Throwing final : public BodySource {
    public:
        Piece pull(char*, std::size_t) override { throw 1; }
    };
    Deferring d;
    Client client(d.server);
    Client other(d.server);
    d.ask(client);
    d.replies[0].send("text/plain", std::make_unique<Throwing>());
    client.tick();
    CHECK(other.get("/now").body == "now");
    client.tick();
    CHECK(client.is_closed());
    CHECK(d.server.stats().connections == 1);
}
#endif
