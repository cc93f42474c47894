// SPDX-License-Identifier: MIT

// Where a streamed request's content goes, and in which pieces. How it ends early is in
// body_sink_end_test.cpp, answers that come before its end in body_sink_duplex_test.cpp.

#include "support/counting_transport.hpp"
#include "support/recording_sink.hpp"

#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using porthole::BodySink;
using porthole::Limits;
using porthole::Next;
using porthole::Request;
using porthole::Response;
using porthole::testing::Answer;
using porthole::testing::Client;
using porthole_test::chunked_post;
using porthole_test::get;
using porthole_test::Peer;
using porthole_test::post;
using porthole_test::post_head;
using porthole_test::SinkWorld;

namespace {

/// The answers to `bytes`, sent whole, which the server reads `step` bytes at a time.
std::vector<Answer> exchange(SinkWorld& world, const std::string& bytes, std::size_t step) {
    Peer peer(*world.server, 1024 * 1024, step);
    std::string_view rest = bytes;
    while (!rest.empty()) {
        rest.remove_prefix(peer.send(rest));
        peer.tick(2);
    }
    for (std::size_t i = 0; i < bytes.size() && i < 20'000; ++i) {
        peer.tick();
    }
    return peer.answers();
}

} // namespace

TEST_CASE("body sink: content arrives whole and in order, however it is cut") {
    const std::string content = "The quick brown fox jumps over the lazy dog.";
    const std::string_view view = content;
    const std::string forms[] = {
        post("/up", content),
        chunked_post("/up", {view}),
        chunked_post("/up", {view.substr(0, 1), view.substr(1, 20), view.substr(21)}),
    };
    for (const std::string& form : forms) {
        for (const std::size_t step : {std::size_t{1}, std::size_t{7}, std::size_t{100'000}}) {
            CAPTURE(form);
            CAPTURE(step);
            SinkWorld world;
            const auto answers = exchange(world, form + get("/"), step);
            REQUIRE(answers.size() == 2);
            CHECK(answers[0].body == "took 44");
            CHECK(answers[1].body == "hello"); // kept alive, and nothing of the request is left
            CHECK(world.record.data == content);
            CHECK(world.asked == 1);
            CHECK(world.record.ended == 1);
            CHECK(world.record.aborted == 0);
            CHECK(world.record.is_free());
        }
    }
}

TEST_CASE("body sink: split at each byte it is the same content") {
    const std::string bytes = chunked_post("/up", {"abc", "defgh"}, "X-Sum: 8\r\n") + get("/");
    for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
        CAPTURE(cut);
        SinkWorld world;
        Peer peer(*world.server);
        peer.send(std::string_view(bytes).substr(0, cut));
        peer.tick();
        peer.send(std::string_view(bytes).substr(cut));
        peer.tick();
        CHECK(peer.answers().size() == 2);
        CHECK(world.record.data == "abcdefgh");
        CHECK(world.record.ended == 1);
    }
}

TEST_CASE("body sink: on_end sees parameters, query, trailer and no body") {
    SinkWorld world;
    std::string seen;
    world.server->group("/files").put_stream("/:name", [&seen](const Request& request) {
        seen += request.param("name");
        return BodySink().on_end([&seen](const Request& end, Response& response) {
            seen.append(" ").append(end.param("name"));
            seen.append(" ").append(end.query("v").value_or("?"));
            seen.append(" ").append(end.trailer("X-Sum").value_or("?"));
            seen.append(" ").append(std::to_string(end.body().size()));
            response.text("done");
        });
    });
    std::string bytes = chunked_post("/files/a%20b?v=7", {"abc"}, "X-Sum: 3\r\n");
    bytes.replace(0, 4, "PUT");
    for (const std::size_t step : {std::size_t{1}, std::size_t{100'000}}) {
        seen.clear();
        const auto answers = exchange(world, bytes, step);
        REQUIRE(answers.size() == 1);
        CHECK(answers[0].body == "done");
        CHECK(seen == "a b a b 7 3 0");
    }
}

TEST_CASE("body sink: without functions the content is dropped and the answer 204") {
    SinkWorld world;
    world.server->patch_stream("/drop", [](const Request&) { return BodySink(); });
    Client client(*world.server);
    CHECK(client.request("PATCH", "/drop", {}, "abc").status == 204);
    CHECK(client.request("PATCH", "/drop").status == 204);
    CHECK(client.get("/").status == 200);
}

TEST_CASE("body sink: a field that a hook has set is no answer") {
    SinkWorld world;
    world.server->before([](const Request&, Response& response) {
        response.header("X-Hook", "1");
        return Next::go_on;
    });
    world.server->post_stream("/drop", [](const Request&) { return BodySink(); });
    Client client(*world.server);
    const Answer answer = client.request("POST", "/up", {}, "abc");
    CHECK(answer.body == "took 3");
    CHECK(answer.header("X-Hook") == "1");
    CHECK(world.record.data == "abc");
    CHECK(client.request("POST", "/drop", {}, "abc").status == 204);
}

TEST_CASE("body sink: a request without content is asked once and ends at once") {
    for (const std::string_view bytes :
         {std::string_view("POST /up HTTP/1.1\r\nHost: localhost\r\n\r\n"),
          std::string_view("POST /up HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"),
          std::string_view("POST /up HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: "
                           "chunked\r\n\r\n0\r\n\r\n"),
          std::string_view("POST /up HTTP/1.0\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")}) {
        CAPTURE(bytes);
        SinkWorld world;
        Peer peer(*world.server);
        peer.send(bytes);
        peer.tick();
        const auto answers = peer.answers();
        REQUIRE(answers.size() == 1);
        CHECK(answers[0].body == "took 0");
        CHECK(world.asked == 1);
        CHECK(world.record.pieces == 0);
        CHECK(world.record.ended == 1);
        CHECK(world.record.aborted == 0);
        CHECK(world.record.is_free());
    }
}

TEST_CASE("body sink: other methods are 405, and OPTIONS lists the route's") {
    SinkWorld world;
    Client client(*world.server);
    const Answer answer = client.get("/up");
    CHECK(answer.status == 405);
    CHECK(answer.header("Allow") == "POST, OPTIONS");
    CHECK(client.request("HEAD", "/up").status == 405);
    CHECK(client.request("OPTIONS", "/up").status == 204);
    CHECK(world.asked == 0);
    world.server->route_stream(
        "GET", "/got", [&world](const Request&) { return world.record.sink(); });
    CHECK(client.get("/got").body == "took 0");
    const Answer head = client.request("HEAD", "/got");
    CHECK(head.status == 200);
    CHECK(head.header("Content-Length") == "6");
    CHECK(client.request("GET", "/got", {}, "abc").body == "took 3");
}

TEST_CASE("body sink: hooks run once, before the route is asked; after hooks see the answer") {
    SinkWorld world;
    std::string order;
    world.server->before([&order](const Request&, Response&) {
        order += "root ";
        return Next::go_on;
    });
    auto group = world.server->group("/g");
    group.before([&order](const Request& request, Response&) {
        order += "group ";
        const bool stops = request.query("stop").has_value();
        return stops ? Next::stop : Next::go_on;
    });
    group.after([&order](const Request&, Response& response) {
        order += "after" + std::to_string(response.status()) + " ";
    });
    group.post_stream("/up", [&order](const Request&) {
        order += "asked ";
        return BodySink()
            .on_data([&order](std::string_view) { order += "data "; })
            .on_end([&order](const Request&, Response& response) {
                order += "end ";
                response.text("ok");
            });
    });
    Client client(*world.server);
    CHECK(client.request("POST", "/g/up", {}, "abc").body == "ok");
    CHECK(order == "root group asked data end after200 ");
    order.clear();
    CHECK(client.request("POST", "/g/up").body == "ok");
    CHECK(order == "root group asked end after200 ");
    order.clear();
    const Answer stopped = client.request("POST", "/g/up?stop", {}, "abc");
    CHECK(stopped.status == 403);
    CHECK(stopped.header("Connection") == "close"); // the content was not read
    CHECK(order == "root group after403 ");
}

TEST_CASE("body sink: the route's, the group's, the server's and the sink's own limit") {
    Limits limits;
    limits.max_streamed_body_bytes = 12;
    limits.max_body_bytes = 4; // is for content that is collected
    SinkWorld world(limits);
    auto group = world.server->group("/g");
    group.max_body_bytes(8);
    const auto sink = [&world](const Request& request) {
        ++world.asked;
        auto made = world.record.sink();
        return request.query("own") ? std::move(made).max_bytes(5) : std::move(made);
    };
    group.post_stream("/group", sink);
    group.post_stream("/route", sink).max_body_bytes(10);
    const std::pair<std::string_view, std::size_t> cases[] = {
        {"/up", 12}, {"/g/group", 8}, {"/g/route", 10}, {"/g/route?own", 5}};
    for (const auto& [path, limit] : cases) {
        for (std::size_t size = limit - 1; size <= limit + 1; ++size) {
            for (const bool is_chunked : {false, true}) {
                const std::string_view asked = path; // CAPTURE takes no structured binding
                CAPTURE(asked);
                CAPTURE(size);
                CAPTURE(is_chunked);
                world.record = {};
                world.asked = 0;
                const std::string content(size, 'x');
                const std::string bytes =
                    is_chunked ? chunked_post(path, {content}) : post(path, content);
                const auto answers = exchange(world, bytes, 100'000);
                REQUIRE(answers.size() == 1);
                const bool fits = size <= limit;
                CHECK(answers[0].status == (fits ? 200 : 413));
                CHECK(world.record.ended == (fits ? 1 : 0));
                CHECK(world.record.data.size() == (fits ? size : 0));
                CHECK(world.record.aborted == (fits ? 0 : world.asked));
                CHECK(world.record.is_free());
            }
        }
    }
    world.asked = 0;
    CHECK(exchange(world, post_head("/up", 13), 100'000).at(0).status == 413);
    CHECK(world.asked == 0); // refused before the route was asked
}

TEST_CASE("body sink: 200 MB cost no more memory than a piece, and the tick keeps its budget") {
    Limits limits;
    SinkWorld world(limits);
    std::uint64_t taken = 0;
    std::size_t largest = 0;
    world.server->post_stream("/count", [&](const Request&) {
        return BodySink()
            .on_data([&](std::string_view piece) {
                taken += piece.size();
                largest = piece.size() > largest ? piece.size() : largest;
            })
            .on_end(
                [&](const Request&, Response& response) { response.text(std::to_string(taken)); });
    });
    constexpr std::size_t size = 200'000'000;
    Client client(*world.server);
    client.send(post_head("/count", size));
    const std::string piece(128 * 1024, 'u');
    std::size_t sent = 0;
    for (int i = 0; i < 100'000 && sent < size; ++i) {
        const std::size_t left = size - sent;
        sent += client.send(std::string_view(piece).substr(0, left));
        client.tick();
    }
    CHECK(client.read_answer().body == "200000000");
    CHECK(largest <= limits.max_read_bytes_per_turn);
}

TEST_CASE("body sink: a read full of small chunks is cut where the budget ends") {
    SinkWorld world;
    std::string bytes =
        "POST /up HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    constexpr int chunks = 1000;
    for (int i = 0; i < chunks; ++i) {
        bytes += "1\r\nx\r\n";
    }
    bytes += "0\r\n\r\n";
    Peer peer(*world.server);
    peer.send(bytes);
    world.record.when_data = [&world] {
        world.clock.advance(100us);
    };
    int most = 0;
    for (int i = 0; i < chunks && world.record.ended == 0; ++i) {
        const int before = world.record.pieces;
        const auto report = world.server->tick(1ms);
        const int now = world.record.pieces - before;
        most = now > most ? now : most;
        CHECK((report.more || world.record.ended == 1));
    }
    CHECK(world.record.pieces == chunks);
    CHECK(world.record.ended == 1);
    CHECK(most <= 11); // 1 ms of them, and the one that noticed
    peer.take();
    CHECK(peer.answers().size() == 1);
}
