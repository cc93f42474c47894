// SPDX-License-Identifier: MIT
#pragma once

// Output files on POSIX systems: everything happens relative to a descriptor of the target's
// directory. What makes writers wait was measured on ext4: allocating blocks while older ones are
// brought to the disk, and freeing a large file's blocks all at once.

#include "porthole/os/file_posix.inl"
#include "porthole/os/output_file.hpp"
#include "porthole/os/output_file.inl"
#include "porthole/os/platform.inl"
#include "porthole/os/socket_posix.inl"

#include <algorithm>
#include <string>
#include <utility>

#if !defined(_WIN32)

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

struct OutputFile::State {
    State() = default;
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() {
        close_descriptor(file);
        close_descriptor(directory);
    }
    static void close_descriptor(int& descriptor) noexcept {
        if (descriptor >= 0) {
            static_cast<void>(::close(descriptor));
            descriptor = -1;
        }
    }

    int directory = -1;
    int file = -1;
    bool has_name = false; ///< of its own, which is to be removed
    bool may_replace = true;
    UnfinishedName name;
    std::string target; ///< within the directory
    std::uint64_t written = 0;
    std::uint64_t announced = 0;
    std::uint64_t allocated = 0;   ///< ahead of the writing
    std::uint64_t sent_behind = 0; ///< on its way to the disk
    std::uint64_t max_bytes = UINT64_MAX;
};

inline OutputResult classify_output_error(int code) noexcept {
    switch (code) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return OutputResult::no_space;
    case ENOENT:
    case ENOTDIR:
    case EINVAL:
    case ENAMETOOLONG:
    case ELOOP: return OutputResult::not_found;
    case EACCES:
    case EPERM:
    case EROFS: return OutputResult::denied;
    case EEXIST:
    case EISDIR:
    case ENOTEMPTY: return OutputResult::already_exists;
    case EMFILE:
    case ENFILE:
    case ENOMEM: return OutputResult::exhausted;
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
    return classify_output_error(code);
}

PORTHOLE_FN std::uint64_t OutputFile::size() const noexcept {
    return state_ ? state_->written : 0;
}

PORTHOLE_FN OutputResult OutputFile::open(std::string_view target, bool may_replace) {
    discard();
    system_code_ = 0;
    const std::size_t slash = target.rfind('/');
    const bool has_directory = slash != std::string_view::npos;
    const std::string_view base = has_directory ? target.substr(slash + 1) : target;
    if (base.empty() || base == "." || base == ".."
        || target.find('\0') != std::string_view::npos) {
        return OutputResult::not_found;
    }
    const std::string directory(has_directory ? target.substr(0, slash + 1) : "./");
    auto state = std::make_unique<State>();
    state->target = base;
    state->may_replace = may_replace;
    state->max_bytes = max_file_bytes();
    // To search it is enough, so that a directory that may not be read will do.
    state->directory = open_at(AT_FDCWD, directory.c_str(), step_flags & ~O_NOFOLLOW);
    if (state->directory < 0) {
        return keep(errno);
    }
    struct stat stat {};
    const bool is_there =
        ::fstatat(state->directory, state->target.c_str(), &stat, AT_SYMLINK_NOFOLLOW) == 0;
    const bool is_file = is_there && S_ISREG(stat.st_mode);
    if (is_there && (!may_replace || (!is_file && !S_ISLNK(stat.st_mode)))) {
        return keep(EEXIST);
    }
    constexpr int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
    constexpr mode_t mode = 0666; // less what the umask takes
    for (int i = 0; i < max_unfinished_names && state->file < 0; ++i) {
        if (!state->name.make()) {
            return OutputResult::failed;
        }
        state->file = ::openat(state->directory, state->name.text, flags, mode);
        if (state->file < 0 && errno != EEXIST && errno != EINTR) {
            return keep(errno);
        }
    }
    if (state->file < 0) {
        return keep(EEXIST);
    }
    state->has_name = true;
    if (is_file) {
        constexpr mode_t permissions = 0777;
        // Where the file system has none it is as it would be for a new file.
        static_cast<void>(::fchmod(state->file, stat.st_mode & permissions));
    }
    state_ = std::move(state);
    return OutputResult::ok;
}

PORTHOLE_FN OutputResult OutputFile::announce(std::uint64_t bytes) noexcept {
    if (!is_open()) {
        return OutputResult::failed;
    }
    if (bytes > state_->max_bytes) {
        return keep(EFBIG);
    }
    struct statvfs room {};
    // No blocks at all: the file system does not count them.
    if (::fstatvfs(state_->file, &room) == 0 && room.f_frsize != 0 && room.f_blocks != 0
        && bytes / room.f_frsize > room.f_bavail) {
        return keep(ENOSPC);
    }
    state_->announced = bytes;
    return OutputResult::ok;
}

#if defined(SYNC_FILE_RANGE_WRITE) && defined(FALLOC_FL_KEEP_SIZE)

/// Takes room for what is announced, a step ahead of the writing. Then the blocks are there when
/// their bytes are brought to the disk, and no writer waits until they have been found. The file's
/// size stays what is written. False when the system will not do it.
inline bool allocate_ahead(int file, std::uint64_t at, std::uint64_t bytes) noexcept {
    return ::fallocate(file, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(at), static_cast<off_t>(bytes))
           == 0;
}

inline void start_writing(int file, std::uint64_t at, std::uint64_t bytes) noexcept {
    static_cast<void>(::sync_file_range(
        file, static_cast<off_t>(at), static_cast<off_t>(bytes), SYNC_FILE_RANGE_WRITE));
}

#else

// Other systems write behind by themselves, in smaller amounts.
inline bool allocate_ahead(int, std::uint64_t, std::uint64_t) noexcept {
    return false;
}
inline void start_writing(int, std::uint64_t, std::uint64_t) noexcept {}

#endif

PORTHOLE_FN OutputResult OutputFile::write(std::string_view bytes) noexcept {
    // Where a file lives in memory this much takes a third of a millisecond, elsewhere next to
    // none.
    constexpr std::uint64_t step = 4 * 1024 * 1024;
    if (!is_open()) {
        return OutputResult::failed;
    }
    State& state = *state_;
    if (bytes.size() > state.max_bytes - state.written) {
        return keep(EFBIG);
    }
    if (state.written + bytes.size() > state.allocated && state.allocated < state.announced) {
        const std::uint64_t wanted = (std::min)(step, state.announced - state.allocated);
        if (allocate_ahead(state.file, state.allocated, wanted)) {
            state.allocated += wanted;
        } else {
            state.announced = 0; // a full disk is reported by the writing
        }
    }
    int interrupts = 0;
    while (!bytes.empty()) {
        const ssize_t count = ::write(state.file, bytes.data(), bytes.size());
        if (count > 0) {
            bytes.remove_prefix(static_cast<std::size_t>(count));
            state.written += static_cast<std::uint64_t>(count);
        } else if (count == 0 || errno != EINTR || ++interrupts == max_interrupts) {
            return keep(count == 0 ? EIO : errno);
        }
    }
    return OutputResult::ok;
}

PORTHOLE_FN void OutputFile::write_behind() noexcept {
    // Up to this size a file stays in memory, for whoever reads it next.
    constexpr std::uint64_t kept_bytes = 64 * 1024 * 1024;
    if (!is_open() || state_->written == state_->sent_behind) {
        return;
    }
    const std::uint64_t at = std::exchange(state_->sent_behind, state_->written);
    const std::uint64_t bytes = state_->written - at;
    start_writing(state_->file, at, bytes);
#if defined(POSIX_FADV_DONTNEED)
    if (at >= kept_bytes) {
        static_cast<void>(::posix_fadvise(
            state_->file, static_cast<off_t>(at - kept_bytes), static_cast<off_t>(bytes),
            POSIX_FADV_DONTNEED));
    }
#endif
}

/// Gives `name` the name `target`, which nobody may have. 0 or errno.
inline int rename_without_replacing(int directory, const char* name, const char* target) noexcept {
#if defined(SYS_renameat2)
    constexpr unsigned keep_target = 1; // RENAME_NOREPLACE
    if (::syscall(SYS_renameat2, directory, name, directory, target, keep_target) == 0) {
        return 0;
    }
    if (errno != ENOSYS && errno != EINVAL && errno != EPERM) {
        return errno;
    }
#endif
    if (::linkat(directory, name, directory, target, 0) != 0) {
        return errno;
    }
    static_cast<void>(::unlinkat(directory, name, 0));
    return 0;
}

PORTHOLE_FN OutputResult OutputFile::commit(bool& has_replaced) noexcept {
    if (!is_open() || !state_->has_name) {
        return OutputResult::failed;
    }
    State& state = *state_;
    if (state.allocated > state.written
        && ::ftruncate(state.file, static_cast<off_t>(state.written)) != 0) {
        return keep(errno); // less has come than was announced, and the rest would stay taken
    }
    // File systems that write through a network report a full disk here at the latest.
    if (::close(std::exchange(state.file, -1)) != 0 && errno != EINTR) {
        return keep(errno);
    }
    struct stat stat {};
    has_replaced =
        ::fstatat(state.directory, state.target.c_str(), &stat, AT_SYMLINK_NOFOLLOW) == 0;
    int code = 0;
    if (!state.may_replace) {
        code = rename_without_replacing(state.directory, state.name.text, state.target.c_str());
    } else if (
        ::renameat(state.directory, state.name.text, state.directory, state.target.c_str()) != 0) {
        code = errno;
    }
    if (code != 0) {
        return keep(code);
    }
    state.has_name = false;
    state_.reset();
    return OutputResult::ok;
}

PORTHOLE_FN bool OutputFile::discard_step() noexcept {
    constexpr std::uint64_t step = 4 * 1024 * 1024;
    if (!is_open()) {
        return true;
    }
    State& state = *state_;
    if (std::exchange(state.has_name, false)) {
        static_cast<void>(::unlinkat(state.directory, state.name.text, 0));
    }
    const std::uint64_t left = (std::max)(state.written, state.allocated);
    if (state.file < 0 || left <= step) {
        state_.reset();
        return true;
    }
    state.written = state.allocated = left - step;
    if (::ftruncate(state.file, static_cast<off_t>(left - step)) != 0) {
        state_.reset();
    }
    return !is_open();
}

PORTHOLE_FN void OutputFile::discard() noexcept {
    if (is_open() && state_->has_name) {
        static_cast<void>(::unlinkat(state_->directory, state_->name.text, 0));
    }
    state_.reset();
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif
