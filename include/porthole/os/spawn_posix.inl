// SPDX-License-Identifier: MIT
#pragma once

// How a program is started on POSIX systems: by posix_spawn(). The child borrows this process's
// memory until it has become the other program, so nothing is copied however large the host is, and
// none of the host's code runs in it. The C library does that with all signals blocked, and hands
// up why exec failed.

#include "porthole/os/file.hpp"
#include "porthole/os/platform.inl"
#include "porthole/os/process.hpp"
#include "porthole/os/socket_posix.inl"

#include <string>
#include <utility>
#include <vector>

#if !defined(_WIN32)

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// Standard input, output and error have the numbers below this.
inline constexpr int first_private_descriptor = 3;

inline int pipe_descriptor(const File& end) noexcept {
    return static_cast<int>(end.handle());
}

/// One end of ours, non-blocking, and the program's, which blocks as programs expect.
struct Pipe {
    File ours;
    File theirs;
};

/// Descriptors below 3 are free when the host has closed its own; what is opened there would be in
/// the way of those that the program gets.
inline int lift_descriptor(File& end) noexcept {
    if (pipe_descriptor(end) >= first_private_descriptor) {
        return 0;
    }
    const int lifted = ::fcntl(pipe_descriptor(end), F_DUPFD_CLOEXEC, first_private_descriptor);
    if (lifted < 0) {
        return errno;
    }
    end = File(lifted);
    return 0;
}

/// 0, or the system's code.
inline int open_pipe(bool is_input, Pipe& made) noexcept {
    int ends[2] = {-1, -1};
#if defined(SOCK_CLOEXEC) // the systems that know the one know pipe2() too
    if (::pipe2(ends, O_CLOEXEC) != 0) {
        return errno;
    }
#else
    if (::pipe(ends) != 0) {
        return errno;
    }
#endif
    Pipe pipe;
    pipe.ours = File(ends[is_input ? 1 : 0]);
    pipe.theirs = File(ends[is_input ? 0 : 1]);
    int code = lift_descriptor(pipe.ours);
    code = code != 0 ? code : lift_descriptor(pipe.theirs);
    if (code != 0) {
        return code;
    }
    const int ours = pipe_descriptor(pipe.ours);
    if (!set_descriptor_flags(ours)
        || ::fcntl(pipe_descriptor(pipe.theirs), F_SETFD, FD_CLOEXEC) != 0) {
        return errno;
    }
#if defined(F_SETNOSIGPIPE)
    if (is_input && ::fcntl(ours, F_SETNOSIGPIPE, 1) != 0) {
        return errno;
    }
#endif
    made = std::move(pipe);
    return 0;
}

/// What posix_spawn() is to do in the child, in order. The first code that is not 0 stays.
class SpawnPlan {
public:
    SpawnPlan() noexcept {
        note(::posix_spawn_file_actions_init(&actions_));
        note(::posix_spawnattr_init(&attributes_));
    }
    SpawnPlan(const SpawnPlan&) = delete;
    SpawnPlan& operator=(const SpawnPlan&) = delete;
    ~SpawnPlan() {
        ::posix_spawnattr_destroy(&attributes_);
        ::posix_spawn_file_actions_destroy(&actions_);
    }

    int code() const noexcept { return code_; }
    /// A group of its own, no signal blocked, none ignored.
    void isolate(bool closes_all) noexcept;
    void connect(const Pipe& pipe, int to) noexcept;
    void enter(const File& directory) noexcept;
    void close_all() noexcept;
    void close_listed() noexcept;
    int
    run(pid_t& id, const char* program, char* const* arguments,
        char* const* environment) const noexcept {
        return ::posix_spawn(&id, program, &actions_, &attributes_, arguments, environment);
    }

private:
    void note(int code) noexcept { code_ = code_ != 0 ? code_ : code; }

    posix_spawn_file_actions_t actions_;
    posix_spawnattr_t attributes_;
    int code_ = 0;
};

#if defined(PORTHOLE_SPAWN_CLOSES_FROM) || defined(POSIX_SPAWN_CLOEXEC_DEFAULT)
inline constexpr bool spawn_closes_all = true;
#else
inline constexpr bool spawn_closes_all = false;
#endif

PORTHOLE_FN void SpawnPlan::isolate([[maybe_unused]] bool closes_all) noexcept {
    int flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
#if defined(POSIX_SPAWN_CLOEXEC_DEFAULT)
    flags |= closes_all ? POSIX_SPAWN_CLOEXEC_DEFAULT : 0;
#endif
    sigset_t none;
    sigset_t all;
    ::sigemptyset(&none);
    ::sigfillset(&all);
    ::sigdelset(&all, SIGKILL); // these two are never changed, and some systems mind being asked
    ::sigdelset(&all, SIGSTOP);
    note(::posix_spawnattr_setflags(&attributes_, static_cast<short>(flags)));
    note(::posix_spawnattr_setpgroup(&attributes_, 0));
    note(::posix_spawnattr_setsigmask(&attributes_, &none));
    note(::posix_spawnattr_setsigdefault(&attributes_, &all));
}

PORTHOLE_FN void SpawnPlan::connect(const Pipe& pipe, int to) noexcept {
    if (pipe.theirs.is_open()) {
        note(::posix_spawn_file_actions_adddup2(&actions_, pipe_descriptor(pipe.theirs), to));
        return;
    }
    const int mode = to == STDIN_FILENO ? O_RDONLY : O_WRONLY;
    note(::posix_spawn_file_actions_addopen(&actions_, to, "/dev/null", mode, 0));
}

PORTHOLE_FN void SpawnPlan::enter(const File& directory) noexcept {
    const int descriptor = pipe_descriptor(directory);
#if defined(PORTHOLE_SPAWN_ENTERS)
    note(::PORTHOLE_SPAWN_ENTERS(&actions_, descriptor));
#else
    static_cast<void>(descriptor);
    note(ENOSYS);
#endif
}

PORTHOLE_FN void SpawnPlan::close_all() noexcept {
#if defined(PORTHOLE_SPAWN_CLOSES_FROM)
    note(::posix_spawn_file_actions_addclosefrom_np(&actions_, first_private_descriptor));
#endif
}

/// What would survive exec is closed by name. Descriptors that another thread opens at this very
/// moment without close-on-exec are missed; close_all() misses none.
PORTHOLE_FN void SpawnPlan::close_listed() noexcept {
    DIR* list = ::opendir("/proc/self/fd");
    list = list != nullptr ? list : ::opendir("/dev/fd");
    if (list == nullptr) {
        note(errno);
        return;
    }
    bool is_list = false; // a /dev/fd that is a mere directory does not know the list itself
    while (const dirent* entry = ::readdir(list)) {
        char* end = nullptr;
        const long number = std::strtol(entry->d_name, &end, 10);
        if (end == entry->d_name || *end != '\0') {
            continue;
        }
        const int descriptor = static_cast<int>(number);
        is_list = is_list || descriptor == ::dirfd(list);
        if (descriptor < first_private_descriptor) {
            continue;
        }
        const int flags = ::fcntl(descriptor, F_GETFD);
        if (flags >= 0 && (flags & FD_CLOEXEC) == 0) {
            note(::posix_spawn_file_actions_addclose(&actions_, descriptor));
        }
    }
    ::closedir(list);
    note(is_list ? 0 : ENOTSUP);
}

/// The form that exec takes: pointers into `texts`, and a null at the end.
inline std::vector<char*> to_vector(const std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    pointers.reserve(texts.size() + 1);
    for (const std::string& text : texts) {
        pointers.push_back(const_cast<char*>(text.c_str()));
    }
    pointers.push_back(nullptr);
    return pointers;
}

inline Error spawn_error(const std::string& program, int code) {
    std::string_view advice;
    ErrorCode kind = classify_socket_error(code);
    switch (code) {
    case ENOENT:
        advice = ::access(program.c_str(), F_OK) == 0
                     ? "the interpreter that its first line names is not there"
                     : "there is no such program";
        break;
    case EACCES:
    case EPERM:
        advice = "make it executable (chmod +x), and its interpreter too; a directory, and what "
                 "lies on a disk mounted noexec, cannot be run, and it has to be possible to "
                 "enter the working directory";
        break;
    case ENOEXEC:
        advice = "it is neither a program of this machine nor a script whose first line names its "
                 "interpreter (#!)";
        break;
    case ETXTBSY:
        kind = ErrorCode::exhausted;
        advice = "it is being written; try again when that is done";
        break;
    case EAGAIN: advice = "no more processes: end some, or raise the limit (ulimit -u)"; break;
    case ENOMEM: kind = ErrorCode::exhausted; break;
    case E2BIG:
        kind = ErrorCode::too_long;
        advice = "arguments and environment are longer than the system takes";
        break;
    default: break;
    }
    return Error(kind, "posix_spawn", program, advice).with_system(code, system_text(code));
}

/// What no system could pass on.
inline Error check_process_options(const ProcessOptions& options) {
    constexpr char zero = '\0';
    const auto has_zero = [](const std::string& text) {
        return text.find(zero) != std::string::npos;
    };
    if (options.program.empty() || options.program[0] != '/') {
        return Error(
            ErrorCode::misuse, "posix_spawn", options.program,
            "the path has to begin at the root of the file system");
    }
    bool is_bad = has_zero(options.program) || has_zero(options.working_directory);
    for (const std::string& argument : options.arguments) {
        is_bad = is_bad || has_zero(argument);
    }
    for (const std::string& variable : options.environment) {
        const std::size_t sign = variable.find('=');
        is_bad = is_bad || has_zero(variable) || sign == 0 || sign == std::string::npos;
    }
    return is_bad ? Error(
               ErrorCode::misuse, "posix_spawn", options.program,
               "no text may hold a zero byte, and each variable is NAME=value")
                  : Error();
}

/// Opened here and entered in the child, so that a missing one is told from a missing program.
inline Error plan_directory(const std::string& path, SpawnPlan& plan, File& directory) {
    if (path.empty()) {
        return {};
    }
#if defined(O_PATH)
    constexpr int only_to_enter = O_PATH; // it need not be readable
#elif defined(O_SEARCH)
    constexpr int only_to_enter = O_SEARCH;
#else
    constexpr int only_to_enter = O_RDONLY;
#endif
    directory = File(::open(path.c_str(), only_to_enter | O_DIRECTORY | O_CLOEXEC));
    const int code = directory.is_open() ? lift_descriptor(directory) : errno;
    if (code != 0) {
        return socket_error("open", path, code, "the program's working directory");
    }
    plan.enter(directory);
    if (plan.code() == ENOSYS) {
        return socket_error(
            "posix_spawn", path, ENOSYS,
            "this system cannot start a program in another directory (glibc 2.29 can)");
    }
    return {};
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif
