// SPDX-License-Identifier: MIT
#pragma once

// sendfile(2): a file's bytes go from the page cache to the socket without being copied through
// this process. send_file_other.inl beside it is for systems that are served by reading instead.

#if defined(__linux__)

#include "porthole/os/platform.inl"
#include "porthole/os/transport.hpp"

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// sendfile() cannot be told MSG_NOSIGNAL, so SIGPIPE is held back from this thread for the length
/// of the call, and the one that the call itself has raised is taken away. The program's own
/// handlers and masks see nothing of it.
class PipeSignalHold {
public:
    PipeSignalHold() noexcept {
        sigemptyset(&pipe_);
        sigaddset(&pipe_, SIGPIPE);
        is_held_ = ::pthread_sigmask(SIG_BLOCK, &pipe_, &before_) == 0;
        // Only a signal that was held back before can have been waiting.
        if (is_held_ && sigismember(&before_, SIGPIPE) == 1) {
            sigset_t pending;
            was_pending_ = ::sigpending(&pending) != 0 || sigismember(&pending, SIGPIPE) == 1;
        }
    }
    PipeSignalHold(const PipeSignalHold&) = delete;
    PipeSignalHold& operator=(const PipeSignalHold&) = delete;
    ~PipeSignalHold() {
        if (is_held_) {
            static_cast<void>(::pthread_sigmask(SIG_SETMASK, &before_, nullptr));
        }
    }
    /// The call has failed, or sent less than it was to: also when it broke half-way.
    void take_signal() noexcept {
        const timespec at_once{};
        if (is_held_ && !was_pending_) {
            static_cast<void>(::sigtimedwait(&pipe_, nullptr, &at_once));
        }
    }

private:
    sigset_t pipe_{};
    sigset_t before_{};
    bool was_pending_ = false;
    bool is_held_ = false;
};

PORTHOLE_FN bool system_sends_files() noexcept {
    return true;
}

PORTHOLE_FN IoResult send_file_bytes(
    NativeHandle socket, NativeHandle file, std::uint64_t offset, std::size_t most) noexcept {
    IoResult result;
    PipeSignalHold hold;
    for (int attempt = 0; attempt < max_interrupts; ++attempt) {
        off_t at = static_cast<off_t>(offset);
        const ssize_t sent = ::sendfile(native(socket), static_cast<int>(file), &at, most);
        const int code = errno;
        if (sent < 0 || static_cast<std::size_t>(sent) < most) {
            hold.take_signal();
        }
        if (sent >= 0) {
            result.status = sent == 0 ? IoStatus::end : IoStatus::ok;
            result.bytes = static_cast<std::size_t>(sent);
            return result;
        }
        if (code != EINTR) {
            // EINVAL and ENOSYS: this kind of file cannot be sent so; the connection is fine.
            const bool is_impossible = code == EINVAL || code == ENOSYS || code == EOVERFLOW;
            result.status = is_would_block(code) ? IoStatus::would_block : IoStatus::failed;
            result.system_code = is_would_block(code) || is_impossible ? 0 : code;
            return result;
        }
    }
    return result;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif
