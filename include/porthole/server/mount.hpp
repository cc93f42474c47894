// SPDX-License-Identifier: MIT
#pragma once

// A module that answers everything below a prefix: files, CGI, a proxy, a user's own.

#include "porthole/base/error.hpp"
#include "porthole/http/request.hpp"
#include "porthole/http/response.hpp"
#include "porthole/server/body_sink.hpp"

PORTHOLE_NAMESPACE_BEGIN

/// Owned by the server; destroyed by Group::unmount(), at once or, when it is running, as soon as
/// it returns, or with the server. Ticking thread only; an exception that leaves handle() or
/// receive() is a 500.
class Mount {
public:
    virtual ~Mount() = default;
    /// Called once by Server::mount(), which hands an error on to its caller and drops the mount.
    virtual Error attach(Server& server) {
        static_cast<void>(server);
        return {};
    }
    /// Any method; Request::mount_path() is the path below the prefix.
    virtual void handle(const Request& request, Response& response) = 0;
    /// True for a mount that takes the content of requests as it comes: those that have content
    /// are then given to receive() instead of handle().
    virtual bool takes_streams() const noexcept { return false; }
    /// Called at the head of a request with content, behind the before hooks: where does it go? An
    /// answer that is given here is sent without reading it. One that is deferred may come at any
    /// time, as with BodyFlow::defer(); else the sink's on_end() answers.
    virtual BodySink receive(const Request& request, Response& response) {
        static_cast<void>(request);
        static_cast<void>(response);
        return {};
    }
};

PORTHOLE_NAMESPACE_END
