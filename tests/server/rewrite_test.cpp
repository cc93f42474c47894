// SPDX-License-Identifier: MIT

// Answers that are those of another path, and errors that come late.

#include "support/options.hpp"

#include <string>
#include <vector>

using namespace porthole;

namespace {

/// Answers "/from?TARGET" as TARGET, in a later tick.
void add_rewriting(Server& server, std::vector<Reply>& waiting, std::string_view pattern) {
    server.get(pattern, [&](const Request& request, Response& response) {
        Reply reply = response.defer();
        waiting.push_back(reply);
        reply.rewrite(request.query_string());
    });
}

} // namespace

TEST_CASE("rewrite: the answer is the other path's, with its fields and hooks (RFC 3875 6.2.2)") {
    Server server(porthole_test::options());
    std::vector<Reply> waiting;
    add_rewriting(server, waiting, "/from");
    int hooks = 0;
    server.before([&](const Request&, Response&) {
        ++hooks;
        return Next::go_on;
    });
    server.get("/to/:name", [](const Request& request, Response& response) {
        response.header("X-Query", request.query_string());
        response.text(
            std::string(request.param("name")) + " " + std::string(request.target()) + " "
            + std::string(request.header("X-Own").value_or("-")));
    });
    testing::Client client(server);
    for (int i = 0; i < 2; ++i) { // the connection goes on behind it
        const auto answer = client.request("GET", "/from?/to/a%20b?c=d", {{"X-Own", "mine"}});
        CHECK(answer.status == 200);
        CHECK(answer.body == "a b /to/a%20b?c=d mine");
        CHECK(answer.header("X-Query") == "c=d");
    }
    CHECK(hooks == 4);
    const auto head = client.request("HEAD", "/from?/to/x");
    CHECK(head.status == 200);
    CHECK(head.body.empty());
    CHECK(head.header("Content-Length") == "9");
}

TEST_CASE("rewrite: eight in a row are followed, a ninth is 500") {
    Server server(porthole_test::options());
    server.get("/step/:left", [](const Request& request, Response& response) {
        const int left = request.param("left")[0] - '0';
        if (left == 0) {
            response.text("there");
            return;
        }
        response.defer().rewrite("/step/" + std::to_string(left - 1));
    });
    testing::Client client(server);
    CHECK(client.get("/step/8").body == "there");
    CHECK(client.get("/step/9").status == 500);
    CHECK(client.get("/step/1").body == "there");
}

TEST_CASE("rewrite: only a path of this server is a target") {
    Server server(porthole_test::options());
    server.get("/from", [](const Request& request, Response& response) {
        response.defer().rewrite(request.header("X-To").value_or(""));
    });
    for (const std::string_view target :
         {"", "to", "*", "http://other.example/", "/a b", "/%zz", "/../..", "/a#b"}) {
        CAPTURE(target);
        testing::Client client(server);
        CHECK(client.request("GET", "/from", {{"X-To", target}}).status == 500);
    }
    testing::Client client(server);
    CHECK(client.request("GET", "/from", {{"X-To", "/" + std::string(20'000, 'x')}}).status != 200);
    testing::Client other(server);
    CHECK(other.request("GET", "/from", {{"X-To", "//nowhere"}}).status == 404);
}

TEST_CASE("rewrite: the rest of an upload is nobody's, and the access log has what was asked") {
    std::vector<std::string> log;
    Options options = porthole_test::options();
    options.access_log = [&](const AccessRecord& record) {
        log.push_back(std::string(record.method) + " " + std::string(record.target));
    };
    Server server(options);
    bool was_aborted = false;
    server.post_stream("/from", [&](const Request&) {
        BodySink sink;
        BodyFlow flow = sink.flow();
        sink.on_data([flow](std::string_view) mutable { flow.defer().rewrite("/to"); });
        sink.on_abort([&] { was_aborted = true; });
        return sink;
    });
    server.get("/to", [](const Request& request, Response& response) {
        CHECK(request.body().empty());
        CHECK_FALSE(request.header("Content-Length").has_value());
        response.text("there");
    });
    testing::Client client(server);
    client.send("POST /from?x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nfirst");
    const auto answer = client.read_answer();
    CHECK(answer.body == "there");
    CHECK(answer.header("Connection") == "close");
    CHECK(was_aborted);
    client.tick();
    REQUIRE(log.size() == 1);
    CHECK(log[0] == "POST /from?x");
}

TEST_CASE("reply: fail() answers late in the library's own form, or with the user's page") {
    Server server(porthole_test::options());
    server.get(
        "/", [](const Request&, Response& response) { response.defer().fail(503, "Not now."); });
    testing::Client client(server);
    auto answer = client.get("/");
    CHECK(answer.status == 503);
    CHECK(answer.body == "503 Service Unavailable\nNot now.\n");
    server.on_error([](const Request&, Response& response) { response.text("page"); });
    answer = client.get("/");
    CHECK(answer.status == 503);
    CHECK(answer.body == "page");
}
