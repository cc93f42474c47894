// SPDX-License-Identifier: MIT
#pragma once

// Files on POSIX systems. Where Linux has openat2() the kernel keeps a lookup beneath the root;
// elsewhere each part of a name is opened by itself with O_NOFOLLOW, and links are followed here,
// inside the root, with ".." going back to a descriptor that is still open.

#include "porthole/os/file.hpp"
#include "porthole/os/platform.inl"
#include "porthole/os/socket_posix.inl"

#include <cstring>
#include <vector>

#if !defined(_WIN32)

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Never blocks in open, never becomes the terminal of this process, never goes to a child.
inline constexpr int file_flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;

// What a directory needs to be opened for while it is only passed through: searching.
#if defined(O_PATH)
inline constexpr int step_flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
#elif defined(O_SEARCH)
inline constexpr int step_flags = O_SEARCH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
#else
inline constexpr int step_flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
#endif

inline int native_file(const File& file) noexcept {
    return static_cast<int>(file.handle());
}

inline OpenResult classify_open_error(int code) noexcept {
    switch (code) {
    case 0: return OpenResult::ok;
    case EACCES:
    case EPERM: return OpenResult::denied;
    case ENAMETOOLONG: return OpenResult::too_long;
    case EMFILE:
    case ENFILE:
    case ENOMEM: return OpenResult::exhausted;
    default: return OpenResult::not_found;
    }
}

/// openat() that goes on after a signal. -1 with errno.
inline int open_at(int directory, const char* name, int flags) noexcept {
    for (int attempt = 0; attempt < max_interrupts; ++attempt) {
        const int descriptor = ::openat(directory, name, flags);
        if (descriptor >= 0 || errno != EINTR) {
            return descriptor;
        }
    }
    return -1;
}

#if defined(SYS_openat2)
/// The kernel's struct open_how and the two of its flags that matter here.
struct OpenHow {
    std::uint64_t flags;
    std::uint64_t mode;
    std::uint64_t resolve;
};
inline constexpr std::uint64_t resolve_no_magic_links = 0x02;
inline constexpr std::uint64_t resolve_beneath = 0x08;

inline int open_beneath_at(int directory, const char* name) noexcept {
    OpenHow how{};
    how.flags = static_cast<std::uint64_t>(file_flags);
    how.resolve = resolve_beneath | resolve_no_magic_links;
    for (int attempt = 0; attempt < max_interrupts; ++attempt) {
        const long descriptor = ::syscall(SYS_openat2, directory, name, &how, sizeof how);
        if (descriptor >= 0 || errno != EINTR) {
            return static_cast<int>(descriptor);
        }
    }
    return -1;
}
#else
inline int open_beneath_at(int, const char*) noexcept {
    errno = ENOSYS;
    return -1;
}
#endif

// The one field whose name differs between the systems.
template <class Stat>
auto mtime_of(const Stat& stat, int) noexcept -> decltype(stat.st_mtim) {
    return stat.st_mtim;
}
template <class Stat>
auto mtime_of(const Stat& stat, long) noexcept -> decltype(stat.st_mtimespec) {
    return stat.st_mtimespec;
}

inline std::int64_t mtime_ns_of(const struct stat& stat) noexcept {
    constexpr std::int64_t second = 1'000'000'000;
    constexpr std::int64_t last_second = INT64_MAX / second - 1;
    const auto time = mtime_of(stat, 0);
    const auto seconds = static_cast<std::int64_t>(time.tv_sec);
    const std::int64_t bounded = seconds > last_second    ? last_second
                                 : seconds < -last_second ? -last_second
                                                          : seconds;
    return bounded * second + static_cast<std::int64_t>(time.tv_nsec);
}

PORTHOLE_FN void File::close() noexcept {
    if (is_open()) {
        static_cast<void>(::close(static_cast<int>(handle_)));
        handle_ = invalid_handle;
    }
}

PORTHOLE_FN bool File::read_info(FileInfo& info) const noexcept {
    struct stat stat {};
    if (::fstat(native_file(*this), &stat) != 0
        || (!S_ISREG(stat.st_mode) && !S_ISDIR(stat.st_mode)) || stat.st_size < 0) {
        return false;
    }
    info.is_directory = S_ISDIR(stat.st_mode);
    info.is_unlinked = stat.st_nlink == 0;
    info.is_executable = (stat.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) != 0;
    info.volume = static_cast<std::uint64_t>(stat.st_dev);
    info.inode = static_cast<std::uint64_t>(stat.st_ino);
    info.size = static_cast<std::uint64_t>(stat.st_size);
    info.mtime_ns = mtime_ns_of(stat);
    return true;
}

PORTHOLE_FN void File::stop_reading_ahead() const noexcept {
#if defined(POSIX_FADV_RANDOM)
    static_cast<void>(::posix_fadvise(native_file(*this), 0, 0, POSIX_FADV_RANDOM));
#endif
}

PORTHOLE_FN void File::read_ahead(std::uint64_t offset, std::uint64_t bytes) const noexcept {
#if defined(POSIX_FADV_WILLNEED)
    static_cast<void>(::posix_fadvise(
        native_file(*this), static_cast<off_t>(offset), static_cast<off_t>(bytes),
        POSIX_FADV_WILLNEED));
#else
    static_cast<void>(offset);
    static_cast<void>(bytes);
#endif
}

PORTHOLE_FN std::size_t
File::read_at(std::uint64_t offset, char* into, std::size_t capacity) const noexcept {
    std::size_t done = 0;
    int interrupts = 0;
    while (done < capacity) {
        const ssize_t count = ::pread(
            native_file(*this), into + done, capacity - done, static_cast<off_t>(offset + done));
        if (count > 0) {
            done += static_cast<std::size_t>(count);
        } else if (count == 0 || errno != EINTR || ++interrupts == max_interrupts) {
            break;
        }
    }
    return done;
}

/// What this process may write into one file. A write() past it would be a signal, which by
/// default ends the program: so there is none.
inline std::uint64_t max_file_bytes() noexcept {
    struct rlimit limit {};
    if (::getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
        return UINT64_MAX;
    }
    return static_cast<std::uint64_t>(limit.rlim_cur);
}

struct DirectoryReader::State {
    ~State() {
        if (stream != nullptr) {
            static_cast<void>(::closedir(stream));
        }
    }
    DIR* stream = nullptr;
};

PORTHOLE_FN DirectoryReader::DirectoryReader(File directory) : state_(new State) {
    state_->stream = ::fdopendir(native_file(directory));
    if (state_->stream != nullptr) {
        static_cast<void>(directory.release()); // the stream closes it
    }
}

PORTHOLE_FN DirectoryReader::~DirectoryReader() = default;

PORTHOLE_FN bool DirectoryReader::next(DirectoryEntry& entry) {
    if (state_->stream == nullptr) {
        return false;
    }
    while (const dirent* found = ::readdir(state_->stream)) {
        const std::string_view name = found->d_name;
        struct stat stat {};
        if (name == "." || name == ".."
            || ::fstatat(::dirfd(state_->stream), found->d_name, &stat, AT_SYMLINK_NOFOLLOW) != 0) {
            continue; // deleted meanwhile
        }
        entry.name = name;
        entry.is_link = S_ISLNK(stat.st_mode);
        entry.is_directory = S_ISDIR(stat.st_mode);
        entry.is_regular = S_ISREG(stat.st_mode);
        entry.size = stat.st_size > 0 ? static_cast<std::uint64_t>(stat.st_size) : 0;
        entry.mtime_ns = mtime_ns_of(stat);
        return true;
    }
    return false;
}

PORTHOLE_FN Directory::Directory() = default;
PORTHOLE_FN Directory::Directory(Directory&& other) noexcept = default;
PORTHOLE_FN Directory& Directory::operator=(Directory&& other) noexcept = default;
PORTHOLE_FN Directory::~Directory() = default;

inline Error directory_error(std::string_view call, std::string_view path, int code) {
    const std::string_view advice =
        code == ENOENT    ? "create the directory first, or start the program where it lies"
        : code == ENOTDIR ? "name a directory"
        : code == EACCES  ? "this user may not read it"
                          : std::string_view();
    const ErrorCode kind = code == ENOTDIR ? ErrorCode::bad_path : classify_socket_error(code);
    return Error(kind, call, path, advice).with_system(code, system_text(code));
}

struct FreeMemory {
    void operator()(char* memory) const noexcept { std::free(memory); }
};

PORTHOLE_FN Error
Directory::open(std::string_view path, std::string_view call, Lookup lookup, Directory& directory) {
    const std::string name(path);
    if (name.find('\0') != std::string::npos) {
        return directory_error(call, path, ENOENT);
    }
    Directory made;
    made.root_ = File(::open(name.c_str(), file_flags | O_DIRECTORY));
    if (!made.root_.is_open()) {
        return directory_error(call, path, errno);
    }
    const std::unique_ptr<char, FreeMemory> real(::realpath(name.c_str(), nullptr));
    made.real_path_ = real ? real.get() : "";
    // Readable and not searchable: every file in it would be refused.
    const File probe(open_at(native_file(made.root_), ".", file_flags | O_DIRECTORY));
    if (!probe.is_open()) {
        return directory_error(call, path, errno);
    }
    if (lookup == Lookup::automatic) {
        const File direct(open_beneath_at(native_file(made.root_), "."));
        made.opens_directly_ = direct.is_open(); // an old kernel, or a sandbox that forbids it
    }
    directory = std::move(made);
    return {};
}

/// One lookup, part by part. `pending` holds what is still to be walked, `passed` the directories
/// that it has come through, the root left out.
struct Directory::Walk {
    const Directory& directory;
    std::string pending;
    std::vector<File> passed;
    int links = 0;

    int here() const noexcept {
        return native_file(passed.empty() ? directory.root_ : passed.back());
    }
    std::string take_part();
    OpenResult step(const std::string& part, File& file);
    OpenResult follow_link(const std::string& part);
};

PORTHOLE_FN std::string Directory::Walk::take_part() {
    const std::size_t end = pending.find('/');
    std::string part = pending.substr(0, end);
    const std::size_t next =
        pending.find_first_not_of('/', end == std::string::npos ? pending.size() : end);
    pending.erase(0, next == std::string::npos ? pending.size() : next);
    return part;
}

/// Puts a link's target before what is still to be walked. not_found when it leads out, or when it
/// is no link at all.
PORTHOLE_FN OpenResult Directory::Walk::follow_link(const std::string& part) {
    constexpr std::size_t max_target = 4096;
    if (++links > max_followed_links) {
        return OpenResult::not_found;
    }
    char bytes[max_target];
    const ssize_t size = ::readlinkat(here(), part.c_str(), bytes, sizeof bytes);
    if (size <= 0 || static_cast<std::size_t>(size) == sizeof bytes
        || pending.size() > max_target) {
        return OpenResult::not_found;
    }
    std::string_view target(bytes, static_cast<std::size_t>(size));
    if (target[0] == '/') {
        // An absolute link back into the root is walked from the root.
        const std::string& root = directory.real_path_;
        if (root.empty() || target.substr(0, root.size()) != root
            || (root != "/" && target.size() > root.size() && target[root.size()] != '/')) {
            return OpenResult::not_found;
        }
        target.remove_prefix(root.size());
        const std::size_t begin = target.find_first_not_of('/');
        target.remove_prefix(begin == std::string_view::npos ? target.size() : begin);
        passed.clear();
    }
    pending.insert(0, pending.empty() ? "" : "/");
    pending.insert(0, target);
    return OpenResult::ok;
}

/// Opens one part. `file` is open when it was the last.
PORTHOLE_FN OpenResult Directory::Walk::step(const std::string& part, File& file) {
    constexpr std::size_t max_depth = 64;
    if (part == ".." && passed.empty()) {
        return OpenResult::not_found; // out of the root
    }
    if (part == "..") {
        passed.pop_back();
        return OpenResult::ok;
    }
    if (part.empty() || part == ".") {
        return OpenResult::ok;
    }
    const bool is_last = pending.empty();
    File opened(open_at(here(), part.c_str(), is_last ? file_flags | O_NOFOLLOW : step_flags));
    if (!opened.is_open()) {
        const int code = errno;
        // What the systems say about a link that was not to be followed.
        const bool may_be_link =
            code == ELOOP || code == EMLINK || code == ENOTDIR || code == EACCES || code == ENXIO;
        if (may_be_link && follow_link(part) == OpenResult::ok) {
            return OpenResult::ok;
        }
        return classify_open_error(code);
    }
    if (is_last) {
        file = std::move(opened);
        return OpenResult::ok;
    }
    if (passed.size() == max_depth) {
        return OpenResult::not_found;
    }
    passed.push_back(std::move(opened));
    return OpenResult::ok;
}

PORTHOLE_FN OpenResult Directory::open_by_steps(std::string_view name, File& file) const {
    Walk walk{*this, std::string(name), {}, 0};
    while (!walk.pending.empty()) {
        const OpenResult result = walk.step(walk.take_part(), file);
        if (result != OpenResult::ok || file.is_open()) {
            return result;
        }
    }
    // A link that ended in "..", ".", or at the root: the directory itself.
    file = File(open_at(walk.here(), ".", file_flags | O_DIRECTORY));
    return file.is_open() ? OpenResult::ok : classify_open_error(errno);
}

PORTHOLE_FN OpenResult Directory::open_directly(const std::string& name, File& file) const {
    file = File(open_beneath_at(native_file(root_), name.empty() ? "." : name.c_str()));
    if (file.is_open()) {
        return OpenResult::ok;
    }
    const int code = errno;
    // EXDEV: an absolute link, which may well lead back inside. EAGAIN: something on the way was
    // renamed meanwhile.
    return code == EXDEV || code == EAGAIN ? open_by_steps(name, file) : classify_open_error(code);
}

PORTHOLE_FN OpenResult
Directory::open_beneath(std::string_view name, File& file, FileInfo& info) const {
    File opened;
    const OpenResult result =
        opens_directly_ ? open_directly(std::string(name), opened) : open_by_steps(name, opened);
    if (result != OpenResult::ok) {
        return result;
    }
    if (!opened.read_info(info)) {
        return OpenResult::not_found;
    }
    file = std::move(opened);
    return OpenResult::ok;
}

PORTHOLE_FN std::string Directory::native_path(std::string_view name) const {
    std::string path = real_path_;
    path += name.empty() || path == "/" ? "" : "/";
    return path.append(name);
}

PORTHOLE_FN OpenResult open_path(std::string_view path, File& file, FileInfo& info) {
    if (path.find('\0') != std::string_view::npos) {
        return OpenResult::not_found;
    }
    File opened(open_at(AT_FDCWD, std::string(path).c_str(), file_flags));
    if (!opened.is_open()) {
        return classify_open_error(errno);
    }
    if (!opened.read_info(info)) {
        return OpenResult::not_found;
    }
    file = std::move(opened);
    return OpenResult::ok;
}

PORTHOLE_FN bool has_windows_files() noexcept {
    return false;
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif
