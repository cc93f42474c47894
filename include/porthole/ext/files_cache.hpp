// SPDX-License-Identifier: MIT
#pragma once

// Open files, each with what its answers need to know, and a small bounded store of those that
// were asked for lately, so that a repeated request costs no open.

#include "porthole/base/clock.hpp"
#include "porthole/os/file.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// A regular file that is open. Shared by the store and the answers that are being sent.
struct OpenFile {
    /// Whether NAME.br, say, lies beside it.
    enum class Sibling : unsigned char { unknown, absent, present };

    File file;
    FileInfo info;
    std::string type;          ///< Content-Type
    std::string cache_control; ///< Cache-Control
    std::string etag;          ///< strong, with its quotes
    std::string last_modified;
    Sibling brotli = Sibling::unknown;
    Sibling gzip = Sibling::unknown;
    TimePoint looked_up{}; ///< when its name led here

    /// Writes etag and last_modified anew from `info`.
    void describe();
};

/// By name, at most so many; the least recently used goes first.
class OpenFileCache {
public:
    OpenFileCache(std::size_t max_files, Duration recheck_after) noexcept
        : max_files_(max_files), recheck_after_(recheck_after) {}

    /// The file of that name if it is kept and still the one that the name stands for. One fstat;
    /// a file that was changed meanwhile comes with what is true now.
    std::shared_ptr<OpenFile> find(std::string_view name, TimePoint now);
    void keep(std::string_view name, const std::shared_ptr<OpenFile>& file);
    void forget(std::string_view name);
    std::size_t size() const noexcept { return files_.size(); }

private:
    struct Entry {
        std::shared_ptr<OpenFile> file;
        std::uint64_t used = 0;
    };
    std::map<std::string, Entry, std::less<>> files_;
    std::uint64_t uses_ = 0;
    std::size_t max_files_;
    Duration recheck_after_;
};

} // namespace detail

PORTHOLE_NAMESPACE_END
