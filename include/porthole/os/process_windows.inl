// SPDX-License-Identifier: MIT
#pragma once

// Running processes on Windows: overlapped named pipes, because nothing else there reads and writes
// without waiting, and a job object, which ends the program and all that it starts. How they begin
// is in spawn_windows.inl.

#include "porthole/os/file.hpp"
#include "porthole/os/platform.inl"
#include "porthole/os/process.hpp"
#include "porthole/os/spawn_windows.inl"

#include <utility>

#if defined(_WIN32)

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

struct Process::State {
    State() = default;
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State();

    std::int64_t id = 0; ///< 0 when it is reaped
    OverlappedPipe input;
    OverlappedPipe output;
    OverlappedPipe error;
    bool closes_input = false; ///< once what was taken is written
    File job;
    File process;
};

/// False while the system still reads into or writes from the buffer; else how that ended is in
/// `code`, and how many bytes in `moved`.
inline bool settle(OverlappedPipe& pipe, DWORD& moved) noexcept {
    moved = 0;
    if (!pipe.is_pending) {
        return true;
    }
    if (!HasOverlappedIoCompleted(&pipe.operation)) { // looks at memory, no system call
        return false;
    }
    pipe.is_pending = false;
    if (::GetOverlappedResult(native_file(pipe.end), &pipe.operation, &moved, FALSE) == 0) {
        pipe.code = ::GetLastError();
    }
    return true;
}

inline IoResult pipe_result(DWORD code) noexcept {
    IoResult result;
    const bool is_end =
        code == ERROR_BROKEN_PIPE || code == ERROR_PIPE_NOT_CONNECTED || code == ERROR_HANDLE_EOF;
    result.status = is_end ? IoStatus::end : IoStatus::failed;
    result.system_code = is_end ? 0 : static_cast<int>(code);
    return result;
}

inline void begin_read(OverlappedPipe& pipe) noexcept {
    pipe.begin = pipe.size = 0;
    pipe.is_pending = true;
    if (::ReadFile(
            native_file(pipe.end), pipe.buffer.get(), static_cast<DWORD>(pipe_buffer_bytes),
            nullptr, &pipe.operation)
        == 0) {
        const DWORD code = ::GetLastError();
        pipe.is_pending = code == ERROR_IO_PENDING;
        pipe.code = pipe.is_pending ? 0 : code;
    }
}

inline IoResult read_pipe(OverlappedPipe& pipe, char* into, std::size_t capacity) noexcept {
    IoResult result;
    if (!pipe.end.is_open()) {
        result.status = IoStatus::end;
        return result;
    }
    // Twice: what was read before may be nothing, and the next may be there already.
    for (int attempt = 0; attempt < 2 && capacity != 0; ++attempt) {
        DWORD moved = 0;
        if (!settle(pipe, moved)) {
            return result;
        }
        pipe.size += moved;
        if (pipe.begin < pipe.size) {
            const std::size_t left = pipe.size - pipe.begin;
            result.bytes = left < capacity ? left : capacity;
            std::memcpy(into, pipe.buffer.get() + pipe.begin, result.bytes);
            pipe.begin += result.bytes;
            result.status = IoStatus::ok;
            return result;
        }
        if (pipe.code != 0) {
            return pipe_result(pipe.code);
        }
        begin_read(pipe);
    }
    return result;
}

inline IoResult write_pipe(OverlappedPipe& pipe, std::string_view bytes) noexcept {
    IoResult result;
    DWORD moved = 0;
    if (bytes.empty() || !settle(pipe, moved)) {
        return result;
    }
    if (pipe.code == 0) {
        const std::size_t size =
            bytes.size() < pipe_buffer_bytes ? bytes.size() : pipe_buffer_bytes;
        std::memcpy(pipe.buffer.get(), bytes.data(), size);
        pipe.is_pending = true;
        if (::WriteFile(
                native_file(pipe.end), pipe.buffer.get(), static_cast<DWORD>(size), nullptr,
                &pipe.operation)
            == 0) {
            const DWORD code = ::GetLastError();
            pipe.is_pending = code == ERROR_IO_PENDING;
            pipe.code = pipe.is_pending ? 0 : code;
        }
        result.bytes = size;
    }
    if (pipe.code != 0) {
        result.bytes = 0;
        result.system_code = static_cast<int>(pipe.code);
    }
    result.status = pipe.code != 0 ? IoStatus::failed : IoStatus::ok;
    return result;
}

/// The end of the input goes out behind the bytes that were taken before it.
inline void finish_input(OverlappedPipe& input, bool closes_input) noexcept {
    DWORD moved = 0;
    if (closes_input && input.end.is_open() && settle(input, moved)) {
        input.close();
    }
}

PORTHOLE_FN Process::State::~State() {
    if (id != 0) {
        static_cast<void>(::TerminateJobObject(native_file(job), killed_exit_code));
    }
}

PORTHOLE_FN Error Process::start(const ProcessOptions& options, Process& process) {
    SpawnPlan plan;
    if (Error error = plan.prepare(options)) {
        return error;
    }
    auto state = std::make_unique<State>();
    ChildEnds ends;
    if (Error error = ends.open(options, state->input, state->output, state->error)) {
        return error;
    }
    if (Error error = plan.run(options.program, ends, state->process, state->job, state->id)) {
        return error;
    }
    process.state_ = std::move(state);
    return {};
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
    return invalid_handle;
}

PORTHOLE_FN NativeHandle Process::output_handle() const noexcept {
    return invalid_handle;
}

PORTHOLE_FN NativeHandle Process::error_handle() const noexcept {
    return invalid_handle;
}

PORTHOLE_FN NativeHandle Process::exit_handle() const noexcept {
    return invalid_handle;
}

PORTHOLE_FN IoResult Process::write_input(std::string_view bytes) noexcept {
    if (!state_ || !state_->input.end.is_open() || state_->closes_input) {
        IoResult result;
        result.status = IoStatus::failed;
        result.system_code = static_cast<int>(ERROR_NO_DATA);
        return result;
    }
    return write_pipe(state_->input, bytes);
}

PORTHOLE_FN IoResult Process::read_output(char* into, std::size_t capacity) noexcept {
    if (!state_) {
        return pipe_result(ERROR_BROKEN_PIPE);
    }
    finish_input(state_->input, state_->closes_input);
    return read_pipe(state_->output, into, capacity);
}

PORTHOLE_FN IoResult Process::read_error(char* into, std::size_t capacity) noexcept {
    if (!state_) {
        return pipe_result(ERROR_BROKEN_PIPE);
    }
    finish_input(state_->input, state_->closes_input);
    return read_pipe(state_->error, into, capacity);
}

PORTHOLE_FN void Process::close_input() noexcept {
    if (state_) {
        state_->closes_input = true;
        finish_input(state_->input, true);
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

PORTHOLE_FN bool Process::has_ended() noexcept {
    if (!is_started()) {
        return true;
    }
    finish_input(state_->input, state_->closes_input);
    return ::WaitForSingleObject(native_file(state_->process), 0) == WAIT_OBJECT_0;
}

/// Codes from 0xC0000000 on are the system's: an exception, or our own kill.
PORTHOLE_FN std::optional<ExitStatus> Process::try_reap() noexcept {
    constexpr DWORD first_exception = 0xC0000000u;
    if (!is_started() || !has_ended()) {
        return std::nullopt;
    }
    ExitStatus status;
    DWORD code = 0;
    if (::GetExitCodeProcess(native_file(state_->process), &code) != 0) {
        status.kind =
            code >= first_exception ? ExitStatus::Kind::signalled : ExitStatus::Kind::exited;
        status.value = static_cast<int>(code);
    }
    state_->id = 0;
    state_->process.close();
    // What the program has left running may stay, as on POSIX; the job must not end it then.
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION no_limits{};
    static_cast<void>(::SetInformationJobObject(
        native_file(state_->job), JobObjectExtendedLimitInformation, &no_limits,
        static_cast<DWORD>(sizeof no_limits)));
    state_->job.close();
    return status;
}

PORTHOLE_FN void Process::terminate_group() noexcept {
    kill_group();
}

PORTHOLE_FN void Process::kill_group() noexcept {
    if (is_started()) {
        static_cast<void>(::TerminateJobObject(native_file(state_->job), killed_exit_code));
    }
}

PORTHOLE_FN ProcessReaper::~ProcessReaper() = default;

PORTHOLE_FN void ProcessReaper::expect() {}

PORTHOLE_FN void ProcessReaper::adopt(std::int64_t, File) noexcept {}

PORTHOLE_FN std::size_t ProcessReaper::collect(std::size_t) noexcept {
    return 0;
}

PORTHOLE_FN bool ProcessReaper::finish(Duration) noexcept {
    return true;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif
