// SPDX-License-Identifier: MIT
#pragma once

// Deadlines for extensions and programs: a function that is called inside a later tick.

#include "porthole/base/config.hpp"

#include <memory>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class TimerEntry;

} // namespace detail

/// A call that is still to come. Cancelled when it is destroyed. May outlive the server, which
/// frees the calls that are still to come, and what they hold, when it goes. Ticking thread only.
class [[nodiscard]] TimerHandle {
public:
    TimerHandle() = default;
    explicit TimerHandle(std::shared_ptr<detail::TimerEntry> entry) noexcept;
    TimerHandle(TimerHandle&& other) noexcept = default;
    TimerHandle& operator=(TimerHandle&& other) noexcept;
    ~TimerHandle() { cancel(); }

    /// Also from inside the call.
    void cancel() noexcept;
    /// True until it has been called or cancelled.
    bool is_pending() const noexcept;

private:
    std::shared_ptr<detail::TimerEntry> entry_;
};

PORTHOLE_NAMESPACE_END
