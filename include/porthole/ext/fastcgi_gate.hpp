// SPDX-License-Identifier: MIT
#pragma once

// How many requests of one mount are with the application server at the same time, who waits for a
// place, which connections are idle and open for the next one, and the beat by which all of them
// are looked after. It goes with its mount, and no connection outlives it.

#include "porthole/base/log.hpp"
#include "porthole/ext/fastcgi.hpp"
#include "porthole/os/connector.hpp"
#include "porthole/server/server.hpp"

#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class FastCgiRequest;

class FastCgiGate : public std::enable_shared_from_this<FastCgiGate> {
public:
    FastCgiGate(std::string address, bool is_scgi, FastCgiSettings settings);

    /// Looks the address up. An error when it is none.
    Error attach(Server& server);
    void close() noexcept;

    /// False when one more request would be one too many.
    bool has_room() const noexcept;
    /// Begins, or lets it wait for its turn.
    void enter(const std::shared_ptr<FastCgiRequest>& request);
    /// It needs no place any more, or will never need one.
    void leave(const FastCgiRequest& request);

    /// A connection that was kept and is still open; not open when there is none.
    Socket take_idle();
    void keep(Socket socket);
    std::size_t idle_count() const noexcept { return idle_.size(); }

    Server* server() const noexcept { return server_; }
    const TaskPoster& poster() const noexcept { return poster_; }
    const FastCgiSettings& settings() const noexcept { return settings_; }
    bool is_scgi() const noexcept { return is_scgi_; }
    const std::string& address() const noexcept { return address_; }
    const std::vector<Endpoint>& endpoints() const noexcept { return endpoints_; }
    void log(LogLevel level, LogId id, std::string_view sentence, std::string_view peer) const;

    /// Uploads that are spooled count as waiting: each may take disk.
    void begin_spooling() noexcept { ++spooling_; }
    void end_spooling() noexcept { --spooling_; }

private:
    struct Idle {
        Socket socket;
        WatchHandle watch; ///< goes before its socket does
        Duration age{};
    };

    Error find_endpoints();
    void start(const std::shared_ptr<FastCgiRequest>& request);
    void start_next();
    void note_free_place();
    void drop_idle(NativeHandle handle);
    void arm();
    void on_beat(Duration passed);
    TimePoint now() const noexcept;

    std::string address_;
    bool is_scgi_;
    FastCgiSettings settings_;
    std::vector<Endpoint> endpoints_;
    Server* server_ = nullptr; ///< null once it is closed
    TaskPoster poster_;
    std::vector<std::shared_ptr<FastCgiRequest>> running_;
    std::deque<std::shared_ptr<FastCgiRequest>> waiting_;
    std::vector<Idle> idle_; ///< the youngest at the end
    std::size_t spooling_ = 0;
    TimerHandle beat_;
    TimePoint last_beat_{};
    bool is_posted_ = false;
};

} // namespace detail

PORTHOLE_NAMESPACE_END
