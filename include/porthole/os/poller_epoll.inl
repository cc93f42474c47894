// SPDX-License-Identifier: MIT
#pragma once

// epoll, the poller of Linux: the cost of a poll() depends on what is ready, not on how much is
// watched. Level-triggered, so that a server that ran out of budget is told again.

#include "porthole/os/platform.inl"
#include "porthole/os/poller.hpp"
#include "porthole/os/socket.inl"

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

#if defined(__linux__)

class EpollPoller final : public Poller {
public:
    EpollPoller() noexcept : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {}
    EpollPoller(const EpollPoller&) = delete;
    EpollPoller& operator=(const EpollPoller&) = delete;
    ~EpollPoller() override {
        if (is_open()) {
            static_cast<void>(::close(epoll_));
        }
    }
    bool is_open() const noexcept { return epoll_ >= 0; }

    Error add(NativeHandle handle, void* owner, Interest interest) override {
        return control(EPOLL_CTL_ADD, handle, owner, interest);
    }
    Error modify(NativeHandle handle, void* owner, Interest interest) override {
        return control(EPOLL_CTL_MOD, handle, owner, interest);
    }
    void remove(NativeHandle handle) noexcept override {
        epoll_event unused{}; // kernels before 2.6.9 want one
        static_cast<void>(::epoll_ctl(epoll_, EPOLL_CTL_DEL, native(handle), &unused));
    }
    PORTHOLE_FN std::size_t poll(Duration timeout, Event* events) noexcept override;
    NativeHandle native_handle() const noexcept override { return epoll_; }

private:
    int wait(Duration timeout) noexcept;
    Error control(int operation, NativeHandle handle, void* owner, Interest interest);

    int epoll_;
    bool has_precise_wait_ = true; ///< until the kernel says otherwise
    epoll_event ready_[max_events];
};

PORTHOLE_FN Error
EpollPoller::control(int operation, NativeHandle handle, void* owner, Interest interest) {
    // Errors and full hangups are always told; the half-closed one has to be asked for.
    unsigned events = interest.hangup ? static_cast<unsigned>(EPOLLRDHUP) : 0u;
    events |= interest.read ? static_cast<unsigned>(EPOLLIN) : 0u;
    events |= interest.write ? static_cast<unsigned>(EPOLLOUT) : 0u;
    epoll_event event{};
    event.events = events;
    event.data.ptr = owner;
    if (::epoll_ctl(epoll_, operation, native(handle), &event) != 0) {
        const int code = errno;
        return socket_error("epoll_ctl", std::to_string(handle), code);
    }
    return {};
}

/// A frame's rest is no whole number of milliseconds, so where the kernel (5.11) can wait more
/// precisely it does.
PORTHOLE_FN int EpollPoller::wait(Duration timeout) noexcept {
    constexpr int most = static_cast<int>(max_events);
#if defined(SYS_epoll_pwait2)
    constexpr std::int64_t billion = 1'000'000'000;
    if (timeout > Duration::zero() && has_precise_wait_) {
        const std::int64_t total = std::chrono::nanoseconds(timeout).count();
        std::int64_t parts[2] = {total / billion, total % billion}; // the kernel's 64-bit timespec
        const long count =
            ::syscall(SYS_epoll_pwait2, epoll_, ready_, most, parts, nullptr, std::size_t{0});
        if (count >= 0 || errno != ENOSYS) {
            return static_cast<int>(count);
        }
        has_precise_wait_ = false;
    }
#endif
    return ::epoll_wait(epoll_, ready_, most, whole_milliseconds(timeout));
}

PORTHOLE_FN std::size_t EpollPoller::poll(Duration timeout, Event* events) noexcept {
    const int count = wait(timeout);
    const std::size_t size = count > 0 ? static_cast<std::size_t>(count) : 0;
    for (std::size_t i = 0; i < size; ++i) {
        const unsigned what = ready_[i].events;
        events[i].owner = ready_[i].data.ptr;
        Readiness& readiness = events[i].readiness;
        // A pipe's end of stream is a hangup alone.
        readiness.read = (what & (EPOLLIN | EPOLLHUP)) != 0;
        readiness.write = (what & EPOLLOUT) != 0;
        readiness.error = (what & EPOLLERR) != 0;
        readiness.hangup = (what & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    }
    return size;
}

inline Error make_epoll_poller(std::unique_ptr<Poller>& poller) {
    auto made = std::make_unique<EpollPoller>();
    if (!made->is_open()) {
        return socket_error("epoll_create1", "", errno);
    }
    poller = std::move(made);
    return {};
}

inline constexpr PollerKind best_poller = PollerKind::epoll;

#else

inline Error make_epoll_poller(std::unique_ptr<Poller>&) {
    return Error(
        ErrorCode::misuse, "epoll_create1", "",
        "this system has no epoll: choose PollerKind::automatic or PollerKind::poll");
}

inline constexpr PollerKind best_poller = PollerKind::poll;

#endif

} // namespace detail

PORTHOLE_NAMESPACE_END
