// SPDX-License-Identifier: MIT
#pragma once

// The seam for extensions with descriptors of their own (pipes of a CGI program, a proxy's
// sockets): the server watches them together with its connections and calls back inside tick().

#include "porthole/os/poller.hpp"

#include <functional>
#include <memory>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class WatchEntry;

} // namespace detail

/// Called inside tick() with what is ready. One call is one unit of the budget: it must not block,
/// and should move a bounded amount.
using WatchCallback = std::function<void(Readiness)>;

/// A watched descriptor. Stops watching when it is destroyed, which must happen before the
/// descriptor is closed; the descriptor itself is not owned. May outlive the server. Stopped, or
/// with the server gone, the callback and all that it holds is freed. Ticking thread only.
class WatchHandle {
public:
    WatchHandle() = default;
    explicit WatchHandle(std::shared_ptr<detail::WatchEntry> entry) noexcept;
    WatchHandle(WatchHandle&& other) noexcept = default;
    WatchHandle& operator=(WatchHandle&& other) noexcept;
    ~WatchHandle() { stop(); }

    bool is_watching() const noexcept { return entry_ != nullptr; }
    void set_interest(Interest interest);
    /// Also from inside the callback.
    void stop() noexcept;

private:
    std::shared_ptr<detail::WatchEntry> entry_;
};

PORTHOLE_NAMESPACE_END
