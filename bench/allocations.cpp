// SPDX-License-Identifier: MIT

// Counts what a keep-alive GET of a small answer allocates once the server has warmed up: calls of
// operator new, and on glibc of malloc, calloc and realloc too, in this whole process. The aim is
// none. Two runs: over a connection in memory, and over a real socket.
//
// Run:  allocations [--requests N]
// Read: allocations per request; the program fails when there is any.

#include "options.hpp"

#define PORTHOLE_IMPLEMENTATION
#include <porthole.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <new>
#include <string_view>
#include <utility>

namespace {

std::uint64_t new_calls = 0;
std::uint64_t malloc_calls = 0;

void* counted_new(std::size_t size) {
    ++new_calls;
    void* memory = std::malloc(size == 0 ? 1 : size);
    if (memory == nullptr) {
        std::abort();
    }
    return memory;
}

} // namespace

void* operator new(std::size_t size) {
    return counted_new(size);
}
void* operator new[](std::size_t size) {
    return counted_new(size);
}
void operator delete(void* memory) noexcept {
    std::free(memory);
}
void operator delete[](void* memory) noexcept {
    std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
    std::free(memory);
}

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* memory, std::size_t size);

void* malloc(std::size_t size) {
    ++malloc_calls;
    return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) {
    ++malloc_calls;
    return __libc_calloc(count, size);
}
void* realloc(void* memory, std::size_t size) {
    ++malloc_calls;
    return __libc_realloc(memory, size);
}
}
#endif

namespace {

constexpr std::string_view request_bytes = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
constexpr int warm_up_requests = 1000;

/// One request and its answer over either kind of connection. False when something failed.
bool exchange(porthole::Server& server, porthole::Transport& client) {
    if (client.write(&request_bytes, 1).bytes != request_bytes.size()) {
        return false;
    }
    char answer[4096];
    for (int ticks = 0; ticks < 10'000; ++ticks) {
        server.tick();
        const porthole::IoResult result = client.read(answer, sizeof answer);
        if (result.status == porthole::IoStatus::ok) {
            return std::string_view(answer, result.bytes).substr(0, 12) == "HTTP/1.1 200";
        }
        if (result.status != porthole::IoStatus::would_block) {
            return false;
        }
    }
    return false;
}

bool measure(
    const char* name, porthole::Server& server, porthole::Transport& client, int requests) {
    for (int i = 0; i < warm_up_requests; ++i) {
        if (!exchange(server, client)) {
            std::fprintf(stderr, "%s: no answer\n", name);
            return false;
        }
    }
    const std::uint64_t new_before = new_calls;
    const std::uint64_t malloc_before = malloc_calls;
    for (int i = 0; i < requests; ++i) {
        if (!exchange(server, client)) {
            std::fprintf(stderr, "%s: no answer\n", name);
            return false;
        }
    }
    const std::uint64_t news = new_calls - new_before;
    const std::uint64_t mallocs = malloc_calls - malloc_before;
    std::printf(
        "%s: %d requests, operator new %llu (%.3f each), malloc %llu (%.3f each)\n", name, requests,
        static_cast<unsigned long long>(news), static_cast<double>(news) / requests,
        static_cast<unsigned long long>(mallocs), static_cast<double>(mallocs) / requests);
    return news == 0 && mallocs == 0;
}

void set_up(porthole::Server& server) {
    server.get("/", [](const porthole::Request&, porthole::Response& response) {
        response.text("Hello from Porthole\n");
    });
}

porthole::Options bench_options() {
    porthole::Options options;
    options.limits.max_requests_per_connection = (std::numeric_limits<std::size_t>::max)();
    return options;
}

bool measure_memory(int requests) {
    porthole::Server server(bench_options());
    set_up(server);
    auto pair = porthole::MemoryTransport::make_pair();
    if (auto error = server.adopt(std::move(pair.server), "memory")) {
        std::fprintf(stderr, "%s\n", error.message().c_str());
        return false;
    }
    return measure("in memory", server, *pair.client, requests);
}

bool measure_socket(int requests) {
    porthole::Server server(bench_options());
    set_up(server);
    porthole::ListenOptions options;
    options.family = porthole::Family::ipv4;
    if (auto error = server.listen("127.0.0.1", 0, options)) {
        std::fprintf(stderr, "%s\n", error.message().c_str());
        return false;
    }
    // The library's own socket as the client: a loopback connection is made at once, and this
    // program stays free of system headers.
    porthole::detail::Socket socket;
    if (auto error = porthole::detail::Socket::open(porthole::Family::ipv4, socket)) {
        std::fprintf(stderr, "%s\n", error.message().c_str());
        return false;
    }
    if (auto error = socket.connect(server.endpoints().front())) {
        std::fprintf(stderr, "%s\n", error.message().c_str());
        return false;
    }
    socket.set_no_delay();
    for (int ticks = 0; ticks < 1000 && server.stats().connections == 0; ++ticks) {
        server.tick();
    }
    porthole::detail::SocketTransport client(std::move(socket));
    return measure("loopback ", server, client, requests);
}

} // namespace

int main(int argc, char** argv) {
    const int requests = bench::number_option(argc, argv, "--requests", 10'000);
    const bool memory_is_clean = measure_memory(requests);
    const bool socket_is_clean = measure_socket(requests);
    return memory_is_clean && socket_is_clean ? 0 : 1;
}
