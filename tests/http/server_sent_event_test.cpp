// SPDX-License-Identifier: MIT

#include "support/test.hpp"

#include <string>
#include <string_view>

using namespace std::chrono_literals;
using porthole::ServerSentEvent;

namespace {

std::string written(const ServerSentEvent& event) {
    std::string out = "before\n\n"; // is appended to
    porthole::detail::append_event(out, event);
    return out.substr(8);
}

std::string data(std::string_view lines) {
    ServerSentEvent event;
    event.data = lines;
    return written(event);
}

std::string comment(std::string_view text) {
    std::string out;
    porthole::detail::append_event_comment(out, text);
    return out;
}

} // namespace

TEST_CASE("server-sent event: one line of data (WHATWG HTML section 9.2)") {
    CHECK(data("hello") == "data: hello\n\n");
    CHECK(data(" hello") == "data:  hello\n\n"); // one blank is the format's
    CHECK(data("a: b") == "data: a: b\n\n");
    CHECK(data("\xEF\xBB\xBF") == "data: \xEF\xBB\xBF\n\n");
    CHECK(data(std::string_view("a\0b", 3)) == std::string("data: a\0b\n\n", 11));
}

TEST_CASE("server-sent event: each line of the data is a line, whatever ends it") {
    CHECK(data("a\nb") == "data: a\ndata: b\n\n");
    CHECK(data("a\rb") == "data: a\ndata: b\n\n");
    CHECK(data("a\r\nb") == "data: a\ndata: b\n\n");
    CHECK(data("a\n\rb") == "data: a\ndata: \ndata: b\n\n");
    CHECK(data("a\n\nb") == "data: a\ndata: \ndata: b\n\n");
    CHECK(data("a\n") == "data: a\ndata: \n\n");
    CHECK(data("\n") == "data: \ndata: \n\n");
    CHECK(data("\r\n\r\n") == "data: \ndata: \ndata: \n\n");
    CHECK(data("") == "data: \n\n"); // else a browser dispatches nothing
}

TEST_CASE("server-sent event: all fields, and those that are empty left out") {
    ServerSentEvent event;
    event.data = "x";
    event.event = "frame";
    event.id = "7";
    event.retry = 1500ms;
    CHECK(written(event) == "retry: 1500\nid: 7\nevent: frame\ndata: x\n\n");
    event.retry = -5ms;
    event.event = {};
    CHECK(written(event) == "retry: 0\nid: 7\ndata: x\n\n");
    event = {};
    event.retry = 10s;
    CHECK(written(event) == "retry: 10000\n\n"); // is no event of its own
    event.event = "e";
    CHECK(written(event) == "retry: 10000\nevent: e\ndata: \n\n");
}

TEST_CASE("server-sent event: no value forges a field") {
    for (const std::string_view end :
         {std::string_view("\n"), std::string_view("\r"), std::string_view("\r\n"),
          std::string_view("\0", 1)}) {
        std::string forged = "good";
        forged.append(end).append("data: forged\n\ndata: more");
        ServerSentEvent event;
        event.data = "x";
        event.event = forged;
        event.id = forged;
        CHECK(written(event) == "id: good\nevent: good\ndata: x\n\n");
    }
    CHECK(data("x\n\nevent: forged") == "data: x\ndata: \ndata: event: forged\n\n");
    ServerSentEvent empty;
    empty.data = "x";
    empty.event = "\nforged";
    empty.id = "\nforged";
    CHECK(written(empty) == "id: \nevent: \ndata: x\n\n");
}

TEST_CASE("server-sent event: comments, of one line and of several") {
    CHECK(comment("ping") == ": ping\n\n");
    CHECK(comment("") == ": \n\n");
    CHECK(comment("a\ndata: forged\r\nb") == ": a\n: data: forged\n: b\n\n");
}
