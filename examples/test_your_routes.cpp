// SPDX-License-Identifier: MIT

// Unit tests for a program's own routes: no socket, no port, no sleep. testing::Client talks to the
// server in memory, in the same thread; a ManualClock makes ten seconds pass in no time. Works the
// same inside doctest, Catch2 or GoogleTest: use their CHECK instead of the one below.
//
//     g++ -std=c++17 -Isingle_include examples/test_your_routes.cpp
//     ./a.out && echo passed

#define PORTHOLE_IMPLEMENTATION // in exactly one source file of the program
#include <porthole.hpp>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

// ---- the program: a score board, whose routes are added by a function that tests can call too
// ----

struct ScoreBoard {
    std::vector<std::pair<std::string, int>> scores;
    std::vector<porthole::Reply> waiting; // for the end of the round
};

void add_routes(porthole::Server& server, ScoreBoard& board) {
    server.get(
        "/scores/:name", [&board](const porthole::Request& request, porthole::Response& response) {
            for (const auto& [name, score] : board.scores) {
                if (name == request.param("name")) {
                    response.json("{\"score\":" + std::to_string(score) + "}");
                    return;
                }
            }
            response.status(404).text("No such player\n");
        });
    server.post(
        "/scores", [&board](const porthole::Request& request, porthole::Response& response) {
            const std::string_view name = request.form("name").value_or("");
            const auto score = porthole::parse_number<int>(request.form("score").value_or(""));
            if (name.empty() || !score) {
                response.status(400).text("name and score are needed\n");
                return;
            }
            board.scores.emplace_back(name, *score);
            response.status(201).header("Location", "/scores/" + std::string(name));
        });
    server.get("/winner", [&board](const porthole::Request&, porthole::Response& response) {
        board.waiting.push_back(response.defer()); // answered by end_round()
    });
}

void end_round(ScoreBoard& board) {
    const std::pair<std::string, int>* best = nullptr;
    for (const auto& entry : board.scores) {
        best = best == nullptr || entry.second > best->second ? &entry : best;
    }
    for (porthole::Reply& reply : board.waiting) {
        reply.text(best == nullptr ? "nobody" : best->first);
    }
    board.waiting.clear();
}

// ---- the tests ----

int failures = 0;

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            std::fprintf(stderr, "%s:%d: CHECK(%s) failed\n", __FILE__, __LINE__, #condition);     \
            ++failures;                                                                            \
        }                                                                                          \
    } while (false)

void test_adding_and_reading_a_score() {
    ScoreBoard board;
    porthole::Server server; // never listens
    add_routes(server, board);
    porthole::testing::Client client(server);

    CHECK(client.get("/scores/ada").status == 404);

    const auto form = "application/x-www-form-urlencoded";
    const auto added = client.post("/scores", form, "name=ada&score=7");
    CHECK(added.status == 201);
    CHECK(added.header("Location") == "/scores/ada");

    const auto answer = client.get("/scores/ada");
    CHECK(answer.status == 200);
    CHECK(answer.header("content-type") == "application/json"); // names compare in any case
    CHECK(answer.body == R"({"score":7})");

    CHECK(client.post("/scores", form, "name=bob&score=7x").status == 400);
    CHECK(board.scores.size() == 1);
}

void test_what_comes_by_itself() {
    ScoreBoard board;
    porthole::Server server;
    add_routes(server, board);
    porthole::testing::Client client(server);

    const auto answer = client.request("DELETE", "/scores");
    CHECK(answer.status == 405);
    CHECK(answer.header("Allow").find("POST") != std::string_view::npos);
    CHECK(client.get("/no/such/page").status == 404);
}

void test_an_answer_that_comes_later() {
    ScoreBoard board;
    board.scores = {{"ada", 7}, {"bob", 9}};
    porthole::Server server;
    add_routes(server, board);
    porthole::testing::Client client(server);

    // get() would wait for the answer; this one needs something to happen in between.
    client.send("GET /winner HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client.tick();
    CHECK(board.waiting.size() == 1);
    CHECK(client.received().empty());

    end_round(board);
    CHECK(client.read_answer().body == "bob");
}

void test_a_client_that_stops_in_the_middle() {
    porthole::ManualClock clock;
    porthole::Options options;
    options.clock = &clock;
    ScoreBoard board;
    porthole::Server server(options);
    add_routes(server, board);
    porthole::testing::Client client(server);

    client.send("GET /scores/ada HTTP/1.1\r\nHost: loc");
    porthole::testing::pass_time(
        server, clock, options.limits.head_timeout - std::chrono::milliseconds(100));
    client.tick();
    CHECK(client.received().empty());

    porthole::testing::pass_time(server, clock, std::chrono::milliseconds(200));
    CHECK(client.read_answer().status == 408);
    CHECK(server.stats().timeouts == 1);
}

void test_a_large_upload() {
    ScoreBoard board;
    porthole::Server server;
    add_routes(server, board);
    porthole::testing::Client client(server);

    const std::size_t limit = static_cast<std::size_t>(server.options().limits.max_body_bytes);
    const std::string too_large(limit + 1, 'x');
    CHECK(client.post("/scores", "text/plain", too_large).status == 413);
}

} // namespace

int main() {
    test_adding_and_reading_a_score();
    test_what_comes_by_itself();
    test_an_answer_that_comes_later();
    test_a_client_that_stops_in_the_middle();
    test_a_large_upload();
    std::printf("%s\n", failures == 0 ? "all passed" : "FAILED");
    return failures == 0 ? 0 : 1;
}
