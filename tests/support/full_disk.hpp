// SPDX-License-Identifier: MIT
#pragma once

// Places where writing comes to an end: a file system of a few megabytes, where this process may
// mount one, and a limit on the size of files. And what tests of writing look at afterwards.

#include "support/temporary_directory.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#if !defined(_WIN32)
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#endif
#if defined(__linux__)
#include <sys/mount.h>
#endif

namespace porthole_test {

/// A file's content, or "not there".
inline std::string read_file(std::string_view path) {
    porthole::detail::File file;
    porthole::detail::FileInfo info;
    if (open_path(path, file, info) != porthole::detail::OpenResult::ok) {
        return "not there";
    }
    std::string content(static_cast<std::size_t>(info.size), '\0');
    content.resize(file.read_at(0, content.empty() ? nullptr : &content[0], content.size()));
    return content;
}

/// The names in a directory, sorted.
inline std::vector<std::string> entries_of(std::string_view path) {
    std::vector<std::string> names;
    porthole::detail::File directory;
    porthole::detail::FileInfo info;
    porthole::detail::Directory root;
    const porthole::Error error =
        porthole::detail::Directory::open(path, "test", porthole::detail::Lookup::automatic, root);
    if (error || root.open_beneath("", directory, info) != porthole::detail::OpenResult::ok) {
        return {"not there"};
    }
    porthole::detail::DirectoryReader reader(std::move(directory));
    porthole::detail::DirectoryEntry entry;
    while (reader.next(entry)) {
        names.push_back(entry.name);
    }
    std::sort(names.begin(), names.end());
    return names;
}

inline std::vector<std::string> entries_of(const TemporaryDirectory& place) {
    return entries_of(place.path());
}

inline std::size_t count_entries(std::string_view path) {
    return entries_of(path).size();
}

/// A disk of 4 MiB. Only root may mount one; everywhere else it is not there.
class FullDisk {
public:
    static constexpr std::size_t capacity = 4 * 1024 * 1024;

    FullDisk() {
#if defined(__linux__)
        is_there_ = ::mount("tmpfs", place_.path().c_str(), "tmpfs", 0, "size=4m,mode=700") == 0;
#endif
    }
    FullDisk(const FullDisk&) = delete;
    FullDisk& operator=(const FullDisk&) = delete;
    ~FullDisk() {
#if defined(__linux__)
        if (is_there_) {
            ::umount2(place_.path().c_str(), MNT_DETACH);
        }
#endif
    }
    bool is_there() const {
        return is_there_;
    }
    std::string path(std::string_view name = {}) const {
        return place_.path(name);
    }

private:
    TemporaryDirectory place_;
    bool is_there_ = false;
};

#if !defined(_WIN32)

/// No file of this process grows past that while it lives.
class FileSizeLimit {
public:
    explicit FileSizeLimit(std::uint64_t bytes) {
        REQUIRE(::getrlimit(RLIMIT_FSIZE, &before_) == 0);
        rlimit limit = before_;
        limit.rlim_cur = static_cast<rlim_t>(bytes);
        REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
    }
    FileSizeLimit(const FileSizeLimit&) = delete;
    FileSizeLimit& operator=(const FileSizeLimit&) = delete;
    ~FileSizeLimit() { ::setrlimit(RLIMIT_FSIZE, &before_); }

private:
    rlimit before_{};
};

/// A file system that cannot tell how much room it has, like many that programs provide. Only root
/// may mount one.
class UnmeasuredDisk {
public:
    UnmeasuredDisk() {
#if defined(__linux__)
        is_there_ = ::mount("ramfs", place_.path().c_str(), "ramfs", 0, "mode=700") == 0;
#endif
    }
    UnmeasuredDisk(const UnmeasuredDisk&) = delete;
    UnmeasuredDisk& operator=(const UnmeasuredDisk&) = delete;
    ~UnmeasuredDisk() {
#if defined(__linux__)
        if (is_there_) {
            ::umount2(place_.path().c_str(), MNT_DETACH);
        }
#endif
    }
    bool is_there() const {
        return is_there_;
    }
    std::string path(std::string_view name) const {
        return place_.path(name);
    }

private:
    TemporaryDirectory place_;
    bool is_there_ = false;
};

inline mode_t current_umask() {
    const mode_t mask = ::umask(022);
    ::umask(mask);
    return mask;
}

#endif

} // namespace porthole_test
