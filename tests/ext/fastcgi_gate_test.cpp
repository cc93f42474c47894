// SPDX-License-Identifier: MIT

// How many requests an application server gets at a time, who waits, which connections are kept,
// and that no descriptor is left.

#include "support/fastcgi_fixture.hpp"

#include <filesystem>
#include <memory>
#include <string>

using namespace porthole;
using porthole_test::FastCgiFixture;
using porthole_test::Responder;
using porthole_test::SocketClient;

namespace {

const std::string page = "Content-Type: text/plain\n\nx";

std::unique_ptr<SocketClient> begin_get(FastCgiFixture& f) {
    auto client = std::make_unique<SocketClient>("127.0.0.1", f.server.port());
    client->send(porthole_test::simple_get("/app/"));
    return client;
}

} // namespace

TEST_CASE("fastcgi gate: so many at a time, so many wait, and the next one is 503") {
    FastCgiFixture f;
    f.mount(FastCgiOptions{}.max_connections(2).max_waiting(1));
    std::vector<std::unique_ptr<SocketClient>> clients;
    std::vector<SocketClient*> all;
    for (int i = 0; i < 3; ++i) {
        clients.push_back(begin_get(f));
        all.push_back(clients.back().get());
    }
    CHECK(f.until(
        all, [&] { return f.responder.peers.size() == 2 && f.responder.peer(1).has_content_end; }));
    CHECK(f.until(all, [&] { return f.server.stats().requests == 3; }));
    const auto refused = f.get("/app/");
    CHECK(refused.status == 503);
    CHECK(refused.header("Retry-After") == "1");
    f.answer_with(page);
    for (SocketClient* client : all) {
        CHECK(f.read(*client).body == "x");
    }
    CHECK(f.responder.peers.size() == 2);
    CHECK(f.get("/app/").status == 200);
}

TEST_CASE("fastcgi gate: one that waits too long for its turn is 503") {
    ManualClock clock;
    FastCgiFixture f(porthole_test::options(clock));
    f.mount(FastCgiOptions{}.max_connections(1).timeout(std::chrono::seconds(2)));
    const auto first = begin_get(f);
    CHECK(f.until({first.get()}, [&] { return f.responder.peers.size() == 1; }));
    f.responder.serve = [](Responder::Peer& peer) { // alive, and never done
        if (peer.out.empty()) {
            peer.say(porthole_test::fastcgi_record(7, "busy\n"));
        }
    };
    const auto second = begin_get(f);
    testing::Answer answer;
    CHECK(f.until(clock, std::chrono::milliseconds(10), {first.get(), second.get()}, [&] {
        return second->take_answer(answer);
    }));
    CHECK(answer.status == 503);
    CHECK(f.has_logged("max_connections"));
}

TEST_CASE("fastcgi gate: kept connections are reused, as many as wanted") {
    for (const std::size_t wanted : {0u, 1u, 4u}) {
        CAPTURE(wanted);
        FastCgiFixture f;
        f.mount(FastCgiOptions{}.max_idle(wanted));
        std::vector<std::unique_ptr<SocketClient>> clients;
        std::vector<SocketClient*> all;
        for (int i = 0; i < 3; ++i) {
            clients.push_back(begin_get(f));
            all.push_back(clients.back().get());
        }
        CHECK(f.until(all, [&] { return f.responder.peers.size() == 3; }));
        f.answer_with(page);
        for (SocketClient* client : all) {
            CHECK(f.read(*client).body == "x");
        }
        const std::size_t kept = (std::min)(wanted, std::size_t{3});
        CHECK(f.until({}, [&] {
            std::size_t open = 0;
            for (std::size_t i = 0; i < 3; ++i) {
                open += f.responder.peer(i).has_gone || f.responder.peer(i).closes ? 0u : 1u;
            }
            return open == kept;
        }));
        CHECK(f.get("/app/").body == "x");
        CHECK(f.responder.peers.size() == (wanted == 0 ? 4 : 3));
        CHECK(f.responder.peer(0).keeps == (wanted != 0));
    }
}

TEST_CASE("fastcgi gate: one that was closed while it was idle is not used") {
    FastCgiFixture f;
    f.mount();
    f.answer_with(page);
    CHECK(f.get("/app/").body == "x");
    f.responder.peer(0).socket.close();
    CHECK(f.request("POST", "/app/", {}, "content").body == "x");
    CHECK(f.responder.peers.size() == 2);
}

TEST_CASE("fastcgi gate: idle connections go after a minute") {
    ManualClock clock;
    FastCgiFixture f(porthole_test::options(clock));
    f.mount();
    f.answer_with(page);
    CHECK(f.get("/app/").body == "x");
    CHECK_FALSE(f.responder.peer(0).has_gone);
    const TimePoint begin = clock.now();
    CHECK(f.until(
        clock, std::chrono::milliseconds(100), {}, [&] { return f.responder.peer(0).has_gone; }));
    CHECK((clock.now() - begin >= std::chrono::seconds(60)));
}

#if defined(__linux__)
TEST_CASE("fastcgi gate: no descriptor is left of clients that come and go") {
    const auto descriptors = [] {
        std::error_code code;
        std::size_t count = 0;
        for (std::filesystem::directory_iterator at("/proc/self/fd", code), end; !code && at != end;
             at.increment(code)) {
            ++count;
        }
        return count;
    };
    FastCgiFixture f;
    f.mount(FastCgiOptions{}.max_connections(4).max_waiting(8).max_idle(0));
    const std::size_t before = descriptors();
    for (unsigned round = 0; round < 20; ++round) {
        std::vector<std::unique_ptr<SocketClient>> clients;
        std::vector<SocketClient*> all;
        for (unsigned i = 0; i < 6; ++i) {
            clients.push_back(begin_get(f));
            all.push_back(clients.back().get());
        }
        f.responder.serve = [round, count = 0u](Responder::Peer& peer) mutable {
            if (peer.has_content_end && (round + ++count) % 3 != 0) {
                peer.answer(page);
            }
        };
        unsigned steps = round * 3;
        static_cast<void>(f.until(all, [&] { return steps == 0 || --steps == 0; }));
        clients.clear(); // some of them before their answer
        CHECK(f.until({}, [&] {
            for (const auto& peer : f.responder.peers.all) {
                if (peer->has_gone) {
                    peer->socket.close();
                }
            }
            return descriptors() == before;
        }));
    }
}
#endif
