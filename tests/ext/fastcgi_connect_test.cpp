// SPDX-License-Identifier: MIT

// Reaching an application server: one that does not answer, one of several addresses, one that is
// not there or has no room, and a process that has no descriptor left. Whatever it was, the client
// is told, the log says why, nothing stays open, and the next request is served.

#include "support/descriptors.hpp"
#include "support/fastcgi_fixture.hpp"
#include "support/temporary_directory.hpp"

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace porthole;
using porthole::detail::Connector;
using porthole::detail::Listener;
using porthole_test::FastCgiFixture;
using porthole_test::SocketClient;

namespace {

const std::string page = "Content-Type: text/plain\n\nhello";

std::string at_port(std::string_view host, const Endpoint& endpoint) {
    return std::string(host) + ":" + std::to_string(endpoint.port());
}

Endpoint ipv6_loopback(std::uint16_t port = 0) {
    std::array<std::uint8_t, 16> address{};
    address[15] = 1;
    return Endpoint::ipv6(address, port);
}

/// Two listeners on one port of ::1 and 127.0.0.1, each with room for that many in its queue.
/// False where there is no IPv6.
bool listen_twice(Listener& ipv6, int ipv6_backlog, Listener& ipv4) {
    ListenOptions options;
    options.backlog = ipv6_backlog;
    for (int attempt = 0; attempt < 20; ++attempt) {
        ipv6.close();
        if (Listener::open(ipv6_loopback(), options, 0, ipv6)) {
            return false;
        }
        const std::uint16_t port = ipv6.endpoint().port();
        if (!Listener::open(Endpoint::ipv4({127, 0, 0, 1}, port), {}, 0, ipv4)) {
            return true;
        }
    }
    return false;
}

} // namespace

TEST_CASE("fastcgi connect: the addresses of a name are tried one after the other") {
    FastCgiFixture f;
    f.accept(
        f.server.mount("/app", fastcgi(at_port("localhost", f.responder.listener.endpoint()))));
    f.accept(f.server.listen("127.0.0.1", 0));
    f.answer_with(page);
    CHECK(f.get("/app/").body == "hello"); // only 127.0.0.1 listens
    CHECK(f.request("POST", "/app/", {}, "content").body == "hello");
    f.responder.peer(0).socket.close();
    f.responder.listener.close();
    CHECK(f.get("/app/").status == 502);
    CHECK(f.has_logged("connect"));
}

TEST_CASE("fastcgi connect: the first address that answers is the one") {
    FastCgiFixture f;
    Listener other;
    if (!listen_twice(f.responder.listener, 10, other)) {
        MESSAGE("skipped: no IPv6 here");
        return;
    }
    f.accept(f.server.mount("/app", fastcgi(at_port("localhost", other.endpoint()))));
    f.accept(f.server.listen("127.0.0.1", 0));
    f.answer_with(page);
    CHECK(f.get("/app/").body == "hello");
    detail::Socket nobody;
    Endpoint from;
    CHECK(other.accept(nobody, from) == detail::AcceptStatus::none);
}

#if !defined(_WIN32)

TEST_CASE("fastcgi connect: a unix socket that leads nowhere is 502") {
    porthole_test::TemporaryDirectory place;
    place.write("file", "no socket");
    {
        Listener gone; // it removes its file from where it made it
        REQUIRE_FALSE(Listener::open(Endpoint::local(place.path("live")), {}, 0600, gone));
        place.rename("live", "dead");
    }
    for (const std::string_view name : {"none", "file", "dead", "none/below", "file/below", ""}) {
        CAPTURE(name);
        FastCgiFixture f;
        const std::string path = place.path(name);
        f.accept(f.server.mount("/app", fastcgi("unix:" + path)));
        f.accept(f.server.listen("127.0.0.1", 0));
        const auto answer = f.get("/app/");
        CHECK(answer.status == 502);
        CHECK(answer.body.find(path) == std::string::npos);
        CHECK(f.has_logged(path));
        CHECK(f.has_logged("the answer is 502"));
    }
}

#endif

TEST_CASE("fastcgi connect: a request that fails gives its place back") {
    FastCgiFixture f;
    f.mount(FastCgiOptions{}.max_connections(1).max_waiting(0));
    const Endpoint endpoint = f.responder.listener.endpoint();
    f.responder.listener.close();
    for (int i = 0; i < 2; ++i) {
        CHECK(f.get("/app/").status == 502);
        CHECK(f.request("POST", "/app/", {}, "content").status == 502);
    }
    f.accept(Listener::open(endpoint, {}, 0, f.responder.listener));
    f.answer_with(page);
    CHECK(f.get("/app/").body == "hello"); // it has come back
}

#if defined(__linux__)

namespace {

/// A listener whose queue is full: over TCP, who connects now waits for an answer that does not
/// come; over a unix socket there is no waiting.
class BusyListener {
public:
    explicit BusyListener(const Endpoint& at = Endpoint::ipv4({127, 0, 0, 1}, 0)) {
        ListenOptions options;
        options.backlog = 1;
        REQUIRE_FALSE(Listener::open(at, options, 0600, listener));
        fill();
    }
    explicit BusyListener(Listener taken) : listener(std::move(taken)) { fill(); }

    Listener listener;
    bool is_full = false; ///< else this system has more room than it was asked for

private:
    void fill() {
        constexpr int soon_ms = 20;
        using State = Connector::State;
        for (Connector& visitor : visitors_) {
            const State state = visitor.start({listener.endpoint()}, never);
            is_full =
                state == State::failed
                || (state == State::connecting
                    && !porthole_test::wait_for(visitor.handle(), {false, true}, soon_ms).write);
            if (is_full) {
                return;
            }
        }
        MESSAGE("skipped: a full queue lets newcomers in here");
    }

    std::vector<Connector> visitors_ = std::vector<Connector>(16);
};

/// A request to one that does not answer, by the test's own clock.
class Hanging {
public:
    explicit Hanging(FastCgiOptions options, bool is_scgi = false)
        : f(porthole_test::options(clock)) {
        const std::string address = busy.listener.endpoint().to_string();
        f.accept(
            f.server.mount("/app", is_scgi ? scgi(address, options) : fastcgi(address, options)));
        f.accept(f.server.listen("127.0.0.1", 0));
    }
    /// Its client, when the request has come.
    std::unique_ptr<SocketClient> ask(std::string_view bytes = porthole_test::simple_get("/app/")) {
        const std::uint64_t before = f.server.stats().requests;
        auto client = std::make_unique<SocketClient>("127.0.0.1", f.server.port());
        client->send(bytes);
        CHECK(f.until({client.get()}, [&] { return f.server.stats().requests > before; }));
        return client;
    }
    /// The answer, and how long it has taken.
    testing::Answer read(SocketClient& client, Duration& time) {
        testing::Answer answer;
        const TimePoint begin = clock.now();
        CHECK(f.until(clock, std::chrono::milliseconds(10), {&client}, [&] {
            return client.take_answer(answer);
        }));
        time = clock.now() - begin;
        return answer;
    }

    BusyListener busy;
    ManualClock clock;
    FastCgiFixture f;
};

} // namespace

TEST_CASE("fastcgi connect: one that does not answer is 504 at connect_timeout") {
    for (const bool is_scgi : {false, true}) {
        CAPTURE(is_scgi);
        Hanging h(FastCgiOptions{}.connect_timeout(std::chrono::seconds(2)), is_scgi);
        if (!h.busy.is_full) {
            return;
        }
        const std::size_t before = porthole_test::descriptors();
        for (const char* body : {"", "content"}) {
            h.f.lines.clear();
            const auto client =
                h.ask(testing::write_request(*body ? "POST" : "GET", "/app/", {}, body));
            Duration time{};
            const auto answer = h.read(*client, time);
            CHECK(answer.status == 504);
            CHECK((time >= std::chrono::seconds(2)));
            CHECK((time <= std::chrono::milliseconds(2'600)));
            CHECK(h.f.has_logged("the answer is 504"));
            CHECK(h.f.has_logged(h.busy.listener.endpoint().to_string()));
        }
        CHECK(h.f.until({}, [&] { return porthole_test::descriptors() == before; }));
    }
}

TEST_CASE("fastcgi connect: a frame that takes long does not use the deadline up") {
    Hanging h(FastCgiOptions{}.connect_timeout(std::chrono::seconds(4)));
    if (!h.busy.is_full) {
        return;
    }
    const auto client = h.ask();
    h.clock.advance(std::chrono::hours(1));
    for (int i = 0; i < 10; ++i) {
        h.f.server.tick();
    }
    client->pump();
    CHECK(client->received.empty());
    Duration time{};
    CHECK(h.read(*client, time).status == 504);
    CHECK((time >= std::chrono::seconds(2)));
}

TEST_CASE("fastcgi connect: each request has a deadline of its own") {
    Hanging h(FastCgiOptions{}.connect_timeout(std::chrono::seconds(2)).max_connections(1));
    if (!h.busy.is_full) {
        return;
    }
    const auto first = h.ask();
    const auto second = h.ask(); // begins when the first one has given its place back
    Duration time{};
    CHECK(h.read(*first, time).status == 504);
    CHECK(second->received.empty());
    CHECK(h.read(*second, time).status == 504);
    CHECK((time >= std::chrono::seconds(2)));
}

TEST_CASE("fastcgi connect: a client that goes while it connects takes the socket along") {
    Hanging h(FastCgiOptions{}.connect_timeout(std::chrono::hours(1)));
    if (!h.busy.is_full) {
        return;
    }
    const std::size_t before = porthole_test::descriptors();
    auto client = h.ask();
    CHECK(porthole_test::descriptors() == before + 3); // with both ends of the client's
    client.reset();
    CHECK(h.f.until(h.clock, std::chrono::milliseconds(10), {}, [&] {
        return porthole_test::descriptors() == before;
    }));
    CHECK((h.clock.now().time_since_epoch() < std::chrono::seconds(10)));
}

TEST_CASE("fastcgi connect: a mount that goes while it connects tells the client") {
    Hanging h(FastCgiOptions{}.connect_timeout(std::chrono::hours(1)));
    if (!h.busy.is_full) {
        return;
    }
    const std::size_t before = porthole_test::descriptors();
    auto client = h.ask();
    CHECK(h.f.server.unmount("/app"));
    CHECK(h.f.read(*client).status == 503);
    client.reset();
    CHECK(h.f.until({}, [&] { return porthole_test::descriptors() == before; }));
}

TEST_CASE("fastcgi connect: it goes on by itself when the queue has room again") {
    Hanging h(FastCgiOptions{}.connect_timeout(std::chrono::hours(1)));
    if (!h.busy.is_full) {
        return;
    }
    const auto client = h.ask();
    h.f.answer_with(page);
    h.f.responder.listener = std::move(h.busy.listener); // which accepts
    const auto answer = h.f.read(*client);               // the system tries again in a second
    CHECK(answer.status == 200);
    CHECK(answer.body == "hello");
}

TEST_CASE("fastcgi connect: a first address that does not answer is all there is time for") {
    Listener ipv6;
    Listener ipv4;
    if (!listen_twice(ipv6, 1, ipv4)) {
        MESSAGE("skipped: no IPv6 here");
        return;
    }
    BusyListener busy(std::move(ipv6));
    if (!busy.is_full) {
        return;
    }
    ManualClock clock;
    FastCgiFixture f(porthole_test::options(clock));
    f.accept(f.server.mount(
        "/app", fastcgi(
                    at_port("localhost", ipv4.endpoint()),
                    FastCgiOptions{}.connect_timeout(std::chrono::seconds(1)))));
    f.accept(f.server.listen("127.0.0.1", 0));
    SocketClient client("127.0.0.1", f.server.port());
    client.send(porthole_test::simple_get("/app/"));
    testing::Answer answer;
    CHECK(f.until(clock, std::chrono::milliseconds(10), {&client}, [&] {
        return client.take_answer(answer);
    }));
    CHECK(answer.status == 504);
    CHECK(f.has_logged(busy.listener.endpoint().to_string()));
}

TEST_CASE("fastcgi connect: a unix socket whose queue is full is 503, until it has room") {
    porthole_test::TemporaryDirectory place;
    BusyListener busy(Endpoint::local(place.path("app.sock")));
    if (!busy.is_full) {
        return;
    }
    FastCgiFixture f;
    f.accept(f.server.mount("/app", fastcgi("unix:" + place.path("app.sock"))));
    f.accept(f.server.listen("127.0.0.1", 0));
    f.answer_with(page);
    const std::size_t before = porthole_test::descriptors();
    for (const auto& answer : {f.get("/app/"), f.request("POST", "/app/", {}, "content")}) {
        CHECK(answer.status == 503);
        CHECK(answer.header("Retry-After") == "1");
    }
    CHECK(f.has_logged("the answer is 503"));
    CHECK(f.has_logged(place.path("app.sock")));
    CHECK(f.until({}, [&] { return porthole_test::descriptors() == before; }));
    f.responder.listener = std::move(busy.listener);
    CHECK(f.until({}, [&] { return f.responder.peers.size() != 0; }));
    CHECK(f.get("/app/").body == "hello");
}

TEST_CASE("fastcgi connect: without a descriptor a request is 503, and nothing is left open") {
    const std::string requests[] = {
        porthole_test::simple_get("/app/"), testing::write_request("POST", "/app/", {}, "content"),
        "POST /app/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n0\r\n\r\n"};
    for (const bool is_scgi : {false, true}) {
        CAPTURE(is_scgi);
        FastCgiFixture f(porthole_test::options(), is_scgi);
        const FastCgiOptions options = FastCgiOptions{}.max_idle(0);
        const std::string address = f.responder.address();
        f.accept(
            f.server.mount("/app", is_scgi ? scgi(address, options) : fastcgi(address, options)));
        f.accept(f.server.listen("127.0.0.1", 0));
        f.responder.serve = [is_scgi](porthole_test::Responder::Peer& peer) {
            if (peer.has_content_end && !peer.closes) {
                is_scgi ? peer.say(page) : peer.answer(page);
                peer.closes = true;
            }
        };
        std::vector<std::unique_ptr<SocketClient>> clients;
        for (const std::string& bytes : requests) {
            CHECK(f.send(bytes).body == "hello"); // the sanitizers have asked what they ask once
            clients.push_back(std::make_unique<SocketClient>("127.0.0.1", f.server.port()));
            clients.back()->send(porthole_test::simple_get("/"));
            CHECK(f.read(*clients.back()).status == 404);
        }
        CHECK(f.until({}, [&] { return f.server.stats().connections == clients.size(); }));
        f.lines.clear();
        const std::size_t before = porthole_test::descriptors();
        std::vector<int> statuses;
        {
            const porthole_test::NoDescriptors none;
            for (std::size_t i = 0; i < clients.size(); ++i) {
                statuses.push_back(porthole_test::ask(f.server, *clients[i], requests[i]).status);
            }
        }
        CHECK(statuses == std::vector<int>{503, 503, 503});
        CHECK(f.has_logged("the answer is 503"));
        CHECK(f.has_logged(address));
        clients.clear();
        CHECK(f.until({}, [&] { return porthole_test::descriptors() == before - 6; }));
        for (const std::string& bytes : requests) {
            CHECK(f.send(bytes).body == "hello");
        }
        CHECK(f.until({}, [&] { return porthole_test::descriptors() == before - 6; }));
    }
}

TEST_CASE("fastcgi connect: a kept connection needs no descriptor") {
    FastCgiFixture f;
    f.mount();
    f.answer_with(page);
    SocketClient client("127.0.0.1", f.server.port());
    client.send(porthole_test::simple_get("/app/"));
    CHECK(f.read(client).body == "hello");
    testing::Answer answer;
    bool is_done = false;
    {
        const porthole_test::NoDescriptors none;
        client.send(porthole_test::simple_get("/app/"));
        is_done = f.until({&client}, [&] { return client.take_answer(answer); });
    }
    CHECK(is_done);
    CHECK(answer.body == "hello");
    CHECK(f.responder.peers.size() == 1);
}

TEST_CASE("fastcgi connect: the program's own error page stands for 502, 503 and 504") {
    Hanging h(FastCgiOptions{}
                  .connect_timeout(std::chrono::seconds(1))
                  .max_connections(1)
                  .max_waiting(0));
    if (!h.busy.is_full) {
        return;
    }
    porthole_test::TemporaryDirectory place;
    BusyListener full(Endpoint::local(place.path("full.sock")));
    h.f.accept(h.f.server.mount("/none", fastcgi("unix:" + place.path("none.sock"))));
    h.f.accept(h.f.server.mount("/full", fastcgi("unix:" + place.path("full.sock"))));
    h.f.server.on_error([](const Request&, Response& response) {
        response.text("own page " + std::to_string(response.status()));
    });
    const auto client = h.ask();
    CHECK(h.f.get("/none/").body == "own page 502");
    for (const std::string_view target :
         {"/app/", "/full/"}) { // no place, and no room in its queue
        CAPTURE(target);
        const auto answer = h.f.get(target);
        CHECK(answer.status == 503);
        CHECK(answer.body == "own page 503");
        CHECK(answer.header("Retry-After") == "1");
    }
    Duration time{};
    const auto late = h.read(*client, time);
    CHECK(late.status == 504);
    CHECK(late.body == "own page 504");
}

#endif
