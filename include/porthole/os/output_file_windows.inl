// SPDX-License-Identifier: MIT
#pragma once

// Output files on Windows: HANDLEs and wide paths. The system writes behind in small amounts by
// itself, and frees a file's space quickly, so those calls have nothing to do.

#include "porthole/os/file_windows.inl"
#include "porthole/os/output_file.hpp"
#include "porthole/os/output_file.inl"
#include "porthole/os/platform.inl"

#include <string>
#include <utility>

#if defined(_WIN32)

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

struct OutputFile::State {
    State() = default;
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() { close_handle(); }
    bool close_handle() noexcept {
        const HANDLE handle = std::exchange(file, INVALID_HANDLE_VALUE);
        return handle == INVALID_HANDLE_VALUE || ::CloseHandle(handle) != 0;
    }

    HANDLE file = INVALID_HANDLE_VALUE;
    std::wstring path; ///< absolute, as is the target's
    std::wstring target;
    bool may_replace = true;
    std::uint64_t written = 0;
};

inline OutputResult classify_output_error(DWORD code) noexcept {
    constexpr DWORD disk_quota_exceeded = 1295; // MinGW has no name for it
    switch (code) {
    case ERROR_DISK_FULL:
    case ERROR_HANDLE_DISK_FULL:
    case disk_quota_exceeded:
    case ERROR_FILE_TOO_LARGE: return OutputResult::no_space;
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
    case ERROR_INVALID_NAME:
    case ERROR_BAD_PATHNAME:
    case ERROR_DIRECTORY:
    case ERROR_FILENAME_EXCED_RANGE: return OutputResult::not_found;
    case ERROR_ACCESS_DENIED:
    case ERROR_WRITE_PROTECT:
    case ERROR_SHARING_VIOLATION:
    case ERROR_LOCK_VIOLATION: return OutputResult::denied;
    case ERROR_FILE_EXISTS:
    case ERROR_ALREADY_EXISTS: return OutputResult::already_exists;
    case ERROR_TOO_MANY_OPEN_FILES:
    case ERROR_NO_SYSTEM_RESOURCES:
    case ERROR_NOT_ENOUGH_MEMORY: return OutputResult::exhausted;
    default: return OutputResult::failed;
    }
}

PORTHOLE_FN OutputFile::OutputFile() = default;
PORTHOLE_FN OutputFile::OutputFile(OutputFile&& other) noexcept = default;

PORTHOLE_FN OutputFile& OutputFile::operator=(OutputFile&& other) noexcept {
    std::swap(state_, other.state_);
    std::swap(system_code_, other.system_code_);
    return *this;
}

PORTHOLE_FN OutputFile::~OutputFile() {
    discard();
}

PORTHOLE_FN OutputResult OutputFile::keep(int code) noexcept {
    system_code_ = code;
    return classify_output_error(static_cast<DWORD>(code));
}

PORTHOLE_FN std::uint64_t OutputFile::size() const noexcept {
    return state_ ? state_->written : 0;
}

inline int last_output_error() noexcept {
    return static_cast<int>(::GetLastError());
}

/// Of a path that may be relative, with the separators of Windows; empty when there is none.
inline std::wstring absolute_path(std::string_view path) {
    const std::wstring wide = widen(path);
    const DWORD needed = wide.empty() ? 0 : ::GetFullPathNameW(wide.c_str(), 0, nullptr, nullptr);
    std::wstring full(needed, L'\0');
    const DWORD size =
        needed == 0 ? 0 : ::GetFullPathNameW(wide.c_str(), needed, &full[0], nullptr);
    full.resize(size < needed ? size : 0);
    return full;
}

PORTHOLE_FN OutputResult OutputFile::open(std::string_view target, bool may_replace) {
    discard();
    system_code_ = 0;
    if (target.empty() || target.find('\0') != std::string_view::npos || target.back() == '/'
        || target.back() == '\\') {
        return OutputResult::not_found;
    }
    auto state = std::make_unique<State>();
    state->may_replace = may_replace;
    state->target = absolute_path(target);
    const std::size_t separator = state->target.rfind(L'\\');
    // The system takes dots and spaces off a name's end, a device's name for the device, and what
    // follows a colon for a stream of the file: none of them is the file that was asked for.
    const std::wstring base = widen(target.substr(target.find_last_of("/\\") + 1));
    if (separator == std::wstring::npos || state->target.substr(separator + 1) != base
        || base.find_first_of(L":*?\"<>|") != std::wstring::npos) {
        return OutputResult::not_found;
    }
    const DWORD found = ::GetFileAttributesW(state->target.c_str());
    if (found != INVALID_FILE_ATTRIBUTES
        && (!may_replace || (found & FILE_ATTRIBUTE_DIRECTORY) != 0)) {
        return keep(ERROR_ALREADY_EXISTS);
    }
    for (int i = 0; i < max_unfinished_names && state->file == INVALID_HANDLE_VALUE; ++i) {
        UnfinishedName name;
        if (!name.make()) {
            return OutputResult::failed;
        }
        state->path = state->target.substr(0, separator + 1) + widen(name.text);
        state->file = ::CreateFileW(
            state->path.c_str(), GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_DELETE, nullptr,
            CREATE_NEW, FILE_ATTRIBUTE_NORMAL, nullptr);
        if (state->file == INVALID_HANDLE_VALUE && ::GetLastError() != ERROR_FILE_EXISTS) {
            return keep(last_output_error());
        }
    }
    if (state->file == INVALID_HANDLE_VALUE) {
        return keep(ERROR_FILE_EXISTS);
    }
    state_ = std::move(state);
    return OutputResult::ok;
}

PORTHOLE_FN OutputResult OutputFile::announce(std::uint64_t bytes) noexcept {
    if (!is_open()) {
        return OutputResult::failed;
    }
    std::wstring& path = state_->path;
    const std::size_t separator = path.rfind(L'\\');
    const wchar_t first = std::exchange(path[separator + 1], L'\0'); // the directory, for the call
    ULARGE_INTEGER room{};
    const bool is_known = ::GetDiskFreeSpaceExW(path.c_str(), &room, nullptr, nullptr) != 0;
    path[separator + 1] = first;
    return is_known && bytes > room.QuadPart ? keep(ERROR_DISK_FULL) : OutputResult::ok;
}

PORTHOLE_FN OutputResult OutputFile::write(std::string_view bytes) noexcept {
    constexpr std::size_t most = 1024 * 1024 * 1024;
    if (!is_open()) {
        return OutputResult::failed;
    }
    while (!bytes.empty()) {
        const std::size_t wanted = bytes.size() < most ? bytes.size() : most;
        DWORD count = 0;
        if (::WriteFile(state_->file, bytes.data(), static_cast<DWORD>(wanted), &count, nullptr)
            == 0) {
            return keep(last_output_error());
        }
        if (count == 0) {
            return keep(ERROR_DISK_FULL);
        }
        bytes.remove_prefix(count);
        state_->written += count;
    }
    return OutputResult::ok;
}

PORTHOLE_FN void OutputFile::write_behind() noexcept {}

PORTHOLE_FN OutputResult OutputFile::commit(bool& has_replaced) noexcept {
    if (!is_open()) {
        return OutputResult::failed;
    }
    if (!state_->close_handle()) {
        return keep(last_output_error());
    }
    has_replaced = ::GetFileAttributesW(state_->target.c_str()) != INVALID_FILE_ATTRIBUTES;
    const DWORD flags = state_->may_replace ? MOVEFILE_REPLACE_EXISTING : 0;
    if (::MoveFileExW(state_->path.c_str(), state_->target.c_str(), flags) == 0) {
        return keep(last_output_error());
    }
    state_.reset();
    return OutputResult::ok;
}

PORTHOLE_FN bool OutputFile::discard_step() noexcept {
    discard();
    return true;
}

PORTHOLE_FN void OutputFile::discard() noexcept {
    if (is_open()) {
        static_cast<void>(state_->close_handle());
        static_cast<void>(::DeleteFileW(state_->path.c_str()));
        state_.reset();
    }
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif
