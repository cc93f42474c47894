// SPDX-License-Identifier: MIT

// Processes on POSIX systems: what the program inherits, what it leaves behind, and what this
// process keeps for itself; with the system's best calls, and with those that every system has.

#include "os/child.hpp"
#include "support/temporary_directory.hpp"

#if !defined(_WIN32)

#include <cerrno>
#include <csignal>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <filesystem>
#include <memory>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

using porthole::ErrorCode;
using porthole::IoStatus;
using porthole::detail::ProcessCalls;
using porthole::detail::ProcessReaper;
using porthole_test::child;
using porthole_test::child_path;
using porthole_test::child_with;
using porthole_test::every_way;
using porthole_test::exited_with;
using porthole_test::ExitStatus;
using porthole_test::patience_end;
using porthole_test::patience_ms;
using porthole_test::Process;
using porthole_test::ProcessOptions;
using porthole_test::read_output;
using porthole_test::reaped;
using porthole_test::started;
using porthole_test::TemporaryDirectory;

namespace {

std::size_t open_descriptors() {
    std::size_t count = 0;
    for (int number = 0; number < 2048; ++number) {
        count += ::fcntl(number, F_GETFD) >= 0 ? 1u : 0u;
    }
    return count;
}

/// The state letter and the parent of a process, from /proc; 0 when it is gone.
struct Entry {
    char state = 0;
    long parent = 0;
};

Entry look_up(const std::string& number) {
    char text[512] = {};
    const int file = ::open(("/proc/" + number + "/stat").c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return {};
    }
    const ssize_t size = ::read(file, text, sizeof text - 1);
    ::close(file);
    const char* end_of_name = size > 0 ? std::strrchr(text, ')') : nullptr;
    Entry entry;
    if (end_of_name != nullptr && std::strlen(end_of_name) > 4) {
        entry.state = end_of_name[2];
        entry.parent = std::strtol(end_of_name + 4, nullptr, 10);
    }
    return entry;
}

/// Children of this process, zombies among them.
std::size_t count_children() {
    std::size_t count = 0;
    DIR* list = ::opendir("/proc");
    while (const dirent* entry = list != nullptr ? ::readdir(list) : nullptr) {
        const Entry found = look_up(entry->d_name);
        count += found.state != 0 && found.parent == ::getpid() ? 1u : 0u;
    }
    if (list != nullptr) {
        ::closedir(list);
    }
    return count;
}

/// Gone, or a zombie of a parent that is not us.
bool comes_to_end(const std::string& number) {
    const auto deadline = patience_end();
    for (Entry entry = look_up(number); entry.state != 0 && entry.state != 'Z';
         entry = look_up(number)) {
        if (std::chrono::steady_clock::now() > deadline) {
            return false;
        }
        std::this_thread::yield();
    }
    return true;
}

/// Puts a signal's disposition and this thread's mask back.
class SignalState {
public:
    explicit SignalState(int number) : number_(number) {
        ::sigaction(number, nullptr, &action_);
        ::sigprocmask(SIG_BLOCK, nullptr, &mask_);
    }
    SignalState(const SignalState&) = delete;
    SignalState& operator=(const SignalState&) = delete;
    ~SignalState() {
        ::sigaction(number_, &action_, nullptr);
        ::sigprocmask(SIG_SETMASK, &mask_, nullptr);
    }

private:
    int number_;
    struct sigaction action_ {};
    sigset_t mask_{};
};

volatile std::sig_atomic_t broken_pipes = 0;

void count_broken_pipe(int) {
    broken_pipes = broken_pipes + 1;
}

} // namespace

TEST_CASE("process: no descriptor of the host is inherited, whatever its flags") {
    const int low = ::open("/dev/null", O_RDONLY);
    const int high = ::dup2(low, 700);
    REQUIRE(low >= 0);
    REQUIRE(high == 700);
    for (const ProcessCalls calls : every_way) {
        Process process = started(child_with(calls, {"descriptors"}));
        CHECK(read_output(process) == "0p 1p 2p \n"); // pipes, and they block
        CHECK(exited_with(reaped(process), 0));
    }
    ::close(low);
    ::close(high);
}

TEST_CASE("process: standard descriptors that the host has closed are not mixed up") {
    const TemporaryDirectory temporary;
    for (const ProcessCalls calls : every_way) {
        ProcessOptions options =
            child_with(calls, {"error", "wrong", "copy", "descriptors", "directory"});
        options.working_directory = temporary.path();
        int kept[3];
        for (int i = 0; i < 3; ++i) {
            kept[i] = ::fcntl(i, F_DUPFD_CLOEXEC, 100); // -1 when it is closed already
        }
        for (int i = 0; i < 3; ++i) {
            ::close(i);
        }
        Process process;
        const auto error = Process::start(options, process);
        for (int i = 0; i < 3; ++i) {
            if (kept[i] >= 0) {
                ::dup2(kept[i], i);
                ::close(kept[i]);
            }
        }
        REQUIRE_FALSE(error);
        const bool has_exit_handle = process.exit_handle() != porthole::invalid_handle;
        CHECK((!has_exit_handle || process.exit_handle() > 2)); // the host's next file is to be 0
        CHECK(process.write_input("in").bytes == 2);
        process.close_input();
        CHECK(read_output(process) == "in0p 1p 2p \n" + temporary.path() + '\n');
        CHECK(porthole_test::read_error(process) == "wrong");
    }
}

TEST_CASE("process: our ends are kept from other programs, and do not block") {
    Process process = started(child({"hang"}));
    for (const auto handle :
         {process.input_handle(), process.output_handle(), process.error_handle()}) {
        const int descriptor = static_cast<int>(handle);
        CHECK((::fcntl(descriptor, F_GETFD) & FD_CLOEXEC) != 0);
        CHECK((::fcntl(descriptor, F_GETFL) & O_NONBLOCK) != 0);
    }
    if (process.exit_handle() != porthole::invalid_handle) {
        CHECK((::fcntl(static_cast<int>(process.exit_handle()), F_GETFD) & FD_CLOEXEC) != 0);
    }
}

#if defined(F_GETPIPE_SZ)

namespace {

/// Waits until the program has written that much.
bool has_unread(const Process& process, int size) {
    const auto deadline = patience_end();
    int unread = 0;
    while (unread < size && std::chrono::steady_clock::now() < deadline
           && ::ioctl(static_cast<int>(process.output_handle()), FIONREAD, &unread) == 0) {
        std::this_thread::yield();
    }
    return unread >= size;
}

} // namespace

TEST_CASE("process: a pipe that was found full is widened, another is left as it was") {
    const auto room = [](porthole::NativeHandle handle) {
        return ::fcntl(static_cast<int>(handle), F_GETPIPE_SZ);
    };
    constexpr std::size_t total = 3'000'000;
    for (const ProcessCalls calls : every_way) {
        Process process = started(child_with(calls, {"write", std::to_string(total)}));
        const int usual_input = room(process.input_handle());
        const int usual_output = room(process.output_handle());
        CHECK(process.write_input("little").bytes == 6);
        CHECK(read_output(process, 6, 6).size() == 6);
        CHECK(room(process.input_handle()) == usual_input);
        CHECK(room(process.output_handle()) == usual_output);

        const std::string much(static_cast<std::size_t>(usual_input) + 1, 'x');
        CHECK(process.write_input(much).bytes < much.size());
        CHECK(room(process.input_handle()) > usual_input);

        // The program writes until there is no room; of the page that was begun some is read.
        constexpr int page = 4096;
        REQUIRE(usual_output > page);
        CHECK(has_unread(process, usual_output - page));
        const std::size_t first =
            read_output(process, 1, static_cast<std::size_t>(usual_output)).size();
        CHECK(first >= static_cast<std::size_t>(usual_output - page));
        CHECK(room(process.output_handle()) > usual_output);
        CHECK(read_output(process).size() == total - 6 - first);
    }
}

#endif

TEST_CASE("process: the program can open its standard descriptors by name") {
    Process process = started(child({"open-by-name"}));
    CHECK(read_output(process) == "opened\n");
}

TEST_CASE("process: signals are as the system has them, and the group is its own") {
    const SignalState pipe_state(SIGPIPE);
    const SignalState user_state(SIGUSR1);
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGUSR1, SIG_IGN);
    sigset_t blocked;
    ::sigemptyset(&blocked);
    ::sigaddset(&blocked, SIGTERM);
    ::sigaddset(&blocked, SIGUSR2);
    ::sigprocmask(SIG_BLOCK, &blocked, nullptr);
    Process process = started(child({"signals", "group"}));
    CHECK(read_output(process) == "\nleader\n");
}

TEST_CASE("process: writing to a program that reads no more raises no signal") {
    const SignalState state(SIGPIPE);
    std::signal(SIGPIPE, count_broken_pipe);
    broken_pipes = 0;
    for (const ProcessCalls calls : every_way) {
        Process process = started(child_with(calls, {"close-input", "print", "x", "hang"}));
        CHECK(read_output(process, 1) == "x");
        for (int i = 0; i < 3; ++i) {
            const auto result = process.write_input("more");
            CHECK(result.status == IoStatus::failed);
            CHECK(result.system_code == EPIPE);
        }
        sigset_t mask;
        ::sigprocmask(SIG_BLOCK, nullptr, &mask);
        CHECK(::sigismember(&mask, SIGPIPE) == 0);
    }
    CHECK(broken_pipes == 0);
}

TEST_CASE("process: a broken pipe that the host has pending stays pending") {
    const SignalState state(SIGPIPE);
    std::signal(SIGPIPE, count_broken_pipe);
    broken_pipes = 0;
    sigset_t broken_pipe;
    ::sigemptyset(&broken_pipe);
    ::sigaddset(&broken_pipe, SIGPIPE);
    ::sigprocmask(SIG_BLOCK, &broken_pipe, nullptr);
    std::raise(SIGPIPE);
    for (const ProcessCalls calls : every_way) {
        Process process = started(child_with(calls, {"close-input", "print", "x", "hang"}));
        CHECK(read_output(process, 1) == "x");
        CHECK(process.write_input("more").status == IoStatus::failed);
        sigset_t pending;
        ::sigpending(&pending);
        CHECK(::sigismember(&pending, SIGPIPE) == 1);
    }
    ::sigprocmask(SIG_UNBLOCK, &broken_pipe, nullptr);
    CHECK(broken_pipes == 1);
}

TEST_CASE("process: the exit handle is readable from the program's end on") {
    Process process = started(child({"copy"}));
    if (process.exit_handle() == porthole::invalid_handle) {
        MESSAGE("skipped: this system has no handle for a process");
        return;
    }
    CHECK_FALSE(porthole_test::wait_for(process.exit_handle(), {true, false}, 0).read);
    process.close_input();
    CHECK(porthole_test::wait_for(process.exit_handle(), {true, false}).read);
    CHECK(process.has_ended());
    const auto status = process.try_reap();
    REQUIRE(status);
    CHECK(exited_with(*status, 0));
    CHECK(process.exit_handle() == porthole::invalid_handle);
}

TEST_CASE("process: without such a handle the end is told on asking") {
    Process process = started(child_with(ProcessCalls::portable, {"copy", "exit", "5"}));
    CHECK(process.exit_handle() == porthole::invalid_handle);
    CHECK_FALSE(process.has_ended());
    process.close_input();
    CHECK(exited_with(reaped(process), 5));
}

TEST_CASE("process: which signal ended it is told") {
    for (const int number : {SIGTERM, SIGKILL, SIGHUP}) {
        Process process = started(child({"raise", std::to_string(number), "exit", "0"}));
        const ExitStatus status = reaped(process);
        CHECK(status.kind == ExitStatus::Kind::signalled);
        CHECK(status.value == number);
        CHECK_FALSE(status.is_success());
    }
}

TEST_CASE("process: one that ignores the request to end has to be killed") {
    Process process = started(child({"ignore-terminate", "print", "up", "copy", "hang"}));
    CHECK(read_output(process, 2) == "up");
    process.terminate_group();
    CHECK(process.write_input("still").bytes == 5);
    CHECK(read_output(process, 5) == "still");
    CHECK_FALSE(process.has_ended());
    process.kill_group();
    CHECK(reaped(process).value == SIGKILL);
}

TEST_CASE("process: the destructor ends the whole group and leaves no zombie") {
    const std::size_t before = count_children();
    const auto reaper = std::make_shared<ProcessReaper>();
    std::string own;
    std::string grandchild;
    {
        ProcessOptions options = child({"grandchild", "print", "up", "hang"});
        options.reaper = reaper;
        Process process = started(options);
        own = std::to_string(process.id());
        while (grandchild.find("up") == std::string::npos) {
            const std::string more = read_output(process, 1);
            REQUIRE_FALSE(more.empty());
            grandchild += more;
        }
        grandchild.resize(grandchild.find('\n'));
        CHECK(look_up(own).state != 0);
        CHECK(look_up(grandchild).state != 0);
    }
    CHECK(reaper->finish(std::chrono::milliseconds(patience_ms)));
    CHECK(look_up(own).state == 0);
    CHECK(comes_to_end(grandchild));
    CHECK(count_children() == before);
}

TEST_CASE("process: the reaper asks in turn, a few at a time") {
    const std::size_t before = count_children();
    const auto reaper = std::make_shared<ProcessReaper>();
    {
        ProcessOptions options = child({"hang"});
        options.reaper = reaper;
        std::vector<Process> processes;
        for (int i = 0; i < 6; ++i) {
            processes.push_back(started(options));
        }
    }
    const auto deadline = patience_end();
    std::size_t left = reaper->size();
    while (left != 0 && std::chrono::steady_clock::now() < deadline) {
        const std::size_t now = reaper->collect(1);
        CHECK(left - now <= 1);
        left = now;
        std::this_thread::yield();
    }
    CHECK(left == 0);
    CHECK(count_children() == before);
}

TEST_CASE("process: children of the host are the host's to wait for") {
    const pid_t own = ::fork();
    if (own == 0) {
        ::_exit(7);
    }
    REQUIRE(own > 0);
    const auto reaper = std::make_shared<ProcessReaper>();
    for (int i = 0; i < 3; ++i) {
        ProcessOptions options = child({"exit", "1"});
        options.reaper = reaper;
        Process process = started(options);
        CHECK(exited_with(reaped(process), 1));
        options = child({"hang"});
        options.reaper = reaper;
        static_cast<void>(started(options));
        CHECK(reaper->finish(std::chrono::milliseconds(patience_ms)));
    }
    int status = 0;
    CHECK(::waitpid(own, &status, 0) == own);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 7);
}

TEST_CASE("process: a host that waits for every child is survived") {
    Process process = started(child({"exit", "4"}));
    int status = 0;
    CHECK(::waitpid(static_cast<pid_t>(process.id()), &status, 0) == process.id());
    CHECK(process.has_ended());
    const auto told = process.try_reap();
    REQUIRE(told);
    CHECK(told->kind == ExitStatus::Kind::unknown);
    CHECK_FALSE(told->is_success());
    CHECK_FALSE(process.is_started());
}

TEST_CASE("process: files that cannot be run are errors that name the cause") {
    const TemporaryDirectory temporary;
    temporary.write("text", "just text\n");
    temporary.write("unknown", "just text\n");
    temporary.write("lost", "#!/nowhere/interpreter\n");
    for (const char* name : {"unknown", "lost"}) {
        REQUIRE(::chmod(temporary.path(name).c_str(), 0700) == 0);
    }
    const struct {
        const char* name;
        ErrorCode code;
        const char* advice;
    } cases[] = {
        {"text", ErrorCode::permission_denied, "chmod"},
        {"", ErrorCode::permission_denied, "directory"},
        {"unknown", ErrorCode::system, "#!"},
        {"lost", ErrorCode::not_found, "interpreter"},
        {"missing", ErrorCode::not_found, "no such program"},
    };
    const std::size_t descriptors = open_descriptors();
    const std::size_t children = count_children();
    for (const auto& each : cases) {
        ProcessOptions options = child({});
        options.program = temporary.path(each.name);
        Process process;
        const auto error = Process::start(options, process);
        INFO(error.message());
        CHECK(error.code() == each.code);
        CHECK(error.advice().find(each.advice) != std::string_view::npos);
        CHECK(error.endpoint() == options.program);
        CHECK(open_descriptors() == descriptors);
        CHECK(count_children() == children);
    }
}

TEST_CASE("process: a program that is being written says so") {
    const TemporaryDirectory temporary;
    std::error_code code;
    std::filesystem::copy_file(child_path(), temporary.path("program"), code);
    REQUIRE_FALSE(code);
    ProcessOptions options = child({"exit", "0"});
    options.program = temporary.path("program");
    const int writer = ::open(options.program.c_str(), O_WRONLY | O_CLOEXEC);
    REQUIRE(writer >= 0);
    Process process;
    const auto error = Process::start(options, process);
    ::close(writer);
    if (!error) {
        MESSAGE("skipped: this system runs what is being written");
        return;
    }
    CHECK(error.code() == ErrorCode::exhausted);
    CHECK(error.system_code() == ETXTBSY);
    CHECK(error.advice().find("written") != std::string_view::npos);
    process = started(options);
    CHECK(exited_with(reaped(process), 0));
}

TEST_CASE("process: a directory that may be entered and not listed is as good as another") {
    const TemporaryDirectory temporary;
    temporary.make_directory("closed");
    const std::string path = temporary.path("closed");
    REQUIRE(::chmod(path.c_str(), 0111) == 0);
    ProcessOptions options = child({"exit", "0"});
    options.working_directory = path;
    Process process;
    CHECK(Process::start(options, process).message() == "no error"); // root may list it anyway
    CHECK(exited_with(reaped(process), 0));
    REQUIRE(::chmod(path.c_str(), 0700) == 0);
}

namespace {

/// Takes the numbers that are free below the highest one in use, so that a limit counts.
class DescriptorFill {
public:
    DescriptorFill() {
        int highest = 0;
        for (int number = 0; number < 2048; ++number) {
            highest = ::fcntl(number, F_GETFD) >= 0 ? number : highest;
        }
        while (first_free_ <= highest) {
            first_free_ = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
            REQUIRE(first_free_ >= 0);
            taken_.push_back(first_free_);
        }
        ::close(first_free_);
        taken_.pop_back();
    }
    DescriptorFill(const DescriptorFill&) = delete;
    DescriptorFill& operator=(const DescriptorFill&) = delete;
    ~DescriptorFill() {
        for (const int descriptor : taken_) {
            ::close(descriptor);
        }
    }
    int first_free() const { return first_free_; }

private:
    std::vector<int> taken_;
    int first_free_ = -1;
};

} // namespace

TEST_CASE("process: without descriptors starting fails whole, and works again afterwards") {
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const DescriptorFill fill;
    const std::size_t open_before = open_descriptors();
    // Each limit fails at another pipe, at the working directory, at the list of what is open, and
    // at the exit handle, which a program can be served without.
    for (const ProcessCalls calls : every_way) {
        ProcessOptions options = child_with(calls, {"exit", "0"});
        options.working_directory = "/";
        int failures = 0;
        for (int room = 0; room < 10; ++room) {
            rlimit tight = before;
            tight.rlim_cur = static_cast<rlim_t>(fill.first_free() + room);
            REQUIRE(::setrlimit(RLIMIT_NOFILE, &tight) == 0);
            Process process;
            const auto error = Process::start(options, process);
            ::setrlimit(RLIMIT_NOFILE, &before);
            CHECK(process.is_started() == !error);
            if (error) {
                ++failures;
                CHECK(error.code() == ErrorCode::too_many_files);
            } else {
                CHECK(exited_with(reaped(process), 0));
                process = Process();
            }
            CHECK(open_descriptors() == open_before);
        }
        CHECK(failures >= 7);
        CHECK(failures < 10);
        Process process = started(options);
        CHECK(exited_with(reaped(process), 0));
    }
}

TEST_CASE("process: nothing is left of two hundred programs, started or not") {
    const std::size_t descriptors = open_descriptors();
    const std::size_t children = count_children();
    const auto reaper = std::make_shared<ProcessReaper>();
    for (int i = 0; i < 200; ++i) {
        ProcessOptions options = child_with(every_way[i % 2], {"exit", "2"});
        options.reaper = reaper;
        if (i % 4 == 1) {
            options.program = "/nowhere/program";
        } else if (i % 4 == 2) {
            options.arguments = {"child", "hang"};
        } else if (i % 4 == 3) {
            options.working_directory = "/nowhere";
        }
        Process process;
        const auto error = Process::start(options, process);
        CHECK(static_cast<bool>(error) == (i % 2 == 1));
        if (i % 4 == 0) {
            CHECK(exited_with(reaped(process), 2));
        }
    }
    CHECK(reaper->finish(std::chrono::milliseconds(patience_ms)));
    CHECK(open_descriptors() == descriptors);
    CHECK(count_children() == children);
}

#endif
