// SPDX-License-Identifier: MIT

// Publishing from other threads, several servers, who outlives whom, and how the servers are told.

#include "support/allocation_counter.hpp"
#include "support/event_listener.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using porthole::Channel;
using porthole::ChannelOptions;
using porthole::ManualClock;
using porthole::Server;
using porthole_test::Listener;
using porthole_test::options;

namespace {

int number_of(const porthole_test::ReceivedEvent& event) {
    return std::atoi(event.data.c_str());
}

/// Publishes 0 to count - 1 under `key`.
void publish_all(Channel channel, const std::string& key, int count) {
    for (int i = 0; i < count; ++i) {
        static_cast<void>(channel.publish(key, std::to_string(i)));
    }
}

} // namespace

TEST_CASE("channel subscription: threads publish while the server ticks") {
    constexpr int threads = 4;
    constexpr int count = 2000;
    Channel channel;
    Server server(options());
    server.get("/live", porthole::events(channel));
    std::vector<std::unique_ptr<Listener>> listeners;
    for (int i = 0; i < 5; ++i) {
        listeners.push_back(std::make_unique<Listener>(server, "/live"));
    }
    std::vector<std::thread> publishers;
    for (int i = 0; i < threads; ++i) {
        publishers.emplace_back(publish_all, channel, std::to_string(i), count);
    }
    std::vector<std::vector<int>> last(listeners.size(), std::vector<int>(threads, -1));
    const auto has_all = [&] {
        for (const auto& each : last) {
            for (const int number : each) {
                if (number != count - 1) {
                    return false;
                }
            }
        }
        return true;
    };
    for (int i = 0; i < 1'000'000 && !has_all(); ++i) {
        server.tick();
        for (std::size_t l = 0; l < listeners.size(); ++l) {
            listeners[l]->read();
            for (const auto& event : listeners[l]->take_events()) {
                int& seen = last[l][static_cast<std::size_t>(std::atoi(event.type.c_str()))];
                REQUIRE(number_of(event) > seen); // never an older value behind a newer one
                seen = number_of(event);
            }
        }
    }
    for (std::thread& publisher : publishers) {
        publisher.join();
    }
    CHECK(has_all());
}

TEST_CASE("channel subscription: keeping all, no value is lost or doubled between threads") {
    constexpr int threads = 3;
    constexpr int count = 1000;
    ChannelOptions made;
    made.keep = ChannelOptions::Keep::all;
    made.max_values = threads * count;
    Channel channel(made);
    Server server(options());
    server.get("/live", porthole::events(channel));
    Listener listener(server, "/live");
    std::vector<std::thread> publishers;
    for (int i = 0; i < threads; ++i) {
        publishers.emplace_back(publish_all, channel, std::to_string(i), count);
    }
    std::vector<int> next(threads, 0);
    int received = 0;
    for (int i = 0; i < 1'000'000 && received < threads * count; ++i) {
        server.tick();
        listener.read();
        for (const auto& event : listener.take_events()) {
            int& expected = next[static_cast<std::size_t>(std::atoi(event.type.c_str()))];
            REQUIRE(number_of(event) == expected);
            ++expected;
            ++received;
        }
    }
    for (std::thread& publisher : publishers) {
        publisher.join();
    }
    CHECK(received == threads * count);
    CHECK(channel.skipped() == 0);
}

TEST_CASE("channel subscription: a server on each thread, one channel for all") {
    constexpr int servers = 3;
    constexpr int count = 500;
    Channel channel;
    std::atomic<int> ready{0};
    std::atomic<int> right{0};
    std::vector<std::thread> threads;
    for (int s = 0; s < servers; ++s) {
        threads.emplace_back([channel, &ready, &right] {
            Server server(options());
            server.get("/live", porthole::events(channel));
            Listener a(server, "/live");
            Listener b(server, "/live");
            server.tick();
            ++ready;
            int last = -1;
            for (int i = 0; i < 1'000'000 && last != count - 1; ++i) {
                server.tick();
                a.read();
                for (const auto& event : a.take_events()) {
                    last = number_of(event) > last ? number_of(event) : -2;
                }
            }
            b.tick(2);
            right += last == count - 1 && number_of(b.take_events().back()) == last ? 1 : 0;
        });
    }
    while (ready != servers) {
        std::this_thread::yield();
    }
    CHECK(channel.subscribers() == 2 * servers);
    publish_all(channel, "n", count);
    for (std::thread& thread : threads) {
        thread.join();
    }
    CHECK(right == servers);
    CHECK(channel.subscribers() == 0);
}

TEST_CASE("channel subscription: publishing wakes a server that sleeps, and so does closing") {
    Channel channel;
    Server server(options());
    server.get("/live", porthole::events(channel));
    Listener listener(server, "/live");
    listener.tick(2);
    std::thread publisher([channel]() mutable {
        static_cast<void>(channel.publish("a", "1"));
        channel.close();
    });
    for (int i = 0; i < 100 && !listener.is_over; ++i) {
        server.wait(10s);
        listener.read();
    }
    publisher.join();
    CHECK(listener.is_over);
    CHECK(listener.take_summary() == "a=1");
}

TEST_CASE("channel subscription: any of channel, server and client may go first") {
    auto channel = std::make_unique<Channel>();
    auto server = std::make_unique<Server>(options());
    server->get("/live", porthole::events(*channel));
    auto first = std::make_unique<Listener>(*server, "/live");
    auto second = std::make_unique<Listener>(*server, "/live");
    server->tick(1s);
    CHECK(channel->subscribers() == 2);
    first.reset();
    server->tick(1s);
    CHECK(channel->subscribers() == 1);
    CHECK(channel->publish("a", "1")); // a letter that nobody will read
    server.reset();
    CHECK(channel->subscribers() == 0);
    CHECK(channel->publish("a", "2"));
    server = std::make_unique<Server>(options());
    server->get("/live", porthole::events(*channel));
    Listener third(*server, "/live");
    third.tick(2);
    CHECK(third.take_summary() == "a=2");
    channel.reset(); // the route keeps it
    third.tick(2);
    CHECK_FALSE(third.is_over);
}

TEST_CASE("channel subscription: a handler may publish, close, and destroy the server") {
    Channel channel;
    auto server = std::make_unique<Server>(options());
    server->get("/live", porthole::events(channel));
    server->get("/publish", [channel](const auto&, porthole::Response& response) mutable {
        response.text(channel.publish("a", "1") ? "yes" : "no");
    });
    server->get("/end", [&server, &channel](const auto&, porthole::Response&) {
        CHECK(channel.publish("a", "2"));
        server.reset();
    });
    Listener listener(*server, "/live");
    listener.tick(2);
    porthole::testing::Client client(*server);
    CHECK(client.get("/publish").body == "yes");
    listener.read();
    listener.tick();
    CHECK(listener.take_summary() == "a=1");
    CHECK(client.send(porthole_test::get("/end")) != 0);
    server->tick(1s);
    CHECK(server == nullptr);
    CHECK(channel.subscribers() == 0);
}

TEST_CASE("channel subscription: many publishes before a tick are one letter") {
    if (!porthole_test::counts_allocations()) {
        return;
    }
    constexpr int count = 100;
    Channel channel;
    Server server(options());
    server.get("/live", porthole::events(channel));
    Listener listener(server, "/live");
    listener.tick(2);
    CHECK(channel.publish("a", "x"));
    const porthole_test::AllocationCounter counter;
    for (int i = 0; i < count; ++i) {
        static_cast<void>(channel.publish("a", "x"));
    }
    CHECK(counter.count() == count); // the values, and nothing else
}

TEST_CASE("channel subscription: more than fit one unit are woken all the same, in any budget") {
    constexpr std::size_t count = 700;
    ManualClock clock;
    auto made = options(clock);
    made.limits.max_connections = count;
    ChannelOptions channel_options;
    channel_options.heartbeat = 5s;
    Channel channel(channel_options);
    Server server(std::move(made));
    server.get("/live", porthole::events(channel));
    std::vector<std::unique_ptr<Listener>> listeners;
    for (std::size_t i = 0; i < count; ++i) {
        listeners.push_back(std::make_unique<Listener>(server, "/live", "", 1000));
    }
    server.tick(1s);
    CHECK(channel.subscribers() == count);
    clock.advance_per_reading(1us);
    CHECK(channel.publish("a", "1"));
    bool was_cut = false;
    for (int i = 0; i < 1000; ++i) {
        const auto report = server.tick(100us);
        CHECK(report.elapsed <= 110us);
        was_cut = was_cut || report.more;
    }
    CHECK(was_cut);
    for (auto& listener : listeners) {
        listener->read();
        REQUIRE(listener->take_summary() == "a=1");
    }
    CHECK(channel.publish("a", "2"));
    CHECK_FALSE(server.tick(1s).more); // all sleep again
    const porthole_test::AllocationCounter counter;
    CHECK_FALSE(server.tick(1s).more);
    CHECK(counter.count() == 0);
    for (auto& listener : listeners) {
        listener->read();
        REQUIRE(listener->take_summary() == "a=2");
    }
    clock.advance_per_reading(0us);
    porthole::testing::pass_time(server, clock, 11s);
    for (auto& listener : listeners) {
        listener->read();
        REQUIRE(listener->reader.comments.size() >= 1);
        REQUIRE(listener->reader.comments.size() <= 2);
    }
}

TEST_CASE("channel subscription: a flood of small values shares the budget") {
    ManualClock clock;
    ChannelOptions channel_options;
    channel_options.keep = ChannelOptions::Keep::all;
    channel_options.max_values = 2000;
    Channel channel(channel_options);
    std::string expected;
    for (int i = 0; i < 2000; ++i) {
        CHECK(channel.publish("", std::to_string(i)));
        expected += (i == 0 ? "message=" : " message=") + std::to_string(i);
    }
    Server server(options(clock));
    server.get("/live", porthole::events(channel));
    Listener listener(server, "/live");
    clock.advance_per_reading(100us);
    int ticks = 0;
    while (ticks < 100 && server.tick(400us).more) {
        ++ticks;
    }
    CHECK(ticks >= 2);
    CHECK(ticks < 100);
    listener.read();
    CHECK(listener.take_summary() == expected);
}

TEST_CASE("channel subscription: a heartbeat beyond all time never comes") {
    ManualClock clock;
    ChannelOptions channel_options;
    channel_options.heartbeat = (std::chrono::milliseconds::max)();
    Channel channel(channel_options);
    Server server(options(clock));
    server.get("/live", porthole::events(channel));
    Listener listener(server, "/live");
    listener.tick();
    porthole::testing::pass_time(server, clock, 100s);
    CHECK(channel.publish("a", "1"));
    listener.tick();
    CHECK(listener.take_summary() == "a=1");
    CHECK(listener.reader.comments.empty());
}

TEST_CASE("channel subscription: a subscriber whose topics are silent sleeps on") {
    Channel channel;
    Server server(options());
    server.get("/live", porthole::events(channel));
    Listener listener(server, "/live?topic=b");
    listener.tick(2);
    for (int i = 0; i < 10; ++i) {
        CHECK(channel.publish("a", std::to_string(i)));
        listener.tick();
    }
    CHECK(listener.take_summary().empty());
    CHECK(channel.publish("b", "1"));
    listener.tick();
    CHECK(listener.take_summary() == "b=1");
}
