// SPDX-License-Identifier: MIT

// How many programs run at a time, who waits, and that nothing is left when all have gone.

#include "support/cgi_fixture.hpp"

#include <algorithm>
#include <memory>
#include <string>

#if defined(__linux__)
#include <unistd.h>
#endif

using namespace porthole;
using porthole_test::CgiFixture;
using porthole_test::SocketClient;
using porthole_test::with_type;

#if defined(__linux__)

namespace {

/// Nothing of these systems' own: the descriptors of this process, and its children, zombies too.
std::vector<std::string> listed(const char* directory) {
    std::vector<std::string> names;
    std::error_code code;
    for (std::filesystem::directory_iterator at(directory, code), end; !code && at != end;
         at.increment(code)) {
        names.push_back(at->path().filename().string());
    }
    return names;
}

std::size_t descriptors() {
    return listed("/proc/self/fd").size();
}

int children() {
    int count = 0;
    for (const std::string& name : listed("/proc")) {
        std::ifstream stat("/proc/" + name + "/stat");
        std::string text;
        std::getline(stat, text);
        const std::size_t end = text.rfind(')');
        if (end != std::string::npos && end + 4 < text.size()) {
            count += std::atoi(text.c_str() + end + 4) == static_cast<int>(::getpid()) ? 1 : 0;
        }
    }
    return count;
}

} // namespace

#endif

TEST_CASE("cgi gate: so many run, so many wait, and the next one is 503") {
    CgiFixture f;
    // Each ends when its client says so, by the end of its upload.
    f.script("wait.run", {"print", with_type(""), "count", "print", "done"});
    f.mount(CgiOptions{}.max_programs(2).max_waiting(3));
    std::vector<std::unique_ptr<SocketClient>> clients;
    std::vector<SocketClient*> all;
    for (int i = 0; i < 5; ++i) {
        clients.push_back(std::make_unique<SocketClient>("127.0.0.1", f.server.port()));
        all.push_back(clients.back().get());
        clients.back()->send(
            "POST /cgi-bin/wait.run HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n12");
        CHECK(porthole_test::pump_until(f.server, all, [&] {
            return f.server.stats().requests == static_cast<std::uint64_t>(i) + 1;
        }));
    }
    const auto refused = f.get("/cgi-bin/wait.run");
    CHECK(refused.status == 503);
    CHECK(refused.header("Retry-After") == "1");
    const auto refused_upload = f.request("POST", "/cgi-bin/wait.run", {}, "1234");
    CHECK(refused_upload.status == 503);
    for (auto& client : clients) {
        client->send("34");
    }
    int answers = 0;
    CHECK(porthole_test::pump_until(f.server, all, [&] {
        for (auto& client : clients) {
            testing::Answer answer;
            if (client->take_answer(answer)) {
                CHECK(answer.body == "4\ndone");
                ++answers;
            }
        }
        return answers == 5;
    }));
    CHECK(f.get("/cgi-bin/wait.run").status == 200);
}

TEST_CASE("cgi gate: an upload that is being spooled has a place in the queue") {
    CgiFixture f;
    f.script("count.run", {"print", with_type(""), "count"});
    f.mount(CgiOptions{}.max_programs(1).max_waiting(1));
    const std::string begin = "POST /cgi-bin/count.run HTTP/1.1\r\nHost: localhost\r\n"
                              "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    auto gone = std::make_unique<SocketClient>("127.0.0.1", f.server.port());
    SocketClient slow("127.0.0.1", f.server.port());
    gone->send(begin);
    slow.send(begin);
    CHECK(porthole_test::pump_until(
        f.server, {gone.get(), &slow}, [&] { return f.server.stats().requests == 2; }));
    CHECK(f.get("/cgi-bin/count.run").status == 503);
    gone.reset();
    CHECK(f.until([&] { return f.server.stats().connections == 1; }));
    CHECK(f.get("/cgi-bin/count.run").status == 200);
    slow.send("0\r\n\r\n");
    testing::Answer answer;
    CHECK(porthole_test::pump_until(f.server, {&slow}, [&] { return slow.take_answer(answer); }));
    CHECK(answer.body == "3\n");
}

TEST_CASE("cgi gate: who waits for too long gets 503, and who leaves is not started") {
    ManualClock clock;
    CgiFixture f(porthole_test::options(clock));
    // The first one is never quiet: what it prints is not read.
    f.script("busy.run", {"error", "started\\n", "print", with_type("x"), "write", "90000000"});
    f.mount(CgiOptions{}.max_programs(1).timeout(std::chrono::seconds(4)));
    SocketClient first("127.0.0.1", f.server.port());
    first.is_reading = false;
    first.send(porthole_test::simple_get("/cgi-bin/busy.run"));
    CHECK(f.until(clock, {&first}, [&] { return f.has_logged("busy.run: started"); }));
    f.lines.clear();
    SocketClient second("127.0.0.1", f.server.port());
    second.send(porthole_test::simple_get("/cgi-bin/busy.run"));
    auto third = std::make_unique<SocketClient>("127.0.0.1", f.server.port());
    third->send(porthole_test::simple_get("/cgi-bin/busy.run"));
    CHECK(f.until(clock, {&second, third.get()}, [&] { return f.server.stats().requests == 3; }));
    third.reset();
    testing::Answer answer;
    CHECK(f.until(clock, {&second}, [&] {
        clock.advance(std::chrono::milliseconds(20));
        return second.take_answer(answer);
    }));
    CHECK(answer.status == 503);
    CHECK(f.has_logged("it has not had its turn"));
    first.close();
    CHECK(f.until(clock, {}, [&] { return f.server.stats().connections <= 1; }));
    for (int i = 0; i < 100; ++i) {
        clock.advance(std::chrono::milliseconds(20));
        f.server.tick();
    }
    CHECK_FALSE(f.has_logged("busy.run: started"));
}

#if defined(__linux__)

TEST_CASE("cgi gate: fifty slow programs, clients that leave, and nothing is left behind") {
    const int children_before = children();
    const std::size_t before = descriptors();
    std::size_t most = 0;
    {
        CgiFixture f;
        f.shell(
            "slow", "cat >/dev/null\nsleep 1000 & sleep 1000 &\n"
                    "printf 'Content-Type: text/plain\\n\\nbegin'\nwait");
        f.mount(CgiOptions{}.max_programs(4).max_waiting(100));
        std::vector<std::unique_ptr<SocketClient>> clients;
        unsigned random = 12345;
        for (int i = 0; i < 50; ++i) {
            clients.push_back(std::make_unique<SocketClient>("127.0.0.1", f.server.port()));
            const bool is_upload = i % 3 == 0;
            clients.back()->send(
                is_upload ? testing::write_request("POST", "/cgi-bin/slow", {}, "some bytes")
                          : porthole_test::simple_get("/cgi-bin/slow"));
        }
        std::size_t left = clients.size();
        CHECK(f.until([&] {
            random = random * 1103515245u + 12345u;
            const std::size_t who = (random >> 16) % clients.size();
            for (auto& client : clients) {
                if (client) {
                    client->pump();
                }
            }
            if (clients[who] && ((random >> 8) % 4 == 0 || !clients[who]->received.empty())) {
                clients[who].reset();
                --left;
            }
            most = (std::max)(most, static_cast<std::size_t>(children() - children_before));
            return left == 0;
        }));
        CHECK(f.until([&] { return children() == children_before; }));
        CHECK(f.until([&] { return f.server.stats().connections == 0; }));
    }
    CHECK(most <= 4);
    CHECK(most >= 1);
    CHECK(descriptors() == before);
    CHECK(children() == children_before);
}

TEST_CASE("cgi gate: a server that goes takes its programs along") {
    const int children_before = children();
    const std::size_t before = descriptors();
    {
        CgiFixture f;
        f.shell("slow", "sleep 1000 &\nwait");
        f.mount();
        SocketClient client("127.0.0.1", f.server.port());
        client.send(porthole_test::simple_get("/cgi-bin/slow"));
        CHECK(porthole_test::pump_until(
            f.server, {&client}, [&] { return children() > children_before; }));
    }
    CHECK(children() == children_before);
    CHECK(descriptors() == before);
}

TEST_CASE("cgi gate: a mount that goes takes its programs along, and its answers break off") {
    const int children_before = children();
    CgiFixture f;
    f.script("some.run", {"print", with_type("some"), "hang"});
    f.mount();
    SocketClient client("127.0.0.1", f.server.port());
    client.send(porthole_test::simple_get("/cgi-bin/some.run"));
    CHECK(porthole_test::pump_until(
        f.server, {&client}, [&] { return client.received.find("some") != std::string::npos; }));
    CHECK(f.server.unmount("/cgi-bin"));
    CHECK(children() == children_before);
    client.close();
    CHECK(f.until([&] { return f.server.stats().connections == 0; }));
}

TEST_CASE("cgi gate: a mount that goes answers those that have no answer yet: 503") {
    const int children_before = children();
    CgiFixture f;
    f.script("hang.run", {"hang"});
    f.mount(CgiOptions().max_programs(1));
    SocketClient first("127.0.0.1", f.server.port());
    first.send(porthole_test::simple_get("/cgi-bin/hang.run"));
    CHECK(porthole_test::pump_until(
        f.server, {&first}, [&] { return children() > children_before; }));
    SocketClient second("127.0.0.1", f.server.port());
    second.send(
        "POST /cgi-bin/hang.run HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nbegin");
    CHECK(porthole_test::pump_until(
        f.server, {&first, &second}, [&] { return f.server.stats().requests == 2; }));
    CHECK(f.server.unmount("/cgi-bin"));
    for (SocketClient* client : {&first, &second}) {
        testing::Answer answer;
        CHECK(porthole_test::pump_until(
            f.server, {&first, &second}, [&] { return client->take_answer(answer); }));
        CHECK(answer.status == 503);
    }
    CHECK(children() == children_before);
}

TEST_CASE("cgi gate: without a descriptor for its pipes a program is 503, and all are closed") {
    CgiFixture f;
    f.script("hello.run", {"print", with_type("hello")});
    f.mount();
    SocketClient client("127.0.0.1", f.server.port());
    CHECK(
        porthole_test::ask(f.server, client, porthole_test::simple_get("/cgi-bin/hello.run")).status
        == 200);
    CHECK(f.until([] { return children() == 0; })); // it still had descriptors
    std::vector<detail::File> hog;
    for (;;) {
        detail::File file;
        detail::FileInfo info;
        if (detail::open_path("/dev/../", file, info) != detail::OpenResult::ok) {
            break;
        }
        hog.push_back(std::move(file));
        REQUIRE(hog.size() < 2'000'000);
    }
    // Two pipes and the directory: five. The handle that tells of the end can be done without.
    // Nothing is checked meanwhile: the sanitizers need descriptors for their own questions.
    std::vector<int> statuses;
    bool is_quiet = true;
    for (const std::size_t free : {1u, 2u, 3u, 4u, 5u}) {
        for (std::size_t i = 0; i < free; ++i) {
            hog.pop_back();
        }
        statuses.push_back(
            porthole_test::ask(f.server, client, porthole_test::simple_get("/cgi-bin/hello.run"))
                .status);
        is_quiet = is_quiet && f.until([] { return children() == 0; });
        for (std::size_t i = 0; i < free; ++i) {
            detail::File file;
            detail::FileInfo info;
            is_quiet =
                is_quiet && detail::open_path("/dev/../", file, info) == detail::OpenResult::ok;
            hog.push_back(std::move(file));
        }
    }
    hog.clear();
    CHECK(statuses == std::vector<int>{503, 503, 503, 503, 200});
    CHECK(is_quiet);
    CHECK(
        porthole_test::ask(f.server, client, porthole_test::simple_get("/cgi-bin/hello.run")).status
        == 200);
}

#endif
