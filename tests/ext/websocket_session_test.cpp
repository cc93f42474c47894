// SPDX-License-Identifier: MIT

// What the rules' table does not show: the queue of a slow peer and what each policy does about it,
// memory, deadlines, and pauses.

#include "support/allocation_counter.hpp"
#include "support/test.hpp"
#include "support/websocket_fixture.hpp"

#include <memory>
#include <string>
#include <string_view>

using namespace std::chrono_literals;
using porthole::Message;
using porthole::WebSocketPolicy;
using porthole::detail::SessionOptions;
using porthole_test::binary_frame;
using porthole_test::close_frame;
using porthole_test::close_payload;
using porthole_test::describe_frames;
using porthole_test::EchoSession;
using porthole_test::from_client;
using porthole_test::ping_frame;
using porthole_test::text_frame;

namespace {

/// A session whose link is full: what is sent waits.
struct Clogged {
    explicit Clogged(WebSocketPolicy policy, std::size_t max_queue_bytes = 200'000) {
        SessionOptions options;
        options.policy = policy;
        options.max_queue_bytes = max_queue_bytes;
        echo = std::make_unique<EchoSession>(options);
        CHECK(echo->session.send({std::string(70'000, '0'), false}));
    }
    bool send(std::string_view text, std::string_view key = {}) const {
        return echo->session.send({text, true}, key);
    }
    std::string drained() const {
        echo->settle();
        return describe_frames(echo->link.sent) + echo->events;
    }
    std::unique_ptr<EchoSession> echo;
};

} // namespace

TEST_CASE("websocket session: without room send() refuses, and on_drain() tells of new room") {
    const Clogged clogged(WebSocketPolicy::refuse);
    const std::string big(50'000, 'a');
    CHECK(clogged.send(big));
    CHECK(clogged.send(big));
    CHECK_FALSE(clogged.send(big));
    CHECK(clogged.send("small"));
    CHECK(clogged.echo->session.buffered_bytes() <= 200'000);
    CHECK(clogged.drained() == "binary:#70000 text:#50000 text:#50000 text:small drain ");
    CHECK(clogged.send(big));
    CHECK_FALSE(clogged.send(std::string(200'001, 'x')));
}

TEST_CASE("websocket session: the oldest messages make room") {
    const Clogged clogged(WebSocketPolicy::drop_oldest);
    for (int i = 0; i < 1000; ++i) {
        CHECK(clogged.send(std::to_string(i) + std::string(40'000, 'x')));
        CHECK(clogged.echo->session.buffered_bytes() <= 200'000);
    }
    CHECK(clogged.send("last"));
    clogged.echo->settle();
    const std::string& sent = clogged.echo->link.sent;
    CHECK(describe_frames(sent) == "binary:#70000 text:#40003 text:#40003 text:#40003 text:last ");
    CHECK(sent.find("999x") != std::string::npos);
    CHECK(sent.find("996x") == std::string::npos);
}

TEST_CASE("websocket session: nothing is dropped for a message that would not fit even then") {
    const Clogged clogged(WebSocketPolicy::drop_oldest);
    CHECK(clogged.send("kept"));
    CHECK_FALSE(clogged.send(std::string(130'001, 'x')));
    CHECK(clogged.send(std::string(129'000, 'y')));
    CHECK(clogged.drained() == "binary:#70000 text:kept text:#129000 drain ");
}

TEST_CASE("websocket session: a newer message takes the place of a waiting one with its key") {
    const Clogged clogged(WebSocketPolicy::refuse);
    CHECK(clogged.send("a1", "a"));
    CHECK(clogged.send("b1", "b"));
    CHECK(clogged.send("plain"));
    CHECK(clogged.send("a2", "a"));
    CHECK(clogged.send("a3", "a"));
    CHECK(clogged.drained() == "binary:#70000 text:a3 text:b1 text:plain drain ");

    const Clogged coalescing(WebSocketPolicy::coalesce);
    for (int i = 0; i < 100'000; ++i) {
        CHECK(coalescing.send(std::to_string(i)));
    }
    CHECK(coalescing.echo->session.buffered_bytes() < 70'100);
    CHECK(coalescing.drained() == "binary:#70000 text:99999 drain ");
}

TEST_CASE("websocket session: a peer that is too slow is given up, within close_timeout") {
    const Clogged clogged(WebSocketPolicy::close);
    const std::string big(100'000, 'a');
    CHECK(clogged.send(big));
    CHECK_FALSE(clogged.send(big));
    CHECK_FALSE(clogged.send("x"));
    CHECK(clogged.echo->session.end_code() == 1008);
    CHECK_FALSE(clogged.echo->link.is_aborted);
    clogged.echo->link.time += 2s;
    clogged.echo->session.on_deadline();
    CHECK(clogged.echo->link.is_aborted);
}

TEST_CASE("websocket session: tiny messages for a slow peer cost bounded memory") {
    const Clogged clogged(WebSocketPolicy::refuse);
    int sent = 0;
    while (sent < 1'000'000 && clogged.send("x")) {
        ++sent;
    }
    CHECK(sent > 100);
    CHECK(sent < 2000);
}

TEST_CASE("websocket session: of the pings that a slow peer sends only the last is answered") {
    const Clogged clogged(WebSocketPolicy::refuse);
    for (int i = 0; i < 10'000; ++i) {
        std::string bytes = from_client(ping_frame, std::to_string(i));
        clogged.echo->session.on_data(bytes.data(), bytes.size());
    }
    CHECK(clogged.echo->session.buffered_bytes() < 70'100);
    CHECK(clogged.drained() == "binary:#70000 pong:9999 drain ");
}

TEST_CASE("websocket session: a large message leaves in slices") {
    SessionOptions options;
    options.max_queue_bytes = 20'000'000;
    EchoSession echo(options);
    echo.link.capacity = 100'000; // less than a slice
    CHECK(echo.session.send({std::string(16 * 1024 * 1024, 'x'), false}));
    CHECK(echo.link.queued.size() <= 100'000);
    echo.settle();
    CHECK(describe_frames(echo.link.sent) == "binary:#16777216 ");
}

TEST_CASE("websocket session: silence is asked about, and an answer may take pong_timeout") {
    EchoSession echo;
    CHECK(echo.link.deadline == echo.link.time + 30s);
    echo.link.time += 29s;
    echo.receive(from_client(text_frame, "x"));
    echo.link.time += 1s;
    echo.session.on_deadline();
    CHECK(describe_frames(echo.link.sent + echo.link.queued) == "text:x ");
    echo.link.time += 29s;
    echo.session.on_deadline();
    echo.settle();
    CHECK(describe_frames(echo.link.sent) == "text:x ping: ");
    echo.link.time += 15s - 1ms;
    echo.session.on_deadline();
    CHECK(echo.session.is_open());
    SUBCASE("no answer") {
        echo.link.time += 1ms;
        echo.session.on_deadline();
        CHECK_FALSE(echo.session.is_open());
        echo.settle();
        CHECK(echo.link.is_aborted);
        CHECK(echo.session.end_code() == 1006);
    }
    SUBCASE("an answer") {
        echo.receive(from_client(porthole_test::pong_frame));
        echo.link.time += 1ms;
        echo.session.on_deadline();
        CHECK(echo.session.is_open());
        CHECK_FALSE(echo.link.wants_wake);
    }
}

TEST_CASE("websocket session: paused, messages wait, and then come in order") {
    EchoSession echo;
    echo.session.pause_reading(true);
    CHECK(echo.link.is_reading_paused);
    echo.receive(from_client(text_frame, "1") + from_client(text_frame, "2"));
    CHECK(echo.messages == 0);
    echo.session.pause_reading(false);
    echo.settle();
    CHECK_FALSE(echo.link.is_reading_paused);
    CHECK(describe_frames(echo.link.sent) == "text:1 text:2 ");
}

TEST_CASE("websocket session: a turn takes so many messages, and the rest have theirs") {
    EchoSession echo;
    std::string bytes;
    for (int i = 0; i < 1000; ++i) {
        bytes += from_client(text_frame, "x");
    }
    echo.session.on_data(bytes.data(), bytes.size());
    CHECK(echo.messages == 256);
    CHECK(echo.link.is_reading_paused);
    CHECK(echo.link.wants_wake);
    echo.settle();
    CHECK(echo.messages == 1000);
    CHECK_FALSE(echo.link.is_reading_paused);
}

TEST_CASE("websocket session: our Close is answered or given up; messages meanwhile are dropped") {
    EchoSession echo;
    echo.session.close(4000, "enough");
    CHECK_FALSE(echo.session.is_open());
    CHECK_FALSE(echo.session.send({"x", true}));
    echo.receive(from_client(text_frame, "late") + from_client(ping_frame));
    CHECK(echo.messages == 0);
    CHECK(describe_frames(echo.link.sent) == "close:4000 ");
    CHECK_FALSE(echo.link.is_closed);
    SUBCASE("answered") {
        echo.receive(from_client(close_frame, close_payload(4000, "fine")));
        CHECK(echo.link.is_closed);
        CHECK(echo.session.end_code() == 4000);
        CHECK(echo.session.end_reason() == "fine");
        CHECK(describe_frames(echo.link.sent) == "close:4000 ");
    }
    SUBCASE("a broken rule sends no second Close") {
        echo.receive(from_client(0x83));
        CHECK(echo.link.is_closed);
        CHECK(describe_frames(echo.link.sent) == "close:4000 ");
    }
    SUBCASE("given up") {
        echo.link.time += 2s - 1ms;
        echo.session.on_deadline();
        CHECK_FALSE(echo.link.is_aborted);
        echo.link.time += 1ms;
        echo.session.on_deadline();
        CHECK(echo.link.is_aborted);
        CHECK(echo.session.end_code() == 1006);
    }
}

TEST_CASE("websocket session: the end without a Close frame is 1006 (RFC 6455 7.1.5)") {
    EchoSession echo;
    echo.session.on_end();
    CHECK(echo.link.is_closed);
    CHECK(echo.session.end_code() == 1006);
}

TEST_CASE("websocket session: a reason is cut between characters") {
    EchoSession echo;
    std::string reason(122, 'a');
    echo.session.close(1000, reason + "\xce\xba");
    echo.settle();
    CHECK(echo.link.sent == porthole_test::from_server(close_frame, close_payload(1000, reason)));
}

TEST_CASE("websocket session: messages in one piece cost no memory") {
    if (!porthole_test::counts_allocations()) {
        return;
    }
    EchoSession echo;
    const std::string small = from_client(text_frame, std::string(64, 'x'));
    const std::string large = from_client(binary_frame, std::string(16 * 1024, 'x'));
    std::string block;
    block.reserve(large.size());
    echo.link.queued.reserve(large.size());
    const porthole_test::AllocationCounter counter;
    for (int i = 0; i < 100; ++i) {
        for (const std::string* bytes : {&small, &large}) {
            block.assign(*bytes);
            echo.session.on_data(block.data(), block.size());
            echo.link.queued.clear();
            echo.session.on_drain();
        }
    }
    CHECK(counter.count() == 0);
    CHECK(echo.messages == 200);
}

TEST_CASE("websocket session: a pong waits for room like everything else") {
    EchoSession echo;
    echo.link.queued = std::string(2, '\0');
    echo.link.capacity = 10; // and so less than a pong
    std::string bytes = from_client(ping_frame, "payload");
    echo.session.on_data(bytes.data(), bytes.size());
    CHECK(echo.link.queued.size() == 2);
    echo.link.queued.clear();
    echo.session.on_drain();
    echo.settle();
    CHECK(echo.link.sent == porthole_test::from_server(porthole_test::pong_frame, "payload"));
}

TEST_CASE("websocket session: once it closes, reading cannot be paused") {
    EchoSession echo;
    echo.session.pause_reading(true);
    echo.session.close(1000, {});
    echo.session.pause_reading(true);
    CHECK_FALSE(echo.link.is_reading_paused);
    echo.receive(from_client(close_frame, close_payload(1000)));
    CHECK(echo.link.is_closed);
    CHECK(echo.session.end_code() == 1000);
}

TEST_CASE("websocket session: memory that was needed once is given back") {
    if (!porthole_test::counts_allocations()) {
        return;
    }
    const std::string half(100'000, 'x');
    const std::string fragments = from_client(0x02, half) + from_client(0x80, half);
    for (const std::string& sent : {from_client(binary_frame, half), fragments}) {
        EchoSession echo;
        const std::size_t before = porthole_test::live_bytes();
        echo.session.pause_reading(true); // it is held, and then looked at in one turn
        echo.receive(sent);
        echo.session.pause_reading(false);
        echo.settle();
        CHECK(echo.messages == 1);
        for (std::string* own : {&echo.events, &echo.link.sent, &echo.link.queued}) {
            std::string().swap(*own);
        }
        CHECK(porthole_test::live_bytes() > before + 50'000);
        echo.link.time += 5s;
        echo.session.on_deadline();
        CHECK(porthole_test::live_bytes() < before + 2'000);
    }
}

TEST_CASE("websocket session: what came before the end is still looked at") {
    EchoSession echo;
    std::string bytes;
    for (int i = 0; i < 1000; ++i) {
        bytes += from_client(text_frame, "x");
    }
    echo.session.on_data(bytes.data(), bytes.size());
    echo.session.on_end();
    CHECK_FALSE(echo.link.is_closed);
    echo.settle();
    CHECK(echo.messages == 1000);
    CHECK(echo.link.is_closed);
    CHECK(echo.session.end_code() == 1006);
}

TEST_CASE("websocket session: who cannot answer is not asked") {
    EchoSession echo;
    SUBCASE("reading is paused") {
        echo.session.pause_reading(true);
    }
    SUBCASE("the peer is slow") {
        CHECK(echo.session.send({"waits", true}));
    }
    for (int i = 0; i < 10; ++i) {
        echo.link.time += 31s;
        echo.session.on_deadline();
    }
    CHECK(echo.session.is_open());
    CHECK(echo.link.queued.find('\x89') == std::string::npos);
    echo.session.pause_reading(false);
    echo.settle();
    echo.link.sent.clear();
    echo.link.time += 31s;
    echo.session.on_deadline();
    echo.settle();
    CHECK(describe_frames(echo.link.sent) == "ping: ");
}
