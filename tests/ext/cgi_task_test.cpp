// SPDX-License-Identifier: MIT

// What a task's source and its log lines have in common, whatever answers behind them.

#include "support/cgi_task_double.hpp"

#include <memory>
#include <string>
#include <vector>

using namespace porthole;
using porthole::detail::CgiSource;
using porthole_test::QueueDouble;
using porthole_test::TaskDouble;

namespace {

/// How the task is told of the end of a source that was pulled so many times.
std::string story_of(std::optional<std::uint64_t> promised, int pulls) {
    std::string story;
    const auto task = std::make_shared<TaskDouble>(std::make_shared<QueueDouble>(), "a", &story);
    task->content = "0123456789";
    {
        CgiSource source(task, promised);
        char bytes[5];
        for (int i = 0; i < pulls; ++i) {
            source.pull(bytes, sizeof bytes);
        }
    }
    return story;
}

} // namespace

TEST_CASE("cgi task: a source was complete when it had ended, or gave what was promised") {
    CHECK(story_of(std::nullopt, 0) == "?a");
    CHECK(story_of(std::nullopt, 1) == "?a");
    CHECK(story_of(std::nullopt, 2) == "!a");
    CHECK(story_of(5, 0) == "?a");
    CHECK(story_of(5, 1) == "!a");
    CHECK(story_of(6, 1) == "?a");
    CHECK(story_of(0, 0) == "!a");
}

TEST_CASE("cgi task: a source that has gone is not woken") {
    int woken = 0;
    const auto task = std::make_shared<TaskDouble>(std::make_shared<QueueDouble>(), "a");
    task->wake_source();
    {
        CgiSource source(task, std::nullopt);
        source.set_waker([&woken] { ++woken; });
        task->wake_source();
        CHECK(woken == 1);
    }
    task->wake_source();
    CHECK(woken == 1);
}

TEST_CASE("cgi task: its log lines begin with its name and have the client's address") {
    std::vector<std::string> lines;
    Options wanted = porthole_test::options();
    wanted.log = [&lines](const LogEvent& event) {
        lines.push_back(std::string(event.sentence) + " / " + std::string(event.peer));
    };
    Server server(wanted);
    const auto queue = std::make_shared<QueueDouble>();
    const TaskDouble task(queue, "a.cgi");
    task.log(LogLevel::warning, LogId::program_failed, "too early");
    queue->attach(server);
    task.log(LogLevel::warning, LogId::program_failed, "it fell");
    queue->shut_all();
    task.log(LogLevel::warning, LogId::program_failed, "too late");
    CHECK(lines == std::vector<std::string>{"a.cgi: it fell / 10.0.0.1:80"});
}
