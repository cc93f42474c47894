// SPDX-License-Identifier: MIT

// The guard's switches, lists and sentences. What it refuses by default is in the attack table;
// tokens are in guard_token_test.cpp, other origins in guard_cors_test.cpp.

#include "support/allocation_counter.hpp"
#include "support/options.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

using porthole::Guard;
using porthole::Options;
using porthole::Request;
using porthole::Response;
using porthole::Server;
using porthole::testing::Answer;
using porthole::testing::Client;
using porthole::testing::FieldList;

namespace {

Options with(Guard guard) {
    Options options = porthole_test::options();
    options.guard = std::move(guard);
    return options;
}

/// What GET / answers with these fields, with that guard.
Answer ask(const Guard& guard, const FieldList& fields, std::string_view method = "GET") {
    Server server(with(guard));
    server.route("GET", "/", [](const Request&, Response& response) { response.text("in"); });
    server.post("/", [](const Request&, Response& response) { response.text("in"); });
    Client client(server);
    return client.request(method, "/", fields);
}

int status_for_host(const Guard& guard, std::string_view host) {
    return ask(guard, {{"Host", host}}).status;
}

bool mentions(const Answer& answer, std::string_view words) {
    return answer.body.find(words) != std::string::npos;
}

} // namespace

TEST_CASE("guard: lets the own names in and refuses others, by default") {
    CHECK(status_for_host({}, "localhost:1") == 200);
    CHECK(status_for_host({}, "tool.test") == 403);
}

TEST_CASE("guard: a form on our own page may hide its origin, another's may not") {
    // With Referrer-Policy: no-referrer a browser sends Origin: null even to its own origin (WHATWG
    // Fetch, append a request Origin header); Sec-Fetch-Site is what no page can set.
    const porthole::Guard guard;
    CHECK(ask(guard, {{"Origin", "null"}, {"Sec-Fetch-Site", "same-origin"}}).status == 200);
    CHECK(ask(guard, {{"Origin", "null"}}).status == 403);
    for (const char* site : {"none", "same-site", "cross-site", "", "Same-Origin"}) {
        CAPTURE(site);
        CHECK(ask(guard, {{"Origin", "null"}, {"Sec-Fetch-Site", site}}).status == 403);
    }
    CHECK(
        ask(guard, {{"Origin", "null"},
                    {"Sec-Fetch-Site", "same-origin"},
                    {"Sec-Fetch-Site", "same-origin"}})
            .status
        == 403);
    CHECK(
        ask(guard, {{"Origin", "null"}, {"Origin", "null"}, {"Sec-Fetch-Site", "same-origin"}})
            .status
        == 403);
}

TEST_CASE("guard: allowed_hosts are exact names, in any case, with any port or a trailing dot") {
    Guard guard;
    guard.allowed_hosts = {"Tool.test", "10.0.0.7"};
    CHECK(status_for_host(guard, "tool.test") == 200);
    CHECK(status_for_host(guard, "TOOL.TEST:81") == 200);
    CHECK(status_for_host(guard, "tool.test.") == 200);
    CHECK(status_for_host(guard, "10.0.0.7:81") == 200);
    CHECK(status_for_host(guard, "10.0.0.8") == 403);
    CHECK(status_for_host(guard, "a.tool.test") == 403);
    CHECK(status_for_host(guard, "xtool.test") == 403);
    CHECK(status_for_host(guard, "tool.test.evil") == 403);
    CHECK(status_for_host(guard, "localhost") == 200);
}

TEST_CASE("guard: an entry with a dot in front is a name and all below it") {
    Guard guard;
    guard.allowed_hosts = {".tool.test"};
    CHECK(status_for_host(guard, "tool.test") == 200);
    CHECK(status_for_host(guard, "a.tool.test:81") == 200);
    CHECK(status_for_host(guard, "a.b.TOOL.test.") == 200);
    CHECK(status_for_host(guard, "xtool.test") == 403);
    CHECK(status_for_host(guard, "tool.test.evil") == 403);
}

TEST_CASE("guard: an empty entry in allowed_hosts, or a lone dot, allows nobody") {
    Guard guard;
    guard.allowed_hosts = {"", "."};
    CHECK(status_for_host(guard, ".") == 403);
    CHECK(status_for_host(guard, "evil.test..") == 403);
    CHECK(status_for_host(guard, "evil.test") == 403);
    CHECK(status_for_host(guard, "localhost") == 200);
}

TEST_CASE("guard: a name that passed once opens the door to no other") {
    Server server(porthole_test::options());
    server.get("/", [](const Request&, Response& response) { response.text("in"); });
    Client good(server);
    CHECK(good.get("/", {{"Host", "localhost:80"}}).status == 200);
    for (const std::string_view host : {"localhost:8", "localhost:80."}) {
        Client client(server);
        CHECK(client.get("/", {{"Host", host}}).status == (host == "localhost:8" ? 200 : 400));
    }
    Client bad(server);
    CHECK(bad.get("/", {{"Host", "evil.test:80"}}).status == 403); // of the same size
    CHECK(good.get("/", {{"Host", "localhost:80"}}).status == 200);
}

TEST_CASE("guard: checks_host off takes any valid name, and even none in HTTP/1.0") {
    Guard guard;
    guard.checks_host = false;
    CHECK(status_for_host(guard, "evil.test") == 200);
    CHECK(status_for_host(guard, "0.0.0.0") == 200);
    CHECK(status_for_host(guard, "a:b") == 400);
    Server server(with(guard));
    server.get("/", [](const Request&, Response& response) { response.text("in"); });
    Client client(server);
    client.send("GET / HTTP/1.0\r\n\r\n");
    CHECK(client.read_answer().status == 200);
    // The other rules stay.
    CHECK(ask(guard, {{"Host", "evil.test"}, {"Origin", "http://other.test"}}).status == 403);
    CHECK(ask(guard, {{"Host", "a.test"}, {"Origin", "http://a.test"}}, "POST").status == 200);
}

TEST_CASE("guard: an absolute target that contradicts Host is malformed (RFC 9112 3.2.2)") {
    const auto status = [](bool checks_host, std::string_view target) {
        Guard guard;
        guard.checks_host = checks_host;
        Server server(with(guard));
        server.get("/", [](const Request&, Response& response) { response.text("in"); });
        Client client(server);
        return client.get(target).status;
    };
    CHECK(status(true, "http://localhost/") == 200);
    CHECK(status(true, "http://LOCALHOST/") == 200);
    CHECK(status(true, "http://127.0.0.1/") == 400);
    CHECK(status(true, "http://evil.test/") == 403);
    CHECK(status(false, "http://evil.test/") == 400);
}

TEST_CASE("guard: checks_fetch_metadata off leaves the Origin to decide") {
    Guard guard;
    guard.checks_fetch_metadata = false;
    CHECK(ask(guard, {{"Sec-Fetch-Site", "cross-site"}}).status == 200);
    CHECK(ask(guard, {{"Sec-Fetch-Site", "a"}, {"Sec-Fetch-Site", "b"}}).status == 200);
    CHECK(ask(guard, {{"Origin", "http://evil.test"}}).status == 403);
    CHECK(ask({}, {{"Sec-Fetch-Site", "cross-site"}}).status == 403);
}

TEST_CASE("guard: checks_origin off leaves Fetch Metadata to decide, and grants no reading") {
    Guard guard;
    guard.checks_origin = false;
    const Answer answer = ask(guard, {{"Origin", "http://evil.test"}}, "POST");
    CHECK(answer.status == 200);
    CHECK_FALSE(answer.has_header("Access-Control-Allow-Origin"));
    CHECK(ask(guard, {{"Origin", "null"}}).status == 200);
    CHECK(ask(guard, {{"Sec-Fetch-Site", "cross-site"}}).status == 403);
    const Answer preflight =
        ask(guard, {{"Origin", "http://evil.test"}, {"Access-Control-Request-Method", "PUT"}},
            "OPTIONS");
    CHECK(preflight.status == 204); // the plain answer to OPTIONS
    CHECK_FALSE(preflight.has_header("Access-Control-Allow-Origin"));
    CHECK_FALSE(preflight.has_header("Access-Control-Allow-Methods"));
}

TEST_CASE("guard: an Origin is the own one in any case and without the default port") {
    const auto status = [](std::string_view host, std::string_view origin) {
        return ask({}, {{"Host", host}, {"Origin", origin}}, "POST").status;
    };
    CHECK(status("localhost", "http://localhost") == 200);
    CHECK(status("LOCALHOST", "HTTP://LocalHost") == 200);
    CHECK(status("localhost:80", "http://localhost") == 200);
    CHECK(status("localhost", "http://localhost:80") == 200);
    CHECK(status("localhost:8080", "http://localhost:8080") == 200);
    CHECK(status("[::1]", "http://[::1]:80") == 200);
    CHECK(status("[::1]:8080", "http://[::1]:8080") == 200);
    CHECK(status("localhost.", "http://localhost.") == 200);
    CHECK(status("localhost.", "http://localhost") == 403);
    CHECK(status("localhost:443", "http://localhost") == 403);
    CHECK(status("localhost:8080", "http://localhost:808") == 403);
    CHECK(status("localhost:8080", "http://localhost:80:80") == 403);
    CHECK(status("127.0.0.1", "http://localhost") == 403);
    CHECK(status("[::1]", "http://127.0.0.1") == 403);
}

TEST_CASE("guard: a refusal names the option that would allow it") {
    const Answer host = ask({}, {{"Host", "tool.test"}});
    CHECK(host.status == 403);
    CHECK(mentions(host, "Guard::allowed_hosts"));
    CHECK_FALSE(mentions(host, "tool.test"));
    const Answer site = ask({}, {{"Sec-Fetch-Site", "cross-site"}});
    CHECK(mentions(site, "Guard::allowed_origins"));
    CHECK(mentions(site, "Sec-Fetch-Site"));
    const Answer origin = ask({}, {{"Origin", "http://evil.test"}});
    CHECK(mentions(origin, "Guard::allowed_origins"));
    CHECK_FALSE(mentions(origin, "evil"));
    for (const Answer& answer : {host, site, origin}) {
        CHECK(answer.header("Content-Type") == "text/plain; charset=utf-8");
        CHECK(answer.header("Connection") == "close");
    }
}

TEST_CASE("guard: stands before routes, mounts, hooks, OPTIONS, 404 and 405") {
    Server server(porthole_test::options());
    int reached = 0;
    server.before([&](const Request&, Response&) {
        ++reached;
        return porthole::Next::go_on;
    });
    const auto handler = [&](const Request&, Response& response) {
        ++reached;
        response.text("in");
    };
    server.get("/", handler);
    const auto error = server.mount("/files", handler);
    CHECK_FALSE(error);
    server.host("tool.test").get("/", handler);
    for (const std::string_view method : {"GET", "HEAD", "POST", "OPTIONS", "BREW"}) {
        for (const std::string_view target : {"/", "/files/a", "/none"}) {
            CAPTURE(method);
            CAPTURE(target);
            Client client(server);
            CHECK(client.request(method, target, {{"Host", "tool.test"}}).status == 403);
        }
    }
    CHECK(reached == 0);
}

TEST_CASE("guard: the error page and the after hooks see a refusal and cannot keep it open") {
    Server server(porthole_test::options());
    int seen = 0;
    server.on_error([](const Request&, Response& response) { response.html("<p>no</p>"); });
    server.after([&](const Request&, Response& response) { seen = response.status(); });
    Client client(server);
    const Answer answer = client.get("/", {{"Host", "evil.test"}});
    CHECK(answer.status == 403);
    CHECK(answer.body == "<p>no</p>");
    CHECK(answer.header("Connection") == "close");
    CHECK(seen == 403);
    client.tick();
    CHECK(client.is_closed());
}

TEST_CASE("guard: every answer carries the security fields") {
    Server server(porthole_test::options());
    server.get("/", [](const Request&, Response& response) { response.text("in"); });
    server.get("/none", [](const Request&, Response& response) { response.no_content(); });
    const auto check = [&server](std::string_view bytes, int status) {
        CAPTURE(status);
        Client client(server);
        client.send(bytes);
        const Answer answer = client.read_answer();
        CHECK(answer.status == status);
        CHECK(answer.header("X-Content-Type-Options") == "nosniff");
        CHECK(answer.header("Cross-Origin-Resource-Policy") == "same-origin");
        CHECK(answer.header("Referrer-Policy") == "no-referrer");
        CHECK_FALSE(answer.has_header("Server"));
    };
    const std::string host = " HTTP/1.1\r\nHost: localhost\r\n";
    check("GET /" + host + "\r\n", 200);
    check("GET /none" + host + "\r\n", 204);
    check("GET /lost" + host + "\r\n", 404);
    check("POST /" + host + "\r\n", 405);
    check("OPTIONS /" + host + "\r\n", 204);
    check("GET /" + host + "Host: x\r\n\r\n", 400);
    check("POST /" + host + "Content-Length: 9999999\r\n\r\n", 413);
    check("BREW /lost" + host + "\r\n", 501);
    check("GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n", 403);
    check("\x16\x03\x01", 400);
}

TEST_CASE("guard: a handler's own security fields take the place of the server's") {
    Server server(porthole_test::options());
    server.get("/", [](const Request&, Response& response) {
        response.header("cross-origin-resource-policy", "cross-origin").text("in");
    });
    Client client(server);
    const Answer answer = client.get("/");
    int policies = 0;
    for (const auto& field : answer.fields) {
        policies +=
            porthole::ascii::equals_ignoring_case(field.first, "Cross-Origin-Resource-Policy") ? 1
                                                                                               : 0;
    }
    CHECK(policies == 1);
    CHECK(answer.header("Cross-Origin-Resource-Policy") == "cross-origin");
    CHECK(answer.header("X-Content-Type-Options") == "nosniff");
    CHECK(client.get("/lost").header("Cross-Origin-Resource-Policy") == "same-origin");
}

TEST_CASE("guard: adds_security_fields off adds none") {
    Guard guard;
    guard.adds_security_fields = false;
    const Answer answer = ask(guard, {});
    CHECK(answer.status == 200);
    CHECK_FALSE(answer.has_header("X-Content-Type-Options"));
    CHECK_FALSE(answer.has_header("Cross-Origin-Resource-Policy"));
    CHECK_FALSE(answer.has_header("Referrer-Policy"));
}

TEST_CASE("guard: judging allocates nothing") {
    if (!porthole_test::counts_allocations()) {
        return;
    }
    Guard guard;
    guard.allowed_hosts = {"tool.test", ".lan.test"};
    guard.allowed_origins = {"http://localhost:5173"};
    porthole::detail::Gatekeeper gatekeeper(guard);
    const std::string requests[] = {
        "GET / HTTP/1.1\r\nHost: localhost:8080\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.rather.long.name.lan.test:8080\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: [::1]:8080\r\nOrigin: http://[::1]:8080\r\n"
        "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\nContent-Length: 0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost:8080\r\nOrigin: http://localhost:5173\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost:8080\r\nSec-Fetch-Site: cross-site\r\n\r\n",
    };
    const porthole::Limits limits;
    porthole::detail::RequestParser parser(limits);
    porthole::detail::RequestParts parts;
    std::size_t last_round = 0;
    int passed = 0;
    for (int round = 0; round < 2; ++round) { // the first one fills what is reused
        const porthole_test::AllocationCounter counter;
        for (const std::string& bytes : requests) {
            parser.reset();
            static_cast<void>(parser.parse(bytes));
            static_cast<void>(parts.set_head(parser.head(), bytes.data()));
            const auto verdict = gatekeeper.judge(Request(parts), {});
            passed += verdict.kind == porthole::detail::GuardVerdict::Kind::pass ? 1 : 0;
        }
        last_round = counter.count();
    }
    CHECK(passed == 8);
    CHECK(last_round == 0);
}

TEST_CASE("guard: a request in steady state allocates no more with it than without") {
    if (!porthole_test::counts_allocations()) {
        return;
    }
    const auto allocations = [](bool is_on) {
        Guard guard;
        guard.checks_host = guard.checks_fetch_metadata = guard.checks_origin = is_on;
        Server server(with(guard));
        server.get("/", [](const Request&, Response& response) { response.text("in"); });
        auto pair = porthole::MemoryTransport::make_pair();
        const auto error = server.adopt(std::move(pair.server), "peer");
        CHECK_FALSE(error);
        constexpr std::string_view bytes =
            "GET / HTTP/1.1\r\nHost: localhost:8080\r\nSec-Fetch-Site: same-origin\r\n\r\n";
        char received[4096];
        std::size_t count = 0;
        for (int i = 0; i < 20; ++i) {
            pair.client->write(&bytes, 1);
            const porthole_test::AllocationCounter counter;
            server.tick(std::chrono::seconds(1));
            count = counter.count();
            CHECK(pair.client->read(received, sizeof received).bytes > 0);
        }
        return count;
    };
    CHECK(allocations(true) == 0);
    CHECK(allocations(false) == 0);
}
