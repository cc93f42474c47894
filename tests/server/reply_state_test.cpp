// SPDX-License-Identifier: MIT

// What the copies of one Reply share, seen through them: the internal header itself is not part of
// the declarations that users and tests see.

#include "support/options.hpp"

#include <atomic>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

using porthole::Reply;
using porthole::Request;
using porthole::Response;
using porthole::Server;
using porthole::testing::Client;
using porthole::testing::write_request;

namespace {

constexpr int threads = 4;

/// A server with one route whose answer is left to the test.
struct Waiting {
    Reply reply;
    std::unique_ptr<Server> server = std::make_unique<Server>(porthole_test::options());
    std::unique_ptr<Client> client;

    Waiting() {
        server->get("/", [this](const Request&, Response& response) { reply = response.defer(); });
        client = std::make_unique<Client>(*server);
        client->send(write_request("GET", "/"));
        client->tick();
        REQUIRE_FALSE(reply.is_finished());
    }
};

} // namespace

TEST_CASE("reply_state: copies that threads drop at the same time send one 500") {
    Waiting w;
    std::vector<std::thread> workers;
    for (int i = 0; i < threads; ++i) {
        workers.emplace_back([copy = w.reply]() mutable { copy = Reply(); });
    }
    w.reply = Reply();
    for (std::thread& worker : workers) {
        worker.join();
    }
    CHECK(w.client->read_answer().status == 500);
    w.client->tick();
    CHECK(w.client->received().empty());
}

TEST_CASE("reply_state: an answer and the end of its last copy are one answer") {
    Waiting w;
    std::thread worker([reply = std::move(w.reply)]() mutable {
        reply.status(201).finish();
        reply = Reply();
    });
    worker.join();
    w.reply = Reply();
    CHECK(w.client->read_answer().status == 201);
    w.client->tick();
    CHECK(w.client->received().empty());
}

TEST_CASE("reply_state: tasks that own replies may die with the server") {
    Waiting w;
    w.server->post([reply = std::move(w.reply)] {});
    w.reply = Reply();
    const Reply outside;
    w.server.reset();
    CHECK(outside.is_finished());
}

TEST_CASE("reply_state: handlers that own replies may die with the server, and with their route") {
    Waiting w;
    const Reply copy = w.reply;
    auto handle =
        w.server->get("/owner", [reply = std::move(w.reply)](const Request&, Response&) {});
    w.reply = Reply();
    CHECK_FALSE(copy.is_finished());
    handle.remove();
    CHECK_FALSE(copy.is_finished());
    w.server.reset();
    CHECK(copy.peer_gone());
}

TEST_CASE("reply_state: the server may end while another thread answers") {
    for (int i = 0; i < 20; ++i) {
        Waiting w;
        std::atomic<bool> has_begun{false};
        std::thread worker([reply = std::move(w.reply), &has_begun]() mutable {
            has_begun = true;
            reply.text("perhaps too late");
        });
        while (!has_begun) {
            std::this_thread::yield();
        }
        w.server.reset();
        worker.join();
    }
}
