// SPDX-License-Identifier: MIT
#pragma once

// Expected failures are values. An Error says which call failed, on what, what the system said, and
// what the user can do about it; it converts to true when there is one.

#include "porthole/base/config.hpp"

#include <string>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

/// What kind of failure it is, for code that reacts to it. The sentence is Error::message().
enum class ErrorCode : unsigned char {
    ok,                    ///< no error
    address_in_use,        ///< another socket holds the port
    address_not_available, ///< no interface of this machine has that address
    permission_denied,     ///< a port below 1024, or a path that this user may not touch
    unknown_host,          ///< the name does not resolve
    unsupported_family,    ///< this machine lacks IPv4, IPv6 or unix sockets
    bad_port,              ///< not a number from 0 to 65535, or a range that passes 65535
    bad_path,              ///< a unix socket path that is empty, too long, or not a socket
    not_exposed,           ///< not a loopback address, and ListenOptions::expose does not allow it
    too_many_files,        ///< the process or the system has no descriptor left
    connection_refused,    ///< nobody listens there
    timed_out,             ///< the deadline passed
    bad_pattern,           ///< a route or mount pattern that cannot be parsed
    already_exists,        ///< something of that name is there already
    not_found,             ///< a file, directory or program that is not there
    misuse,                ///< the call is not legal in this state
    system,                ///< anything else the operating system refused
};

/// An expected failure, or none. Cheap when there is none.
class [[nodiscard]] Error {
public:
    Error() = default;
    Error(
        ErrorCode code, std::string_view call, std::string_view subject,
        std::string_view advice = {});

    /// True when there is an error, so that `if (auto error = server.listen(8080))` reads well.
    explicit operator bool() const noexcept { return code_ != ErrorCode::ok; }

    ErrorCode code() const noexcept { return code_; }
    /// The call that failed: "bind", "getaddrinfo", "mount" ...
    const std::string& call() const noexcept { return call_; }
    /// What it was called on: "[::1]:8080", a path, a pattern.
    const std::string& endpoint() const noexcept { return subject_; }
    /// The operating system's own words; empty when it was not asked.
    const std::string& system_text() const noexcept { return system_text_; }
    /// errno, WSAGetLastError() or the getaddrinfo() code; 0 when the system was not asked.
    int system_code() const noexcept { return system_code_; }
    /// What the user can do about it; may be empty.
    const std::string& advice() const noexcept { return advice_; }
    /// All of it in one line: `bind [::1]:8080: Address already in use (98); <advice>`.
    std::string message() const;

    /// Adds what the operating system said.
    Error&& with_system(int system_code, std::string_view system_text) &&;

private:
    ErrorCode code_ = ErrorCode::ok;
    int system_code_ = 0;
    std::string call_;
    std::string subject_;
    std::string system_text_;
    std::string advice_;
};

/// The code's own short sentence, for logs and tests: "address already in use".
std::string_view describe(ErrorCode code) noexcept;

PORTHOLE_NAMESPACE_END
