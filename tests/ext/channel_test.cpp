// SPDX-License-Identifier: MIT

// What a browser sees of a channel as Server-Sent Events: the snapshot, what follows, topics, and
// where it goes on after it has lost the connection.

#include "support/event_listener.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

using namespace std::chrono_literals;
using porthole::Channel;
using porthole::ChannelOptions;
using porthole::ManualClock;
using porthole::Request;
using porthole::Response;
using porthole::Server;
using porthole::testing::Client;
using porthole::testing::pass_time;
using porthole_test::Listener;
using porthole_test::options;

namespace {

struct Studio {
    explicit Studio(const ChannelOptions& channel_options = {})
        : channel(channel_options), server(options(clock)) {
        server.get("/live", porthole::events(channel));
    }
    std::unique_ptr<Listener> listen(std::string_view target = "/live", std::string fields = {}) {
        auto listener = std::make_unique<Listener>(server, target, fields);
        listener->tick(2);
        return listener;
    }
    std::unique_ptr<Listener> listen_again(const Listener& earlier) {
        return listen("/live", "Last-Event-ID: " + earlier.last_id + "\r\n");
    }

    ManualClock clock;
    Channel channel;
    Server server;
};

ChannelOptions keep_all() {
    ChannelOptions made;
    made.keep = ChannelOptions::Keep::all;
    return made;
}

} // namespace

TEST_CASE("channel: what is published is an event of the key's type, for everyone") {
    Studio studio;
    const auto a = studio.listen();
    const auto b = studio.listen();
    CHECK(a->head.status == 200);
    CHECK(a->head.header("Content-Type") == "text/event-stream");
    CHECK(a->head.header("Cache-Control") == "no-store");
    CHECK(a->head.header("X-Accel-Buffering") == "no");
    CHECK(studio.channel.subscribers() == 2);
    CHECK(studio.channel.publish("frame", R"({"fps":60})"));
    CHECK(studio.channel.publish("", "plain"));
    a->tick();
    CHECK(a->take_summary() == R"(frame={"fps":60} message=plain)");
    b->tick();
    CHECK(b->take_summary() == R"(frame={"fps":60} message=plain)");
    CHECK(studio.channel.publish("bytes", std::vector<unsigned char>{'x', 'y'}));
    a->tick();
    CHECK(a->take_summary() == "bytes=xy");
    CHECK(studio.channel.value("bytes") == "xy");
    CHECK_FALSE(studio.channel.value("none").has_value());
}

TEST_CASE("channel: a newcomer gets the newest value of each key, the oldest first") {
    Studio studio;
    CHECK(studio.channel.publish("a", "1"));
    CHECK(studio.channel.publish("b", "2"));
    CHECK(studio.channel.publish("a", "3"));
    const auto listener = studio.listen();
    CHECK(listener->take_summary() == "b=2 a=3");
    CHECK(studio.channel.remove("b"));
    CHECK_FALSE(studio.channel.remove("b"));
    CHECK(studio.listen()->take_summary() == "a=3");
}

TEST_CASE("channel: without the snapshot a newcomer gets what is published from then on") {
    ChannelOptions made;
    made.has_snapshot = false;
    Studio studio(made);
    CHECK(studio.channel.publish("a", "1"));
    const auto listener = studio.listen();
    CHECK(listener->take_summary().empty());
    CHECK(studio.channel.publish("b", "2"));
    listener->tick();
    CHECK(listener->take_summary() == "b=2");
    CHECK(studio.channel.publish("c", "3"));
    CHECK(studio.listen_again(*listener)->take_summary() == "c=3");
}

TEST_CASE("channel: keys that change several times between two ticks come once") {
    Studio studio;
    const auto listener = studio.listen();
    for (int i = 0; i < 100; ++i) {
        CHECK(studio.channel.publish("a", std::to_string(i)));
        CHECK(studio.channel.publish(i % 2 == 0 ? "b" : "c", std::to_string(i)));
    }
    listener->tick();
    CHECK(listener->take_summary() == "b=98 a=99 c=99");
}

TEST_CASE("channel: keeping all, every value comes, and newcomers get what is kept") {
    ChannelOptions made = keep_all();
    made.max_values = 3;
    Studio studio(made);
    const auto listener = studio.listen();
    CHECK(studio.channel.publish("log", "1"));
    CHECK(studio.channel.publish("log", "2"));
    listener->tick();
    CHECK(listener->take_summary() == "log=1 log=2");
    CHECK(studio.channel.publish("log", "3"));
    CHECK(studio.channel.publish("log", "4"));
    CHECK(studio.listen()->take_summary() == "log=2 log=3 log=4");
    listener->tick();
    CHECK(listener->take_summary() == "log=3 log=4");
    CHECK(studio.channel.skipped() == 0);
    CHECK(studio.channel.remove("log"));
    CHECK(studio.listen()->take_summary().empty());
}

TEST_CASE("channel: who falls behind what is kept is told how much was lost") {
    ChannelOptions made = keep_all();
    made.max_values = 3;
    Studio studio(made);
    const auto listener = studio.listen();
    for (int i = 1; i <= 8; ++i) {
        CHECK(studio.channel.publish("log", std::to_string(i)));
    }
    listener->tick();
    CHECK(listener->take_summary() == "log=6 log=7 log=8");
    REQUIRE(listener->reader.comments.size() == 1);
    CHECK(listener->reader.comments[0] == "5 values were lost");
    CHECK(studio.channel.skipped() == 5);
    CHECK(studio.channel.publish("log", "9"));
    listener->tick();
    CHECK(listener->take_summary() == "log=9");
    CHECK(studio.channel.skipped() == 5);
}

TEST_CASE("channel: a topic is a key, or what it begins with before a slash") {
    Studio studio;
    const auto some = studio.listen("/live?topic=cpu&topic=disk%2F0");
    const auto every = studio.listen();
    for (const char* key :
         {"cpu", "cpu/0", "cpus", "cp", "disk", "disk/0", "disk/01", "disk/0/x"}) {
        CHECK(studio.channel.publish(key, "1"));
    }
    some->tick();
    CHECK(some->take_summary() == "cpu=1 cpu/0=1 disk/0=1 disk/0/x=1");
    every->tick();
    CHECK(every->take_events().size() == 8);
    CHECK(studio.channel.publish("net", "2"));
    some->tick(2);
    CHECK(some->take_summary().empty());
    CHECK(studio.channel.publish("cpu", "2"));
    some->tick();
    CHECK(some->take_summary() == "cpu=2");
    CHECK(studio.listen("/live?topic=net")->take_summary() == "net=2");
}

TEST_CASE("channel: a program may fix the topics, and the query then chooses nothing") {
    Studio studio;
    studio.server.get("/cpu", porthole::events(studio.channel, {"cpu"}));
    CHECK(studio.channel.publish("cpu", "1"));
    CHECK(studio.channel.publish("secret", "2"));
    CHECK(studio.listen("/cpu?topic=secret")->take_summary() == "cpu=1");
}

TEST_CASE("channel: more topics than the limit are refused") {
    ChannelOptions made;
    made.max_topics = 2;
    Studio studio(made);
    Client client(studio.server);
    const auto listener = studio.listen("/live?topic=a&topic=b");
    CHECK(listener->head.status == 200);
    const auto answer = client.get("/live?topic=a&topic=b&topic=c");
    CHECK(answer.status == 400);
    CHECK(answer.body.find("max_topics") != std::string::npos);
    CHECK(studio.channel.subscribers() == 1);
}

TEST_CASE("channel: an event's id leads back to its place (Last-Event-ID)") {
    Studio studio;
    auto listener = studio.listen();
    CHECK(studio.channel.publish("a", "1"));
    CHECK(studio.channel.publish("b", "2"));
    listener->tick();
    CHECK(listener->take_summary() == "a=1 b=2");
    const std::string id = listener->last_id;
    listener->peer.end->reset();
    CHECK(studio.channel.publish("a", "3"));
    listener = studio.listen_again(*listener);
    CHECK(listener->take_summary() == "a=3");
    CHECK(listener->last_id != id);
    // Nothing new: nothing is sent until there is.
    listener = studio.listen_again(*listener);
    CHECK(listener->take_summary().empty());
    CHECK(studio.channel.publish("b", "4"));
    listener->tick();
    CHECK(listener->take_summary() == "b=4");
}

TEST_CASE("channel: an id of another run, of the future, or of nobody makes a newcomer") {
    Studio studio;
    Studio other;
    CHECK(studio.channel.publish("a", "1"));
    CHECK(other.channel.publish("a", "1"));
    auto theirs = other.listen();
    CHECK(theirs->take_summary() == "a=1");
    auto ours = studio.listen();
    CHECK(ours->take_summary() == "a=1");
    CHECK(ours->last_id != theirs->last_id);
    const std::string epoch = ours->last_id.substr(0, ours->last_id.find('.'));
    CHECK(studio.listen_again(*ours)->take_summary().empty());
    CHECK(studio.listen_again(*theirs)->take_summary() == "a=1");
    for (const char* rest : {".2", "", ".", ".-1", ".1x", ".18446744073709551616", "1"}) {
        const std::string field = "Last-Event-ID: " + epoch + rest + "\r\n";
        CHECK(studio.listen("/live", field)->take_summary() == "a=1");
    }
}

TEST_CASE("channel: keeping all, who comes back gets what it has missed, as far as it is kept") {
    ChannelOptions made = keep_all();
    made.max_values = 3;
    Studio studio(made);
    const auto first = studio.listen();
    CHECK(studio.channel.publish("log", "1"));
    first->tick();
    CHECK(first->take_summary() == "log=1");
    CHECK(studio.channel.publish("log", "2"));
    CHECK(studio.channel.publish("log", "3"));
    CHECK(studio.listen_again(*first)->take_summary() == "log=2 log=3");
    CHECK(studio.channel.publish("log", "4"));
    CHECK(studio.channel.publish("log", "5"));
    const auto second = studio.listen_again(*first);
    CHECK(second->take_summary() == "log=3 log=4 log=5");
    REQUIRE(second->reader.comments.size() == 1);
    CHECK(second->reader.comments[0] == "1 values were lost");
}

TEST_CASE("channel: lines in a value stay lines, and cannot forge a field") {
    Studio studio;
    const auto listener = studio.listen();
    CHECK(studio.channel.publish("a", "one\ntwo\r\nthree\rid: 7\n"));
    CHECK(studio.channel.publish("b", ""));
    listener->tick();
    const auto events = listener->take_events();
    REQUIRE(events.size() == 2);
    CHECK(events[0].data == "one\ntwo\nthree\nid: 7\n");
    CHECK(events[0].id.find('.') != std::string::npos);
    CHECK(events[1].data.empty());
}

TEST_CASE("channel: silent subscribers get a comment at each heartbeat, busy ones none") {
    Studio studio;
    const auto silent = studio.listen("/live?topic=never");
    const auto busy = studio.listen();
    for (int second = 0; second < 60; ++second) {
        CHECK(studio.channel.publish("a", std::to_string(second)));
        pass_time(studio.server, studio.clock, 1s);
    }
    silent->read();
    busy->read();
    CHECK(silent->reader.comments.size() >= 3);
    CHECK(silent->reader.comments.size() <= 4);
    CHECK(silent->reader.events.empty());
    CHECK(busy->reader.comments.empty());
    CHECK(busy->reader.events.size() == 60);
    pass_time(studio.server, studio.clock, 31s);
    busy->read();
    CHECK(busy->reader.comments.size() >= 1);
}

TEST_CASE("channel: without a heartbeat nothing is sent, and nothing wakes the server") {
    ChannelOptions made;
    made.heartbeat = 0ms;
    Studio studio(made);
    const auto listener = studio.listen();
    pass_time(studio.server, studio.clock, 60s);
    listener->read();
    CHECK(listener->reader.comments.empty());
    CHECK(studio.channel.subscribers() == 1);
}

TEST_CASE("channel: browsers are told when to connect again") {
    ChannelOptions made;
    made.retry = 1500ms;
    Studio studio(made);
    const auto listener = studio.listen();
    CHECK(listener->reader.retry == "1500");
    CHECK(listener->take_events().empty());
    CHECK(studio.channel.publish("a", "1"));
    listener->tick();
    CHECK(listener->take_summary() == "a=1");
}

TEST_CASE("channel: closing sends what is left, then the end, and 204 to those who come later") {
    Studio studio;
    const auto listener = studio.listen();
    CHECK(studio.channel.publish("a", "last"));
    studio.channel.close();
    studio.channel.close();
    CHECK_FALSE(studio.channel.is_open());
    CHECK_FALSE(studio.channel.publish("a", "too late"));
    listener->tick();
    CHECK(listener->take_summary() == "a=last");
    CHECK(listener->is_over);
    CHECK(studio.channel.subscribers() == 0);
    Client client(studio.server);
    CHECK(client.get("/live").status == 204);
}

TEST_CASE("channel: the last handle that goes away closes it; a route holds one") {
    Server server(options());
    auto channel = std::make_unique<Channel>();
    auto route = server.get("/live", porthole::events(*channel));
    Listener listener(server, "/live");
    listener.tick(2);
    CHECK(channel->subscribers() == 1);
    channel.reset();
    listener.tick(2);
    CHECK_FALSE(listener.is_over);
    route.remove();
    listener.tick(2);
    CHECK(listener.is_over);
}

TEST_CASE("channel: HEAD, and clients that go away, leave nobody behind") {
    Studio studio;
    Client client(studio.server);
    const auto head = client.request("HEAD", "/live");
    CHECK(head.status == 200);
    CHECK(head.header("Content-Type") == "text/event-stream");
    CHECK(studio.channel.subscribers() == 0);
    auto listener = studio.listen();
    CHECK(studio.channel.subscribers() == 1);
    listener->peer.end.reset();
    studio.server.tick(1s);
    CHECK(studio.channel.subscribers() == 0);
    CHECK(studio.channel.publish("a", "1"));
    studio.server.tick(1s);
}

TEST_CASE("channel: HTTP/1.0 clients get the same bytes without the chunked coding") {
    Studio studio;
    CHECK(studio.channel.publish("a", "1"));
    porthole_test::Peer peer(studio.server);
    peer.send("GET /live HTTP/1.0\r\nHost: localhost\r\n\r\n");
    peer.tick(2);
    porthole_test::EventReader reader;
    reader.read(peer.received.substr(peer.received.find("\r\n\r\n") + 4));
    REQUIRE(reader.events.size() == 1);
    CHECK(reader.events[0].data == "1");
    studio.channel.close();
    peer.tick(2);
    CHECK(peer.is_closed);
}
