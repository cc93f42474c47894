// SPDX-License-Identifier: MIT

// Pages of other origins that may come in (Guard::allowed_origins), and those that may not.

#include "support/options.hpp"

#include <string_view>
#include <utility>
#include <vector>

using porthole::Options;
using porthole::Request;
using porthole::Response;
using porthole::Server;
using porthole::testing::Answer;
using porthole::testing::Client;
using porthole::testing::FieldList;

namespace {

constexpr std::string_view dev_server = "http://localhost:5173";

Options allowing(std::vector<std::string> origins) {
    Options options = porthole_test::options();
    options.guard.allowed_origins = std::move(origins);
    return options;
}

Answer ask(Options options, std::string_view method, const FieldList& fields) {
    Server server(std::move(options));
    server.get("/", [](const Request&, Response& response) { response.text("in"); });
    server.put("/", [](const Request&, Response& response) {
        response.header("Vary", "Accept").text("in");
    });
    Client client(server);
    return client.request(method, "/", fields);
}

int count(const Answer& answer, std::string_view name) {
    int found = 0;
    for (const auto& field : answer.fields) {
        found += porthole::ascii::equals_ignoring_case(field.first, name) ? 1 : 0;
    }
    return found;
}

void check_grants_nothing(const Answer& answer) {
    for (const auto& field : answer.fields) {
        CAPTURE(field.first);
        CHECK(field.first.rfind("Access-Control-", 0) == std::string::npos);
    }
}

} // namespace

TEST_CASE("guard_cors: an allowed origin may read the answer, and caches are told") {
    const Answer answer =
        ask(allowing({"http://a.test", std::string(dev_server)}), "GET",
            {{"Origin", dev_server}, {"Sec-Fetch-Site", "same-site"}});
    CHECK(answer.status == 200);
    CHECK(answer.header("Access-Control-Allow-Origin") == dev_server);
    CHECK(answer.header("Vary") == "Origin");
    CHECK_FALSE(answer.has_header("Access-Control-Allow-Credentials"));
}

TEST_CASE("guard_cors: a handler's own Vary stays beside Origin") {
    const Answer answer = ask(allowing({std::string(dev_server)}), "PUT", {{"Origin", dev_server}});
    CHECK(answer.status == 200);
    CHECK(count(answer, "Vary") == 2);
    CHECK(count(answer, "Access-Control-Allow-Origin") == 1);
}

TEST_CASE("guard_cors: an allowed origin reads errors, too") {
    Server server(allowing({std::string(dev_server)}));
    for (const std::string_view target : {"/lost", "/big"}) {
        Client client(server);
        const Answer answer = client.request(
            "POST", target, {{"Origin", dev_server}, {"Content-Length", "99999999"}});
        CHECK(answer.status >= 400);
        CHECK(answer.header("Access-Control-Allow-Origin") == dev_server);
    }
}

TEST_CASE("guard_cors: a 401 and the step behind a token can be read by an allowed origin") {
    Options options = allowing({std::string(dev_server)});
    options.guard.requires_token = true;
    const Answer refused = ask(options, "GET", {{"Origin", dev_server}});
    CHECK(refused.status == 401);
    CHECK(refused.header("Access-Control-Allow-Origin") == dev_server);
    const Answer foreign = ask(options, "GET", {{"Origin", "http://evil.test"}});
    CHECK(foreign.status == 403);
    check_grants_nothing(foreign);
}

TEST_CASE("guard_cors: a permitted preflight is 204 and grants what was asked for") {
    Options options = allowing({std::string(dev_server)});
    options.guard.requires_token = true; // a preflight cannot carry one
    const Answer answer =
        ask(options, "OPTIONS",
            {{"Origin", dev_server},
             {"Access-Control-Request-Method", "PUT"},
             {"Access-Control-Request-Headers", "authorization,x-a"}});
    CHECK(answer.status == 204);
    CHECK(answer.body.empty());
    CHECK(answer.header("Access-Control-Allow-Origin") == dev_server);
    CHECK(answer.header("Access-Control-Allow-Methods") == "PUT");
    CHECK(answer.header("Access-Control-Allow-Headers") == "authorization,x-a");
    CHECK(answer.header("Vary") == "Origin");
    CHECK_FALSE(answer.has_header("Content-Type"));
}

TEST_CASE("guard_cors: a preflight that asks for no fields is granted none") {
    const Answer answer =
        ask(allowing({std::string(dev_server)}), "OPTIONS",
            {{"Origin", dev_server}, {"Access-Control-Request-Method", "PUT"}});
    CHECK(answer.status == 204);
    CHECK_FALSE(answer.has_header("Access-Control-Allow-Headers"));
}

TEST_CASE("guard_cors: OPTIONS of an allowed origin that is no preflight goes to the routes") {
    const Answer answer =
        ask(allowing({std::string(dev_server)}), "OPTIONS", {{"Origin", dev_server}});
    CHECK(answer.status == 204);
    CHECK(answer.header("Allow").find("GET") != std::string_view::npos);
    CHECK_FALSE(answer.has_header("Access-Control-Allow-Methods"));
}

TEST_CASE("guard_cors: a foreign preflight is 403 and grants nothing") {
    for (const std::string_view origin :
         {"http://evil.test", "null", "*", "", "http://localhost:51730", "http://localhost:517",
          "http://localhost:5173/", "HTTP://localhost:5173", "https://localhost:5173",
          "http://localhost:5173.evil.test", "http://127.0.0.1:5173"}) {
        CAPTURE(origin);
        const FieldList fields = {
            {"Origin", origin},
            {"Access-Control-Request-Method", "PUT"},
            {"Access-Control-Request-Headers", "x-a"}};
        const Answer answer = ask(allowing({std::string(dev_server)}), "OPTIONS", fields);
        CHECK(answer.status == 403);
        check_grants_nothing(answer);
    }
}

TEST_CASE("guard_cors: null, the wildcard and the empty origin cannot be allowed") {
    for (const std::string_view origin : {"null", "*", ""}) {
        CAPTURE(origin);
        const Answer answer = ask(allowing({"null", "*", ""}), "GET", {{"Origin", origin}});
        CHECK(answer.status == 403);
        check_grants_nothing(answer);
    }
}

TEST_CASE("guard_cors: two Origins are refused, even allowed ones") {
    const Answer answer =
        ask(allowing({std::string(dev_server)}), "GET",
            {{"Origin", dev_server}, {"Origin", dev_server}});
    CHECK(answer.status == 403);
    check_grants_nothing(answer);
}

TEST_CASE("guard_cors: who sends no Origin is granted nothing") {
    const Answer answer = ask(allowing({std::string(dev_server)}), "GET", {});
    CHECK(answer.status == 200);
    check_grants_nothing(answer);
}

TEST_CASE("guard_cors: an allowed origin does not open the Host check") {
    const Answer answer =
        ask(allowing({"http://evil.test"}), "GET",
            {{"Host", "evil.test"}, {"Origin", "http://evil.test"}});
    CHECK(answer.status == 403);
    check_grants_nothing(answer);
}

TEST_CASE("guard_cors: an allowed origin may open a WebSocket") {
    Server server(allowing({std::string(dev_server)}));
    int handled = 0;
    server.get("/ws", [&](const Request&, Response& response) {
        ++handled;
        response.text("would be 101");
    });
    Client client(server);
    CHECK(client.get("/ws", {{"Origin", dev_server}, {"Upgrade", "websocket"}}).status == 200);
    CHECK(handled == 1);
}
