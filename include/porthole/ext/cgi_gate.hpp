// SPDX-License-Identifier: MIT
#pragma once

// The queue of a mount whose requests are answered by programs. A program that is no longer wanted
// keeps its place until it has ended and been reaped, so that there are never more of them than
// CgiOptions::max_programs says.

#include "porthole/ext/cgi.hpp"
#include "porthole/ext/cgi_queue.hpp"
#include "porthole/os/process.hpp"

#include <cstddef>
#include <memory>
#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class CgiGate final : public CgiQueue {
public:
    explicit CgiGate(CgiSettings settings) : settings_(std::move(settings)) {}

    using CgiQueue::attach;
    /// Kills what runs, and waits for its end for the moment that a killed program needs.
    void close() noexcept;

    const CgiSettings& settings() const noexcept override { return settings_; }
    const std::shared_ptr<ProcessReaper>& reaper() const noexcept { return reaper_; }

private:
    std::size_t places_behind() const noexcept override { return reaper_->size(); }
    PORTHOLE_FN bool look_after(Duration passed) override;

    CgiSettings settings_;
    std::shared_ptr<ProcessReaper> reaper_ = std::make_shared<ProcessReaper>();
};

} // namespace detail

PORTHOLE_NAMESPACE_END
