// SPDX-License-Identifier: MIT

// Dozens of clients that do everything a client can, good and bad, against one server in virtual
// time, from a seed. After every step the answers must be those that were asked for, in order.

#include "support/counting_transport.hpp"

#include <algorithm>
#include <cstdlib>
#include <deque>

using namespace std::chrono_literals;
using porthole::ManualClock;
using porthole::Options;
using porthole::Reply;
using porthole::Request;
using porthole::Response;
using porthole::Server;
using porthole::TickReport;
using porthole_test::get;
using porthole_test::options;
using porthole_test::Peer;
using porthole_test::post;

namespace {

/// A small generator of its own, so that a seed means the same everywhere (xorshift64*).
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

/// What a client expects of each request that it has begun.
struct Expected {
    int status = 200;
    std::string body; ///< empty: any
    bool is_head = false;
};

struct Actor {
    Actor(Server& server, std::size_t capacity, std::size_t max_read)
        : peer(std::make_unique<Peer>(server, capacity, max_read)) {}
    std::unique_ptr<Peer> peer;
    std::string to_send;
    std::deque<Expected> expected;
    bool has_misbehaved = false; ///< nothing is answered behind this
    bool is_half_closed = false;
    bool is_slow = false;
};

class Simulation {
public:
    explicit Simulation(std::uint64_t seed) : random_(seed), server_(make_options(clock_)) {
        server_.get("/n/:n", [](const Request& request, Response& response) {
            response.text(request.param("n"));
        });
        server_.post("/echo", [](const Request& request, Response& response) {
            response.text(request.body());
        });
        server_.get("/big/:n", [](const Request& request, Response& response) {
            response.body(big_body(request.param("n")));
        });
        server_.get("/later/:n", [this](const Request& request, Response& response) {
            later_.emplace_back(response.defer(), std::string(request.param("n")));
        });
        server_.get("/stream/:n", [](const Request& request, Response& response) {
            response.send("text/plain", std::make_unique<Pieces>(big_body(request.param("n"))));
        });
    }

    void run(int steps) {
        clock_.advance_per_reading(2us);
        for (int i = 0; i < steps; ++i) {
            step();
        }
        settle();
    }

private:
    class Pieces final : public porthole::BodySource {
    public:
        explicit Pieces(std::string bytes) : bytes_(std::move(bytes)) {}
        Piece pull(char* into, std::size_t capacity) override {
            const std::size_t left = bytes_.size() - sent_;
            const std::size_t most = std::min<std::size_t>(capacity, 7000);
            const std::size_t size = left < most ? left : most;
            bytes_.copy(into, size, sent_);
            sent_ += size;
            return {sent_ == bytes_.size() ? State::end : State::more, size};
        }

    private:
        std::string bytes_;
        std::size_t sent_ = 0;
    };

    static Options make_options(ManualClock& clock) {
        Options made = options(clock);
        made.limits.max_body_bytes = 5000;
        made.limits.max_requests_per_connection = 50;
        return made;
    }
    static std::string big_body(std::string_view n) {
        return std::string(40'000, n.empty() ? 'x' : n.back());
    }

    void add_request(Actor& actor) {
        const std::string n = std::to_string(++counter_);
        switch (random_.below(12)) {
        case 0:
        case 1:
        case 2: ask(actor, get("/n/" + n), {200, n}); break;
        case 3: {
            const std::string body(random_.below(5001), 'p');
            ask(actor, post("/echo", body), {200, body});
            break;
        }
        case 4:
            ask(actor,
                "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                "3\r\nabc\r\n"
                    + std::to_string(n.size()) + "\r\n" + n + "\r\n0\r\n\r\n",
                {200, "abc" + n});
            break;
        case 5: ask(actor, get("/big/" + n), {200, big_body(n)}); break;
        case 6: ask(actor, get("/stream/" + n), {200, big_body(n)}); break;
        case 7: ask(actor, get("/later/" + n), {200, n}); break;
        case 8: ask(actor, get("/nowhere"), {404, ""}); break;
        case 9: ask(actor, "HEAD /n/1 HTTP/1.1\r\nHost: localhost\r\n\r\n", {200, "", true}); break;
        case 10:
            ask(actor, get("/n/" + n, "Connection: close\r\n"), {200, n});
            actor.has_misbehaved = true;
            break;
        case 11: add_bad_request(actor); break;
        }
    }
    void add_bad_request(Actor& actor) {
        if (!random_.one_in(3)) {
            return;
        }
        actor.has_misbehaved = true;
        switch (random_.below(4)) {
        case 0: ask(actor, "oh no\r\n\r\n", {400, ""}); break;
        case 1: ask(actor, "GET / HTTP/3.0\r\n\r\n", {505, ""}); break;
        case 2: ask(actor, post("/echo", std::string(5001, 'x')), {413, ""}); break;
        case 3: ask(actor, "GET /" + std::string(9000, 'x') + " HTTP/1.1\r\n", {414, ""}); break;
        }
    }
    static void ask(Actor& actor, const std::string& bytes, Expected expected) {
        actor.to_send += bytes;
        actor.expected.push_back(std::move(expected));
    }

    void act(Actor& actor) {
        if (actor.to_send.empty() && !actor.has_misbehaved && !actor.is_half_closed) {
            for (std::size_t i = random_.below(6); i-- != 0 && !actor.has_misbehaved;) {
                add_request(actor);
            }
        }
        if (!actor.to_send.empty()) {
            const std::size_t all = actor.to_send.size();
            const std::size_t size = random_.one_in(3) ? 1 + random_.below(all) : all;
            actor.to_send.erase(0, actor.peer->send(actor.to_send.substr(0, size)));
        } else if (random_.one_in(200)) {
            actor.peer->end->shut_write();
            actor.is_half_closed = true;
        } else if (actor.has_misbehaved && random_.one_in(3)) {
            actor.peer->send(get("/n/never") + "garbage");
        }
        if (!actor.is_slow || random_.one_in(20)) {
            actor.peer->take();
        }
    }

    /// Every answer that has come is the one that was due.
    void check(Actor& actor) {
        for (;;) {
            const bool is_head = !actor.expected.empty() && actor.expected.front().is_head;
            porthole::testing::Answer answer;
            const auto reading = porthole::testing::read_answer(
                actor.peer->received, is_head, actor.peer->is_closed, answer);
            REQUIRE(reading.status != porthole::detail::ParseStatus::failed);
            if (reading.status != porthole::detail::ParseStatus::complete || reading.size == 0) {
                return;
            }
            actor.peer->received.erase(0, reading.size);
            if (answer.status == 408) { // it was too slow: nothing else may come
                actor.expected.clear();
                REQUIRE(actor.peer->received.empty());
                return;
            }
            REQUIRE_FALSE(actor.expected.empty());
            const Expected expected = actor.expected.front();
            actor.expected.pop_front();
            REQUIRE(answer.status == expected.status);
            REQUIRE((expected.body.empty() || answer.body == expected.body));
            ++answers_;
            if (answer.header("Connection") == "close") {
                REQUIRE(actor.peer->received.empty());
                actor.expected.clear();
            }
        }
    }

    void step() {
        if (actors_.size() < 40 && random_.one_in(3)) {
            constexpr std::size_t capacities[] = {64, 1000, 20'000, 300'000};
            const std::size_t max_read = random_.one_in(10) ? 1 + random_.below(5) : 100'000;
            actors_.emplace_back(server_, capacities[random_.below(4)], max_read);
            actors_.back().is_slow = random_.one_in(5);
        }
        for (Actor& actor : actors_) {
            if (random_.one_in(3)) {
                act(actor);
            }
        }
        answer_later();
        tick(random_.one_in(50) ? 10min : std::chrono::milliseconds(random_.below(40)));
        for (std::size_t i = 0; i < actors_.size();) {
            Actor& actor = actors_[i];
            check(actor);
            const bool is_over = actor.peer->is_closed && actor.peer->received.empty();
            if (is_over || random_.one_in(1500)) {
                if (random_.one_in(2)) {
                    actor.peer->end->reset();
                }
                std::swap(actor, actors_.back());
                actors_.pop_back();
            } else {
                ++i;
            }
        }
        // Those that have gone may still be there for a tick, and linger for a while.
        REQUIRE(server_.stats().connections <= actors_.size() + 40);
    }

    void answer_later() {
        while (!later_.empty() && random_.one_in(2)) {
            const std::size_t at = random_.below(later_.size());
            later_[at].first.text(later_[at].second);
            std::swap(later_[at], later_.back());
            later_.pop_back();
        }
    }

    void tick(porthole::Duration pause) {
        clock_.advance(pause);
        const TickReport report = server_.tick(1ms);
        REQUIRE(report.elapsed <= 2ms); // the longest unit: 50 answers, or 256 KiB
        REQUIRE(report.bytes_out <= 64 * 1024 * 1024);
    }

    /// Everybody reads, nobody sends: all that was asked is answered, then all goes quiet.
    void settle() {
        bool is_quiet = false;
        for (int i = 0; i < 20'000 && !is_quiet; ++i) {
            while (!later_.empty()) {
                later_.back().first.text(later_.back().second);
                later_.pop_back();
            }
            for (Actor& actor : actors_) {
                if (!actor.to_send.empty() && !actor.is_half_closed) {
                    actor.to_send.erase(0, actor.peer->send(actor.to_send));
                }
                actor.peer->take();
            }
            tick(1ms);
            is_quiet = true;
            for (Actor& actor : actors_) {
                check(actor);
                is_quiet &= actor.peer->is_closed || actor.expected.empty();
            }
        }
        REQUIRE(is_quiet);
        CHECK(answers_ > 500);
        actors_.clear();
        for (int i = 0; i < 100 && server_.stats().connections != 0; ++i) {
            tick(16ms);
        }
        REQUIRE(server_.stats().connections == 0);
        clock_.advance_per_reading({});
        const TickReport report = server_.tick(1ms);
        REQUIRE_FALSE(report.more);
        REQUIRE(report.bytes_in + report.bytes_out == 0);
    }

    Random random_;
    ManualClock clock_;
    std::vector<std::pair<Reply, std::string>> later_;
    Server server_;
    std::vector<Actor> actors_;
    std::uint64_t counter_ = 0;
    std::uint64_t answers_ = 0;
};

} // namespace

TEST_CASE("simulation: whatever dozens of clients do, each gets its answers and nothing else") {
    // PORTHOLE_TEST_SEED=n replays one seed, or begins a longer hunt from it.
    const char* chosen = std::getenv("PORTHOLE_TEST_SEED");
    const std::uint64_t first = chosen != nullptr ? std::strtoull(chosen, nullptr, 10) : 1;
    const std::uint64_t count = chosen != nullptr ? 1 : 4;
    const int misuse = porthole_test::misuse_count;
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
        CAPTURE(seed);
        Simulation simulation(seed);
        simulation.run(1500);
    }
    CHECK(porthole_test::misuse_count == misuse);
}
