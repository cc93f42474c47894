// SPDX-License-Identifier: MIT

// Slow subscribers: what they miss, what they cost, and that nobody else notices. Values larger
// than any buffer on the way.

#include "support/allocation_counter.hpp"
#include "support/event_listener.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using porthole::Channel;
using porthole::ChannelOptions;
using porthole::ManualClock;
using porthole::Server;
using porthole::testing::pass_time;
using porthole_test::Listener;
using porthole_test::options;
using porthole_test::ReceivedEvent;

namespace {

std::string value_of(int n, std::size_t size) {
    std::string text = std::to_string(n) + ":";
    return text.append(size - text.size(), static_cast<char>('a' + n % 26));
}

int number_of(const ReceivedEvent& event) {
    return std::atoi(event.data.c_str());
}

} // namespace

TEST_CASE("channel source: one of ten stops reading, and the others see every newest value") {
    constexpr int frames = 600;
    constexpr std::size_t size = 20'000;
    constexpr std::size_t window = 16 * 1024; // what a peer's socket takes before it is full
    ManualClock clock;
    Channel channel;
    Server server(options(clock));
    server.get("/live", porthole::events(channel));
    Listener stalled(server, "/live", {}, window);
    std::vector<std::unique_ptr<Listener>> others;
    for (int i = 0; i < 9; ++i) {
        others.push_back(std::make_unique<Listener>(server, "/live"));
    }
    server.tick(1s);
    CHECK(channel.subscribers() == 10);
    const auto show_frame = [&](int frame) {
        CHECK(channel.publish("frame", value_of(frame, size)));
        pass_time(server, clock, 16ms);
        for (auto& other : others) {
            other->read();
            const auto events = other->take_events();
            REQUIRE(events.size() == 1);
            REQUIRE(events[0].data == value_of(frame, size));
        }
    };
    constexpr int warm = 100; // ids have three digits from here on, and every buffer its size
    for (int frame = 0; frame < warm; ++frame) {
        show_frame(frame);
    }
    const std::size_t before = porthole_test::live_bytes();
    for (int frame = warm; frame < frames; ++frame) {
        show_frame(frame);
        REQUIRE(porthole_test::live_bytes() <= before);
    }
    // It reads again: what was under way, and then the newest, with nothing of the past between.
    for (int i = 0; i < 20; ++i) {
        stalled.read();
        server.tick(1s);
    }
    const auto events = stalled.take_events();
    REQUIRE_FALSE(events.empty());
    CHECK(events.size() < 8);
    CHECK(number_of(events.back()) == frames - 1);
    for (std::size_t i = 1; i < events.size(); ++i) {
        CHECK(number_of(events[i - 1]) < number_of(events[i]));
    }
    CHECK(channel.publish("frame", value_of(frames, size)));
    stalled.tick(3);
    CHECK(number_of(stalled.take_events().back()) == frames);
}

TEST_CASE("channel source: who never reads again is cut, and its place is free") {
    ManualClock clock;
    Channel channel;
    Server server(options(clock));
    server.get("/live", porthole::events(channel));
    Listener stalled(server, "/live", {}, 1000);
    server.tick(1s);
    CHECK(channel.publish("frame", std::string(500'000, 'x')));
    pass_time(server, clock, 20s);
    CHECK(channel.subscribers() == 1);
    pass_time(server, clock, 20s);
    CHECK(channel.subscribers() == 0);
}

TEST_CASE("channel source: a value larger than every buffer comes whole, and in order") {
    ManualClock clock;
    ChannelOptions made;
    made.max_value_bytes = 8 * 1024 * 1024;
    Channel channel(made);
    Server server(options(clock));
    server.get("/live", porthole::events(channel));
    const std::string large = value_of(1, 3'000'000);
    std::string lines = value_of(2, 200'000);
    for (std::size_t i = 100; i < lines.size(); i += 1000) {
        lines[i] = '\n';
    }
    CHECK(channel.publish("large", large));
    CHECK(channel.publish("lines", lines));
    CHECK(channel.publish("small", "3"));
    for (const std::size_t capacity :
         {std::size_t{700}, std::size_t{65536}, std::size_t{1} << 20}) {
        Listener listener(server, "/live", {}, capacity);
        for (int i = 0; i < 20'000 && listener.reader.events.size() < 3; ++i) {
            listener.tick();
        }
        const auto events = listener.take_events();
        REQUIRE(events.size() == 3);
        CHECK(events[0].data == large);
        CHECK(events[1].data == lines);
        CHECK(events[2].data == "3");
    }
}

TEST_CASE("channel source: a value is kept once, however many are in the middle of it") {
    if (!porthole_test::counts_allocations()) {
        return;
    }
    constexpr std::size_t size = 1'000'000;
    constexpr std::size_t piece = 64 * 1024;
    constexpr std::size_t readers = 20;
    ManualClock clock;
    Channel channel;
    Server server(options(clock));
    server.get("/live", porthole::events(channel));
    std::vector<std::unique_ptr<Listener>> listeners;
    for (std::size_t i = 0; i < readers; ++i) {
        listeners.push_back(std::make_unique<Listener>(server, "/live", "", 1000));
    }
    server.tick(1s);
    const std::size_t before = porthole_test::live_bytes();
    CHECK(channel.publish("frame", std::string(size, 'x')));
    server.tick(1s);
    CHECK(porthole_test::live_bytes() - before < size + readers * (piece + 4096) + 200'000);
}

TEST_CASE("channel source: images follow each other, each ended by the next one's beginning") {
    Channel channel;
    Server server(options());
    server.get("/image", porthole::images(channel, "image/png"));
    Listener listener(server, "/image");
    std::string content;
    const auto tick = [&] {
        server.tick(1s);
        return listener.take();
    };
    content = tick();
    content += tick();
    const std::string type(listener.head.header("Content-Type"));
    REQUIRE(type.find("multipart/x-mixed-replace; boundary=") == 0);
    CHECK(listener.head.header("Cache-Control") == "no-store");
    const std::string boundary = "--" + type.substr(type.find('=') + 1);
    const std::string begin = boundary + "\r\nContent-Type: image/png\r\n\r\n";
    CHECK(content == begin);
    CHECK(channel.publish("view", "first"));
    CHECK(tick() == "first\r\n" + begin);
    CHECK(channel.publish("view", "never seen"));
    CHECK(channel.publish("view", std::vector<unsigned char>{0, '\r', '\n', 255}));
    CHECK(tick() == std::string("\0\r\n\xff", 4) + "\r\n" + begin);
    CHECK(tick().empty());
    Listener late(server, "/image");
    server.tick(1s);
    CHECK(late.take() == begin + std::string("\0\r\n\xff", 4) + "\r\n" + begin);
}

TEST_CASE("channel source: a slow client's next image is the newest, whatever was kept") {
    for (const auto keep : {ChannelOptions::Keep::newest, ChannelOptions::Keep::all}) {
        constexpr std::size_t size = 100'000;
        ChannelOptions made;
        made.keep = keep;
        Channel channel(made);
        Server server(options());
        server.get("/image", porthole::images(channel, "image/jpeg"));
        Listener listener(server, "/image", {}, 5000);
        server.tick(1s);
        for (int i = 0; i < 50; ++i) {
            CHECK(channel.publish("view", value_of(i, size)));
            server.tick(1s);
        }
        std::string content;
        for (int i = 0; i < 300; ++i) {
            content += listener.take();
            server.tick(1s);
        }
        const std::size_t first = content.find("0:a");
        const std::size_t last = content.find("49:");
        REQUIRE(first != std::string::npos);
        REQUIRE(last != std::string::npos);
        CHECK(content.substr(first, size) == value_of(0, size));
        CHECK(content.substr(last, size) == value_of(49, size));
        CHECK(content.size() < 2 * size + 1000);
    }
}

TEST_CASE("channel source: which key is shown is the program's choice, or the query's") {
    Channel channel;
    Server server(options());
    porthole::ImageOptions fixed;
    fixed.topics = {"left"};
    server.get("/left", porthole::images(channel, "image/png", fixed));
    server.get("/any", porthole::images(channel, "image/png"));
    CHECK(channel.publish("left", "LEFT"));
    CHECK(channel.publish("right", "RIGHT"));
    const auto shown = [&server](const char* target) {
        Listener listener(server, target);
        server.tick(1s);
        return listener.take();
    };
    CHECK(shown("/left?topic=right").find("LEFT") != std::string::npos);
    CHECK(shown("/any").find("RIGHT") != std::string::npos);
    CHECK(shown("/any?topic=left").find("LEFT") != std::string::npos);
    CHECK(shown("/any?topic=left").find("RIGHT") == std::string::npos);
}

TEST_CASE("channel source: images end with the channel, and a bad type is not sent") {
    Channel channel;
    Server server(options());
    server.get("/image", porthole::images(channel, "image/png"));
    Listener listener(server, "/image");
    listener.tick(2);
    channel.close();
    listener.tick(2);
    CHECK(listener.is_over);
    const int before = porthole_test::misuse_count;
    const auto handler = porthole::images(channel, "image/png\r\nX: y");
    CHECK(porthole_test::misuse_count == before + 1);
}
