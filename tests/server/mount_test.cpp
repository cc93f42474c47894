// SPDX-License-Identifier: MIT

#include "support/counting_transport.hpp"
#include "support/recording_sink.hpp"

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using porthole::BodySink;
using porthole::Error;
using porthole::ErrorCode;
using porthole::Mount;
using porthole::Next;
using porthole::Reply;
using porthole::Request;
using porthole::Response;
using porthole::Server;
using porthole::testing::Answer;
using porthole::testing::Client;
using porthole_test::chunked_post;
using porthole_test::get;
using porthole_test::Peer;
using porthole_test::post;
using porthole_test::post_head;
using porthole_test::SinkRecord;

namespace {

/// What the mount below does and has seen; outlives it.
struct MountRecord {
    Server* attached = nullptr;
    bool fails = false;
    bool streams = true;
    std::vector<std::string> calls;
    std::function<BodySink(const Request&, Response&)> when_received;
    bool is_destroyed = false;
};

class RecordingMount final : public Mount {
public:
    explicit RecordingMount(MountRecord& record) : record_(&record) {}
    ~RecordingMount() override { record_->is_destroyed = true; }
    Error attach(Server& server) override {
        record_->attached = &server;
        return record_->fails ? Error(ErrorCode::bad_pattern, "attach", "test", "no") : Error();
    }
    void handle(const Request& request, Response& response) override {
        record_->calls.push_back("handle " + std::string(request.mount_path()));
        response.text("handled " + std::string(request.body()));
    }
    bool takes_streams() const noexcept override { return record_->streams; }
    BodySink receive(const Request& request, Response& response) override {
        record_->calls.push_back("receive " + std::string(request.mount_path()));
        return record_->when_received ? record_->when_received(request, response) : BodySink();
    }

private:
    MountRecord* record_;
};

struct MountWorld {
    MountRecord mount;
    SinkRecord sink;
    std::unique_ptr<Server> server = std::make_unique<Server>(porthole_test::options());
    MountWorld() {
        CHECK_FALSE(server->mount("/m", std::make_unique<RecordingMount>(mount)));
        CHECK(mount.attached == server.get());
    }
    void stream_into_sink() {
        mount.when_received = [this](const Request&, Response&) {
            return sink.sink();
        };
    }
};

using Calls = std::vector<std::string>;

} // namespace

TEST_CASE("mount: an error of attach() is the caller's, and the mount is gone") {
    MountRecord record;
    record.fails = true;
    Server server(porthole_test::options());
    const Error error = server.mount("/m", std::make_unique<RecordingMount>(record));
    CHECK(error.code() == ErrorCode::bad_pattern);
    CHECK(record.is_destroyed);
    Client client(server);
    CHECK(client.get("/m/x").status == 404);
}

TEST_CASE("mount: requests with content are received, others handled") {
    MountWorld world;
    Client client(*world.server);
    CHECK(client.get("/m/a").body == "handled ");
    CHECK(client.request("POST", "/m/b", {}, "abc").status == 204);
    CHECK(client.request("POST", "/m/c").body == "handled ");
    CHECK(client.request("DELETE", "/m", {}, "abc").status == 204);
    CHECK(world.mount.calls == Calls{"handle /a", "receive /b", "handle /c", "receive "});
    world.mount.calls.clear();
    world.mount.streams = false;
    CHECK(client.request("POST", "/m/d", {}, "abc").body == "handled abc");
    CHECK(world.mount.calls == Calls{"handle /d"});
    CHECK(world.server->unmount("/m"));
    CHECK(world.mount.is_destroyed);
}

TEST_CASE("mount: the sink's on_end answers, and sees the mount's path") {
    MountWorld world;
    world.stream_into_sink();
    world.sink.when_ended = [](const Request& request, Response& response) {
        response.text(request.mount_path());
    };
    Client client(*world.server);
    CHECK(client.request("POST", "/m/up/x", {}, "abc").body == "/up/x");
    CHECK(client.request("POST", "/m/up/y", {}, "def").body == "/up/y");
    CHECK(world.sink.data == "abcdef");
    CHECK(world.sink.is_free());
}

TEST_CASE("mount: an answer given at the head is sent without reading the content") {
    MountWorld world;
    world.server->before([](const Request&, Response& response) {
        response.header("X-Hook", "1"); // is no answer
        return Next::go_on;
    });
    world.mount.when_received = [&world](const Request& request, Response& response) {
        if (request.mount_path() == "/no") {
            response.status(409).text("not now");
        }
        return world.sink.sink();
    };
    Peer peer(*world.server);
    peer.send(post_head("/m/no", 100, "Expect: 100-continue\r\n"));
    peer.tick();
    CHECK(peer.received.find("100 Continue") == std::string::npos);
    const auto answers = peer.answers();
    REQUIRE(answers.size() == 1);
    CHECK(answers[0].status == 409);
    CHECK(answers[0].header("X-Hook") == "1");
    CHECK(peer.is_closed);
    CHECK(world.sink.aborted == 1); // it was not used, and is told so
    CHECK(world.sink.is_free());
    Client client(*world.server);
    CHECK(client.request("POST", "/m/yes", {}, "abc").body == "took 3");
}

TEST_CASE("mount: a refusal beats what was set or deferred") {
    MountWorld world;
    Reply kept;
    world.mount.when_received = [&kept](const Request&, Response& response) {
        response.header("X-Set", "1");
        kept = response.defer();
        return BodySink::refuse(413, "Too much for me.");
    };
    Client client(*world.server);
    const Answer answer = client.request("POST", "/m/a", {}, "abc");
    CHECK(answer.status == 413);
    CHECK_FALSE(answer.has_header("X-Set"));
    CHECK(kept.peer_gone());
    kept.text("too late");
    client.tick();
    CHECK(client.received().empty());
}

TEST_CASE("mount: deferred at the head, the answer comes before or behind the content's end") {
    for (const bool is_early : {false, true}) {
        for (const bool is_chunked : {false, true}) {
            CAPTURE(is_early);
            CAPTURE(is_chunked);
            MountWorld world;
            Reply reply;
            world.mount.when_received = [&](const Request&, Response& response) {
                response.header("X-Set", "1");
                reply = response.defer();
                return world.sink.sink();
            };
            int seen_after = 0;
            world.server->after([&seen_after](const Request&, Response&) { ++seen_after; });
            Peer peer(*world.server);
            const std::string bytes =
                is_chunked ? chunked_post("/m/x", {"abc", "def"}) : post("/m/x", "abcdef");
            const std::size_t half = bytes.size() - (is_chunked ? 14 : 3);
            peer.send(std::string_view(bytes).substr(0, half));
            peer.tick();
            if (!is_early) {
                peer.send(std::string_view(bytes).substr(half));
                peer.tick();
            }
            CHECK(peer.received.empty());
            reply.text("answer");
            peer.tick();
            const auto answers = peer.answers();
            REQUIRE(answers.size() == 1);
            CHECK(answers[0].body == "answer");
            CHECK(answers[0].header("X-Set") == "1");
            CHECK(seen_after == 1);
            CHECK(world.sink.ended == (is_early ? 0 : 1));
            CHECK(world.sink.aborted == (is_early ? 1 : 0));
            CHECK(peer.is_closed == is_early);
        }
    }
}

TEST_CASE("mount: an upgrade cannot be answered while content is to come") {
    class Owner final : public porthole::Upgrade {
    public:
        void on_open(porthole::UpgradeLink&) override { FAIL_CHECK("the content is no protocol"); }
        void on_data(char*, std::size_t) override {}
        void on_end() override {}
        void on_close() override {}
    };
    MountWorld world;
    world.mount.when_received = [](const Request&, Response& response) {
        response.upgrade("test", std::make_shared<Owner>());
        return BodySink();
    };
    Peer peer(*world.server);
    peer.send(post_head("/m/x", 3, "Connection: Upgrade\r\nUpgrade: test\r\n") + "abc");
    peer.tick();
    const auto answers = peer.answers();
    REQUIRE(answers.size() == 1);
    CHECK(answers[0].status == 400);
    CHECK(peer.is_closed);
}

TEST_CASE("mount: it may be unmounted, or the server destroyed, inside receive()") {
    for (const bool destroys : {false, true}) {
        MountWorld world;
        world.mount.when_received = [&](const Request&, Response&) {
            destroys ? world.server.reset() : static_cast<void>(world.server->unmount("/m"));
            CHECK(world.mount.is_destroyed == destroys);
            return world.sink.sink();
        };
        if (destroys) {
            world.mount.when_received = [&](const Request&, Response&) {
                world.server.reset();
                return world.sink.sink();
            };
        }
        Peer peer(*world.server);
        peer.send(post("/m/x", "abc"));
        world.server->tick(1s);
        peer.take();
        CHECK(world.mount.is_destroyed);
        CHECK(world.sink.ended == (destroys ? 0 : 1));
        CHECK(world.sink.aborted == (destroys ? 1 : 0));
        CHECK(world.sink.is_free());
        CHECK(peer.answers().size() == (destroys ? 0 : 1));
    }
}
