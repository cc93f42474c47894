// SPDX-License-Identifier: MIT
#pragma once

// CGI/1.1 (RFC 3875): any program as a web page, from inside a main loop.
//
//     auto error = server.mount("/cgi-bin", porthole::cgi("cgi-bin"));
//     error = server.mount("/git", porthole::cgi_program("/usr/lib/git-core/git-http-backend",
//         {{"GIT_PROJECT_ROOT", "/srv/git"}, {"GIT_HTTP_EXPORT_ALL", "1"}}));
//
// Uploads go into the program as fast as it reads, and what it prints to the client as fast as that
// reads; nothing is collected whole and nothing waits. Programs are started without a shell, get an
// environment that is built from an allow-list, and do not outlive their request.

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

/// What becomes of an upload whose size is not announced: the chunked coding.
enum class ChunkedUpload : unsigned char {
    spool,  ///< collected, in memory and then in a file, so that CONTENT_LENGTH is known
    stream, ///< passed on as it comes, without CONTENT_LENGTH: for programs that read to the end
    refuse, ///< 411
};

namespace detail {

/// What is the same for all that answers from behind, be it a program or a server.
struct CgiTaskSettings {
    CgiVariables variables;
    std::string document_root;
    std::chrono::milliseconds timeout{30'000};
    std::size_t max_running = 4;
    std::size_t max_waiting = 16;
    std::size_t max_head_bytes = 16 * 1024;
    std::size_t spool_memory_bytes = 64 * 1024;
    std::uint64_t max_spool_bytes = std::uint64_t{1024} * 1024 * 1024;
    std::uint64_t max_body_bytes = 0;
    ChunkedUpload chunked = ChunkedUpload::spool;
    bool passes_authorization = false;
};

/// What CgiOptions has collected.
struct CgiSettings : CgiTaskSettings {
    std::vector<std::pair<std::string, std::string>> interpreters; ///< ".php", "php-cgi"
    std::vector<std::string> index{"index.cgi"};
    std::vector<std::string> inherited{"PATH"};
    std::string working_directory;
    std::chrono::milliseconds max_run_time{0};
};

} // namespace detail

/// How programs are run. Setters return the options, for chaining.
class CgiOptions {
public:
    /// Files with that extension (".php") are given to a program instead of being run themselves,
    /// and need not be executable. A name without a slash is looked for in PATH, by mount().
    CgiOptions& interpreter(std::string_view extension, std::string_view program) {
        settings_.interpreters.emplace_back(extension, program);
        return *this;
    }
    /// Scripts tried for a path that ends in '/', in order; "index.cgi" by default.
    CgiOptions& index(std::vector<std::string> names) {
        settings_.index = std::move(names);
        return *this;
    }
    /// One more variable for every program; beats those of the request.
    CgiOptions& variable(std::string_view name, std::string_view value) {
        settings_.variables.emplace_back(name, value);
        return *this;
    }
    /// A variable of this process that the programs get, too. PATH is one by default.
    CgiOptions& inherit(std::string_view name) {
        settings_.inherited.emplace_back(name);
        return *this;
    }
    /// DOCUMENT_ROOT, and where PATH_TRANSLATED begins; the mounted directory by default.
    CgiOptions& document_root(std::string_view path) {
        settings_.document_root = path;
        return *this;
    }
    /// Where the programs are started; the script's own directory by default.
    CgiOptions& working_directory(std::string_view path) {
        settings_.working_directory = path;
        return *this;
    }
    /// For how long a program may neither print nor read: then it is ended, and the answer is 504
    /// or, when it has begun, broken off. Also how long a request waits for its turn, before 503.
    CgiOptions& timeout(std::chrono::milliseconds time) {
        settings_.timeout = time;
        return *this;
    }
    /// For how long a program may run, however busy it is; 0, the default, is without end.
    CgiOptions& max_run_time(std::chrono::milliseconds time) {
        settings_.max_run_time = time;
        return *this;
    }
    /// Programs that run at the same time.
    CgiOptions& max_programs(std::size_t count) {
        settings_.max_running = count == 0 ? 1 : count;
        return *this;
    }
    /// Requests that wait for their turn; one more is 503 with Retry-After.
    CgiOptions& max_waiting(std::size_t count) {
        settings_.max_waiting = count;
        return *this;
    }
    /// Of what a program prints before its content. Past it: 502.
    CgiOptions& max_head_bytes(std::size_t bytes) {
        settings_.max_head_bytes = bytes;
        return *this;
    }
    CgiOptions& chunked_upload(ChunkedUpload what) {
        settings_.chunked = what;
        return *this;
    }
    /// What a spooled upload takes of memory, and of memory and disk together; past that: 413.
    CgiOptions& spool(std::size_t memory_bytes, std::uint64_t max_bytes) {
        settings_.spool_memory_bytes = memory_bytes;
        settings_.max_spool_bytes = max_bytes;
        return *this;
    }
    /// Of an upload; past it: 413. 0, the default, is Limits::max_streamed_body_bytes.
    CgiOptions& max_body_bytes(std::uint64_t bytes) {
        settings_.max_body_bytes = bytes;
        return *this;
    }
    /// Gives HTTP_AUTHORIZATION to the programs. Off by default: it may be this server's own token.
    CgiOptions& authorization(bool is_on = true) {
        settings_.passes_authorization = is_on;
        return *this;
    }

    const detail::CgiSettings& settings() const noexcept { return settings_; }

private:
    detail::CgiSettings settings_;
};

/// Runs the executable files below `root`, a path as the operating system takes it, in UTF-8.
/// mount() returns an error that names what is not there: the directory, or an interpreter.
std::unique_ptr<Mount> cgi(std::string_view root, CgiOptions options = {});

/// One program for all that is asked below a path; it gets the rest as PATH_INFO. A name without a
/// slash is looked for in PATH. `variables` join those of the options.
std::unique_ptr<Mount>
cgi_program(std::string_view program, CgiVariables variables = {}, CgiOptions options = {});

PORTHOLE_NAMESPACE_END
