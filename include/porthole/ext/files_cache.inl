// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/ext/files_cache.hpp"
#include "porthole/http/date.hpp"

#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

inline void append_hex(std::string& text, std::uint64_t value) {
    constexpr char digits[] = "0123456789abcdef";
    constexpr unsigned bits_per_digit = 4;
    char written[16];
    std::size_t at = sizeof written;
    do {
        written[--at] = digits[value & 0xf];
        value >>= bits_per_digit;
    } while (value != 0);
    text.append(written + at, sizeof written - at);
}

PORTHOLE_FN void OpenFile::describe() {
    etag = "\"";
    append_hex(etag, info.inode);
    etag += '-';
    append_hex(etag, info.size);
    etag += '-';
    append_hex(etag, static_cast<std::uint64_t>(info.mtime_ns));
    etag += '"';
    last_modified.resize(date_size);
    write_date(info.mtime(), last_modified.data());
}

PORTHOLE_FN std::shared_ptr<OpenFile> OpenFileCache::find(std::string_view name, TimePoint now) {
    const auto found = files_.find(name);
    if (found == files_.end()) {
        return nullptr;
    }
    const std::shared_ptr<OpenFile> file = found->second.file;
    FileInfo info;
    // Unlinked: the name, if it is still there, stands for another file.
    if (now - file->looked_up >= recheck_after_ || !file->file.read_info(info)
        || info.is_unlinked) {
        files_.erase(found);
        return nullptr;
    }
    found->second.used = ++uses_;
    if (info.is_same_as(file->info)) {
        return file;
    }
    file->info = info;
    file->describe();
    return file;
}

PORTHOLE_FN void OpenFileCache::keep(std::string_view name, const std::shared_ptr<OpenFile>& file) {
    if (max_files_ == 0) {
        return;
    }
    if (files_.size() >= max_files_ && files_.find(name) == files_.end()) {
        auto oldest = files_.begin();
        for (auto it = files_.begin(); it != files_.end(); ++it) {
            oldest = it->second.used < oldest->second.used ? it : oldest;
        }
        files_.erase(oldest);
    }
    files_.insert_or_assign(std::string(name), Entry{file, ++uses_});
}

PORTHOLE_FN void OpenFileCache::forget(std::string_view name) {
    const auto found = files_.find(name);
    if (found != files_.end()) {
        files_.erase(found);
    }
}

} // namespace detail

PORTHOLE_NAMESPACE_END
