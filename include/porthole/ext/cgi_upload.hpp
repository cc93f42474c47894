// SPDX-License-Identifier: MIT
#pragma once

// The content of a request on its way to what answers it: spooled until it is whole, or held back
// in the client's socket while the other side takes no more, or dropped once nobody reads it.

#include "porthole/ext/cgi_queue.hpp"
#include "porthole/ext/cgi_spool.hpp"
#include "porthole/server/body_sink.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// For the log.
inline constexpr std::string_view upload_is_not_spooled =
    "the upload cannot be spooled: the disk for temporary files is full or missing";

class CgiUpload {
public:
    CgiUpload(std::shared_ptr<CgiQueue> queue, bool has_content, bool is_spooled);
    CgiUpload(const CgiUpload&) = delete;
    CgiUpload& operator=(const CgiUpload&) = delete;
    ~CgiUpload() { leave_spooling(); }

    void set_flow(BodyFlow flow) { flow_ = std::move(flow); }

    bool is_spooled() const noexcept { return is_spooled_; }
    /// False when there is no room; the request is then refused with 507, which ends in
    /// on_content_abort().
    bool spool(std::string_view piece);
    /// It counts as waiting no more.
    void leave_spooling() noexcept;
    std::uint64_t spooled_bytes() const noexcept { return spool_.size(); }
    /// True when something of it has not been read back.
    bool has_spooled() const noexcept { return is_spooled_ && !spool_.is_read(); }
    std::size_t read_spooled(char* into, std::size_t capacity) noexcept {
        return spool_.read(into, capacity);
    }

    void end() noexcept { has_ended_ = true; }
    /// True when nothing more will come.
    bool has_ended() const noexcept { return has_ended_; }
    /// Lets what comes next wait in the client's socket, or not any more.
    void pause(bool is_paused);

    /// Nobody reads it: the rest is taken from the client for a while all the same, because most
    /// clients read no answer before they have sent everything. `unsent` bytes had come before.
    void drop(std::size_t unsent);
    void drop_more(std::size_t bytes);
    bool is_dropped() const noexcept { return is_dropped_; }

private:
    std::shared_ptr<CgiQueue> queue_;
    BodyFlow flow_;
    CgiSpool spool_;
    std::uint64_t dropped_ = 0;
    bool is_spooled_;
    bool is_counted_;
    bool has_ended_;
    bool is_paused_ = false;
    bool is_dropped_ = false;
};

} // namespace detail

PORTHOLE_NAMESPACE_END
