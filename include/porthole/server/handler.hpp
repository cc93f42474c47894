// SPDX-License-Identifier: MIT
#pragma once

// What users and extensions give to the server: functions that answer, and hooks around them. All
// of it runs on the thread that ticks, and nowhere else.

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

PORTHOLE_NAMESPACE_END
