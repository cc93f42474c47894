// SPDX-License-Identifier: MIT

// One server per thread, all on one port. A server belongs to one thread and has no locks, so more
// cores means more servers: ListenOptions::reuse_port lets them share a port, and Linux spreads the
// connections over them. Worth it for a program whose only job is to serve; a game needs one.
//
//     g++ -std=c++17 -pthread -Isingle_include examples/multicore.cpp
//     ./a.out [port] [threads]
//     for i in 1 2 3 4 5 6; do curl localhost:8080/; done

#define PORTHOLE_IMPLEMENTATION // in exactly one source file of the program
#include <porthole.hpp>

#include <cstdio>

#if !defined(__linux__)

int main() {
    // macOS and the BSDs accept SO_REUSEPORT but give all connections to one of the sockets;
    // Windows has nothing like it.
    std::puts("multicore needs Linux, where SO_REUSEPORT spreads connections over its listeners.");
    return 0;
}

#else

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

volatile std::sig_atomic_t stop_requested = 0;

void request_stop(int) {
    stop_requested = 1;
}

// What the servers share is used from several threads and protects itself. What only one server's
// handlers touch needs nothing.
std::atomic<std::uint64_t> total_requests{0};

void add_routes(porthole::Server& server, unsigned number) {
    std::uint64_t own_requests = 0;
    server.get(
        "/",
        [number, own_requests](const porthole::Request&, porthole::Response& response) mutable {
            const std::uint64_t total = total_requests.fetch_add(1, std::memory_order_relaxed) + 1;
            ++own_requests;
            response.text(
                "Server " + std::to_string(number) + " has answered " + std::to_string(own_requests)
                + " of " + std::to_string(total) + " requests\n");
        });
}

} // namespace

int main(int argc, char** argv) {
    constexpr unsigned max_servers = 256;
    const auto wanted_port = porthole::parse_number<std::uint16_t>(argc > 1 ? argv[1] : "8080");
    const auto wanted_count =
        argc > 2 ? porthole::parse_number<unsigned>(argv[2]) : std::thread::hardware_concurrency();
    if (!wanted_port || !wanted_count || *wanted_count > max_servers) {
        std::fprintf(stderr, "usage: multicore [port] [threads, up to %u]\n", max_servers);
        return 2;
    }
    std::uint16_t port = *wanted_port;
    const unsigned count = *wanted_count == 0 ? 1 : *wanted_count;
    std::signal(SIGINT, request_stop);
    std::signal(SIGTERM, request_stop);

    // All of them listen before the first one serves, so that a failure is reported in one place.
    porthole::ListenOptions options;
    options.reuse_port = true;
    std::vector<std::unique_ptr<porthole::Server>> servers;
    for (unsigned number = 0; number < count; ++number) {
        servers.push_back(std::make_unique<porthole::Server>());
        add_routes(*servers.back(), number);
        if (auto error = servers.back()->listen("localhost", port, options)) {
            std::fprintf(stderr, "%s\n", error.message().c_str());
            return 1;
        }
        port = servers.back()->port(); // port 0: the others join the one that the first got
    }
    for (const std::string& url : servers.front()->urls()) {
        std::printf("Listening on %s with %u servers - Ctrl-C ends it\n", url.c_str(), count);
    }
    std::fflush(stdout);

    std::vector<std::thread> threads;
    for (unsigned number = 1; number < count; ++number) {
        threads.emplace_back([&server = *servers[number]] { server.run(); });
    }
    while (stop_requested == 0) {
        servers.front()->wait(std::chrono::milliseconds(200));
    }
    for (const auto& server : servers) {
        server->stop(); // one of the two calls that any thread may make
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
}

#endif
