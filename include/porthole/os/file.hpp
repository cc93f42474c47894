// SPDX-License-Identifier: MIT
#pragma once

// Files for reading, opened beneath a directory that is opened once and by descriptor, so that no
// name, link or rename leads out of it. The platforms differ in file_posix.inl and
// file_windows.inl only. Names are UTF-8 with '/' between their parts, on every system.

#include "porthole/base/error.hpp"
#include "porthole/os/socket.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// What can be told of a file without reading it.
struct FileInfo {
    bool is_directory = false;
    bool is_unlinked = false;   ///< its last name is gone: deleted, or replaced by another file
    bool is_executable = false; ///< somebody may run it; on Windows the name alone tells
    std::uint64_t volume = 0;
    std::uint64_t inode = 0;
    std::uint64_t size = 0;
    std::int64_t mtime_ns = 0; ///< since 1970

    /// The same file in the same state, as far as the system tells.
    bool is_same_as(const FileInfo& other) const noexcept {
        return volume == other.volume && inode == other.inode && size == other.size
               && mtime_ns == other.mtime_ns;
    }
    std::chrono::system_clock::time_point mtime() const noexcept {
        return std::chrono::system_clock::time_point(
            std::chrono::duration_cast<std::chrono::system_clock::duration>(
                std::chrono::nanoseconds(mtime_ns)));
    }
};

/// How an attempt to open something ended.
enum class OpenResult : unsigned char {
    ok,
    not_found, ///< not there, out of the root, or neither a regular file nor a directory
    denied,    ///< there, and this process may not read it
    too_long,  ///< a name or the path exceeds what the system takes
    exhausted, ///< no descriptor or memory left
};

/// An open regular file or directory, close-on-exec. Closes itself.
class File {
public:
    File() = default;
    explicit File(NativeHandle handle) noexcept : handle_(handle) {}
    File(File&& other) noexcept : handle_(std::exchange(other.handle_, invalid_handle)) {}
    File& operator=(File&& other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    ~File() { close(); }

    bool is_open() const noexcept { return handle_ != invalid_handle; }
    NativeHandle handle() const noexcept { return handle_; }
    void close() noexcept;
    /// Gives the handle up without closing it.
    NativeHandle release() noexcept { return std::exchange(handle_, invalid_handle); }
    /// False when the system does not tell, or when it is no regular file or directory.
    bool read_info(FileInfo& info) const noexcept;
    /// Fills `into` from that offset. Returns how many bytes there were: fewer than `capacity`
    /// only at the file's end, or when reading fails.
    std::size_t read_at(std::uint64_t offset, char* into, std::size_t capacity) const noexcept;
    /// The system is not to read ahead by itself: its windows may be megabytes, all within the one
    /// call that meets their edge. To be said before the first byte is read.
    void stop_reading_ahead() const noexcept;
    /// These bytes are wanted soon: reads them in the background where the system can.
    void read_ahead(std::uint64_t offset, std::uint64_t bytes) const noexcept;

private:
    NativeHandle handle_ = invalid_handle;
};

/// An entry of a directory.
struct DirectoryEntry {
    std::string name;
    bool is_link = false; ///< then the rest says nothing: open it to know
    bool is_directory = false;
    bool is_regular = false;
    std::uint64_t size = 0;
    std::int64_t mtime_ns = 0;
};

/// Reads the entries of an open directory one by one, in the system's order, "." and ".." left
/// out.
class DirectoryReader {
public:
    /// Takes a directory that Directory::open_beneath() has opened.
    explicit DirectoryReader(File directory);
    DirectoryReader(const DirectoryReader&) = delete;
    DirectoryReader& operator=(const DirectoryReader&) = delete;
    ~DirectoryReader();
    /// False at the end.
    bool next(DirectoryEntry& entry);

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// How names beneath a directory are looked up.
enum class Lookup : unsigned char {
    automatic,    ///< by one call where the system has one that stays beneath (openat2)
    step_by_step, ///< component by component, everywhere
};

/// The root of a tree of files. What is opened beneath it lies beneath it: symbolic links are
/// followed as long as they stay inside, also when they are swapped meanwhile.
class Directory {
public:
    Directory();
    Directory(Directory&& other) noexcept;
    Directory& operator=(Directory&& other) noexcept;
    ~Directory();

    /// `call` names the user's call in the Error.
    static Error
    open(std::string_view path, std::string_view call, Lookup lookup, Directory& directory);

    /// Opens a regular file or a directory. `name` is relative, without empty parts, "." and
    /// ".."; empty is the root itself. Never blocks on FIFOs, devices or sockets: they are
    /// not_found.
    OpenResult open_beneath(std::string_view name, File& file, FileInfo& info) const;

    /// Where something beneath lies, as programs are told it: from the root of the file system, in
    /// the system's own form. Empty name: the directory itself.
    std::string native_path(std::string_view name) const;

private:
    struct Walk;
    OpenResult open_directly(const std::string& name, File& file) const;
    OpenResult open_by_steps(std::string_view name, File& file) const;

    File root_;
    std::string real_path_; ///< without links, for absolute links that lead back inside
    bool opens_directly_ = false;
};

/// Opens a regular file or a directory wherever it lies: a path of the program itself.
OpenResult open_path(std::string_view path, File& file, FileInfo& info);

/// True where names compare in any case, devices have names everywhere, and an open file stands in
/// the way of those who want to replace it.
bool has_windows_files() noexcept;

/// Symbolic links that one lookup follows at the most.
inline constexpr int max_followed_links = 40;

} // namespace detail

PORTHOLE_NAMESPACE_END
