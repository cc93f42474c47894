// SPDX-License-Identifier: MIT

// Compressed messages in a session (RFC 7692): RSV1 in and out, fragments with control frames
// between them, and what fails with which code. The names are those of the Autobahn test suite.
// Where Porthole is built without zlib, nothing is agreed on and there is nothing to test here.

#include "support/test.hpp"
#include "support/websocket_world.hpp"

#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

using namespace std::chrono_literals;
using porthole::Message;
using porthole::WebSocket;
using porthole::detail::DeflateParameters;
using porthole::detail::MessageCodec;
using porthole_test::close_frame;
using porthole_test::close_payload;
using porthole_test::EchoSession;
using porthole_test::from_client;
using porthole_test::ping_frame;
using World = porthole_test::WebSocketWorld;

namespace {

constexpr unsigned compressed_text = 0xc1;
constexpr unsigned compressed_binary = 0xc2;
constexpr std::size_t expected_limit = 200'000;

std::string compress(MessageCodec& codec, std::string_view message) {
    std::string bytes;
    REQUIRE(codec.compress(message, bytes));
    return bytes;
}

/// Takes a server's frames apart, and expands those with RSV1: "z" in front of them.
std::string expand_frames(std::string_view bytes, MessageCodec& codec) {
    using namespace porthole::detail;
    std::string text;
    while (!bytes.empty()) {
        FrameHead head;
        const FrameReading reading = read_frame_head(bytes, head);
        REQUIRE(reading.status == FrameStatus::complete);
        bytes.remove_prefix(reading.size);
        const auto size = static_cast<std::size_t>(head.payload_size);
        REQUIRE(size <= bytes.size());
        std::string payload(bytes.substr(0, size));
        bytes.remove_prefix(size);
        if (head.has_rsv1) {
            std::string whole;
            REQUIRE(codec.expand(payload, true, 4'000'000, whole) == InflateStatus::ok);
            payload = whole;
            text += "z";
        }
        head.has_rsv1 = false;
        head.payload_size = payload.size();
        char plain[max_frame_head_size];
        text += porthole_test::describe_frames(
            std::string(plain, write_frame_head(plain, head)) + payload);
    }
    return text;
}

/// A server's session and the codec of its client.
struct Compressed {
    explicit Compressed(const DeflateParameters& parameters = {})
        : codec(porthole::detail::make_client_codec(parameters)) {
        porthole::detail::SessionOptions options;
        options.max_message_bytes = expected_limit;
        options.max_queue_bytes = 10'000'000;
        echo = std::make_unique<EchoSession>(options);
        echo->session.set_codec(porthole::detail::make_server_codec(parameters));
    }
    std::string outcome() const {
        std::string text = expand_frames(echo->link.sent, *codec) + echo->events;
        return echo->link.is_closed ? text + "end:" + std::to_string(echo->session.end_code())
                                    : text;
    }
    std::unique_ptr<MessageCodec> codec;
    std::unique_ptr<EchoSession> echo;
};

/// Whole, byte by byte, and cut at some places: all have to come to the same end.
void check(const char* name, const std::string& sent, const std::string& expected) {
    CAPTURE(name);
    for (const std::size_t step : {sent.size(), std::size_t{1}, std::size_t{7}, sent.size() / 2}) {
        CAPTURE(step);
        Compressed side;
        for (std::size_t at = 0; at < sent.size(); at += step) {
            side.echo->receive(std::string_view(sent).substr(at, step));
        }
        REQUIRE(side.outcome() == expected);
    }
}

std::string in_fragments(unsigned first, std::string_view payload, std::size_t size) {
    std::string bytes;
    for (std::size_t at = 0; at < payload.size(); at += size) {
        const bool is_last = payload.size() - at <= size;
        const unsigned opcode = at == 0 ? first & 0x7fu : 0u;
        bytes += from_client(opcode | (is_last ? 0x80u : 0u), payload.substr(at, size));
    }
    return bytes;
}

/// Text that compresses about as well as text does.
std::string prose(std::size_t size) {
    std::minstd_rand random(7);
    std::string text;
    while (text.size() < size) {
        text.append(random() % 9 + 1, static_cast<char>('a' + random() % 20)) += ' ';
    }
    text.resize(size);
    return text;
}

const std::string bye = from_client(close_frame, close_payload(1000));
const std::string ended = "close:1000 end:1000";
const std::string violation = "close:1002 end:1002";

} // namespace

TEST_CASE("websocket compressed: sizes, parameters and fragments (Autobahn 12, 13)") {
    if (!porthole::detail::can_deflate()) {
        return;
    }
    const std::vector<DeflateParameters> agreements = {
        {}, {true, true, 15, 15}, {false, false, 9, 9}, {true, false, 8, 15}, {false, true, 12, 8}};
    const std::string data = prose(131'072);
    for (const DeflateParameters& agreed : agreements) {
        Compressed side(agreed);
        std::string expected;
        for (const std::size_t size : {64u, 256u, 1024u, 4096u, 32768u, 131072u}) {
            for (const std::size_t fragment : {std::size_t{131'072}, std::size_t{250}}) {
                const std::string message = data.substr(data.size() - size);
                const std::string payload = compress(*side.codec, message);
                side.echo->receive(in_fragments(compressed_text, payload, fragment));
                expected += porthole_test::describe_frames(
                    porthole_test::from_server(porthole_test::text_frame, message));
                expected.insert(expected.rfind("text:"), "z");
            }
        }
        CHECK(side.outcome() == expected);
    }
}

TEST_CASE("websocket compressed: RSV1 where it belongs, and nowhere else (RFC 7692 6)") {
    if (!porthole::detail::can_deflate()) {
        return;
    }
    const Compressed side;
    const std::string hello = prose(100);
    const std::string bytes = compress(*side.codec, hello);
    const std::string again = compress(*side.codec, hello); // refers to the first
    CHECK(again.size() < bytes.size() / 2);
    const std::string one = from_client(compressed_text, bytes);
    const std::string half = from_client(0x41, bytes.substr(0, 20));
    const std::string rest = bytes.substr(20);
    check("one", one + bye, "ztext:#100 " + ended);
    check(
        "two", one + from_client(compressed_binary, again) + bye,
        "ztext:#100 zbinary:#100 " + ended);
    check(
        "plain among them",
        one + from_client(0x81, "plain") + from_client(compressed_text, again) + bye,
        "ztext:#100 text:plain ztext:#100 " + ended);
    check(
        "a ping between fragments",
        half + from_client(ping_frame, "p") + from_client(0x80, rest)
            + from_client(compressed_text, again) + bye,
        "pong:p ztext:#100 ztext:#100 " + ended);
    check(
        "empty fragments",
        half + from_client(0x00) + from_client(0x00, rest) + from_client(0x80)
            + from_client(compressed_text, again) + bye,
        "ztext:#100 ztext:#100 " + ended);
    check("an empty last block", from_client(compressed_text, "\x01") + bye, "text: " + ended);
    check(
        "an empty message", from_client(compressed_text, std::string_view("\0", 1)) + bye,
        "text: " + ended);
    check("on a continuation", half + from_client(0xc0, rest) + bye, violation);
    check("on a ping", from_client(0xc9, "p") + bye, violation);
    check("on a Close", from_client(0xc8, close_payload(1000)), violation);
    check("RSV2 besides", from_client(0xe1, bytes) + bye, violation);
    check("within a message", half + one + bye, violation);
    check("the client closes within a message", half + bye, ended);
}

TEST_CASE("websocket compressed: what fails, and with which code") {
    if (!porthole::detail::can_deflate()) {
        return;
    }
    const auto payload = [](std::string_view message) {
        return compress(*Compressed().codec, message);
    };
    const std::string invalid = "close:1007 end:1007";
    const std::string too_large = "close:1009 end:1009";
    check("corrupt", from_client(compressed_text, "\xff\xff\xff\xff") + bye, invalid);
    check(
        "cut short", from_client(compressed_binary, payload(prose(500)).substr(0, 100)) + bye,
        invalid);
    check(
        "text that is not UTF-8 once it is expanded",
        from_client(compressed_text, payload(prose(100) + "\xce\xba\xed\xa0\x80")) + bye, invalid);
    check(
        "a character that is cut off",
        from_client(compressed_text, payload(prose(100) + "\xce")) + bye, invalid);
    check(
        "found before the message ends",
        from_client(0x41, payload(std::string(1, '\xff') + prose(50'000)).substr(0, 2000)),
        invalid);
    check(
        "at the limit", from_client(compressed_binary, payload(std::string(200'000, 'x'))) + bye,
        "zbinary:#200000 " + ended);
    check(
        "one past it", from_client(compressed_binary, payload(std::string(200'001, 'x'))) + bye,
        too_large);
    check(
        "a bomb", from_client(compressed_binary, payload(std::string(8'000'000, 'x'))) + bye,
        too_large);
}

TEST_CASE("websocket compressed: a turn expands so much, and the rest is held in order") {
    if (!porthole::detail::can_deflate()) {
        return;
    }
    const Compressed side;
    std::string bytes;
    for (int i = 0; i < 20; ++i) {
        bytes += from_client(compressed_binary, compress(*side.codec, std::string(100'000, 'x')));
    }
    bytes += from_client(0x81, "last");
    REQUIRE(bytes.size() < 20'000);
    side.echo->session.on_data(bytes.data(), bytes.size());
    CHECK(side.echo->messages >= 2);
    CHECK(side.echo->messages <= 15);
    CHECK(side.echo->link.is_reading_paused);
    CHECK(side.echo->link.wants_wake);
    side.echo->settle();
    CHECK(side.echo->messages == 21);
    CHECK_FALSE(side.echo->link.is_reading_paused);
    const std::string outcome = side.outcome();
    CHECK(outcome.substr(outcome.rfind("zbinary")) == "zbinary:#100000 text:last ");
}

TEST_CASE("websocket compressed: pausing within a message's input keeps it") {
    if (!porthole::detail::can_deflate()) {
        return;
    }
    const Compressed side;
    const std::string bytes = from_client(compressed_text, compress(*side.codec, prose(10'000)));
    side.echo->receive(std::string_view(bytes).substr(0, 1000));
    side.echo->session.pause_reading(true);
    side.echo->receive(std::string_view(bytes).substr(1000));
    CHECK(side.echo->messages == 0);
    side.echo->session.pause_reading(false);
    side.echo->settle();
    CHECK(side.outcome() == "ztext:#10000 ");
}

TEST_CASE("websocket compressed: a slow client's dropped messages break no window") {
    if (!porthole::detail::can_deflate()) {
        return;
    }
    porthole::detail::SessionOptions options;
    options.policy = porthole::WebSocketPolicy::drop_oldest;
    options.max_queue_bytes = 200'000;
    EchoSession echo(options);
    echo.session.set_codec(porthole::detail::make_server_codec({}));
    const auto codec = porthole::detail::make_client_codec({});
    for (int i = 0; i < 100; ++i) {
        std::string text = std::to_string(i) + prose(30'000);
        CHECK(echo.session.send({text, true}));
        if (i % 30 == 0) {
            echo.settle();
        }
    }
    echo.settle();
    const std::string outcome = expand_frames(echo.link.sent, *codec);
    CHECK(outcome.find("ztext:#30002 ") != std::string::npos);
    CHECK(outcome.find("rest") == std::string::npos);
}

TEST_CASE("websocket compressed: what later messages refer to is not dropped") {
    if (!porthole::detail::can_deflate()) {
        return;
    }
    porthole::detail::SessionOptions options;
    options.policy = porthole::WebSocketPolicy::drop_oldest;
    options.max_queue_bytes = 100'000;
    EchoSession echo(options);
    echo.session.set_codec(porthole::detail::make_server_codec({}));
    const auto codec = porthole::detail::make_client_codec({});
    const std::string first = prose(1000);
    echo.link.capacity = 0;
    CHECK(echo.session.send({first, true}));
    for (int i = 0; i < 10; ++i) {
        CHECK(echo.session.send({std::string(40'000, 'x'), true}));
    }
    echo.link.capacity = 1'000'000;
    echo.session.on_drain();
    echo.settle();
    CHECK(echo.session.send({first, true}));
    echo.settle();
    const std::string whole = expand_frames(echo.link.sent, *codec);
    CHECK(whole == "ztext:#1000 text:#40000 text:#40000 ztext:#1000 ");
}

TEST_CASE("websocket compressed: agreed on between a server and its client, or not") {
    if (!porthole::detail::can_deflate()) {
        return;
    }
    for (const bool is_wanted : {true, false}) {
        World world;
        bool is_compressed = !is_wanted;
        porthole::WebSocketClientOptions wanted;
        wanted.has_compression = true;
        world.connect(
            world.route().compression(is_wanted).on_open(
                [&](WebSocket& socket) { is_compressed = socket.is_compressed(); }),
            wanted);
        CHECK(is_compressed == is_wanted);
        CHECK(world.client->is_compressed() == is_wanted);
        for (int i = 0; i < 3; ++i) {
            CHECK(world.client->send_text(prose(100'000)));
        }
        world.settle();
        CHECK(world.received == "#100000 #100000 #100000 ");
        world.client->close();
        world.settle();
        CHECK(world.end == 1000);
    }
}
