// SPDX-License-Identifier: MIT
#pragma once

// One answered request, as plain facts, for whoever keeps a log of them.

#include "porthole/base/config.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

/// What happened to one request. The views are valid during the call.
struct AccessRecord {
    std::chrono::system_clock::time_point time; ///< when its answer had been sent
    std::string_view peer;                      ///< "127.0.0.1:51234"
    std::string_view method;                    ///< empty when the request could not be read
    std::string_view target;                    ///< the value of a token parameter is blotted out
    std::string_view http_version;
    int status = 0;
    std::uint64_t content_bytes = 0; ///< of the answer, handed to the transport
    bool is_complete = true;         ///< false: the connection ended within the answer
    /// From the end of the request's head to the last byte of the answer.
    std::chrono::nanoseconds duration{0};
    std::chrono::nanoseconds handler_time{0}; ///< in the user's functions
    bool is_over_budget = false;              ///< they alone used up what was left of the tick
};

/// Called once for each answer, inside tick(). Must not call back into the server.
using AccessLog = std::function<void(const AccessRecord&)>;

PORTHOLE_NAMESPACE_END
