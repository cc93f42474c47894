// SPDX-License-Identifier: MIT

// When what comes from behind is an answer, and of which kind, whatever the pieces it comes in.

#include "support/cgi_task_double.hpp"

#include <memory>
#include <string>
#include <string_view>

using namespace porthole;
using porthole_test::QueueDouble;
using porthole_test::TaskDouble;
using State = porthole::detail::CgiAnswering::State;

namespace {

struct Answering {
    explicit Answering(bool is_head_wanted = false)
        : answer(Reply(), detail::CgiHeadParser::Options(), is_head_wanted) {}

    State say(std::string_view bytes, bool has_ended = false) {
        answer.incoming().append(bytes);
        return answer.look(has_ended, *task);
    }

    std::shared_ptr<TaskDouble> task =
        std::make_shared<TaskDouble>(std::make_shared<QueueDouble>(), "a");
    detail::CgiAnswering answer;
};

} // namespace

TEST_CASE("cgi answer: a head is complete with its empty line, in whatever pieces it comes") {
    const std::string_view bytes = "Content-Type: text/plain\n\nbody";
    const std::size_t end = bytes.find("\n\n") + 2;
    for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
        CAPTURE(cut);
        Answering it;
        CHECK(it.say(bytes.substr(0, cut)) == (cut < end ? State::head : State::content));
        CHECK(it.say(bytes.substr(cut)) == State::content);
        char rest[16];
        const std::size_t size = it.answer.take_rest(rest, sizeof rest);
        CHECK(std::string_view(rest, size) == "body");
        CHECK(it.answer.take_rest(rest, sizeof rest) == 0);
    }
}

TEST_CASE("cgi answer: without a type it waits to see whether there is content (RFC 3875 6.2)") {
    for (const bool has_content : {false, true}) {
        Answering it;
        CHECK(it.say("Status: 200\n\n") == State::peek);
        CHECK(it.say("") == State::peek);
        if (has_content) {
            CHECK(it.say("x") == State::content);
        } else {
            CHECK(it.say("", true) == State::whole);
        }
    }
}

TEST_CASE("cgi answer: what can have no content waits for none") {
    CHECK(Answering().say("Status: 204\n\n") == State::whole);
    CHECK(Answering().say("Status: 304\nContent-Type: text/plain\n\n") == State::whole);
    CHECK(Answering().say("Status: 205\nContent-Type: text/plain\n\nx") == State::whole);
    CHECK(Answering().say("Location: /elsewhere\n\n") == State::whole);
    CHECK(Answering(true).say("Status: 200\n\n") == State::whole);
}

TEST_CASE("cgi answer: a fault is described with the line that has it, cut and escaped") {
    Answering it;
    CHECK(it.say("No\x1b field " + std::string(100, 'x') + "\n\n") == State::failed);
    CHECK(it.answer.fault() == detail::CgiFault::bad_line);
    const std::string text = it.answer.describe_fault();
    CHECK(text.find("\"No\\x1b field xxx") != std::string::npos);
    CHECK(text.substr(text.size() - 4) == "...\"");
    CHECK(it.say("more") == State::failed);

    Answering ended;
    CHECK(ended.say("", true) == State::failed);
    CHECK(ended.answer.fault() == detail::CgiFault::empty);
    CHECK(ended.answer.describe_fault().find('"') == std::string::npos);
}
