// SPDX-License-Identifier: MIT
#pragma once

// Application servers that run already, as one web page or many: FastCGI 1.0 (php-fpm and others)
// and SCGI, over TCP or a unix socket. It is how CGI scales past one process to a request.
//
//     auto error = server.mount("/app", porthole::fastcgi("unix:/run/php/php-fpm.sock",
//         porthole::FastCgiOptions{}.document_root("/srv/app/public")));
//     error = server.mount("/tool", porthole::scgi("127.0.0.1:4000"));
//
// Everything runs inside tick(): connecting has a deadline, uploads go in as fast as the server
// behind reads, and answers come out as fast as the client does.

#include "porthole/ext/cgi.hpp"
#include "porthole/ext/cgi_environment.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

class Mount;

namespace detail {

/// What FastCgiOptions has collected.
struct FastCgiSettings : CgiTaskSettings {
    FastCgiSettings() {
        max_running = 8;
        max_waiting = 64;
    }
    std::vector<std::string> extensions{".php"};
    std::string index = "index.php";
    std::chrono::milliseconds connect_timeout{5'000};
    std::size_t max_idle = 4;
    bool keeps_connections = true;
};

} // namespace detail

/// How an application server is spoken to. Setters return the options, for chaining.
class FastCgiOptions {
public:
    /// The directory with the scripts, as the application server sees it; it need not be on this
    /// machine. The path below the mount then names a script in it: SCRIPT_FILENAME. Without one,
    /// the default, the application gets the whole path as PATH_INFO.
    FastCgiOptions& document_root(std::string_view path) {
        settings_.document_root = path;
        return *this;
    }
    /// With a document root: the first part of the path that ends with one of these is the script,
    /// and the rest is PATH_INFO; other paths are 404. ".php" by default.
    FastCgiOptions& extensions(std::vector<std::string> names) {
        settings_.extensions = std::move(names);
        return *this;
    }
    /// With a document root: the script for a path that ends in '/'; "index.php" by default.
    FastCgiOptions& index(std::string_view name) {
        settings_.index = name;
        return *this;
    }
    /// One more variable for every request; beats those of the request. SCRIPT_FILENAME given here
    /// names one script for all paths.
    FastCgiOptions& variable(std::string_view name, std::string_view value) {
        settings_.variables.emplace_back(name, value);
        return *this;
    }
    /// For how long connecting may take; past it: 504.
    FastCgiOptions& connect_timeout(std::chrono::milliseconds time) {
        settings_.connect_timeout = time;
        return *this;
    }
    /// For how long the server behind may neither send nor read: then the answer is 504 or, when it
    /// has begun, broken off. Also how long a request waits for its turn, before 503.
    FastCgiOptions& timeout(std::chrono::milliseconds time) {
        settings_.timeout = time;
        return *this;
    }
    /// Requests that are with the server behind at the same time, each on its own connection.
    FastCgiOptions& max_connections(std::size_t count) {
        settings_.max_running = count == 0 ? 1 : count;
        return *this;
    }
    /// Requests that wait for their turn; one more is 503 with Retry-After.
    FastCgiOptions& max_waiting(std::size_t count) {
        settings_.max_waiting = count;
        return *this;
    }
    /// Asks to keep connections, of which that many may be idle; 0 makes a new one for each
    /// request. SCGI has no such thing.
    FastCgiOptions& max_idle(std::size_t count) {
        settings_.max_idle = count;
        settings_.keeps_connections = count != 0;
        return *this;
    }
    /// Of what comes before the content. Past it: 502.
    FastCgiOptions& max_head_bytes(std::size_t bytes) {
        settings_.max_head_bytes = bytes;
        return *this;
    }
    /// SCGI cannot do without a length, so it spools where this says `stream`.
    FastCgiOptions& chunked_upload(ChunkedUpload what) {
        settings_.chunked = what;
        return *this;
    }
    /// What a spooled upload takes of memory, and of memory and disk together; past that: 413.
    FastCgiOptions& spool(std::size_t memory_bytes, std::uint64_t max_bytes) {
        settings_.spool_memory_bytes = memory_bytes;
        settings_.max_spool_bytes = max_bytes;
        return *this;
    }
    /// Of an upload; past it: 413. 0, the default, is Limits::max_streamed_body_bytes.
    FastCgiOptions& max_body_bytes(std::uint64_t bytes) {
        settings_.max_body_bytes = bytes;
        return *this;
    }
    /// Gives HTTP_AUTHORIZATION on. Off by default: it may be this server's own token.
    FastCgiOptions& authorization(bool is_on = true) {
        settings_.passes_authorization = is_on;
        return *this;
    }

    const detail::FastCgiSettings& settings() const noexcept { return settings_; }

private:
    detail::FastCgiSettings settings_;
};

/// Hands requests to the FastCGI server at `address`: "unix:/path" or "host:port". mount() looks a
/// name up once, and returns an error for an address that is none; that nobody listens there yet is
/// no error but a 502, later.
std::unique_ptr<Mount> fastcgi(std::string_view address, FastCgiOptions options = {});

/// The same for SCGI.
std::unique_ptr<Mount> scgi(std::string_view address, FastCgiOptions options = {});

PORTHOLE_NAMESPACE_END
