// SPDX-License-Identifier: MIT
#pragma once

// Files on Windows: HANDLEs, wide calls, UTF-8 outside. There is no call that stays beneath a
// directory, so a file is opened first and asked where it really lies; links and junctions that
// lead out are then closed again unread.

#include "porthole/os/file.hpp"
#include "porthole/os/platform.inl"
#include "porthole/os/socket_windows.inl"

#include <cstring>
#include <cwchar>
#include <string>

#if defined(_WIN32)

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

inline HANDLE native_file(const File& file) noexcept {
    return reinterpret_cast<HANDLE>(file.handle());
}

/// Empty for what is not UTF-8: no file has such a name.
inline std::wstring widen(std::string_view text) {
    const int size = static_cast<int>(text.size());
    const int count =
        ::MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text.data(), size, nullptr, 0);
    std::wstring wide(count > 0 ? static_cast<std::size_t>(count) : 0, L'\0');
    if (count > 0) {
        ::MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text.data(), size, &wide[0], count);
    }
    return wide;
}

inline std::string narrow(const wchar_t* text, std::size_t size) {
    const int length = static_cast<int>(size);
    const int count = ::WideCharToMultiByte(CP_UTF8, 0, text, length, nullptr, 0, nullptr, nullptr);
    std::string bytes(count > 0 ? static_cast<std::size_t>(count) : 0, '\0');
    if (count > 0) {
        ::WideCharToMultiByte(CP_UTF8, 0, text, length, &bytes[0], count, nullptr, nullptr);
    }
    return bytes;
}

inline OpenResult classify_file_error(DWORD code) noexcept {
    switch (code) {
    case ERROR_ACCESS_DENIED:
    case ERROR_SHARING_VIOLATION:
    case ERROR_LOCK_VIOLATION: return OpenResult::denied;
    case ERROR_FILENAME_EXCED_RANGE: return OpenResult::too_long;
    case ERROR_TOO_MANY_OPEN_FILES:
    case ERROR_NO_SYSTEM_RESOURCES:
    case ERROR_NOT_ENOUGH_MEMORY: return OpenResult::exhausted;
    default: return OpenResult::not_found;
    }
}

/// For reading, without getting in the way of those who write, rename or delete. The flag makes
/// directories openable.
inline File open_wide(const std::wstring& path) noexcept {
    const HANDLE handle = ::CreateFileW(
        path.c_str(), GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, nullptr,
        OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, nullptr);
    return handle == INVALID_HANDLE_VALUE ? File() : File(reinterpret_cast<NativeHandle>(handle));
}

/// Where an open file really lies, links and short names resolved; empty when it is not told.
inline std::wstring final_path(const File& file) {
    constexpr DWORD flags = FILE_NAME_NORMALIZED | VOLUME_NAME_DOS;
    const DWORD needed = ::GetFinalPathNameByHandleW(native_file(file), nullptr, 0, flags);
    std::wstring path(needed, L'\0');
    const DWORD size =
        needed == 0 ? 0 : ::GetFinalPathNameByHandleW(native_file(file), &path[0], needed, flags);
    path.resize(size < needed ? size : 0);
    return path;
}

/// True when `path` is `root` or lies beneath it. Both are final, so their case is the same.
inline bool is_beneath(const std::wstring& path, const std::wstring& root) noexcept {
    if (root.empty() || path.compare(0, root.size(), root) != 0) {
        return false;
    }
    return path.size() == root.size() || root.back() == L'\\' || path[root.size()] == L'\\';
}

/// FILETIME counts 100 ns since 1601.
inline std::int64_t to_unix_ns(std::int64_t file_time) noexcept {
    constexpr std::int64_t ticks_before_1970 = 116'444'736'000'000'000;
    constexpr std::int64_t ns_per_tick = 100;
    return (file_time - ticks_before_1970) * ns_per_tick;
}

inline std::uint64_t join_words(DWORD high, DWORD low) noexcept {
    constexpr unsigned word_bits = 32;
    return (static_cast<std::uint64_t>(high) << word_bits) | low;
}

PORTHOLE_FN void File::close() noexcept {
    if (is_open()) {
        static_cast<void>(::CloseHandle(native_file(*this)));
        handle_ = invalid_handle;
    }
}

PORTHOLE_FN bool File::read_info(FileInfo& info) const noexcept {
    BY_HANDLE_FILE_INFORMATION found{};
    if (::GetFileType(native_file(*this)) != FILE_TYPE_DISK
        || ::GetFileInformationByHandle(native_file(*this), &found) == 0) {
        return false;
    }
    info.is_directory = (found.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
    info.is_unlinked = found.nNumberOfLinks == 0;
    info.is_executable = !info.is_directory;
    info.volume = found.dwVolumeSerialNumber;
    info.inode = join_words(found.nFileIndexHigh, found.nFileIndexLow);
    info.size = join_words(found.nFileSizeHigh, found.nFileSizeLow);
    info.mtime_ns = to_unix_ns(static_cast<std::int64_t>(
        join_words(found.ftLastWriteTime.dwHighDateTime, found.ftLastWriteTime.dwLowDateTime)));
    return true;
}

// Windows reads ahead in steps of its own, and has no call to ask for more of them.
PORTHOLE_FN void File::stop_reading_ahead() const noexcept {}
PORTHOLE_FN void File::read_ahead(std::uint64_t, std::uint64_t) const noexcept {}

PORTHOLE_FN std::size_t
File::read_at(std::uint64_t offset, char* into, std::size_t capacity) const noexcept {
    constexpr std::size_t most = 1024 * 1024 * 1024;
    constexpr unsigned word_bits = 32;
    std::size_t done = 0;
    while (done < capacity) {
        const std::uint64_t at = offset + done;
        const std::size_t wanted = capacity - done < most ? capacity - done : most;
        OVERLAPPED place{};
        place.Offset = static_cast<DWORD>(at);
        place.OffsetHigh = static_cast<DWORD>(at >> word_bits);
        DWORD count = 0;
        if (::ReadFile(native_file(*this), into + done, static_cast<DWORD>(wanted), &count, &place)
                == 0
            || count == 0) {
            break;
        }
        done += count;
    }
    return done;
}

struct DirectoryReader::State {
    File directory;
    alignas(8) char block[8 * 1024];
    std::size_t at = 0;
    bool has_block = false;
    bool has_ended = false;

    /// False when there are no more.
    bool read_block() noexcept {
        at = 0;
        has_block = !has_ended
                    && ::GetFileInformationByHandleEx(
                           native_file(directory), FileIdBothDirectoryInfo, block, sizeof block)
                           != 0;
        has_ended = !has_block;
        return has_block;
    }
};

PORTHOLE_FN DirectoryReader::DirectoryReader(File directory) : state_(new State) {
    state_->directory = std::move(directory);
}

PORTHOLE_FN DirectoryReader::~DirectoryReader() = default;

PORTHOLE_FN bool DirectoryReader::next(DirectoryEntry& entry) {
    while (state_->has_block || state_->read_block()) {
        const auto* found =
            reinterpret_cast<const FILE_ID_BOTH_DIR_INFO*>(state_->block + state_->at);
        state_->at += found->NextEntryOffset;
        state_->has_block = found->NextEntryOffset != 0;
        entry.name = narrow(found->FileName, found->FileNameLength / sizeof(wchar_t));
        if (entry.name == "." || entry.name == "..") {
            continue;
        }
        entry.is_link = (found->FileAttributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0;
        entry.is_directory = (found->FileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
        entry.is_regular = !entry.is_directory;
        entry.size = static_cast<std::uint64_t>(found->EndOfFile.QuadPart);
        entry.mtime_ns = to_unix_ns(found->LastWriteTime.QuadPart);
        return true;
    }
    return false;
}

struct Directory::Walk {};

PORTHOLE_FN Directory::Directory() = default;
PORTHOLE_FN Directory::Directory(Directory&& other) noexcept = default;
PORTHOLE_FN Directory& Directory::operator=(Directory&& other) noexcept = default;
PORTHOLE_FN Directory::~Directory() = default;

inline Error directory_error(std::string_view call, std::string_view path, DWORD code) {
    const bool is_missing = code == ERROR_FILE_NOT_FOUND || code == ERROR_PATH_NOT_FOUND;
    const ErrorCode kind = is_missing                    ? ErrorCode::not_found
                           : code == ERROR_ACCESS_DENIED ? ErrorCode::permission_denied
                           : code == ERROR_DIRECTORY     ? ErrorCode::bad_path
                                                         : ErrorCode::system;
    const std::string_view advice =
        is_missing                ? "create the directory first, or start the program where it lies"
        : code == ERROR_DIRECTORY ? "name a directory"
                                  : std::string_view();
    const int system_code = static_cast<int>(code);
    return Error(kind, call, path, advice).with_system(system_code, system_text(system_code));
}

PORTHOLE_FN Error
Directory::open(std::string_view path, std::string_view call, Lookup lookup, Directory& directory) {
    static_cast<void>(lookup);
    if (path.empty() || path.find('\0') != std::string_view::npos) {
        return directory_error(call, path, ERROR_PATH_NOT_FOUND);
    }
    Directory made;
    made.root_ = open_wide(widen(path));
    if (!made.root_.is_open()) {
        return directory_error(call, path, ::GetLastError());
    }
    FileInfo info;
    if (!made.root_.read_info(info) || !info.is_directory) {
        return directory_error(call, path, ERROR_DIRECTORY);
    }
    const std::wstring real = final_path(made.root_);
    if (real.empty()) {
        return directory_error(call, path, ::GetLastError());
    }
    made.real_path_ = narrow(real.data(), real.size());
    directory = std::move(made);
    return {};
}

PORTHOLE_FN OpenResult
Directory::open_beneath(std::string_view name, File& file, FileInfo& info) const {
    constexpr std::size_t max_path = 32'000; // of "\\?\" paths, which final ones are
    const std::wstring root = widen(real_path_);
    std::wstring path = root;
    if (!name.empty()) {
        std::wstring below = widen(name);
        for (wchar_t& c : below) {
            c = c == L'/' ? L'\\' : c;
        }
        path += path.back() == L'\\' ? L"" : L"\\";
        path += below;
        if (below.empty() || path.size() > max_path) {
            return below.empty() ? OpenResult::not_found : OpenResult::too_long;
        }
    }
    File opened = open_wide(path);
    if (!opened.is_open()) {
        return classify_file_error(::GetLastError());
    }
    if (!opened.read_info(info) || !is_beneath(final_path(opened), root)) {
        return OpenResult::not_found;
    }
    file = std::move(opened);
    return OpenResult::ok;
}

/// Without the prefix for long paths, which few programs understand.
PORTHOLE_FN std::string Directory::native_path(std::string_view name) const {
    constexpr std::string_view prefix = "\\\\?\\";
    constexpr std::string_view share = "\\\\?\\UNC\\";
    std::string path = real_path_;
    if (path.compare(0, share.size(), share) == 0) {
        path.replace(0, share.size(), "\\\\");
    } else if (path.compare(0, prefix.size(), prefix) == 0) {
        path.erase(0, prefix.size());
    }
    path += name.empty() || (!path.empty() && path.back() == '\\') ? "" : "\\";
    path += name;
    for (char& c : path) {
        c = c == '/' ? '\\' : c;
    }
    return path;
}

PORTHOLE_FN OpenResult open_path(std::string_view path, File& file, FileInfo& info) {
    if (path.empty() || path.find('\0') != std::string_view::npos) {
        return OpenResult::not_found;
    }
    File opened = open_wide(widen(path));
    if (!opened.is_open()) {
        return classify_file_error(::GetLastError());
    }
    if (!opened.read_info(info)) {
        return OpenResult::not_found;
    }
    file = std::move(opened);
    return OpenResult::ok;
}

PORTHOLE_FN bool has_windows_files() noexcept {
    return true;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif
