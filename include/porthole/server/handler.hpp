// SPDX-License-Identifier: MIT
#pragma once

// What users and extensions give to the server: functions that answer, hooks around them, and
// mounts, which answer everything below a prefix. All of it runs on the thread that ticks, and
// nowhere else.

#include "porthole/base/error.hpp"
#include "porthole/http/request.hpp"
#include "porthole/http/response.hpp"

#include <functional>

PORTHOLE_NAMESPACE_BEGIN

/// Answers a request. May touch the program's state without a lock, add and remove routes, its own
/// included, and stop or destroy the server. An exception that leaves it becomes a 500.
using Handler = std::function<void(const Request&, Response&)>;

/// What a before hook decides.
enum class Next : unsigned char {
    go_on, ///< to the next hook, and in the end to the handler
    stop,  ///< send the answer as the hook left it; 403 when the hook left it untouched
};
using BeforeHook = std::function<Next(const Request&, Response&)>;
/// Sees each answer before it is sent, and may still change it.
using AfterHook = std::function<void(const Request&, Response&)>;

/// Answers everything below a prefix: files, CGI, a proxy, a user's own module. Owned by the
/// server; destroyed by Server::unmount() or with the server.
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
};

PORTHOLE_NAMESPACE_END
