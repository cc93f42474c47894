// SPDX-License-Identifier: MIT
#pragma once

// Static files from a directory:
//
//     auto error = server.mount("/", porthole::files("web/dist",
//         porthole::FilesOptions{}.spa("index.html")));
//
// Conditional requests, ranges, precompressed siblings, index files; by default no listing and no
// dotfiles. What is opened lies beneath the directory, whatever names and links say. Nothing waits
// for a slow reader: contents leave in bounded pieces.

#include "porthole/server/handler.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {
class FilesMount;
}

/// How a directory is served. Setters return the options, for chaining.
class FilesOptions {
public:
    /// Names tried for a path that ends in '/', in order; "index.html" by default.
    FilesOptions& index(std::vector<std::string> names) {
        index_ = std::move(names);
        return *this;
    }
    /// For single-page applications: this file answers navigations to paths that do not exist and
    /// whose last part has no extension.
    FilesOptions& spa(std::string_view name) {
        spa_ = name;
        return *this;
    }
    /// A page with the names, sizes and dates of a directory without an index file, as HTML or,
    /// by Accept, as JSON. Off by default.
    FilesOptions& listing(bool is_on = true) {
        has_listing_ = is_on;
        return *this;
    }
    /// How many entries a listing shows at the most.
    FilesOptions& max_listed_entries(std::size_t count) {
        max_listed_entries_ = count;
        return *this;
    }
    /// The Content-Type for an extension without its dot, in any case; beats the built-in one.
    FilesOptions& media_type(std::string_view extension, std::string_view type);
    /// Serves, and lists, names that begin with a dot. Off by default.
    FilesOptions& dotfiles(bool is_on = true) {
        has_dotfiles_ = is_on;
        return *this;
    }
    /// Answers with NAME.br or NAME.gz beside NAME when the client accepts that and the sibling is
    /// not older than NAME. On by default.
    FilesOptions& precompressed(bool is_on) {
        has_precompressed_ = is_on;
        return *this;
    }
    /// Refuses names that mean something else on Windows, such as "con.txt", "a:b" and "name.". On
    /// by default on Windows only.
    FilesOptions& portable_names(bool is_on = true) {
        portable_names_ = is_on;
        return *this;
    }
    /// Cache-Control for whatever is not immutable; "no-cache" by default, with which a browser
    /// asks each time and mostly gets a 304.
    FilesOptions& cache_control(std::string_view value) {
        cache_control_ = value;
        return *this;
    }
    /// Which names never change their content and may be kept for a year. By default those with a
    /// hash in them as bundlers write it ("app.3f2a9c1b.js"), pages excepted.
    FilesOptions& immutable(std::function<bool(std::string_view name)> is_immutable) {
        is_immutable_ = std::move(is_immutable);
        return *this;
    }
    /// How many files are kept open for repeated requests; 0 keeps none. On Windows, where that
    /// keeps others from replacing the files, the default is 0.
    FilesOptions& max_open_files(std::size_t count) {
        max_open_files_ = count;
        return *this;
    }
    /// For how long a kept file's name is not looked up again. What happens to the file itself is
    /// seen at once.
    FilesOptions& recheck_after(std::chrono::milliseconds time) {
        recheck_after_ = time;
        return *this;
    }
    /// Runs before each request to these files, in the order added.
    FilesOptions& before(BeforeHook hook) {
        before_.push_back(std::move(hook));
        return *this;
    }
    /// Looks names up part by part even where the system can do it in one call. For tests.
    FilesOptions& step_by_step(bool is_on = true) {
        is_step_by_step_ = is_on;
        return *this;
    }

private:
    friend class detail::FilesMount;

    static constexpr std::size_t default_listed_entries = 10'000;
    static constexpr std::chrono::milliseconds default_recheck{1'000};

    std::vector<std::string> index_{"index.html"};
    std::string spa_;
    std::vector<std::pair<std::string, std::string>> media_types_;
    std::string cache_control_ = "no-cache";
    std::function<bool(std::string_view)> is_immutable_;
    std::vector<BeforeHook> before_;
    std::size_t max_listed_entries_ = default_listed_entries;
    std::optional<std::size_t> max_open_files_;
    std::chrono::milliseconds recheck_after_ = default_recheck;
    std::optional<bool> portable_names_;
    bool has_listing_ = false;
    bool has_dotfiles_ = false;
    bool has_precompressed_ = true;
    bool is_step_by_step_ = false;
};

/// Serves the files below `root`, a path as the operating system takes it, in UTF-8. mount()
/// returns an error that names it when it is not there, no directory, or not readable.
std::unique_ptr<Mount> files(std::string_view root, FilesOptions options = {});

/// Answers a GET or HEAD with one file, wherever it lies: preconditions and ranges included. The
/// path is the program's own: never build it from what a request says, mount files() for that.
void send_file(const Request& request, Response& response, std::string_view path);

PORTHOLE_NAMESPACE_END
