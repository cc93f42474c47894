// SPDX-License-Identifier: MIT
#pragma once

// The queue of a mount whose requests are answered by an application server: where that is, and
// which connections to it are idle and open for the next one.

#include "porthole/ext/cgi_queue.hpp"
#include "porthole/ext/fastcgi.hpp"
#include "porthole/os/connector.hpp"
#include "porthole/server/server.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class FastCgiGate final : public CgiQueue {
public:
    FastCgiGate(std::string address, bool is_scgi, FastCgiSettings settings);

    /// Looks the address up. An error when it is none.
    Error attach(Server& server);
    void close() noexcept;

    /// A connection that was kept and is still open; not open when there is none.
    Socket take_idle();
    void keep(Socket socket);

    const FastCgiSettings& settings() const noexcept override { return settings_; }
    bool is_scgi() const noexcept { return is_scgi_; }
    const std::string& address() const noexcept { return address_; }
    const std::vector<Endpoint>& endpoints() const noexcept { return endpoints_; }

private:
    struct Idle {
        Socket socket;
        WatchHandle watch; ///< goes before its socket does
        Duration age{};
    };

    PORTHOLE_FN std::chrono::milliseconds shortest_timeout() const noexcept override;
    PORTHOLE_FN bool look_after(Duration passed) override;
    Error find_endpoints();
    void drop_idle(NativeHandle handle);

    std::string address_;
    bool is_scgi_;
    FastCgiSettings settings_;
    std::vector<Endpoint> endpoints_;
    std::vector<Idle> idle_; ///< the youngest at the end
};

} // namespace detail

PORTHOLE_NAMESPACE_END
