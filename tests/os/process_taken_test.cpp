// SPDX-License-Identifier: MIT

// A host that waits for every child, or ignores SIGCHLD, is told before this library how a program
// has ended. The program's number is then free, and may soon be that of somebody else's process,
// which must neither be killed nor waited for.

#include "os/child.hpp"

#if !defined(_WIN32)

#include <csignal>
#include <cstdint>
#include <fcntl.h>
#include <memory>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

using porthole::ErrorCode;
using porthole::detail::ProcessCalls;
using porthole::detail::ProcessReaper;
using porthole_test::child;
using porthole_test::child_with;
using porthole_test::every_way;
using porthole_test::ExitStatus;
using porthole_test::patience_end;
using porthole_test::patience_ms;
using porthole_test::Process;
using porthole_test::ProcessOptions;
using porthole_test::read_output;
using porthole_test::reaped;
using porthole_test::started;

namespace {

/// SIGCHLD ignored, as long as it lives: the system then keeps no entry of ended children.
class IgnoredChildren {
public:
    IgnoredChildren() {
        ::sigaction(SIGCHLD, nullptr, &before_);
        std::signal(SIGCHLD, SIG_IGN);
    }
    IgnoredChildren(const IgnoredChildren&) = delete;
    IgnoredChildren& operator=(const IgnoredChildren&) = delete;
    ~IgnoredChildren() { ::sigaction(SIGCHLD, &before_, nullptr); }

private:
    struct sigaction before_ {};
};

} // namespace

#if defined(__linux__) && defined(SYS_clone3)

namespace {

/// A running child of this process that nobody has waited for.
bool is_running_child(pid_t id) {
    siginfo_t found{};
    return ::waitid(P_PID, static_cast<id_t>(id), &found, WEXITED | WNOHANG | WNOWAIT) == 0
           && found.si_pid == 0;
}

/// A process with that number, leader of its own group, that does nothing. Negative where the
/// system does not let us choose.
pid_t fork_with_number(pid_t number) {
    struct {
        std::uint64_t flags, pidfd, child_id, parent_id, exit_signal, stack, stack_size, tls;
        std::uint64_t numbers, numbers_size;
    } arguments{};
    arguments.exit_signal = SIGCHLD;
    arguments.numbers = reinterpret_cast<std::uintptr_t>(&number);
    arguments.numbers_size = 1;
    const long made = ::syscall(SYS_clone3, &arguments, sizeof arguments);
    if (made == 0) {
        for (;;) {
            ::pause();
        }
    }
    if (made > 0) {
        ::setpgid(static_cast<pid_t>(made), static_cast<pid_t>(made));
    }
    return static_cast<pid_t>(made);
}

/// The same as somebody else's child. Lives as long as the object.
class Stranger {
public:
    explicit Stranger(pid_t number) {
        int report[2] = {-1, -1};
        int hold[2] = {-1, -1};
        REQUIRE(::pipe(report) == 0);
        REQUIRE(::pipe(hold) == 0);
        parent_ = ::fork();
        REQUIRE(parent_ >= 0);
        if (parent_ == 0) {
            const pid_t made = fork_with_number(number);
            char word = made == number ? 'y' : 'n';
            static_cast<void>(!::write(report[1], &word, 1));
            static_cast<void>(!::read(hold[0], &word, 1)); // until it is asked
            siginfo_t found{};
            const bool lives =
                made == number
                && ::waitid(P_PID, static_cast<id_t>(number), &found, WEXITED | WNOHANG | WNOWAIT)
                       == 0
                && found.si_pid == 0;
            if (made > 0) {
                ::kill(made, SIGKILL);
            }
            ::_exit(lives ? 0 : 1);
        }
        char word = 'n';
        static_cast<void>(!::read(report[0], &word, 1));
        is_there = word == 'y';
        for (const int end : {report[0], report[1], hold[0]}) {
            ::close(end);
        }
        hold_ = hold[1];
    }
    Stranger(const Stranger&) = delete;
    Stranger& operator=(const Stranger&) = delete;
    ~Stranger() {
        if (hold_ >= 0) {
            static_cast<void>(has_lived_on());
        }
    }

    /// Ends it, and tells whether it was still running.
    bool has_lived_on() {
        static_cast<void>(!::write(hold_, "", 1));
        ::close(hold_);
        hold_ = -1;
        int status = 0;
        return ::waitpid(parent_, &status, 0) == parent_ && WIFEXITED(status)
               && WEXITSTATUS(status) == 0;
    }

    bool is_there = false;

private:
    pid_t parent_ = -1;
    int hold_ = -1;
};

/// A program that has ended and that the host has waited for.
Process taken_program(ProcessCalls calls, const std::shared_ptr<ProcessReaper>& reaper) {
    ProcessOptions options = child_with(calls, {"exit", "0"});
    options.reaper = reaper;
    Process process = started(options);
    const auto id = static_cast<pid_t>(process.id());
    REQUIRE(::waitpid(id, nullptr, 0) == id);
    return process;
}

} // namespace

TEST_CASE("process: a number that the host has freed may be a stranger's, who is let live") {
    for (const ProcessCalls calls : every_way) {
        const auto reaper = std::make_shared<ProcessReaper>();
        Process process = taken_program(calls, reaper);
        Process forgotten = taken_program(calls, reaper);
        Stranger stranger(static_cast<pid_t>(process.id()));
        Stranger other(static_cast<pid_t>(forgotten.id()));
        if (!stranger.is_there || !other.is_there) {
            MESSAGE("skipped: this user may not choose a process's number");
            return;
        }
        CHECK(process.has_ended());
        process.terminate_group();
        process.kill_group();
        const auto status = process.try_reap();
        REQUIRE(status);
        CHECK(status->kind == ExitStatus::Kind::unknown);
        forgotten = Process(); // kills what is the program's, and that is nothing
        CHECK(reaper->size() == 0);
        CHECK(stranger.has_lived_on());
        CHECK(other.has_lived_on());
    }
}

TEST_CASE("process: a child that the host has started with a freed number stays the host's") {
    Process process = taken_program(ProcessCalls::automatic, nullptr);
    const auto number = static_cast<pid_t>(process.id());
    if (process.exit_handle() == porthole::invalid_handle || fork_with_number(number) != number) {
        MESSAGE("skipped: no handles for processes, or this user may not choose their numbers");
        return;
    }
    CHECK(process.has_ended());
    process.kill_group();
    const auto status = process.try_reap();
    REQUIRE(status);
    CHECK(status->kind == ExitStatus::Kind::unknown);
    process = Process();
    CHECK(is_running_child(number));
    ::kill(number, SIGKILL);
    int ended = 0;
    CHECK(::waitpid(number, &ended, 0) == number);
    CHECK(WIFSIGNALED(ended));
}

TEST_CASE("process: what waits for its burial may have been taken, and its number be the host's") {
    const auto reaper = std::make_shared<ProcessReaper>();
    ProcessOptions options = child({"hang"});
    options.reaper = reaper;
    pid_t number = 0;
    for (int attempt = 0; attempt < 50 && reaper->size() == 0; ++attempt) {
        number = static_cast<pid_t>(started(options).id()); // killed, and hardly gone at once
    }
    if (reaper->size() == 0 || ::waitpid(number, nullptr, 0) != number
        || fork_with_number(number) != number) {
        MESSAGE("skipped: it ended too soon, or this user may not choose a process's number");
        return;
    }
    const bool has_handles = started(options).exit_handle() != porthole::invalid_handle;
    if (has_handles) {
        CHECK(reaper->finish(std::chrono::milliseconds(patience_ms)));
    }
    CHECK(is_running_child(number));
    ::kill(number, SIGKILL);
    CHECK(::waitpid(number, nullptr, 0) == number);
}

TEST_CASE("process: what a program has left running can be ended although the host was first") {
    const IgnoredChildren ignored;
    Process process = started(child({"grandchild", "exit", "0"}));
    const std::string number = read_output(process, 2);
    const auto deadline = patience_end();
    while (!process.has_ended() && std::chrono::steady_clock::now() < deadline) {
        porthole_test::pass_moment(process.exit_handle());
    }
    REQUIRE(process.has_ended());
#if defined(SYS_pidfd_send_signal)
    constexpr unsigned whole_group = 4; // PIDFD_SIGNAL_PROCESS_GROUP of Linux 6.9
    if (::syscall(
            SYS_pidfd_send_signal, static_cast<int>(process.exit_handle()), 0, nullptr, whole_group)
        == 0) {
        process.kill_group();
        static_cast<void>(read_output(process)); // ends only when the grandchild has let go
        return;
    }
#endif
    MESSAGE("skipped: this kernel cannot tell whose group it is");
    ::kill(std::atoi(number.c_str()), SIGKILL);
}

#endif

TEST_CASE("process: a host that ignores SIGCHLD is survived") {
    const IgnoredChildren ignored;
    for (const ProcessCalls calls : every_way) {
        const auto reaper = std::make_shared<ProcessReaper>();
        ProcessOptions options = child_with(calls, {"copy", "exit", "3"});
        options.reaper = reaper;
        Process process = started(options);
        CHECK_FALSE(process.has_ended());
        CHECK(process.write_input("in").bytes == 2);
        process.close_input();
        CHECK(read_output(process) == "in");
        CHECK(reaped(process).kind == ExitStatus::Kind::unknown);
        CHECK_FALSE(process.is_started());

        options.arguments = {"child", "print", "up", "hang"};
        process = started(options);
        CHECK(read_output(process, 2) == "up");
        process = Process();
        CHECK(reaper->finish(std::chrono::milliseconds(patience_ms)));

        options.program = "/nowhere/program";
        CHECK(Process::start(options, process).code() == ErrorCode::not_found);
    }
}

#endif
