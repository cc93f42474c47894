// SPDX-License-Identifier: MIT

// Processes as far as they are the same on every system. What only POSIX has is tested in
// process_posix_test.cpp.

#include "os/child.hpp"
#include "support/temporary_directory.hpp"

#include <algorithm>
#include <memory>

using porthole::ErrorCode;
using porthole::invalid_handle;
using porthole::IoStatus;
using porthole::detail::find_program;
using porthole::detail::ProcessReaper;
using porthole_test::child;
using porthole_test::child_path;
using porthole_test::exited_with;
using porthole_test::ExitStatus;
using porthole_test::patience_ms;
using porthole_test::Process;
using porthole_test::ProcessOptions;
using porthole_test::read_error;
using porthole_test::read_output;
using porthole_test::reaped;
using porthole_test::started;
using porthole_test::TemporaryDirectory;

TEST_CASE("process: one that was never started answers without harm") {
    Process process;
    char byte = 0;
    CHECK_FALSE(process.is_started());
    CHECK(process.id() == 0);
    CHECK(process.input_handle() == invalid_handle);
    CHECK(process.output_handle() == invalid_handle);
    CHECK(process.error_handle() == invalid_handle);
    CHECK(process.exit_handle() == invalid_handle);
    CHECK(process.write_input("x").status == IoStatus::failed);
    CHECK(process.read_output(&byte, 1).status == IoStatus::end);
    CHECK(process.read_error(&byte, 1).status == IoStatus::end);
    CHECK(process.has_ended());
    CHECK_FALSE(process.try_reap());
    process.close_input();
    process.close_output();
    process.close_error();
    process.terminate_group();
    process.kill_group();
}

TEST_CASE("process: arguments arrive as they are") {
    const std::vector<std::string> words = {"arguments", "",
                                            "two words", "\"",
                                            "a\"b\\",    "\\\\\"x\\\\",
                                            "tail\\",    "$(id)",
                                            "`id`",      ";|&><*?~!",
                                            "%PATH%^",   "line\nbreak\ttab",
                                            "-s",        "\\\" \\\\",
                                            "'single'",  "\xc3\xa9\xe2\x82\xac"};
    Process process = started(child(words));
    std::string expected = "[child]\n";
    for (const std::string& word : words) {
        expected += '[' + word + "]\n";
    }
    CHECK(read_output(process) == expected);
    CHECK(exited_with(reaped(process), 0));
}

TEST_CASE("process: without arguments the program still has its own name") {
    ProcessOptions options = child({});
    options.arguments.clear();
    Process process = started(options);
    CHECK(read_output(process).empty());
    CHECK(exited_with(reaped(process), 0));
}

namespace {

/// Windows gives a few variables to every program, and wine some of its own.
std::string without_the_systems(const std::string& lines) {
#if defined(_WIN32)
    std::string kept;
    for (std::size_t at = 0; at < lines.size();) {
        const std::size_t end = lines.find('\n', at);
        const std::string line = lines.substr(at, end - at + 1);
        kept += line.compare(0, 6, "System") == 0 || line.compare(0, 4, "WINE") == 0 ? "" : line;
        at = end + 1;
    }
    return kept;
#else
    return lines;
#endif
}

} // namespace

TEST_CASE("process: the environment is what was given and nothing else") {
    ProcessOptions options = child({"environment"});
    options.environment = {"A=", "B=two words", "C=a=b", "QUERY_STRING=x&y;$(z)", "U=\xc3\xa9"};
    Process process = started(options);
    CHECK(
        without_the_systems(read_output(process))
        == "A=\nB=two words\nC=a=b\nQUERY_STRING=x&y;$(z)\nU=\xc3\xa9\n");
    // Windows has no bytes: what is not UTF-8 becomes the character that stands for it.
    options.environment = {"BYTES=a\xff" + std::string("b")};
    Process bytes = started(options);
#if defined(_WIN32)
    CHECK(without_the_systems(read_output(bytes)) == "BYTES=a\xef\xbf\xbd" + std::string("b\n"));
#else
    CHECK(read_output(bytes) == "BYTES=a\xff" + std::string("b\n"));
#endif
    Process bare = started(child({"environment"}));
    CHECK(without_the_systems(read_output(bare)).empty());
}

TEST_CASE("process: works in its directory") {
    const TemporaryDirectory temporary;
    temporary.make_directory("a b");
    ProcessOptions options = child({"directory"});
    options.working_directory = temporary.path("a b");
    Process process = started(options);
    std::string answer = read_output(process);
    std::replace(answer.begin(), answer.end(), '\\', '/');
    std::string expected = options.working_directory;
    std::replace(expected.begin(), expected.end(), '\\', '/');
    CHECK(answer == expected + '\n');
}

TEST_CASE("process: input goes in, output comes out, errors come apart") {
    Process process = started(child({"error", "first", "copy", "error", "last", "exit", "3"}));
    CHECK(process.is_started());
    CHECK(process.id() > 0);
    CHECK(process.write_input({}).status == IoStatus::would_block);
    const auto written = process.write_input("hello");
    CHECK(written.status == IoStatus::ok);
    CHECK(written.bytes == 5);
    CHECK(read_output(process, 5) == "hello");
    CHECK_FALSE(process.has_ended());
    CHECK_FALSE(process.try_reap());
    char byte = 0;
    CHECK(process.read_output(&byte, 1).status == IoStatus::would_block);
    CHECK(process.read_output(&byte, 0).status == IoStatus::would_block);
    process.close_input();
    CHECK(process.write_input("more").status == IoStatus::failed);
    CHECK(read_output(process).empty());
    CHECK(read_error(process) == "firstlast");
    CHECK(exited_with(reaped(process), 3));
    CHECK_FALSE(process.is_started());
    CHECK_FALSE(process.try_reap());
    CHECK(process.has_ended());
}

TEST_CASE("process: what is not wanted is empty or lost, and never in the way") {
    ProcessOptions options = child({"count", "error", "lost", "write", "200000", "exit", "0"});
    options.wants_input = options.wants_error = false;
    Process deaf = started(options);
    CHECK(deaf.input_handle() == invalid_handle);
    CHECK(deaf.error_handle() == invalid_handle);
    CHECK(deaf.write_input("x").status == IoStatus::failed);
    const std::string text = read_output(deaf);
    CHECK(text.substr(0, 2) == "0\n");
    CHECK(text.size() == 2 + 200000);
    CHECK(exited_with(reaped(deaf), 0));

    options.wants_output = false;
    Process silent = started(options);
    char byte = 0;
    CHECK(silent.read_output(&byte, 1).status == IoStatus::end);
    CHECK(exited_with(reaped(silent), 0));
}

TEST_CASE("process: exit codes") {
    for (const int code : {0, 1, 42, 255}) {
        Process process = started(child({"exit", std::to_string(code)}));
        const ExitStatus status = reaped(process);
        CHECK(exited_with(status, code));
        CHECK(status.is_success() == (code == 0));
    }
}

TEST_CASE("process: a program that writes faster than it is read waits, and nothing is lost") {
    constexpr std::size_t total = 1'000'000;
    Process process = started(child({"write", std::to_string(total)}));
    const std::string begin = read_output(process, 100, 100);
    CHECK_FALSE(process.has_ended()); // the rest has no room in the pipe
    const std::string text = begin + read_output(process, std::string::npos, 1000);
    REQUIRE(text.size() == total);
    bool is_same = true;
    for (std::size_t i = 0; i < total; ++i) {
        is_same = is_same && text[i] == static_cast<char>('a' + i % 23);
    }
    CHECK(is_same);
    CHECK(exited_with(reaped(process), 0));
}

TEST_CASE("process: input for a program that does not read is refused, not waited for") {
    constexpr std::size_t most = 16 * 1024 * 1024;
    Process process = started(child({"hang"}));
    const std::string piece(100'000, 'x');
    std::size_t taken = 0;
    auto result = process.write_input(piece);
    while (result.status == IoStatus::ok && taken < most) {
        taken += result.bytes;
        result = process.write_input(piece);
    }
    CHECK(result.status == IoStatus::would_block);
    CHECK(taken >= 1000);
    CHECK(taken < most);
}

TEST_CASE("process: a long input goes through while the output is read") {
    constexpr std::size_t total = 3'000'000;
    Process process = started(child({"copy"}));
    std::string input(total, '\0');
    for (std::size_t i = 0; i < total; ++i) {
        input[i] = static_cast<char>(i * 31 + i / 251);
    }
    std::string output;
    std::vector<char> piece(30'000);
    std::size_t at = 0;
    const auto deadline = porthole_test::patience_end();
    for (auto read = IoStatus::ok;
         read != IoStatus::end && std::chrono::steady_clock::now() < deadline;) {
        if (at < total) {
            at += process.write_input(std::string_view(input).substr(at)).bytes;
        } else {
            process.close_input();
        }
        const auto result = process.read_output(piece.data(), piece.size());
        output.append(piece.data(), result.bytes);
        read = result.status;
        if (read == IoStatus::would_block) {
            porthole_test::pass_moment(process.output_handle());
        }
    }
    CHECK(output.size() == total);
    CHECK((output == input));
    CHECK(exited_with(reaped(process), 0));
}

TEST_CASE("process: the end of the input comes behind what was written before it") {
    const std::string input(50'000, 'x');
    Process process = started(child({"count"}));
    CHECK(process.write_input(input).bytes == input.size());
    process.close_input();
    CHECK(read_output(process) == "50000\n");
}

TEST_CASE("process: writing to a program that has ended fails, without a signal") {
    Process process = started(child({"exit", "0"}));
    CHECK(exited_with(reaped(process), 0));
    const auto deadline = porthole_test::patience_end();
    auto result = process.write_input("x");
    while (result.status != IoStatus::failed && std::chrono::steady_clock::now() < deadline) {
        result = process.write_input("x"); // Windows tells with the write after
    }
    CHECK(result.status == IoStatus::failed);
    CHECK(result.system_code != 0);
}

TEST_CASE("process: killing ends what the program started, too") {
    Process process = started(child({"grandchild", "hang"}));
    const std::string number = read_output(process, 2);
    CHECK(number.back() != '\0');
    CHECK_FALSE(process.has_ended());
    process.kill_group();
    static_cast<void>(read_output(process)); // ends only when the grandchild has let go, too
    CHECK(reaped(process).kind == ExitStatus::Kind::signalled);
}

TEST_CASE("process: what the program leaves behind can be ended after it") {
    Process process = started(child({"grandchild", "exit", "7"}));
    static_cast<void>(read_output(process, 2));
    const auto deadline = porthole_test::patience_end();
    while (!process.has_ended() && std::chrono::steady_clock::now() < deadline) {
        porthole_test::pass_moment(process.exit_handle());
    }
    CHECK(process.has_ended());
    CHECK(process.has_ended()); // looking takes nothing away
    process.kill_group();
    static_cast<void>(read_output(process));
    CHECK(exited_with(reaped(process), 7));
}

TEST_CASE("process: asked to end, it ends") {
    Process process = started(child({"print", "up", "hang"}));
    CHECK(read_output(process, 2) == "up");
    process.terminate_group();
    CHECK(reaped(process).kind == ExitStatus::Kind::signalled);
}

TEST_CASE("process: closing the output stops a program that writes for ever") {
    Process process = started(child({"write", "4000000000", "exit", "0"}));
    static_cast<void>(read_output(process, 10, 10));
    process.close_output();
    CHECK(process.output_handle() == invalid_handle);
    CHECK_FALSE(reaped(process).is_success());
}

TEST_CASE("process: one that is moved or replaced loses nothing") {
    Process first = started(child({"print", "a", "copy"}));
    Process second(std::move(first));
    CHECK_FALSE(first.is_started());
    CHECK(read_output(second, 1) == "a");
    Process third = started(child({"hang"}));
    third = std::move(second); // the hanging one is killed
    CHECK(third.write_input("b").bytes == 1);
    third.close_input();
    CHECK(read_output(third) == "b");
    CHECK(exited_with(reaped(third), 0));
}

TEST_CASE("process: the reaper buries those whose owner went first") {
    const auto reaper = std::make_shared<ProcessReaper>();
    {
        ProcessOptions options = child({"print", "up", "hang"});
        options.reaper = reaper;
        std::vector<Process> processes;
        for (int i = 0; i < 5; ++i) {
            processes.push_back(started(options));
        }
        CHECK(read_output(processes[0], 2) == "up");
        CHECK(reaper->size() == 0);
    }
    CHECK(reaper->size() <= 5);
    CHECK(reaper->finish(std::chrono::milliseconds(patience_ms)));
    CHECK(reaper->size() == 0);
    CHECK(reaper->collect() == 0);
}

TEST_CASE("process: what cannot be started is an error with advice") {
    const TemporaryDirectory temporary;
    Process process;
    const auto fails = [&process](const ProcessOptions& options, ErrorCode code) {
        const auto error = Process::start(options, process);
        INFO(error.message());
        CHECK(error.code() == code);
        CHECK_FALSE(error.advice().empty());
        CHECK_FALSE(process.is_started());
    };
    ProcessOptions options = child({});
    options.program = temporary.path("missing");
    fails(options, ErrorCode::not_found);
    options.program = "child";
    fails(options, ErrorCode::misuse);
    options.program.clear();
    fails(options, ErrorCode::misuse);

    options = child({});
    options.working_directory = temporary.path("missing");
    CHECK(Process::start(options, process));
    CHECK_FALSE(process.is_started());

    using namespace std::string_literals;
    for (const std::string& argument : {"a\0b"s, "\0"s}) {
        fails(child({argument}), ErrorCode::misuse);
    }
    for (const std::string& variable : {"A=\0"s, "NAME"s, "=value"s, ""s}) {
        options = child({});
        options.environment = {"FINE=1", variable};
        fails(options, ErrorCode::misuse);
    }
    options = child({});
    options.program += "\0x"s;
    fails(options, ErrorCode::misuse);
}

#if defined(__linux__)

TEST_CASE("process: variables of any length arrive, or are an error that says so") {
    constexpr std::size_t longest = 128 * 1024; // with its name and its end, of Linux
    for (const std::size_t size : {longest - 2, longest - 1, longest}) {
        CAPTURE(size);
        ProcessOptions options = child({"environment"});
        options.environment = {"A" + std::string(size - 1, '=')};
        Process process;
        const auto error = Process::start(options, process);
        CHECK(static_cast<bool>(error) == (size >= longest));
        if (error) {
            CHECK(error.advice().find("longer") != std::string_view::npos);
        } else {
            CHECK(read_output(process).size() == size + 1);
        }
    }
}

#endif

#if defined(_WIN32)

TEST_CASE("process: batch files are refused however they are spelled") {
    const TemporaryDirectory temporary;
    temporary.write("x.bat", "@echo no\r\n");
    temporary.make_directory("a");
    for (const char* name :
         {"x.bat", "x.CMD", "x.bat.", "x.cmd . ", "x.Bat  ", "x.bat/.", "x.bat\\.\\.", "x.bat/",
          "a/../x.bat", "x.bat/a/..", "x.bat/a/../. ", "x.bat::$DATA", "x.bat:y"}) {
        ProcessOptions options = child({"arguments"});
        options.program = temporary.path(name);
        Process process;
        CHECK(Process::start(options, process).code() == ErrorCode::misuse);
    }
}

#endif

TEST_CASE("process: programs are found along the search path") {
    const std::string path = child_path();
    const std::size_t slash = path.find_last_of("/\\");
    const std::string folder = path.substr(0, slash);
    const std::string name = path.substr(slash + 1);
#if defined(_WIN32)
    const char separator = ';';
    CHECK(find_program(name.substr(0, name.rfind('.')), folder) == path); // .exe is understood
#else
    const char separator = ':';
    const TemporaryDirectory temporary;
    temporary.write(name, "not a program");
    CHECK(find_program(name, temporary.path()).empty());
    CHECK(find_program(name, temporary.path() + separator + folder) == path);
#endif
    CHECK(find_program(path, {}) == path);
    CHECK(find_program(name, folder) == path);
    CHECK(find_program(name, separator + std::string("/nowhere") + separator + folder) == path);
    CHECK(find_program(name, {}).empty());
    CHECK(find_program(name, {&separator, 1}).empty());
    CHECK(find_program({}, folder).empty());
    CHECK(find_program("missing", folder).empty());
    CHECK(find_program(folder, {}).empty()); // a directory
}
