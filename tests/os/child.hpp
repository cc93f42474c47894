// SPDX-License-Identifier: MIT
#pragma once

// What the tests of processes share: the program that they start (tests/programs/child.cpp), and
// waits that end.

#include "os/pair.hpp"

#include <chrono>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace porthole_test {

using porthole::detail::ExitStatus;
using porthole::detail::Process;
using porthole::detail::ProcessOptions;

inline std::string child_path() {
    const std::string path = porthole::detail::find_program(PORTHOLE_TEST_CHILD, {});
    REQUIRE_FALSE(path.empty());
    return path;
}

/// The program with these commands, and nothing in its environment.
inline ProcessOptions child(std::vector<std::string> commands) {
    ProcessOptions options;
    options.program = child_path();
    options.arguments = std::move(commands);
    options.arguments.insert(options.arguments.begin(), "child");
    return options;
}

/// How the program may be started and looked at: with all that the system has, and without.
inline constexpr porthole::detail::ProcessCalls every_way[] = {
    porthole::detail::ProcessCalls::automatic, porthole::detail::ProcessCalls::portable};

inline ProcessOptions
child_with(porthole::detail::ProcessCalls calls, std::vector<std::string> commands) {
    ProcessOptions options = child(std::move(commands));
    options.calls = calls;
    return options;
}

inline Process started(const ProcessOptions& options) {
    Process process;
    const auto error = Process::start(options, process);
    REQUIRE(error.message() == "no error");
    return process;
}

inline std::chrono::steady_clock::time_point patience_end() {
    return std::chrono::steady_clock::now() + std::chrono::milliseconds(patience_ms);
}

/// Until the handle is readable, or, where there is none, for a moment.
inline void pass_moment(porthole::NativeHandle handle) {
    if (handle != porthole::invalid_handle) {
        static_cast<void>(wait_for(handle, {true, false}, 100));
    } else {
        std::this_thread::yield();
    }
}

/// What the program prints up to that many bytes, or to its end.
inline std::string
read_output(Process& process, std::size_t size = std::string::npos, std::size_t piece_size = 4096) {
    const auto deadline = patience_end();
    std::string text;
    std::vector<char> piece(piece_size);
    while (text.size() < size && std::chrono::steady_clock::now() < deadline) {
        const auto result = process.read_output(piece.data(), piece.size());
        text.append(piece.data(), result.bytes);
        if (result.status == porthole::IoStatus::would_block) {
            pass_moment(process.output_handle());
        } else if (result.status != porthole::IoStatus::ok) {
            CHECK(result.status == porthole::IoStatus::end);
            return text;
        }
    }
    CHECK(text.size() >= size); // else patience ran out
    return text;
}

inline std::string read_error(Process& process) {
    const auto deadline = patience_end();
    std::string text;
    char piece[256];
    while (std::chrono::steady_clock::now() < deadline) {
        const auto result = process.read_error(piece, sizeof piece);
        text.append(piece, result.bytes);
        if (result.status == porthole::IoStatus::would_block) {
            pass_moment(process.error_handle());
        } else if (result.status != porthole::IoStatus::ok) {
            return text;
        }
    }
    FAIL_CHECK("the errors have no end");
    return text;
}

/// Waits for its end, and asks how.
inline ExitStatus reaped(Process& process) {
    const auto deadline = patience_end();
    while (!process.has_ended() && std::chrono::steady_clock::now() < deadline) {
        pass_moment(process.exit_handle());
    }
    const auto status = process.try_reap();
    CHECK(status.has_value());
    return status.value_or(ExitStatus{});
}

inline bool exited_with(const ExitStatus& status, int code) {
    return status.kind == ExitStatus::Kind::exited && status.value == code;
}

} // namespace porthole_test
