// SPDX-License-Identifier: MIT
#pragma once

// Starts a program and talks to it without ever waiting: its standard input, output and errors are
// non-blocking, it leads a process group of its own (on Windows a job), and inherits nothing but
// what is named here. The platforms differ in process_posix.inl and process_windows.inl only.
//
// The three are pipes and not sockets: "> /dev/stderr" and "cat /dev/stdin" are common in scripts,
// and a socket cannot be opened by name. That a pipe's write raises SIGPIPE is dealt with here.
//
// On Windows the server's pollers cannot wait for pipes or processes. There every handle below is
// invalid, and the owner calls the reading, writing and asking functions from time to time: asking
// whether there is something costs no system call.

#include "porthole/base/clock.hpp"
#include "porthole/base/error.hpp"
#include "porthole/os/file.hpp"
#include "porthole/os/socket.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class ProcessReaper;

/// Which calls a process is started and served with.
enum class ProcessCalls : unsigned char {
    automatic, ///< the best that the system has
    portable,  ///< those that every POSIX system has
};

struct ProcessOptions {
    /// The file to run, from the root of the file system; see find_program(). Bytes on POSIX, UTF-8
    /// on Windows, as all text here.
    std::string program;
    /// What the program gets as argv, its own name first; empty: `program` alone. No shell sees it.
    std::vector<std::string> arguments;
    /// "NAME=value": these and no other.
    std::vector<std::string> environment;
    /// Empty: the host's.
    std::string working_directory;
    bool wants_input = true;  ///< else the program meets the end of its input at once
    bool wants_output = true; ///< else what it prints is lost
    bool wants_error = true;
    /// Who buries the program when its Process goes before it; see ProcessReaper.
    std::shared_ptr<ProcessReaper> reaper;
    ProcessCalls calls = ProcessCalls::automatic;
};

/// How a program ended.
struct ExitStatus {
    enum class Kind : unsigned char {
        exited,    ///< by itself; `value` is its exit code
        signalled, ///< by the signal `value`; on Windows by an exception or a kill
        unknown,   ///< the host program waits for any child, or ignores SIGCHLD, and was first
    };
    Kind kind = Kind::unknown;
    int value = 0;
    bool is_success() const noexcept { return kind == Kind::exited && value == 0; }
};

/// A running program and our ends of its pipes. Ticking thread only; no function waits.
class Process {
public:
    Process() noexcept;
    Process(Process&& other) noexcept;
    Process& operator=(Process&& other) noexcept;
    /// Kills the group. A program that is not gone by then is left to the reaper.
    ~Process();

    /// Starts the program. A file that is not there or cannot be run, a missing interpreter, a
    /// missing directory and missing descriptors are errors; nothing stays open then. Returns when
    /// the system has loaded the program, and costs the same however large this process is.
    static Error start(const ProcessOptions& options, Process& process);

    /// From start() until try_reap() has answered.
    bool is_started() const noexcept;
    /// The system's number for it; 0 when it is not started.
    std::int64_t id() const noexcept;

    // Our ends, for the poller: write interest for the first, read interest for the others. A
    // closed end, and every end on Windows, is invalid_handle. When the program has closed its
    // side the poller tells so again and again, whatever the interest: stop watching then, and
    // also while output is not wanted for the moment.

    NativeHandle input_handle() const noexcept;
    NativeHandle output_handle() const noexcept;
    NativeHandle error_handle() const noexcept;
    /// Readable when the program has ended; invalid where the system has no such thing (before
    /// Linux 5.3, elsewhere): then ask has_ended() from time to time.
    NativeHandle exit_handle() const noexcept;

    /// Takes what the pipe has room for. `failed`: the program reads no more. Never raises SIGPIPE.
    IoResult write_input(std::string_view bytes) noexcept;
    /// `end`: the program and all that it started have closed it.
    IoResult read_output(char* into, std::size_t capacity) noexcept;
    IoResult read_error(char* into, std::size_t capacity) noexcept;
    /// The program reads the end of its input after what was written.
    void close_input() noexcept;
    /// The program's further writes fail; on POSIX they raise SIGPIPE in it.
    void close_output() noexcept;
    void close_error() noexcept;

    /// True when the program itself has ended; what it started may still run.
    bool has_ended() noexcept;
    /// Once it has ended: how. The number is then free for other programs, so this is the last
    /// that can be done; kill_group() before it ends what the program has left running.
    std::optional<ExitStatus> try_reap() noexcept;

    /// Asks the program and all that it started, unless it left the group, to end: SIGTERM. The
    /// same as kill_group() on Windows, which has no such request.
    void terminate_group() noexcept;
    /// Ends them all, whether they want or not.
    void kill_group() noexcept;

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// Takes the programs whose Process went before they did: all of them are killed, and the system
/// keeps an entry for each until somebody asks how it ended. Shared by the owner of the processes
/// and by each of them, so that nothing is lost whichever goes first. Ticking thread only. Always
/// empty on Windows, where nothing stays.
class ProcessReaper {
public:
    ProcessReaper() = default;
    ProcessReaper(const ProcessReaper&) = delete;
    ProcessReaper& operator=(const ProcessReaper&) = delete;
    /// Asks once more for each, and does not wait.
    ~ProcessReaper();

    /// Programs that are killed and not yet gone: they count as running against a limit.
    std::size_t size() const noexcept { return orphans_.size(); }
    /// Asks for some of them, in turn, one system call each; returns how many are left.
    std::size_t collect(std::size_t at_most = 8) noexcept;
    /// For the owner's own end: waits for all of them, but no longer than that. True when none is
    /// left. The only function here that waits; a killed program rarely needs a millisecond.
    bool finish(Duration at_most) noexcept;

private:
    friend class Process;
    /// One that is killed. Its handle, if it has one, says for sure whether it is still there.
    struct Orphan {
        std::int64_t id;
        File exit;
    };

    /// Makes room for one more, so that adopt() needs no memory.
    void expect();
    void forget() noexcept { --expected_; }
    void adopt(std::int64_t id, File exit) noexcept;

    std::vector<Orphan> orphans_;
    std::size_t expected_ = 0; ///< running processes that may still come
    std::size_t next_ = 0;     ///< whom collect() asks next
};

/// Where a program lies, from the root of the file system: a name with a slash is completed with
/// the working directory, another is looked for in `search_path`, which is what PATH holds. Empty
/// when there is no such file that can be run. Looks at the disk: for set-up, not for a tick.
std::string find_program(std::string_view name, std::string_view search_path);

} // namespace detail

PORTHOLE_NAMESPACE_END
