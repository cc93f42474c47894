// SPDX-License-Identifier: MIT

// What a channel keeps, and what it refuses: every bound at the limit and one past it.

#include "support/allocation_counter.hpp"
#include "support/event_listener.hpp"

#include <string>

using porthole::Channel;
using porthole::ChannelOptions;
using porthole::Server;
using porthole_test::Listener;
using porthole_test::options;

namespace {

/// What a newcomer is sent.
std::string content(const Channel& channel) {
    Server server(options());
    server.get("/live", porthole::events(channel));
    Listener listener(server, "/live", {}, std::size_t{8} * 1024 * 1024);
    listener.tick(4);
    return listener.take_summary();
}

} // namespace

TEST_CASE("channel store: keys up to the limit") {
    ChannelOptions made;
    made.max_keys = 2;
    Channel channel(made);
    CHECK(channel.publish("a", "1"));
    CHECK(channel.publish("b", "2"));
    CHECK_FALSE(channel.publish("c", "3"));
    CHECK(channel.publish("a", "4"));
    CHECK(content(channel) == "b=2 a=4");
    CHECK(channel.remove("b"));
    CHECK(channel.publish("c", "5"));
    CHECK_FALSE(channel.publish("d", "6"));
    CHECK(content(channel) == "a=4 c=5");
}

TEST_CASE("channel store: a key's length and its characters") {
    ChannelOptions made;
    made.max_key_bytes = 4;
    Channel channel(made);
    CHECK(channel.publish("four", "1"));
    CHECK_FALSE(channel.publish("fives", "1"));
    for (const char* key : {"a\nb", "a\rb", "\x01", "\x7f", "\t"}) {
        CHECK_FALSE(channel.publish(key, "1"));
    }
    CHECK_FALSE(channel.publish(std::string_view("\0", 1), "1"));
    CHECK(channel.publish("\xc3\xa4/ ", "1"));
}

TEST_CASE("channel store: a value's size") {
    ChannelOptions made;
    made.max_value_bytes = 10;
    Channel channel(made);
    CHECK(channel.publish("a", std::string(9, 'x')));
    CHECK(channel.publish("a", std::string(10, 'y')));
    CHECK_FALSE(channel.publish("a", std::string(11, 'z')));
    CHECK(channel.value("a") == std::string(10, 'y'));
}

TEST_CASE("channel store: all values together, keys included") {
    ChannelOptions made;
    made.max_total_bytes = 20;
    Channel channel(made);
    CHECK(channel.publish("a", std::string(9, '1')));
    CHECK(channel.publish("b", std::string(9, '2')));
    CHECK_FALSE(channel.publish("c", ""));
    CHECK_FALSE(channel.publish("a", std::string(10, '3')));
    CHECK(channel.value("a") == std::string(9, '1'));
    CHECK(channel.publish("a", std::string(8, '4'))); // what it replaces makes room
    CHECK(channel.publish("c", ""));
    CHECK_FALSE(channel.publish("a", std::string(20, '5')));
    CHECK(channel.remove("b"));
    CHECK(channel.publish("a", std::string(18, '6')));
}

TEST_CASE("channel store: keeping all, the oldest make room by number and by bytes") {
    ChannelOptions made;
    made.keep = ChannelOptions::Keep::all;
    made.max_values = 3;
    made.max_total_bytes = 20;
    Channel channel(made);
    for (const char* value : {"1", "2", "3", "4"}) {
        CHECK(channel.publish("a", value));
    }
    CHECK(content(channel) == "a=2 a=3 a=4");
    CHECK(channel.publish("b", std::string(15, 'x'))); // 2 + 2 + 16
    CHECK(content(channel) == "a=3 a=4 b=" + std::string(15, 'x'));
    CHECK(channel.publish("b", std::string(16, 'y'))); // 17
    CHECK(content(channel) == "b=" + std::string(16, 'y'));
    CHECK(channel.publish("b", std::string(19, 'z')));
    CHECK_FALSE(channel.publish("b", std::string(20, 'w')));
    CHECK(content(channel) == "b=" + std::string(19, 'z'));
    CHECK(channel.value("b") == std::string(19, 'z'));
    CHECK_FALSE(channel.value("a").has_value());
}

TEST_CASE("channel store: keeping all takes any number of keys") {
    ChannelOptions made;
    made.keep = ChannelOptions::Keep::all;
    made.max_keys = 1;
    Channel channel(made);
    CHECK(channel.publish("a", "1"));
    CHECK(channel.publish("b", "2"));
    CHECK(channel.publish("a", "3"));
    CHECK(channel.value("a") == "3");
    CHECK(channel.remove("a"));
    CHECK(content(channel) == "b=2");
}

TEST_CASE("channel store: what keeps nothing takes nothing") {
    ChannelOptions made;
    made.keep = ChannelOptions::Keep::all;
    made.max_values = 0;
    CHECK_FALSE(Channel(made).publish("a", "1"));
    made.keep = ChannelOptions::Keep::newest;
    made.max_keys = 0;
    CHECK_FALSE(Channel(made).publish("a", "1"));
}

TEST_CASE("channel store: what is replaced, removed or pushed out is freed") {
    if (!porthole_test::counts_allocations()) {
        return;
    }
    for (const auto keep : {ChannelOptions::Keep::newest, ChannelOptions::Keep::all}) {
        ChannelOptions made;
        made.keep = keep;
        made.max_values = 8;
        Channel channel(made);
        const std::string value(10'000, 'x');
        for (int i = 0; i < 16; ++i) {
            CHECK(channel.publish(std::to_string(i % 8), value));
        }
        const std::size_t before = porthole_test::live_bytes();
        for (int i = 0; i < 1000; ++i) {
            CHECK(channel.publish(std::to_string(i % 8), value));
        }
        CHECK(porthole_test::live_bytes() == before);
        for (int i = 0; i < 8; ++i) {
            CHECK(channel.remove(std::to_string(i)));
        }
        CHECK(porthole_test::live_bytes() < before - 80'000);
    }
}
