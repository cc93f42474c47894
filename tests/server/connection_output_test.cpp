// SPDX-License-Identifier: MIT

#include "support/counting_transport.hpp"

#include <functional>

using namespace std::chrono_literals;
using porthole::BodySource;
using porthole::ManualClock;
using porthole::Options;
using porthole::Request;
using porthole::Response;
using porthole::Server;
using porthole_test::add_routes;
using porthole_test::get;
using porthole_test::options;
using porthole_test::Peer;

namespace {

/// A source that a test scripts: each pull is answered by `next`.
class ScriptedSource final : public BodySource {
public:
    using Next = std::function<Piece(char*, std::size_t)>;
    ScriptedSource(Next next, std::optional<std::uint64_t> size, std::function<void()>* waker)
        : next_(std::move(next)), size_(size), waker_(waker) {}
    std::optional<std::uint64_t> size() const override { return size_; }
    Piece pull(char* into, std::size_t capacity) override { return next_(into, capacity); }
    void set_waker(std::function<void()> waker) override {
        if (waker_ != nullptr) {
            *waker_ = std::move(waker);
        }
    }

private:
    Next next_;
    std::optional<std::uint64_t> size_;
    std::function<void()>* waker_;
};

struct Fixture {
    ManualClock clock;
    Server server{options(clock)};
    ScriptedSource::Next next;
    std::optional<std::uint64_t> size;
    std::function<void()> waker;
    Fixture() {
        add_routes(server);
        server.get("/source", [this](const Request&, Response& response) {
            response.send("text/plain", std::make_unique<ScriptedSource>(next, size, &waker));
        });
    }
    /// Yields `total` bytes in pieces of `piece`, then the end.
    void yield(std::size_t total, std::size_t piece) {
        next = [total, piece, sent = std::size_t{0}](char* into, std::size_t capacity) mutable {
            BodySource::Piece made;
            made.bytes = piece < capacity ? piece : capacity;
            made.bytes = made.bytes < total - sent ? made.bytes : total - sent;
            for (std::size_t i = 0; i < made.bytes; ++i) {
                into[i] = static_cast<char>('a' + (sent + i) % 26);
            }
            sent += made.bytes;
            made.state = sent == total ? BodySource::State::end : BodySource::State::more;
            return made;
        };
    }
    static std::string expected(std::size_t total) {
        std::string bytes(total, ' ');
        for (std::size_t i = 0; i < total; ++i) {
            bytes[i] = static_cast<char>('a' + i % 26);
        }
        return bytes;
    }
};

BodySource::Piece piece_of(BodySource::State state, std::string_view bytes, char* into) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        into[i] = bytes[i];
    }
    return {state, bytes.size()};
}

} // namespace

TEST_CASE("connection output: a slow reader gets a big answer whole, and costs no reading") {
    ManualClock clock;
    Server server(options(clock));
    add_routes(server);
    Peer peer(server, 4096);
    peer.send(get("/big") + get("/n/next"));
    server.tick(1s);
    const int reads = peer.counts->reads;
    peer.send(std::string("GET /n/more"));
    for (int i = 0; i < 5; ++i) {
        const auto report = server.tick(1s);
        CHECK_FALSE(report.more);
        CHECK(report.bytes_out == 0);
    }
    CHECK(peer.counts->reads == reads); // what comes meanwhile waits in the transport
    CHECK(peer.send(std::string(100'000, 'x')) < 4096);
    peer.tick(1024 * 1024 / 4096 + 5);
    const auto answers = peer.answers();
    REQUIRE(answers.size() >= 2);
    CHECK((answers[0].body == std::string(1024 * 1024, 'b')));
    CHECK(answers[1].body == "next");
}

TEST_CASE("connection output: a client that pipelines and does not read is not read either") {
    ManualClock clock;
    Server server(options(clock));
    server.get(
        "/", [](const Request&, Response& response) { response.text(std::string(1000, 'x')); });
    Peer peer(server, 16 * 1024);
    std::size_t requests = 0;
    const std::string one = get("/");
    for (int i = 0; i < 1000; ++i) {
        std::string_view rest = one;
        while (!rest.empty()) {
            const std::size_t sent = peer.send(rest);
            if (sent == 0) {
                break;
            }
            rest.remove_prefix(sent);
        }
        server.tick(1s);
        if (!rest.empty()) {
            break;
        }
        ++requests;
    }
    CHECK(requests < 700); // then everything between the two is full
    CHECK(server.stats().responses < 400);
}

TEST_CASE("connection output: sources of every kind arrive whole") {
    Fixture f;
    constexpr std::size_t totals[] = {0, 1, 1000, 65536, 65537, 300'000};
    constexpr std::size_t pieces[] = {1, 999, 65536, 1'000'000};
    constexpr std::size_t capacities[] = {100, 1'000'000};
    for (const std::size_t total : totals) {
        for (const std::size_t piece : pieces) {
            if (piece == 1 && total > 1000) {
                continue;
            }
            for (const bool is_sized : {false, true}) {
                for (const std::size_t capacity : capacities) {
                    CAPTURE(total);
                    CAPTURE(piece);
                    CAPTURE(is_sized);
                    if (capacity == 100 && total > 70'000) {
                        continue;
                    }
                    f.yield(total, piece);
                    f.size = is_sized ? std::optional<std::uint64_t>(total) : std::nullopt;
                    Peer peer(f.server, capacity);
                    peer.send(get("/source"));
                    peer.tick(static_cast<int>(total / capacity * 2) + 2500);
                    auto answers = peer.answers();
                    REQUIRE(answers.size() == 1);
                    REQUIRE((answers[0].body == Fixture::expected(total)));
                    CHECK(answers[0].has_header("Content-Length") == is_sized);
                    CHECK(answers[0].has_header("Transfer-Encoding") != is_sized);
                    peer.send(get("/n/1")); // the connection goes on
                    peer.tick(50);
                    REQUIRE(peer.answers().size() == 1);
                }
            }
        }
    }
}

TEST_CASE("connection output: content of unknown size ends an HTTP/1.0 connection (RFC 9112 6.3)") {
    Fixture f;
    f.yield(100'000, 5000);
    Peer peer(f.server, 1'000'000);
    peer.send("GET /source HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n");
    peer.tick(3);
    REQUIRE(peer.is_closed);
    const auto answers = peer.answers();
    REQUIRE(answers.size() == 1);
    CHECK((answers[0].body == Fixture::expected(100'000)));
    CHECK_FALSE(answers[0].has_header("Transfer-Encoding"));
    CHECK_FALSE(answers[0].has_header("Content-Length"));
    CHECK(answers[0].header("Connection") == "close");
}

TEST_CASE("connection output: a source that waits costs nothing until it is woken") {
    Fixture f;
    int pulls = 0;
    bool has_more = false;
    f.next = [&](char* into, std::size_t) {
        ++pulls;
        if (!has_more) {
            return BodySource::Piece{BodySource::State::wait, 0};
        }
        return piece_of(BodySource::State::end, "woken", into);
    };
    Peer peer(f.server);
    peer.send(get("/source"));
    peer.tick();
    CHECK(pulls == 1);
    CHECK_FALSE(peer.received.empty()); // the head is there already
    for (int i = 0; i < 10; ++i) {
        const auto report = f.server.tick(1s);
        CHECK_FALSE(report.more);
    }
    porthole::testing::pass_time(f.server, f.clock, 60s);
    CHECK(pulls == 1);
    has_more = true;
    f.waker();
    peer.tick();
    CHECK(pulls == 2);
    CHECK(peer.answers().front().body == "woken");
    f.waker(); // late: the connection serves something else now
    peer.send(get("/n/1"));
    peer.tick();
    CHECK(peer.answers().size() == 1);
    peer.end.reset();
    peer.counts.reset();
    f.server.tick();
    f.waker(); // the connection has gone
    f.server.tick();
    CHECK(f.server.stats().connections == 0);
}

TEST_CASE("connection output: a waker that is called before its pull returns is not lost") {
    Fixture f;
    int pulls = 0;
    f.next = [&](char* into, std::size_t) {
        if (++pulls < 3) {
            f.waker();
            return BodySource::Piece{BodySource::State::wait, 0};
        }
        return piece_of(BodySource::State::end, "found", into);
    };
    Peer peer(f.server);
    peer.send(get("/source"));
    peer.tick(5);
    CHECK(pulls == 3);
    CHECK(peer.answers().size() == 1);
}

TEST_CASE("connection output: a source that has nothing and does not wait leaves the tick") {
    Fixture f;
    int pulls = 0;
    f.next = [&](char* into, std::size_t) {
        if (++pulls < 10) {
            return BodySource::Piece{BodySource::State::more, 0};
        }
        return piece_of(BodySource::State::end, "x", into);
    };
    Peer peer(f.server);
    peer.send(get("/source"));
    f.server.tick(1s); // with a clock that stands still it would never end
    CHECK(pulls < 10);
    CHECK(f.server.tick(1s).more);
    peer.tick(10);
    CHECK(peer.answers().size() == 1);
}

TEST_CASE("connection output: a source that fails, ends early or throws breaks its answer off") {
    Fixture f;
    int pulls = 0;
    const auto check = [&](bool is_sized) {
        f.size = is_sized ? std::optional<std::uint64_t>(10) : std::nullopt;
        pulls = 0;
        Peer peer(f.server);
        peer.send(get("/source") + get("/n/behind"));
        peer.tick(3);
        CHECK(peer.answers().empty());
        CHECK(peer.received.find("behind") == std::string::npos);
        CHECK(peer.is_closed);
        CHECK(f.server.stats().connections == 0);
    };
    const auto failing = [&](BodySource::State last) {
        return [&pulls, last](char* into, std::size_t) {
            return ++pulls == 1 ? piece_of(BodySource::State::more, "abc", into)
                                : piece_of(last, "de", into);
        };
    };
    SUBCASE("failed") {
        f.next = failing(BodySource::State::failed);
        check(true);
        check(false);
    }
    SUBCASE("ended early") {
        f.next = failing(BodySource::State::end);
        check(true);
    }
#if defined(__cpp_exceptions)
    SUBCASE("threw") {
        f.next = [&](char* into, std::size_t) -> BodySource::Piece {
            if (++pulls == 1) {
                return piece_of(BodySource::State::more, "abc", into);
            }
            throw 1;
        };
        check(true);
        check(false);
    }
#endif
}

TEST_CASE("connection output: what a source yields beyond its size is not sent") {
    Fixture f;
    f.size = 5;
    f.next = [&](char* into, std::size_t capacity) {
        CHECK(capacity <= 5);
        return piece_of(BodySource::State::more, std::string_view("abc").substr(0, capacity), into);
    };
    Peer peer(f.server);
    peer.send(get("/source") + get("/n/1"));
    peer.tick(3);
    const auto answers = peer.answers();
    REQUIRE(answers.size() == 2);
    CHECK(answers[0].body == "abcab");
    const int misuse = porthole_test::misuse_count;
    f.next = [](char* into, std::size_t capacity) {
        for (std::size_t i = 0; i < capacity; ++i) {
            into[i] = 'x';
        }
        return BodySource::Piece{BodySource::State::more, capacity + 1}; // a lie
    };
    peer.send(get("/source") + get("/n/1"));
    peer.tick(3);
    CHECK(peer.answers().size() == 2);
    CHECK(porthole_test::misuse_count > misuse);
}

#if defined(__cpp_exceptions)
TEST_CASE("connection output: a deferred answer's source that throws hurts nobody else") {
    Fixture f;
    porthole::Reply kept;
    f.server.get("/later", [&](const Request&, Response& response) { kept = response.defer(); });
    Peer victim(f.server);
    Peer other(f.server);
    victim.send(get("/later"));
    victim.tick();
    f.next = [](char*, std::size_t) -> BodySource::Piece {
        throw 1;
    };
    kept.status(201).send(
        "text/plain", std::make_unique<ScriptedSource>(f.next, std::nullopt, &f.waker));
    other.send(get("/n/1"));
    other.tick(3);
    victim.take();
    CHECK(victim.is_closed);
    const auto answers = other.answers();
    REQUIRE(answers.size() == 1);
    CHECK(answers[0].status == 200); // not the victim's 201
    CHECK(answers[0].body == "1");
    CHECK(f.server.stats().connections == 1);
}
#endif

TEST_CASE("connection output: a source may destroy the server") {
    ManualClock clock;
    auto server = std::make_unique<Server>(options(clock));
    ScriptedSource::Next next = [&](char* into, std::size_t) {
        server.reset();
        return piece_of(BodySource::State::more, "abc", into);
    };
    server->get("/source", [&](const Request&, Response& response) {
        response.send("text/plain", std::make_unique<ScriptedSource>(next, std::nullopt, nullptr));
    });
    Peer peer(*server);
    peer.send(get("/source"));
    server->tick(1s);
    CHECK(server == nullptr);
    peer.take();
    CHECK(peer.is_closed);
}

TEST_CASE("connection output: a source is destroyed when its answer has left or its peer has") {
    Fixture f;
    const auto alive = std::make_shared<int>(0);
    f.next = [alive](char* into, std::size_t) {
        return piece_of(BodySource::State::more, "abc", into);
    };
    f.size = 6;
    const long before = alive.use_count();
    {
        Peer peer(f.server);
        peer.send(get("/source"));
        peer.tick(3);
        CHECK(peer.answers().size() == 1);
        CHECK(alive.use_count() == before);
    }
    f.size.reset();
    {
        Peer peer(f.server, 100);
        peer.send(get("/source"));
        f.server.tick(1s);
        CHECK(alive.use_count() > before);
    }
    f.server.tick(1s);
    f.server.tick(1s);
    CHECK(alive.use_count() == before);
}
