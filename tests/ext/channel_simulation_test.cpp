// SPDX-License-Identifier: MIT

// A day of virtual time, from a seed: subscribers come and go, read fast, slowly or not at all, and
// come back with the id of their last event; values of all sizes are published, removed, and now
// and then the program starts anew. After every step each of them must have seen what it should.

#include "support/allocation_counter.hpp"
#include "support/event_listener.hpp"

#include <chrono>
#include <cstdint>
#include <deque>
#include <iterator>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using porthole::Channel;
using porthole::ChannelOptions;
using porthole::ManualClock;
using porthole::Options;
using porthole::RouteHandle;
using porthole::Server;
using porthole_test::Listener;
using porthole_test::options;
using porthole_test::ReceivedEvent;

namespace {

constexpr std::size_t ring = 60; // values that the log keeps
constexpr std::size_t max_actors = 40;
constexpr std::size_t whole_capacity = 5 * 1024 * 1024; // no step publishes more

/// xorshift64*: a seed means the same everywhere.
class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed * 2 + 1) {}
    std::size_t below(std::size_t bound) {
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        return static_cast<std::size_t>((state_ * 0x2545F4914F6CDD1Du) >> 33) % bound;
    }
    bool one_in(std::size_t n) { return below(n) == 0; }

private:
    std::uint64_t state_;
};

/// "12:" and letters that follow from the number, so that a damaged value is noticed.
std::string value_of(std::size_t serial, std::size_t size) {
    std::string text = std::to_string(serial) + ":";
    return text.append(size, static_cast<char>('a' + serial % 26));
}

std::size_t serial_of(const std::string& value) {
    return static_cast<std::size_t>(std::atoll(value.c_str()));
}

struct Published {
    std::size_t serial;
    std::string key;
};

/// A channel with what it should hold.
struct Station {
    Station(Server& host, const char* path, ChannelOptions::Keep keep)
        : server(host), target(path), options_(make(keep)) {
        start();
    }
    static ChannelOptions make(ChannelOptions::Keep keep) {
        ChannelOptions made;
        made.keep = keep;
        made.max_values = ring;
        made.max_keys = 30;
        made.max_total_bytes = 4 * 1024 * 1024;
        return made;
    }
    void start() {
        route.remove();
        socket_route.remove();
        if (channel) {
            channel->close(); // what sockets still hold of it is no subscriber of the next
        }
        channel = std::make_unique<Channel>(options_);
        route = server.get(target, porthole::events(*channel));
        socket_route = server.get(
            target + "/ws",
            [mine = *channel](const porthole::Request& request, porthole::Response& response) {
                porthole::SubscribeOptions chosen;
                if (const auto topic = request.query("topic")) {
                    chosen.topics.emplace_back(*topic);
                }
                porthole::websocket().on_open([mine, chosen](porthole::WebSocket& socket) {
                    porthole::subscribe(socket, mine, chosen);
                })(request, response);
            });
        log.clear();
        newest.clear();
        ++run;
    }
    bool keeps_all() const { return options_.keep == ChannelOptions::Keep::all; }
    void publish(const std::string& key, std::size_t serial, std::size_t size) {
        REQUIRE(channel->publish(key, value_of(serial, size)));
        newest[key] = serial;
        if (keeps_all()) {
            log.push_back({serial, key});
            if (log.size() > ring) {
                log.pop_front();
            }
        }
    }
    void remove(const std::string& key) {
        REQUIRE(channel->remove(key) == (newest.erase(key) != 0));
    }

    Server& server;
    std::string target;
    ChannelOptions options_;
    RouteHandle route;
    RouteHandle socket_route;
    std::unique_ptr<Channel> channel;
    std::map<std::string, std::size_t> newest; ///< the serial of each key's newest value
    std::deque<Published> log;                 ///< what is kept, when all is
    int run = 0;
};

/// A browser with one page, which outlives its connections.
struct Actor {
    Station* station = nullptr;
    std::string topic;                                 ///< empty: all
    std::unique_ptr<Listener> listener;                ///< by events ...
    std::unique_ptr<porthole::WebSocketClient> socket; ///< ... or by a WebSocket
    std::vector<ReceivedEvent> messages;
    bool is_socket = false;
    std::size_t capacity = 0;
    bool is_slow = false;
    bool is_reading = false; ///< in this step
    int run = 0;             ///< the station's, when it connected
    std::string last_id;
    std::map<std::string, std::size_t> seen; ///< the serial of each key's last value
    std::size_t last_serial = 0;
    std::size_t comments = 0;

    bool wants(const std::string& key) const {
        return topic.empty() || key == topic || key.find(topic + "/") == 0;
    }
};

/// Millions of times: an assertion only when it fails.
void must(bool holds, const char* otherwise) {
    if (!holds) {
        FAIL(std::string(otherwise));
    }
}

class Simulation {
public:
    explicit Simulation(std::uint64_t seed)
        : random_(seed), server_(make_options(clock_)),
          state_(server_, "/state", ChannelOptions::Keep::newest),
          log_(server_, "/log", ChannelOptions::Keep::all) {}

    void run(std::chrono::seconds time) {
        const auto end = clock_.now() + time;
        while (clock_.now() < end) {
            step();
        }
        settle();
        CHECK(received_ > 1000);
        CHECK(reconnects_ > 100);
    }

private:
    static Options make_options(ManualClock& clock) {
        Options made = options(clock);
        made.limits.max_tick_gap = 60s; // virtual frames are long
        return made;
    }
    std::string any_key() {
        static const char* const keys[] = {"a", "a/0", "a/1", "ab", "b", "b/0", "c", ""};
        return keys[random_.below(std::size(keys))];
    }

    void step() {
        if (actors_.size() < max_actors && random_.one_in(4)) {
            add_actor();
        }
        for (std::size_t i = random_.below(6); i-- != 0;) {
            publish(random_.one_in(2) ? state_ : log_);
        }
        if (random_.one_in(30)) {
            state_.remove(any_key());
        }
        if (random_.one_in(1500)) {
            (random_.one_in(2) ? state_ : log_).start();
        }
        clock_.advance(std::chrono::milliseconds(random_.below(20'000)));
        server_.tick(1s);
        for (Actor& actor : actors_) {
            act(actor);
        }
        server_.tick(1s);
        for (Actor& actor : actors_) {
            if (actor.is_reading) {
                read(actor);
                check_newest(actor);
            }
        }
        check_counts();
        if (!actors_.empty() && random_.one_in(40)) {
            actors_.erase(std::next(
                actors_.begin(), static_cast<std::ptrdiff_t>(random_.below(actors_.size()))));
        }
    }

    void publish(Station& station) {
        constexpr std::size_t sizes[] = {0, 1, 10, 100, 100, 1000, 1000, 10'000, 90'000};
        station.publish(any_key(), ++serial_, sizes[random_.below(std::size(sizes))]);
    }

    void add_actor() {
        constexpr std::size_t capacities[] = {500, 5000, 100'000, whole_capacity, whole_capacity};
        static const char* const topics[] = {"", "", "a", "b", "a/0", "none"};
        actors_.emplace_back();
        Actor& actor = actors_.back();
        actor.station = random_.one_in(2) ? &state_ : &log_;
        actor.topic = topics[random_.below(std::size(topics))];
        actor.capacity = capacities[random_.below(std::size(capacities))];
        actor.is_slow = random_.one_in(3);
        actor.is_socket = random_.one_in(3);
        connect(actor);
    }

    void connect(Actor& actor) {
        std::string target = actor.station->target;
        target += actor.topic.empty() ? "" : "?topic=" + actor.topic;
        std::string fields;
        if (!actor.last_id.empty()) {
            fields = "Last-Event-ID: " + actor.last_id + "\r\n";
            ++reconnects_;
        }
        if (actor.run != actor.station->run) {
            actor.run = actor.station->run; // a new run of the program: nothing compares
            actor.seen.clear();
            actor.last_serial = 0;
        }
        if (actor.is_socket) {
            connect_socket(actor);
            return;
        }
        actor.comments = 0;
        actor.listener = std::make_unique<Listener>(server_, target, fields, actor.capacity);
    }

    /// A newcomer each time: there is no id to come back with.
    void connect_socket(Actor& actor) {
        auto pair = porthole::MemoryTransport::make_pair(actor.capacity);
        REQUIRE_FALSE(server_.adopt(std::move(pair.server), "socket"));
        porthole::WebSocketClientOptions made;
        made.target = actor.station->target + "/ws";
        made.target += actor.topic.empty() ? "" : "?topic=" + actor.topic;
        made.clock = &clock_;
        actor.seen.clear();
        actor.last_serial = 0;
        actor.messages.clear();
        actor.socket = std::make_unique<porthole::WebSocketClient>(std::move(pair.client), made);
        actor.socket->on_message = [&messages = actor.messages](const porthole::Message& message) {
            const std::size_t end = message.data.find('\n');
            messages.push_back(
                {std::string(message.data.substr(0, end)),
                 std::string(message.data.substr(end + 1)),
                 {}});
        };
        actor.socket->pump();
    }

    void act(Actor& actor) {
        actor.is_reading = !actor.is_slow || random_.one_in(8);
        if (random_.one_in(actor.is_slow ? 60 : 150)) {
            if (!actor.is_socket && random_.one_in(2)) {
                actor.listener->peer.end->reset();
            }
            connect(actor); // what was under way to it is lost
        } else if (actor.is_reading) {
            read(actor);
        }
    }

    /// What has come; checks every event.
    void read(Actor& actor) {
        if (actor.is_socket) {
            for (int i = 0; i < 1000 && actor.socket->pump(); ++i) {}
            for (const ReceivedEvent& message : std::exchange(actor.messages, {})) {
                check(actor, message);
            }
            if (actor.socket->is_closed() || actor.run != actor.station->run) {
                connect(actor); // a socket stays open when its channel is closed
                actor.is_reading = false;
            }
            return;
        }
        Listener& listener = *actor.listener;
        listener.read();
        for (const ReceivedEvent& event : listener.take_events()) {
            check(actor, event);
        }
        if (listener.peer.is_closed || listener.is_over) {
            connect(actor); // it was too slow, or the program has started anew
            actor.is_reading = false;
        }
    }

    void check(Actor& actor, const ReceivedEvent& event) {
        ++received_;
        const std::string key = event.type == "message" ? "" : event.type;
        const std::size_t serial = serial_of(event.data);
        const std::size_t prefix = std::to_string(serial).size() + 1;
        must(event.data.size() >= prefix, "a value is damaged");
        must(event.data == value_of(serial, event.data.size() - prefix), "a value is damaged");
        must(actor.wants(key), "a key of another topic");
        must(serial <= serial_, "a value that was never published");
        must(
            serial > actor.last_serial,
            "an older value behind a newer one"); // the order is that of publishing, and nothing
                                                  // twice
        must(actor.is_socket || event.id != actor.last_id, "an id twice");
        if (actor.station->keeps_all() && !actor.is_socket && actor.run == actor.station->run) {
            check_gap(actor, serial);
        }
        actor.seen[key] = serial;
        actor.last_serial = serial;
        actor.last_id = event.id;
    }

    /// Who got the value before this one got all in between, unless it was told of a loss.
    void check_gap(Actor& actor, std::size_t serial) {
        const auto& lost = actor.listener->reader.comments;
        bool was_told = false;
        for (; actor.comments < lost.size(); ++actor.comments) {
            was_told = was_told || lost[actor.comments].find("lost") != std::string::npos;
        }
        if (was_told || actor.last_serial == 0) {
            return;
        }
        for (const Published& each : actor.station->log) {
            const bool is_between = each.serial > actor.last_serial && each.serial < serial;
            must(!(is_between && actor.wants(each.key)), "a value was left out");
        }
    }

    /// Who takes everything at once has what is newest.
    static void check_newest(const Actor& actor) {
        const bool is_whole = actor.capacity == whole_capacity && actor.is_reading;
        if (!is_whole || actor.run != actor.station->run) {
            return;
        }
        CAPTURE(actor.is_socket);
        CAPTURE(actor.topic);
        for (const auto& [key, serial] : actor.station->newest) {
            const bool is_kept =
                !actor.station->keeps_all() || serial_is_kept(*actor.station, serial);
            if (actor.wants(key) && is_kept) {
                const auto seen = actor.seen.find(key);
                must(seen != actor.seen.end(), "a key is missing");
                must(seen->second == serial, "a value is not the newest");
            }
        }
    }
    static bool serial_is_kept(const Station& station, std::size_t serial) {
        return !station.log.empty() && station.log.front().serial <= serial;
    }

    void check_counts() {
        const std::size_t subscribers = state_.channel->subscribers() + log_.channel->subscribers();
        REQUIRE(subscribers <= actors_.size());
        REQUIRE(server_.stats().connections <= actors_.size());
        // Of the library's: two stores, a piece and a value for each subscriber. Of the test's:
        // both directions of a connection, and what has been read of it.
        std::size_t most = std::size_t{32} * 1024 * 1024;
        for (const Actor& actor : actors_) {
            most += 3 * actor.capacity + 500'000;
        }
        REQUIRE(porthole_test::live_bytes() < most);
        for (const auto& [key, serial] : state_.newest) {
            const auto value = state_.channel->value(key);
            REQUIRE(value.has_value());
            REQUIRE(serial_of(*value) == serial);
        }
    }

    /// Everybody reads; then everybody has what is newest, and when all have gone nothing is left.
    void settle() {
        constexpr int most = 20'000;
        for (int i = 0; i < most; ++i) {
            std::size_t moved = received_;
            for (Actor& actor : actors_) {
                actor.is_reading = true;
                if (actor.is_socket) {
                    read(actor);
                    moved -= i < 100 ? 1U : 0U; // a message shows only when it is whole
                    continue;
                }
                const std::size_t rest = actor.listener->reader.rest().size();
                read(actor);
                const bool is_under_way = actor.listener->reader.rest().size() != rest;
                moved -= is_under_way || actor.listener->head.status == 0 ? 1U : 0U;
            }
            server_.tick(1s);
            if (moved == received_) {
                break;
            }
        }
        for (Actor& actor : actors_) {
            actor.capacity = whole_capacity;
            check_newest(actor);
        }
        CHECK(state_.channel->subscribers() + log_.channel->subscribers() == actors_.size());
        CHECK(server_.stats().connections == actors_.size());
        actors_.clear();
        server_.tick(1s);
        CHECK(state_.channel->subscribers() == 0);
        CHECK(log_.channel->subscribers() == 0);
        CHECK(server_.stats().connections == 0);
    }

    ManualClock clock_;
    Random random_;
    Server server_;
    Station state_;
    Station log_;
    std::list<Actor> actors_; ///< which stay where they are: sockets refer to them
    std::size_t serial_ = 0;
    std::size_t received_ = 0;
    std::size_t reconnects_ = 0;
};

} // namespace

TEST_CASE("channel simulation: a day of subscribers, and nothing is left of it") {
    for (const std::uint64_t seed : {1u, 2026u}) {
        CAPTURE(seed);
        const std::size_t before = porthole_test::live_bytes();
        auto simulation = std::make_unique<Simulation>(seed);
        simulation->run(seed == 1 ? std::chrono::hours(24) : std::chrono::hours(2));
        simulation.reset();
        CHECK(porthole_test::live_bytes() <= before + 4096);
    }
}
