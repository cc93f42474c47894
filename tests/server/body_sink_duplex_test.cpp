// SPDX-License-Identifier: MIT

// Answers that leave before their request's content has ended: BodyFlow::defer() and
// Mount::receive() with Response::defer().

#include "support/counting_transport.hpp"
#include "support/recording_sink.hpp"

#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using porthole::AccessRecord;
using porthole::BodySource;
using porthole::Limits;
using porthole::Reply;
using porthole::Request;
using porthole::Response;
using porthole::testing::pass_time;
using porthole_test::chunked_post;
using porthole_test::get;
using porthole_test::Peer;
using porthole_test::post;
using porthole_test::post_head;
using porthole_test::SinkRecord;
using porthole_test::SinkWorld;

namespace {

/// What a test lets out, when it wants to.
struct Valve {
    std::string text;
    bool is_ended = false;
    std::function<void()> waker;
    std::shared_ptr<int> held = std::make_shared<int>(0);
    void let(std::string_view more, bool is_last = false) {
        text.append(more);
        is_ended = is_last;
        if (waker) {
            waker();
        }
    }
};

class ValveSource final : public BodySource {
public:
    explicit ValveSource(Valve& valve) : valve_(&valve), keep_(valve.held) {}
    ~ValveSource() override { valve_->waker = nullptr; }
    Piece pull(char* into, std::size_t capacity) override {
        const std::size_t size = valve_->text.copy(into, capacity);
        valve_->text.erase(0, size);
        const State state = valve_->is_ended ? State::end : State::wait;
        return {valve_->text.empty() ? state : State::more, size};
    }
    void set_waker(std::function<void()> waker) override { valve_->waker = std::move(waker); }

private:
    Valve* valve_;
    std::shared_ptr<int> keep_;
};

/// POST /up defers as soon as a piece has come.
struct DuplexWorld : SinkWorld {
    std::optional<Reply> reply;
    Valve valve;

    explicit DuplexWorld(const Limits& limits = {}) : SinkWorld(limits) {
        record.when_data = [this] {
            if (!reply) {
                reply = record.flow.defer();
            }
        };
    }
    void answer_with_valve() {
        reply->send("text/plain", std::unique_ptr<BodySource>(new ValveSource(valve)));
    }
};

} // namespace

TEST_CASE("duplex: an answer before the content's end leaves, and ends the connection") {
    DuplexWorld world;
    int seen_after = 0;
    world.server->after([&seen_after](const Request&, Response&) { ++seen_after; });
    Peer peer(*world.server);
    peer.send(post_head("/up", 100) + "abc");
    peer.tick();
    CHECK(peer.received.empty());
    world.reply->text("early");
    peer.tick();
    const auto answers = peer.answers();
    REQUIRE(answers.size() == 1);
    CHECK(answers[0].body == "early");
    CHECK(answers[0].header("Connection") == "close");
    CHECK(peer.is_closed);
    CHECK(seen_after == 1);
    CHECK(world.record.ended == 0);
    CHECK(world.record.aborted == 1);
    CHECK(world.record.is_free());
}

TEST_CASE("duplex: content that ends before the answer keeps the connection") {
    for (const std::size_t step : {std::size_t{1}, std::size_t{100'000}}) {
        DuplexWorld world;
        std::string fields;
        world.record.when_ended = [](const Request&, Response& response) {
            response.status(500).text("is not sent");
        };
        Peer peer(*world.server, 100'000, step);
        peer.send(chunked_post("/up", {"abc", "def"}) + get("/"));
        peer.tick(300);
        CHECK(world.record.ended == 1);
        CHECK(peer.received.empty());
        CHECK_FALSE(world.moves());
        world.reply->text("late");
        peer.tick(300);
        const auto answers = peer.answers();
        REQUIRE(answers.size() == 2);
        CHECK(answers[0].status == 200);
        CHECK(answers[0].body == "late");
        CHECK(answers[1].body == "hello");
        CHECK(world.record.aborted == 0);
        CHECK(world.record.is_free());
    }
}

TEST_CASE("duplex: a reply that is dropped is a 500, before and behind the content's end") {
    for (const bool is_whole : {false, true}) {
        CAPTURE(is_whole);
        DuplexWorld world;
        Peer peer(*world.server);
        peer.send(is_whole ? post("/up", "abc") : post_head("/up", 100) + "abc");
        peer.tick();
        world.reply.reset();
        world.record.when_data = nullptr;
        peer.tick();
        const auto answers = peer.answers();
        REQUIRE(answers.size() == 1);
        CHECK(answers[0].status == 500);
        CHECK(peer.is_closed == !is_whole);
        CHECK(world.record.ended == (is_whole ? 1 : 0));
        CHECK(world.record.aborted == (is_whole ? 0 : 1));
    }
}

TEST_CASE("duplex: a streaming answer and the content share the connection") {
    DuplexWorld world;
    Peer peer(*world.server);
    peer.send(post_head("/up", 9) + "abc");
    peer.tick();
    world.answer_with_valve();
    peer.tick();
    CHECK(peer.received.find("200 OK") != std::string::npos);
    peer.send("def");
    world.valve.let("one ");
    peer.tick(2);
    CHECK(world.record.data == "abcdef");
    CHECK(peer.received.find("one ") != std::string::npos);
    CHECK_FALSE(world.moves());
    peer.send("ghi" + get("/")); // what comes behind is not for a connection that ends
    peer.tick();
    CHECK(world.record.ended == 1);
    CHECK(world.record.is_free());
    world.valve.let("two", true);
    peer.tick(2);
    const auto answers = peer.answers();
    REQUIRE(answers.size() == 1);
    CHECK(answers[0].body == "one two");
    CHECK(peer.is_closed);
    CHECK(world.record.aborted == 0);
    CHECK(world.valve.held.use_count() == 1);
}

TEST_CASE("duplex: content comes in although the client does not read the answer") {
    DuplexWorld world;
    Peer peer(*world.server, 256);
    peer.send(post_head("/up", 2000) + "a");
    peer.tick();
    world.answer_with_valve();
    world.valve.let(std::string(10'000, 'v'), true);
    for (int i = 0; i < 40; ++i) {
        peer.send(std::string(100, 'b'));
        world.server->tick(1s);
    }
    CHECK(world.record.data.size() == 2000);
    CHECK(world.record.ended == 1);
    CHECK_FALSE(world.moves());
    peer.tick(200);
    const auto answers = peer.answers();
    REQUIRE(answers.size() == 1);
    CHECK(answers[0].body.size() == 10'000);
}

TEST_CASE("duplex: when the client goes, both sides are told once") {
    for (const bool has_answered : {false, true}) {
        for (const bool has_ended : {false, true}) {
            CAPTURE(has_answered);
            CAPTURE(has_ended);
            DuplexWorld world;
            Peer peer(*world.server);
            peer.send(has_ended ? post("/up", "abc") : post_head("/up", 100) + "abc");
            peer.tick();
            if (has_answered) {
                world.answer_with_valve();
                peer.tick();
            }
            peer.end.reset();
            for (int i = 0; i < 3; ++i) {
                world.server->tick(1s);
            }
            CHECK_FALSE(world.moves());
            if (!has_answered) {
                CHECK(world.reply->peer_gone());
                world.reply->text("for nobody");
                world.server->tick(1s);
                world.server->tick(1s);
            }
            CHECK(world.record.ended == (has_ended ? 1 : 0));
            CHECK(world.record.aborted == (has_ended ? 0 : 1));
            CHECK(world.record.is_free());
            CHECK(world.valve.held.use_count() == 1);
            CHECK(world.server->stats().connections == 0);
        }
    }
}

TEST_CASE("duplex: refused, late, or broken content breaks off an answer that has begun") {
    enum class How { refused, too_late, too_much, broken };
    for (const How how : {How::refused, How::too_late, How::too_much, How::broken}) {
        CAPTURE(static_cast<int>(how));
        Limits limits;
        limits.max_streamed_body_bytes = 10;
        DuplexWorld world(limits);
        int seen_after = 0;
        world.server->after([&seen_after](const Request&, Response&) { ++seen_after; });
        Peer peer(*world.server);
        peer.send("POST /up HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "3\r\nabc\r\n");
        peer.tick();
        world.answer_with_valve();
        peer.tick();
        switch (how) {
        case How::refused: world.record.flow.refuse(400); break;
        case How::too_late: pass_time(*world.server, world.clock, 6s); break;
        case How::too_much: peer.send("9\r\n012345678\r\n"); break;
        case How::broken: peer.send("zz\r\n"); break;
        }
        peer.tick(2);
        CHECK(peer.is_closed);
        CHECK(peer.answers().empty()); // not whole
        CHECK(peer.received.find("HTTP/1.1 200") == 0);
        CHECK(peer.received.find("HTTP/1.1", 1) == std::string::npos);
        CHECK(seen_after == 1);
        CHECK(world.record.ended == 0);
        CHECK(world.record.aborted == 1);
        CHECK(world.record.is_free());
        CHECK(world.server->stats().timeouts == (how == How::too_late ? 1 : 0));
    }
}

TEST_CASE("duplex: refused before its reply has come, the reply is forgotten") {
    DuplexWorld world;
    Peer peer(*world.server);
    peer.send(post_head("/up", 100) + "abc");
    peer.tick();
    world.record.flow.refuse(403, "No.");
    peer.tick();
    CHECK(world.reply->peer_gone());
    world.reply->text("too late");
    peer.tick();
    const auto answers = peer.answers();
    REQUIRE(answers.size() == 1);
    CHECK(answers[0].status == 403);
    CHECK(world.record.aborted == 1);
}

TEST_CASE("duplex: defer() is called once") {
    DuplexWorld world;
    const int before = porthole_test::misuse_count;
    world.record.when_data = [&world] {
        Reply reply = world.record.flow.defer();
        CHECK(world.record.flow.defer().is_finished());
        reply.text("once");
    };
    Peer peer(*world.server);
    peer.send(post("/up", "abc"));
    peer.tick(2);
    CHECK(peer.answers().at(0).body == "once");
    CHECK(porthole_test::misuse_count == before + 1);
}

#if defined(__cpp_exceptions)
TEST_CASE("duplex: what throws behind the answer's begin changes nothing that was sent") {
    for (const bool is_end : {false, true}) {
        CAPTURE(is_end);
        std::vector<std::pair<int, bool>> log;
        DuplexWorld world;
        porthole::Options made = porthole_test::options(world.clock);
        made.access_log = [&log](const AccessRecord& record) {
            log.emplace_back(record.status, record.is_complete);
        };
        world.server = std::make_unique<porthole::Server>(std::move(made));
        world.server->post_stream("/up", [&world](const Request&) { return world.record.sink(); });
        int seen_after = 0;
        world.server->after([&seen_after](const Request&, Response&) { ++seen_after; });
        Peer peer(*world.server);
        peer.send(post_head("/up", 6) + "abc");
        peer.tick();
        world.answer_with_valve();
        peer.tick();
        if (is_end) {
            world.record.when_ended = [](const Request&, Response&) {
                throw std::runtime_error("end");
            };
        } else {
            world.record.when_data = [] {
                throw std::runtime_error("data");
            };
        }
        peer.send("def");
        peer.tick();
        CHECK(world.record.ended == (is_end ? 1 : 0));
        CHECK(world.record.aborted == (is_end ? 0 : 1));
        CHECK(peer.is_closed == !is_end);
        world.valve.let("all", true);
        peer.tick();
        CHECK(seen_after == 1);
        CHECK(log == std::vector<std::pair<int, bool>>{{200, is_end}});
        const auto answers = peer.answers();
        CHECK(answers.size() == (is_end ? 1 : 0));
    }
}
#endif

TEST_CASE("duplex: the server may be destroyed by on_end and on_abort behind an early answer") {
    for (const bool is_end : {false, true}) {
        DuplexWorld world;
        Peer peer(*world.server);
        peer.send(post_head("/up", 6) + "abc");
        peer.tick();
        world.answer_with_valve();
        peer.tick();
        world.record.when_ended = [&world](const Request&, Response&) {
            world.server.reset();
        };
        world.record.when_aborted = [&world] {
            world.server.reset();
        };
        if (is_end) {
            peer.send("def");
        } else {
            world.valve.let("all", true); // ends the answer, and with it the content
        }
        world.server->tick(1s);
        CHECK(world.server == nullptr);
        CHECK(world.record.ended + world.record.aborted == 1);
        CHECK(world.record.is_free());
        CHECK(world.valve.held.use_count() == 1);
        world.reply.reset();
    }
}
