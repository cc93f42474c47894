// SPDX-License-Identifier: MIT

// Bytes in and out of real sockets: large ones, broken ones, and connections by the thousand.

#include "support/socket_client.hpp"

#if !defined(_WIN32)
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#endif

using namespace std::chrono_literals;
using porthole::BodySource;
using porthole::ManualClock;
using porthole::Options;
using porthole::Request;
using porthole::Response;
using porthole::Server;
using porthole_test::ask;
using porthole_test::options;
using porthole_test::pump_until;
using porthole_test::simple_get;
using porthole_test::SocketClient;

namespace {

/// FNV-1a, good enough to notice a byte that is wrong or in the wrong place.
struct Checksum {
    std::uint64_t value = 14695981039346656037u;
    void add(std::string_view bytes) {
        for (const char byte : bytes) {
            value = (value ^ static_cast<unsigned char>(byte)) * 1099511628211u;
        }
    }
};

char byte_at(std::size_t i) {
    return static_cast<char>((i * 2654435761u) >> 13);
}

class Generated final : public BodySource {
public:
    explicit Generated(std::size_t size) : size_(size) {}
    std::optional<std::uint64_t> size() const override { return size_; }
    Piece pull(char* into, std::size_t capacity) override {
        const std::size_t left = size_ - sent_;
        const std::size_t count = left < capacity ? left : capacity;
        for (std::size_t i = 0; i < count; ++i) {
            into[i] = byte_at(sent_ + i);
        }
        sent_ += count;
        return {sent_ == size_ ? State::end : State::more, count};
    }

private:
    std::size_t size_;
    std::size_t sent_ = 0;
};

struct Fixture {
    Server server;
    explicit Fixture(Options made = options()) : server(std::move(made)) {
        server.get("/", [](const Request&, Response& response) { response.text("hello"); });
        server.get("/file", [](const Request&, Response& response) {
            response.send("application/octet-stream", std::make_unique<Generated>(file_size));
        });
        server
            .post(
                "/sum",
                [](const Request& request, Response& response) {
                    Checksum sum;
                    sum.add(request.body());
                    response.text(std::to_string(sum.value));
                })
            .max_body_bytes(32 * 1024 * 1024);
        server.post("/small", [](const Request& request, Response& response) {
            response.text(std::to_string(request.body().size()));
        });
        const auto listened = server.listen("127.0.0.1", 0);
        REQUIRE_FALSE(listened);
    }
    SocketClient client() { return SocketClient("127.0.0.1", server.port()); }
    static constexpr std::size_t file_size = 64u * 1024 * 1024;
};

} // namespace

TEST_CASE("transfer: 64 MiB arrive whole") {
    Fixture f;
    SocketClient client = f.client();
    client.send(simple_get("/file", "Connection: close\r\n"));
    Checksum got;
    std::size_t size = 0;
    bool has_head = false;
    const bool is_done = pump_until(f.server, {&client}, [&] {
        if (!has_head) {
            const auto end = client.received.find("\r\n\r\n");
            if (end == std::string::npos) {
                return client.is_closed;
            }
            has_head = true;
            client.received.erase(0, end + 4);
        }
        got.add(client.received);
        size += client.received.size();
        client.received.clear();
        return client.is_closed;
    });
    REQUIRE(is_done);
    CHECK(size == Fixture::file_size);
    Checksum wanted;
    for (std::size_t i = 0; i < Fixture::file_size; ++i) {
        const char byte = byte_at(i);
        wanted.add({&byte, 1});
    }
    CHECK(got.value == wanted.value);
}

TEST_CASE("transfer: 20 MiB are taken by a route with a larger limit") {
    Fixture f;
    std::string body(20u * 1024 * 1024, ' ');
    for (std::size_t i = 0; i < body.size(); ++i) {
        body[i] = byte_at(i);
    }
    Checksum sum;
    sum.add(body);
    SocketClient client = f.client();
    const auto answer =
        ask(f.server, client, porthole::testing::write_request("POST", "/sum", {}, body));
    CHECK(answer.status == 200);
    CHECK(answer.body == std::to_string(sum.value));
}

TEST_CASE("transfer: 413 reaches a client that keeps sending (RFC 9112 9.6)") {
    Fixture f;
    const std::string body(3u * 1024 * 1024, 'x');
    SUBCASE("announced") {
        SocketClient client = f.client();
        const auto answer =
            ask(f.server, client, porthole::testing::write_request("POST", "/small", {}, body));
        CHECK(answer.status == 413);
    }
    SUBCASE("chunked") {
        SocketClient client = f.client();
        std::string bytes = "POST /small HTTP/1.1\r\nHost: localhost\r\n"
                            "Transfer-Encoding: chunked\r\n\r\n300000\r\n";
        bytes += body + "\r\n0\r\n\r\n";
        CHECK(ask(f.server, client, bytes).status == 413);
    }
}

TEST_CASE("transfer: a client that shuts its sending side after the request gets its answer") {
    Fixture f;
    for (const char* target : {"/", "/file"}) {
        SocketClient client = f.client();
        client.send(simple_get(target));
        REQUIRE(pump_until(
            f.server, {&client}, [&] { return client.is_connected() && client.has_sent_all(); }));
        client.shut_write();
        CHECK(ask(f.server, client, "").status == 200);
        CHECK(pump_until(f.server, {&client}, [&] { return client.is_closed; }));
    }
    CHECK(pump_until(f.server, {}, [&] { return f.server.stats().connections == 0; }));
}

TEST_CASE("transfer: a peer that goes in the middle of an answer or an upload leaves nothing") {
    Fixture f;
    const std::string requests[] = {
        simple_get("/file"), simple_get("/") + simple_get("/file"),
        "POST /sum HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\nabc",
        "POST /sum HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        "GET / HT"};
    for (const std::string& request : requests) {
        CAPTURE(request);
        const auto before = f.server.stats();
        SocketClient client = f.client();
        client.is_reading = false; // unread bytes make its close a reset
        client.send(request);
        REQUIRE(pump_until(f.server, {&client}, [&] {
            return f.server.stats().bytes_in >= before.bytes_in + request.size();
        }));
        f.server.tick();
        client.close();
        CHECK(pump_until(f.server, {}, [&] { return f.server.stats().connections == 0; }));
        SocketClient next = f.client();
        CHECK(ask(f.server, next, simple_get("/")).body == "hello");
        next.close();
        CHECK(pump_until(f.server, {}, [&] { return f.server.stats().connections == 0; }));
    }
}

TEST_CASE("transfer: a client that pipelines, ends and does not read costs no turns") {
    Fixture f;
    SocketClient client = f.client();
    client.is_reading = false;
    std::string bytes;
    for (int i = 0; i < 900; ++i) {
        bytes += simple_get("/file", i == 0 ? "" : "X: y\r\n");
    }
    client.send(bytes);
    REQUIRE(pump_until(f.server, {&client}, [&] {
        return client.has_sent_all() && f.server.stats().bytes_out > 1000;
    }));
    client.shut_write();
    int quiet = 0; // the system's buffers fill up, then nothing moves
    for (int i = 0; i < 10'000 && quiet < 50; ++i) {
        const auto report = f.server.tick(1ms);
        quiet = report.bytes_out == 0 && !report.more ? quiet + 1 : 0;
    }
    CHECK(quiet == 50);
#if !defined(_WIN32) // WSAPoll() tells of the peer's end again and again, whatever is asked for
    // A wait with nothing to do sleeps: few of them fit a tenth of a second.
    const auto end = std::chrono::steady_clock::now() + 100ms;
    int waits = 0;
    while (std::chrono::steady_clock::now() < end) {
        f.server.wait(50ms);
        ++waits;
    }
    CHECK(waits < 10);
#endif
}

TEST_CASE("transfer: a thousand connections are all served, and idle ones are no work") {
    Fixture f;
    std::size_t count = 1000;
#if !defined(_WIN32)
    rlimit files{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &files) == 0);
    rlimit raised = files;
    raised.rlim_cur = raised.rlim_max < 4096 ? raised.rlim_max : rlim_t{4096};
    if (files.rlim_cur < raised.rlim_cur) {
        ::setrlimit(RLIMIT_NOFILE, &raised);
        files.rlim_cur = raised.rlim_cur;
    }
    if (files.rlim_cur < 2200) {
        count = static_cast<std::size_t>(files.rlim_cur) / 3;
        MESSAGE("only " << count << " connections: the limit of open files is low");
    }
#else
    count = 200; // WSAPoll under wine
#endif
    std::vector<std::unique_ptr<SocketClient>> clients;
    std::vector<SocketClient*> all;
    for (std::size_t i = 0; i < count; ++i) {
        clients.push_back(std::make_unique<SocketClient>("127.0.0.1", f.server.port()));
        all.push_back(clients.back().get());
        all.back()->send(simple_get("/"));
        if (i % 50 == 0) {
            f.server.tick();
        }
    }
    std::size_t answers = 0;
    porthole::testing::Answer answer;
    CHECK(pump_until(f.server, all, [&] {
        for (SocketClient* client : all) {
            answers += client->take_answer(answer) ? 1u : 0u;
        }
        return answers >= count;
    }));
    CHECK(answers == count);
    CHECK(f.server.stats().connections == count);
    for (int i = 0; i < 20; ++i) {
        const auto report = f.server.tick();
        CHECK_FALSE(report.more);
        CHECK(report.bytes_in + report.bytes_out == 0);
    }
    CHECK(ask(f.server, *all.back(), simple_get("/")).body == "hello");
    clients.clear();
    CHECK(pump_until(f.server, {}, [&] { return f.server.stats().connections == 0; }));
}

TEST_CASE("transfer: a tick accepts no more than its limit") {
    Options made = options();
    made.limits.max_accepts_per_tick = 3;
    Fixture f(made);
    std::vector<std::unique_ptr<SocketClient>> clients;
    for (int i = 0; i < 10; ++i) {
        clients.push_back(std::make_unique<SocketClient>("127.0.0.1", f.server.port()));
    }
    std::size_t before = 0;
    for (int i = 0; i < 1000 && before < 10; ++i) {
        const auto report = f.server.tick(1s);
        const std::size_t now = f.server.stats().connections;
        CHECK(now - before <= 3);
        CHECK(((now - before < 3) || report.more));
        before = now;
    }
    CHECK(before == 10);
}

TEST_CASE("transfer: at the cap the longest idle connection makes room, else 503") {
    Options made = options();
    made.limits.max_connections = 3;
    Fixture f(made);
    porthole::Reply kept[3];
    int used = 0;
    f.server.get(
        "/later", [&](const Request&, Response& response) { kept[used++] = response.defer(); });
    SocketClient clients[3] = {f.client(), f.client(), f.client()};
    for (SocketClient& client : clients) {
        REQUIRE(ask(f.server, client, simple_get("/")).status == 200);
    }
    SocketClient fourth = f.client();
    CHECK(ask(f.server, fourth, simple_get("/")).status == 200);
    CHECK(pump_until(f.server, {&clients[0]}, [&] { return clients[0].is_closed; }));
    CHECK(f.server.stats().connections == 3);
    SocketClient* const busy[] = {&clients[1], &clients[2], &fourth};
    for (SocketClient* client : busy) {
        client->send(simple_get("/later"));
        const int before = used;
        REQUIRE(pump_until(f.server, {client}, [&] { return used == before + 1; }));
    }
    SocketClient refused = f.client();
    const auto answer = ask(f.server, refused, "");
    CHECK(answer.status == 503);
    CHECK(answer.has_header("Retry-After"));
    CHECK(answer.header("Connection") == "close");
    CHECK(f.server.stats().refused == 2);
    for (porthole::Reply& reply : kept) {
        reply.text("served");
    }
    for (SocketClient* client : busy) {
        CHECK(ask(f.server, *client, "").body == "served");
    }
}

#if !defined(_WIN32)
TEST_CASE("transfer: no descriptor left: accepting pauses, does not spin, and recovers") {
    ManualClock clock;
    Fixture f(options(clock));
    std::vector<std::unique_ptr<SocketClient>> clients;
    std::vector<SocketClient*> all;
    for (int i = 0; i < 20; ++i) {
        clients.push_back(std::make_unique<SocketClient>("127.0.0.1", f.server.port()));
        all.push_back(clients.back().get());
        all.back()->send(simple_get("/"));
    }
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const int lowest = ::dup(0);
    REQUIRE(lowest >= 0);
    ::close(lowest);
    rlimit low = before;
    low.rlim_cur = static_cast<rlim_t>(lowest) + 3;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &low) == 0);
    for (int i = 0; i < 10; ++i) {
        f.server.tick(1s);
    }
    const auto starved = f.server.stats();
    for (int i = 0; i < 200; ++i) { // in no time at all
        const auto report = f.server.tick(1s);
        if (report.more || report.bytes_in != 0) {
            FAIL_CHECK("it spins");
        }
    }
    const auto later = f.server.stats();
    porthole::testing::pass_time(f.server, clock, 1s);
    const auto much_later = f.server.stats();
    ::setrlimit(RLIMIT_NOFILE, &before);
    CHECK(starved.connections == 3);
    CHECK(starved.accept_backoffs == 1);
    CHECK(later.accept_backoffs == 1);
    CHECK(much_later.accept_backoffs > 2);
    CHECK(much_later.accept_backoffs < 12);
    porthole::testing::pass_time(f.server, clock, 300ms);
    std::size_t answers = 0;
    porthole::testing::Answer answer;
    CHECK(pump_until(f.server, all, [&] {
        for (SocketClient* client : all) {
            answers += client->take_answer(answer) ? 1u : 0u;
        }
        return answers == 20;
    }));
}
#endif

TEST_CASE("transfer: at the cap a connection that never said a word makes room") {
    Options made = options();
    made.limits.max_connections = 1;
    Server server(made);
    server.get("/", [](const Request&, Response& response) { response.text("hello"); });
    REQUIRE_FALSE(server.listen("127.0.0.1", 0));
    SocketClient silent("127.0.0.1", server.port());
    REQUIRE(pump_until(server, {&silent}, [&] { return server.stats().connections == 1; }));
    SocketClient client("127.0.0.1", server.port());
    CHECK(ask(server, client, simple_get("/")).status == 200);
}
