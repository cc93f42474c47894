// SPDX-License-Identifier: MIT
#pragma once

// Running processes on POSIX systems: their pipes, and how they end. How they begin is in
// spawn_posix.inl. Only children of our own are ever waited for, so the host's are left alone, and
// there is no signal handler. A host may wait for ours, though, or ignore SIGCHLD: the number is
// then free for others, so before it is used it is asked whose it is.

#include "porthole/os/file.hpp"
#include "porthole/os/platform.inl"
#include "porthole/os/process.hpp"
#include "porthole/os/socket_posix.inl"
#include "porthole/os/spawn_posix.inl"

#include <cstring>
#include <utility>

#if !defined(_WIN32)

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// What has become of a child.
enum class Child : unsigned char {
    running,
    ended,
    taken, ///< somebody has waited for it: its number says nothing any more
};

/// Looks without taking: by its handle where the kernel knows how to wait for one (Linux 5.4), else
/// by its number.
inline Child look_at_child(pid_t id, [[maybe_unused]] const File& exit) noexcept {
    constexpr int only_look = WEXITED | WNOHANG | WNOWAIT;
    siginfo_t found{};
    int answer = -1;
    errno = EINVAL;
#if defined(SYS_pidfd_open)
    if (exit.is_open()) {
        constexpr auto handle_is_meant = static_cast<idtype_t>(3); // P_PIDFD, which may be missing
        answer = ::waitid(handle_is_meant, static_cast<id_t>(exit.handle()), &found, only_look);
    }
#endif
    if (answer != 0 && errno == EINVAL) {
        answer = ::waitid(P_PID, static_cast<id_t>(id), &found, only_look);
    }
    if (answer != 0) {
        return errno == ECHILD ? Child::taken : Child::running;
    }
    return found.si_pid != 0 ? Child::ended : Child::running;
}

struct Process::State {
    State(pid_t its_id, std::shared_ptr<ProcessReaper> its_reaper) noexcept
        : id(its_id), reaper(std::move(its_reaper)) {}
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State();

    Child look() const noexcept { return look_at_child(id, exit); }
    void signal_group(int number) const noexcept;
    std::optional<ExitStatus> try_reap() noexcept;

    pid_t id; ///< 0 when it is reaped: then the number may be another program's
    std::shared_ptr<ProcessReaper> reaper;
    File input;
    File output;
    File error;
    File exit;
    bool has_quiet_write = true; ///< until the kernel says otherwise
    bool has_wide_input = false;
    bool has_wide_output = false;
};

// Room for a pipe that was found full, in bytes: a game asks for it once in a frame, so a pipe of
// the usual 64 KiB moves 4 MB/s at most. 1 MiB is what Linux gives to anyone. A program's output
// gets less: it may write all of that in one call, which keeps the pipe locked until it is through,
// and our read has to wait for it in the middle of a frame (up to 2 ms for 1 MiB, measured).
inline constexpr int wide_input = 1024 * 1024;
inline constexpr int wide_output = 512 * 1024;

/// Once for each pipe, and not for all from the start, because there is a sum that one user's pipes
/// may have; where the system refuses, the pipe is as good as before.
inline void
widen_pipe([[maybe_unused]] const File& end, [[maybe_unused]] int bytes, bool& is_wide) noexcept {
    if (!is_wide) {
        is_wide = true;
#if defined(F_SETPIPE_SZ)
        static_cast<void>(::fcntl(pipe_descriptor(end), F_SETPIPE_SZ, bytes));
#endif
    }
}

inline IoResult failed_pipe(int code) noexcept {
    IoResult result;
    if (code != EINTR && !is_would_block(code)) {
        result.status = IoStatus::failed;
        result.system_code = code;
    }
    return result;
}

inline IoResult read_pipe(NativeHandle end, char* into, std::size_t capacity) noexcept {
    IoResult result;
    if (end == invalid_handle) {
        result.status = IoStatus::end;
        return result;
    }
    if (capacity == 0) {
        return result; // read() would answer 0, which means the end
    }
    for (int attempt = 0; attempt < max_interrupts; ++attempt) {
        const ssize_t count = ::read(static_cast<int>(end), into, capacity);
        if (count >= 0) {
            result.status = count == 0 ? IoStatus::end : IoStatus::ok;
            result.bytes = static_cast<std::size_t>(count);
            return result;
        }
        if (errno != EINTR) {
            return failed_pipe(errno);
        }
    }
    return result;
}

/// write() with SIGPIPE kept from the host: it is blocked in this thread meanwhile, and taken away
/// if the write made one. One that was pending before is the host's own and stays.
inline ssize_t write_masked(int descriptor, std::string_view bytes) noexcept {
    sigset_t broken_pipe;
    sigset_t before;
    sigset_t pending;
    ::sigemptyset(&broken_pipe);
    ::sigaddset(&broken_pipe, SIGPIPE);
    ::sigemptyset(&pending);
    ::sigpending(&pending);
    const bool was_pending = ::sigismember(&pending, SIGPIPE) == 1;
    // Of this thread alone on every system; pthread_sigmask() would need a library more on some.
    ::sigprocmask(SIG_BLOCK, &broken_pipe, &before);
    const ssize_t count = ::write(descriptor, bytes.data(), bytes.size());
    const int code = errno;
    if (count < 0 && code == EPIPE && !was_pending) {
        ::sigpending(&pending);
        int taken = 0;
        if (::sigismember(&pending, SIGPIPE) == 1) {
            ::sigwait(&broken_pipe, &taken); // it is there, so this does not wait
        }
    }
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    errno = code;
    return count;
}

/// One write() that raises no SIGPIPE: by a flag where the kernel has it (Linux 6.18), by a
/// property of the pipe (macOS), else by hiding the signal.
inline ssize_t
write_quietly(int descriptor, std::string_view bytes, [[maybe_unused]] bool& has_flag) noexcept {
#if defined(F_SETNOSIGPIPE)
    return ::write(descriptor, bytes.data(), bytes.size());
#else
#if defined(SYS_pwritev2)
    constexpr int no_signal = 0x100;     // RWF_NOSIGNAL, which older headers lack
    constexpr unsigned long here = ~0ul; // a pipe has no positions
    if (has_flag) {
        iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
        const long count = ::syscall(SYS_pwritev2, descriptor, &piece, 1ul, here, here, no_signal);
        if (count >= 0 || errno == EPIPE || errno == EINTR || is_would_block(errno)) {
            return static_cast<ssize_t>(count);
        }
        has_flag = false; // an older kernel, or a sandbox that knows no such call
    }
#endif
    return write_masked(descriptor, bytes);
#endif
}

inline File open_exit_handle([[maybe_unused]] pid_t id) noexcept {
    File opened;
#if defined(SYS_pidfd_open)
    opened = File(::syscall(SYS_pidfd_open, id, 0u)); // close-on-exec by itself
    if (opened.is_open() && lift_descriptor(opened) != 0) {
        opened.close();
    }
#endif
    return opened;
}

PORTHOLE_FN Error Process::start(const ProcessOptions& options, Process& process) {
    if (Error error = check_process_options(options)) {
        return error;
    }
    Pipe pipes[first_private_descriptor];
    const bool wanted[] = {options.wants_input, options.wants_output, options.wants_error};
    SpawnPlan plan;
    for (int i = 0; i < first_private_descriptor; ++i) {
        const int code = wanted[i] ? open_pipe(i == STDIN_FILENO, pipes[i]) : 0;
        if (code != 0) {
            return socket_error("pipe", options.program, code);
        }
        plan.connect(pipes[i], i);
    }
    File directory;
    if (Error error = plan_directory(options.working_directory, plan, directory)) {
        return error;
    }
    const bool is_automatic = options.calls == ProcessCalls::automatic;
    const bool closes_all = spawn_closes_all && is_automatic;
    plan.isolate(closes_all);
    closes_all ? plan.close_all() : plan.close_listed();
    if (plan.code() != 0) {
        return socket_error("posix_spawn", options.program, plan.code());
    }
    std::vector<char*> arguments = to_vector(options.arguments);
    const std::vector<char*> environment = to_vector(options.environment);
    if (options.arguments.empty()) {
        arguments.insert(arguments.begin(), const_cast<char*>(options.program.c_str()));
    }
    auto state = std::make_unique<State>(0, options.reaper);
    if (state->reaper) {
        state->reaper->expect();
    }
    pid_t id = 0;
    if (const int code =
            plan.run(id, options.program.c_str(), arguments.data(), environment.data())) {
        return spawn_error(options.program, code);
    }
    state->id = id;
    state->input = std::move(pipes[STDIN_FILENO].ours);
    state->output = std::move(pipes[STDOUT_FILENO].ours);
    state->error = std::move(pipes[STDERR_FILENO].ours);
    if (is_automatic) {
        state->exit = open_exit_handle(id);
    }
    state->has_quiet_write = is_automatic;
    process.state_ = std::move(state);
    return {};
}

/// Waits for this child and no other: the rest are the host's.
inline std::optional<ExitStatus> reap_child(pid_t id, const File& exit) noexcept {
    const Child state = look_at_child(id, exit);
    if (state != Child::ended) {
        return state == Child::taken ? std::optional<ExitStatus>(ExitStatus{}) : std::nullopt;
    }
    int status = 0;
    pid_t answer = 0;
    for (int attempt = 0; attempt < max_interrupts; ++attempt) {
        answer = ::waitpid(id, &status, WNOHANG);
        if (answer >= 0 || errno != EINTR) {
            break;
        }
    }
    ExitStatus ended;
    if (answer == 0 || (answer < 0 && errno == EINTR)) {
        return std::nullopt;
    }
    if (answer == id && WIFEXITED(status)) {
        ended.kind = ExitStatus::Kind::exited;
        ended.value = WEXITSTATUS(status);
    } else if (answer == id && WIFSIGNALED(status)) {
        ended.kind = ExitStatus::Kind::signalled;
        ended.value = WTERMSIG(status);
    }
    return ended;
}

/// The group of that number is the program's as long as nobody has waited for it, and as long as
/// one of the group lives: a number in use is given to nobody else. With the handle the kernel
/// tells (Linux 6.9); without, a group whose leader was taken is left alone, because it may be a
/// stranger's.
PORTHOLE_FN void Process::State::signal_group(int number) const noexcept {
#if defined(SYS_pidfd_send_signal)
    constexpr unsigned whole_group = 4; // PIDFD_SIGNAL_PROCESS_GROUP
    if (exit.is_open()
        && (::syscall(SYS_pidfd_send_signal, pipe_descriptor(exit), number, nullptr, whole_group)
                == 0
            || errno == ESRCH)) {
        return;
    }
#endif
    if (look() != Child::taken) {
        static_cast<void>(::kill(-id, number));
    }
}

PORTHOLE_FN Process::State::~State() {
    if (id > 0) {
        signal_group(SIGKILL);
        if (!try_reap() && reaper) {
            reaper->adopt(id, std::move(exit));
        }
    }
    if (reaper) {
        reaper->forget();
    }
}

PORTHOLE_FN std::optional<ExitStatus> Process::State::try_reap() noexcept {
    const auto status = id > 0 ? reap_child(id, exit) : std::nullopt;
    if (status) {
        id = 0;
        exit.close();
    }
    return status;
}

PORTHOLE_FN Process::Process() noexcept = default;
PORTHOLE_FN Process::Process(Process&& other) noexcept = default;
PORTHOLE_FN Process& Process::operator=(Process&& other) noexcept = default;
PORTHOLE_FN Process::~Process() = default;

PORTHOLE_FN bool Process::is_started() const noexcept {
    return id() != 0;
}

PORTHOLE_FN std::int64_t Process::id() const noexcept {
    return state_ ? state_->id : 0;
}

PORTHOLE_FN NativeHandle Process::input_handle() const noexcept {
    return state_ ? state_->input.handle() : invalid_handle;
}

PORTHOLE_FN NativeHandle Process::output_handle() const noexcept {
    return state_ ? state_->output.handle() : invalid_handle;
}

PORTHOLE_FN NativeHandle Process::error_handle() const noexcept {
    return state_ ? state_->error.handle() : invalid_handle;
}

PORTHOLE_FN NativeHandle Process::exit_handle() const noexcept {
    return state_ ? state_->exit.handle() : invalid_handle;
}

PORTHOLE_FN IoResult Process::write_input(std::string_view bytes) noexcept {
    if (input_handle() == invalid_handle) {
        return failed_pipe(EPIPE);
    }
    IoResult result;
    for (int attempt = 0; attempt < max_interrupts && !bytes.empty(); ++attempt) {
        const ssize_t count =
            write_quietly(pipe_descriptor(state_->input), bytes, state_->has_quiet_write);
        if (count >= 0) {
            result.status = IoStatus::ok;
            result.bytes = static_cast<std::size_t>(count);
            if (result.bytes < bytes.size()) {
                widen_pipe(state_->input, wide_input, state_->has_wide_input);
            }
            return result;
        }
        if (errno != EINTR) {
            const IoResult failed = failed_pipe(errno);
            if (failed.status == IoStatus::would_block) {
                widen_pipe(state_->input, wide_input, state_->has_wide_input);
            }
            return failed;
        }
    }
    return result;
}

PORTHOLE_FN IoResult Process::read_output(char* into, std::size_t capacity) noexcept {
    constexpr std::size_t much = 32 * 1024; // pages need not be full when the pipe is
    const IoResult result = read_pipe(output_handle(), into, capacity);
    if (result.bytes >= much) {
        widen_pipe(state_->output, wide_output, state_->has_wide_output);
    }
    return result;
}

PORTHOLE_FN IoResult Process::read_error(char* into, std::size_t capacity) noexcept {
    return read_pipe(error_handle(), into, capacity);
}

PORTHOLE_FN void Process::close_input() noexcept {
    if (state_) {
        state_->input.close();
    }
}

PORTHOLE_FN void Process::close_output() noexcept {
    if (state_) {
        state_->output.close();
    }
}

PORTHOLE_FN void Process::close_error() noexcept {
    if (state_) {
        state_->error.close();
    }
}

/// Looks without taking: the number has to stay the program's, so that its group can be killed.
PORTHOLE_FN bool Process::has_ended() noexcept {
    return !is_started() || state_->look() != Child::running;
}

PORTHOLE_FN std::optional<ExitStatus> Process::try_reap() noexcept {
    return state_ ? state_->try_reap() : std::nullopt;
}

PORTHOLE_FN void Process::terminate_group() noexcept {
    if (is_started()) {
        state_->signal_group(SIGTERM);
    }
}

PORTHOLE_FN void Process::kill_group() noexcept {
    if (is_started()) {
        state_->signal_group(SIGKILL);
    }
}

PORTHOLE_FN ProcessReaper::~ProcessReaper() {
    static_cast<void>(collect(orphans_.size()));
}

PORTHOLE_FN void ProcessReaper::expect() {
    ++expected_;
    orphans_.reserve(orphans_.size() + expected_);
}

PORTHOLE_FN void ProcessReaper::adopt(std::int64_t id, File exit) noexcept {
    orphans_.push_back({id, std::move(exit)});
}

PORTHOLE_FN std::size_t ProcessReaper::collect(std::size_t at_most) noexcept {
    std::size_t looks = at_most < orphans_.size() ? at_most : orphans_.size();
    for (; looks != 0; --looks) {
        next_ = next_ < orphans_.size() ? next_ : 0;
        const Orphan& orphan = orphans_[next_];
        if (reap_child(static_cast<pid_t>(orphan.id), orphan.exit)) {
            std::swap(orphans_[next_], orphans_.back());
            orphans_.pop_back();
        } else {
            ++next_;
        }
    }
    return orphans_.size();
}

PORTHOLE_FN bool ProcessReaper::finish(Duration at_most) noexcept {
    const auto deadline = std::chrono::steady_clock::now() + at_most;
    while (collect(orphans_.size()) != 0 && std::chrono::steady_clock::now() < deadline) {
        static_cast<void>(::poll(nullptr, 0, 1));
    }
    return orphans_.empty();
}

/// A regular file that this user may run.
inline bool is_runnable(const std::string& path) noexcept {
    struct stat found {};
    return ::stat(path.c_str(), &found) == 0 && S_ISREG(found.st_mode)
           && ::access(path.c_str(), X_OK) == 0;
}

inline std::string complete_path(std::string path) {
    if (path.empty() || path[0] == '/') {
        return path;
    }
    const std::unique_ptr<char, void (*)(void*)> directory(::getcwd(nullptr, 0), &std::free);
    return directory ? std::string(directory.get()) + '/' + path : std::string();
}

PORTHOLE_FN std::string find_program(std::string_view name, std::string_view search_path) {
    if (name.find('/') != std::string_view::npos) {
        std::string path = complete_path(std::string(name));
        return is_runnable(path) ? path : std::string();
    }
    while (!name.empty() && !search_path.empty()) {
        const std::size_t end = search_path.find(':');
        // An empty part would be the working directory, where anything may lie.
        if (end != 0) {
            std::string path(search_path.substr(0, end));
            path = complete_path(path + '/' + std::string(name));
            if (is_runnable(path)) {
                return path;
            }
        }
        search_path.remove_prefix(end == std::string_view::npos ? search_path.size() : end + 1);
    }
    return {};
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif
