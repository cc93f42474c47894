// SPDX-License-Identifier: MIT
#pragma once

// Scratch files on Windows: the system deletes them when their one handle is closed.

#include "porthole/os/file_windows.inl"
#include "porthole/os/platform.inl"
#include "porthole/os/scratch_file.hpp"

#if defined(_WIN32)

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN std::string environment_variable(std::string_view name) {
    const std::wstring wide = widen(name);
    const DWORD size = ::GetEnvironmentVariableW(wide.c_str(), nullptr, 0); // with its end
    std::wstring value(size, L'\0');
    const DWORD count = size == 0 ? 0 : ::GetEnvironmentVariableW(wide.c_str(), &value[0], size);
    return count < size ? narrow(value.data(), count) : std::string();
}

PORTHOLE_FN bool ScratchFile::open() {
    wchar_t directory[MAX_PATH + 1] = {};
    wchar_t name[MAX_PATH + 1] = {};
    const DWORD size = ::GetTempPathW(MAX_PATH + 1, directory);
    if (size == 0 || size > MAX_PATH || ::GetTempFileNameW(directory, L"por", 0, name) == 0) {
        return false;
    }
    const DWORD access = GENERIC_READ | GENERIC_WRITE;
    const DWORD attributes = FILE_ATTRIBUTE_TEMPORARY | FILE_FLAG_DELETE_ON_CLOSE;
    const HANDLE handle =
        ::CreateFileW(name, access, 0, nullptr, CREATE_ALWAYS, attributes, nullptr);
    if (handle == INVALID_HANDLE_VALUE) {
        static_cast<void>(::DeleteFileW(name));
        return false;
    }
    file_ = File(reinterpret_cast<NativeHandle>(handle));
    size_ = 0;
    return true;
}

PORTHOLE_FN bool ScratchFile::append(std::string_view bytes) noexcept {
    constexpr std::size_t most = 1024 * 1024 * 1024;
    constexpr unsigned word_bits = 32;
    while (!bytes.empty()) {
        OVERLAPPED where{};
        where.Offset = static_cast<DWORD>(size_ & 0xffffffffu);
        where.OffsetHigh = static_cast<DWORD>(size_ >> word_bits);
        const auto wanted = static_cast<DWORD>(bytes.size() < most ? bytes.size() : most);
        DWORD written = 0;
        if (::WriteFile(native_file(file_), bytes.data(), wanted, &written, &where) == 0
            || written == 0) {
            return false;
        }
        size_ += written;
        bytes.remove_prefix(written);
    }
    return true;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif
