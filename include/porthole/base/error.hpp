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
    exhausted,             ///< no memory, process or place is left now; later there may be
    too_long,              ///< longer than the system takes
    connection_refused,    ///< nobody listens there
    timed_out,             ///< the deadline passed
    bad_pattern,           ///< a route or mount pattern that cannot be parsed
    already_exists,        ///< something of that name is there already
    not_found,             ///< a file, directory or program that is not there
    misuse,                ///< the call is not legal in this state
    system,                ///< anything else the operating system refused
};

/// An expected failure, or none. One pointer wide, and nothing else when there is none, so that it
/// costs little to hand one up through many calls.
class [[nodiscard]] Error {
public:
    Error() = default;
    Error(
        ErrorCode code, std::string_view call, std::string_view subject,
        std::string_view advice = {});
    Error(const Error& other);
    Error(Error&& other) noexcept : facts_(other.facts_) { other.facts_ = nullptr; }
    Error& operator=(Error other) noexcept {
        Facts* const mine = facts_;
        facts_ = other.facts_;
        other.facts_ = mine;
        return *this;
    }
    ~Error() {
        if (facts_ != nullptr) {
            forget();
        }
    }

    /// True when there is an error, so that `if (auto error = server.listen(8080))` reads well.
    explicit operator bool() const noexcept { return facts_ != nullptr; }

    ErrorCode code() const noexcept;
    // Views below are valid as long as the Error.

    /// The call that failed: "bind", "getaddrinfo", "mount" ...
    std::string_view call() const noexcept;
    /// What it was called on: "[::1]:8080", a path, a pattern.
    std::string_view endpoint() const noexcept;
    /// The operating system's own words; empty when it was not asked.
    std::string_view system_text() const noexcept;
    /// errno, WSAGetLastError() or the getaddrinfo() code; 0 when the system was not asked.
    int system_code() const noexcept;
    /// What the user can do about it; may be empty.
    std::string_view advice() const noexcept;
    /// All of it in one line: `bind [::1]:8080: Address already in use (98); <advice>`.
    std::string message() const;

    /// Adds what the operating system said.
    Error&& with_system(int system_code, std::string_view system_text) &&;

private:
    struct Facts {
        ErrorCode code = ErrorCode::ok;
        int system_code = 0;
        std::string call;
        std::string subject;
        std::string system_text;
        std::string advice;
    };
    void forget() noexcept;

    Facts* facts_ = nullptr; ///< owned; null when there is no error
};

/// The code's own short sentence, for logs and tests: "address already in use".
std::string_view describe(ErrorCode code) noexcept;

PORTHOLE_NAMESPACE_END
