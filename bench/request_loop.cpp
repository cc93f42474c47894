// SPDX-License-Identifier: MIT

// A fixed number of keep-alive GETs through a connection in memory: no kernel, no noise, the same
// instructions in each run. For instructions.sh (callgrind) and for perf.
//
// Run:  request_loop [--requests N] [--kind small|browser|route] [--guard on|off]
//       perf record ./request_loop --requests 5000000
// Read: the client's part, one write and one read of memory for each request, is included.

#include "options.hpp"

#define PORTHOLE_IMPLEMENTATION
#include <porthole.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <string>
#include <string_view>

namespace {

// What wrk sends.
constexpr std::string_view small_request = "GET / HTTP/1.1\r\nHost: localhost:8080\r\n\r\n";

// What a browser sends: the same sort of fields, in the same sort of length.
constexpr std::string_view browser_request =
    "GET / HTTP/1.1\r\nHost: localhost:8080\r\nConnection: keep-alive\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/120.0.0.0 Safari/537.36\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8\r\n"
    "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n"
    "Referer: http://localhost:8080/\r\nAccept-Encoding: gzip, deflate, br\r\n"
    "Accept-Language: en-US,en;q=0.9\r\nCookie: theme=dark; session=0123456789abcdef\r\n\r\n";

// A parameter and a query.
constexpr std::string_view route_request =
    "GET /users/4711/items?page=3&sort=name HTTP/1.1\r\nHost: localhost:8080\r\n\r\n";

void add_routes(porthole::Server& server) {
    server.get("/", [](const porthole::Request&, porthole::Response& response) {
        response.text("Hello from Porthole\n");
    });
    server.get(
        "/users/:id/items", [](const porthole::Request& request, porthole::Response& response) {
            response.header("X-Page", request.query("page").value_or("1"));
            response.text(request.param("id"));
        });
}

} // namespace

int main(int argc, char** argv) {
    const auto requests = bench::number_option<std::uint64_t>(argc, argv, "--requests", 100'000);
    const std::string_view kind = bench::text_option(argc, argv, "--kind", "small");
    const std::string_view bytes = kind == "browser" ? browser_request
                                   : kind == "route" ? route_request
                                                     : small_request;
    porthole::Options options;
    options.limits.max_requests_per_connection = (std::numeric_limits<std::size_t>::max)();
    if (bench::text_option(argc, argv, "--guard", "on") == "off") {
        options.guard.checks_host = false;
        options.guard.checks_fetch_metadata = false;
        options.guard.checks_origin = false;
        options.guard.adds_security_fields = false;
    }
    porthole::Server server(options);
    add_routes(server);
    auto pair = porthole::MemoryTransport::make_pair();
    if (auto error = server.adopt(std::move(pair.server), "memory")) {
        std::fprintf(stderr, "%s\n", error.message().c_str());
        return 1;
    }
    static char answer[4096];
    std::uint64_t answered = 0;
    for (std::uint64_t i = 0; i < requests; ++i) {
        if (pair.client->write(&bytes, 1).bytes != bytes.size()) {
            break;
        }
        server.tick();
        const porthole::IoResult result = pair.client->read(answer, sizeof answer);
        answered += result.bytes > 12 && std::string_view(answer, 12) == "HTTP/1.1 200" ? 1U : 0U;
    }
    std::printf("%llu requests answered\n", static_cast<unsigned long long>(answered));
    return answered == requests ? 0 : 1;
}
