// SPDX-License-Identifier: MIT
#pragma once

// How a program is started on Windows: by CreateProcess(), with a list of the three handles that it
// gets, suspended until its job holds it. Windows passes one command line and every program cuts it
// itself; it is written here so that the rules of CommandLineToArgvW() give the arguments back. The
// interpreter of batch files has rules of its own, so those are refused.

#include "porthole/os/file.hpp"
#include "porthole/os/file_windows.inl"
#include "porthole/os/platform.inl"
#include "porthole/os/process.hpp"
#include "porthole/os/random.hpp"
#include "porthole/os/socket_windows.inl"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#if defined(_WIN32)

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// What each pipe holds, in the system and in our own memory.
inline constexpr std::size_t pipe_buffer_bytes = 64 * 1024;
/// STATUS_CONTROL_C_EXIT: what the system itself gives to programs that are asked to end.
inline constexpr UINT killed_exit_code = 0xC000013Au;

/// Our end of a pipe. The system works on `buffer` and `operation` while `is_pending`, so both stay
/// where they are until that is over.
struct OverlappedPipe {
    OverlappedPipe() = default;
    OverlappedPipe(const OverlappedPipe&) = delete;
    OverlappedPipe& operator=(const OverlappedPipe&) = delete;
    ~OverlappedPipe() { close(); }

    void close() noexcept {
        if (is_pending) {
            DWORD moved = 0;
            // A pipe lets go at once, so the wait is none.
            static_cast<void>(::CancelIoEx(native_file(end), &operation));
            static_cast<void>(::GetOverlappedResult(native_file(end), &operation, &moved, TRUE));
            is_pending = false;
        }
        end.close();
        event.close();
    }

    File end;
    File event;
    OVERLAPPED operation{};
    std::unique_ptr<char[]> buffer;
    std::size_t begin = 0; ///< of what was read and not yet taken
    std::size_t size = 0;
    bool is_pending = false;
    DWORD code = 0; ///< why nothing more can be read or written
};

inline Error process_error(
    std::string_view call, std::string_view subject, DWORD system_code,
    std::string_view advice = {}) {
    constexpr DWORD elevation_required = 740; // ERROR_ELEVATION_REQUIRED, which MinGW lacks
    ErrorCode code = ErrorCode::system;
    switch (system_code) {
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
        code = ErrorCode::not_found;
        advice = advice.empty() ? "there is no such program" : advice;
        break;
    case ERROR_ACCESS_DENIED:
    case elevation_required: code = ErrorCode::permission_denied; break;
    case ERROR_TOO_MANY_OPEN_FILES: code = ErrorCode::too_many_files; break;
    case ERROR_NO_SYSTEM_RESOURCES:
    case ERROR_NOT_ENOUGH_MEMORY: code = ErrorCode::exhausted; break;
    case ERROR_FILENAME_EXCED_RANGE: code = ErrorCode::too_long; break;
    case ERROR_BAD_EXE_FORMAT:
        advice = "it is no program; a script needs its interpreter as the program";
        break;
    default: break;
    }
    const int number = static_cast<int>(system_code);
    return Error(code, call, subject, advice).with_system(number, system_text(number));
}

/// A name that nobody can guess, so that nobody else is at its other end.
inline bool make_pipe_name(std::wstring& name) {
    constexpr wchar_t letters[] = L"abcdefghijklmnop";
    constexpr unsigned letter_bits = 4;
    unsigned char bytes[16];
    if (!fill_random(reinterpret_cast<char*>(bytes), sizeof bytes)) {
        return false;
    }
    name = L"\\\\.\\pipe\\porthole-";
    for (const unsigned char byte : bytes) {
        name += letters[byte >> letter_bits];
        name += letters[byte & ((1u << letter_bits) - 1)];
    }
    return true;
}

/// The standard handles that the program gets.
struct ChildEnds {
    File input;
    File output;
    File error;

    Error open(
        const ProcessOptions& options, OverlappedPipe& to_input, OverlappedPipe& from_output,
        OverlappedPipe& from_error) {
        Error failed = open_one(options.wants_input, true, to_input, input);
        if (!failed) {
            failed = open_one(options.wants_output, false, from_output, output);
        }
        if (!failed) {
            failed = open_one(options.wants_error, false, from_error, error);
        }
        return failed;
    }

private:
    static Error open_one(bool is_wanted, bool is_input, OverlappedPipe& ours, File& theirs);
};

PORTHOLE_FN Error
ChildEnds::open_one(bool is_wanted, bool is_input, OverlappedPipe& ours, File& theirs) {
    std::wstring name = L"NUL";
    if (is_wanted) {
        if (!make_pipe_name(name)) {
            return Error(ErrorCode::system, "pipe", "", "the system gave no random bytes");
        }
        const DWORD direction = is_input ? PIPE_ACCESS_OUTBOUND : PIPE_ACCESS_INBOUND;
        ours.end = File(reinterpret_cast<NativeHandle>(::CreateNamedPipeW(
            name.c_str(), direction | FILE_FLAG_OVERLAPPED | FILE_FLAG_FIRST_PIPE_INSTANCE,
            PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS, 1,
            static_cast<DWORD>(pipe_buffer_bytes), static_cast<DWORD>(pipe_buffer_bytes), 0,
            nullptr)));
        if (!ours.end.is_open()) {
            return process_error("CreateNamedPipe", "", ::GetLastError());
        }
        ours.event =
            File(reinterpret_cast<NativeHandle>(::CreateEventW(nullptr, TRUE, FALSE, nullptr)));
        if (ours.event.handle() == 0) {
            static_cast<void>(ours.event.release());
            return process_error("CreateEvent", "", ::GetLastError());
        }
        ours.operation.hEvent = native_file(ours.event);
        ours.buffer = std::make_unique<char[]>(pipe_buffer_bytes);
    }
    SECURITY_ATTRIBUTES inherited{};
    inherited.nLength = static_cast<DWORD>(sizeof inherited);
    inherited.bInheritHandle = TRUE;
    // Blocking, as programs expect; the attributes let them ask what state the pipe is in.
    const DWORD access =
        is_input ? GENERIC_READ | FILE_WRITE_ATTRIBUTES : GENERIC_WRITE | FILE_READ_ATTRIBUTES;
    theirs = File(reinterpret_cast<NativeHandle>(::CreateFileW(
        name.c_str(), access, is_wanted ? 0 : FILE_SHARE_READ | FILE_SHARE_WRITE, &inherited,
        OPEN_EXISTING, 0, nullptr)));
    return theirs.is_open() ? Error() : process_error("CreateFile", "", ::GetLastError());
}

/// Quoted so that CommandLineToArgvW() and the C library's start-up give back the same argument:
/// backslashes count double only before a quotation mark. In the first they never do, and it ends
/// at its first quotation mark, so it must have none.
inline void append_argument(std::wstring& line, const std::wstring& argument, bool is_first) {
    if (is_first) {
        line = L'"' + argument + L'"';
        return;
    }
    line += L" \"";
    std::size_t backslashes = 0;
    for (const wchar_t c : argument) {
        if (c == L'"') {
            line.append(backslashes + 1, L'\\');
        }
        backslashes = c == L'\\' ? backslashes + 1 : 0;
        line += c;
    }
    line.append(backslashes, L'\\');
    line += L'"';
}

/// From the root of a disk, without "." and ".."; empty when it is no path.
inline std::wstring full_path(const std::wstring& path) {
    const DWORD needed = ::GetFullPathNameW(path.c_str(), 0, nullptr, nullptr);
    std::wstring full(needed, L'\0');
    const DWORD size =
        needed == 0 ? 0 : ::GetFullPathNameW(path.c_str(), needed, &full[0], nullptr);
    full.resize(size < needed ? size : 0);
    return full;
}

/// Of a full path. Win32 drops dots and blanks at a name's end, and what stands behind a colon is a
/// stream of the file, so they hide nothing here.
inline bool is_batch_program(const std::wstring& path) {
    const auto without = [](const std::wstring& text, const wchar_t* tail) {
        return text.substr(0, text.find_last_not_of(tail) + 1);
    };
    std::wstring name = without(path, L"\\/. ");
    name.erase(0, name.find_last_of(L"\\/") + 1);
    name = without(name.substr(0, name.find(L':')), L". ");
    constexpr std::size_t extension_size = 4;
    if (name.size() < extension_size) {
        return false;
    }
    name.erase(0, name.size() - extension_size);
    for (const wchar_t* extension : {L".bat", L".cmd"}) {
        if (::CompareStringOrdinal(name.c_str(), -1, extension, -1, TRUE) == CSTR_EQUAL) {
            return true;
        }
    }
    return false;
}

/// With U+FFFD for what is not UTF-8.
inline std::wstring widen_loosely(std::string_view text) {
    const int size = static_cast<int>(text.size());
    const int count = ::MultiByteToWideChar(CP_UTF8, 0, text.data(), size, nullptr, 0);
    std::wstring wide(count > 0 ? static_cast<std::size_t>(count) : 0, L'\0');
    if (count > 0) {
        ::MultiByteToWideChar(CP_UTF8, 0, text.data(), size, &wide[0], count);
    }
    return wide;
}

/// The directory of the host is not where programs are looked for, so a path is asked for.
inline bool is_rooted(std::string_view path) noexcept {
    const bool has_drive = path.size() > 2 && path[1] == ':';
    const char first = path.empty() ? '\0' : path[has_drive ? 2 : 0];
    return first == '/' || first == '\\';
}

/// Sorted as the system wants it, each ended by a zero, and one zero more.
inline std::wstring make_environment_block(std::vector<std::wstring> variables) {
    const auto is_before = [](const std::wstring& a, const std::wstring& b) {
        const std::size_t a_size = a.find(L'=');
        const std::size_t b_size = b.find(L'=');
        return ::CompareStringOrdinal(
                   a.c_str(), static_cast<int>(a_size), b.c_str(), static_cast<int>(b_size), TRUE)
               == CSTR_LESS_THAN;
    };
    std::stable_sort(variables.begin(), variables.end(), is_before);
    std::wstring block;
    for (const std::wstring& variable : variables) {
        block += variable;
        block += L'\0';
    }
    block.append(block.empty() ? 2 : 1, L'\0');
    return block;
}

/// What CreateProcess() is to be told, in its own words.
class SpawnPlan {
public:
    Error prepare(const ProcessOptions& options);
    /// Suspended, into the job, and on.
    Error
    run(const std::string& name, const ChildEnds& ends, File& process, File& job, std::int64_t& id);

private:
    Error
    create(const std::string& name, STARTUPINFOEXW& startup, PROCESS_INFORMATION& created) noexcept;

    std::wstring program_;
    std::wstring line_;
    std::wstring environment_;
    std::wstring directory_;
};

PORTHOLE_FN Error SpawnPlan::prepare(const ProcessOptions& options) {
    const auto refuse = [&options](std::string_view advice) {
        return Error(ErrorCode::misuse, "CreateProcess", options.program, advice);
    };
    if (!is_rooted(options.program)) {
        return refuse("the path has to begin at the root of a disk");
    }
    bool is_bad = false;
    const auto to_wide = [&is_bad](const std::string& text) {
        std::wstring wide = widen(text);
        is_bad = is_bad || text.find('\0') != std::string::npos || wide.empty() != text.empty();
        return wide;
    };
    program_ = full_path(to_wide(options.program));
    is_bad = is_bad || program_.empty();
    directory_ = to_wide(options.working_directory);
    if (is_batch_program(program_)) {
        return refuse("batch files are not run: their arguments cannot be made safe");
    }
    std::replace(directory_.begin(), directory_.end(), L'/', L'\\');
    if (options.arguments.empty()) {
        append_argument(line_, program_, true);
    }
    for (const std::string& argument : options.arguments) {
        append_argument(line_, to_wide(argument), line_.empty());
    }
    is_bad = is_bad
             || (!options.arguments.empty() && options.arguments[0].find('"') != std::string::npos);
    std::vector<std::wstring> variables;
    for (const std::string& variable : options.environment) {
        const std::size_t sign = variable.find('=');
        is_bad = is_bad || sign == 0 || sign == std::string::npos;
        is_bad = is_bad || variable.find('\0') != std::string::npos;
        variables.push_back(widen_loosely(variable)); // a client's bytes need not be UTF-8
    }
    if (is_bad) {
        return refuse(
            "paths and arguments are UTF-8, no text has a zero byte, and each variable is "
            "NAME=value");
    }
    environment_ = make_environment_block(std::move(variables));
    return {};
}

/// A job that ends its processes with its last handle, which is ours.
inline Error open_job(File& job) {
    const HANDLE made = ::CreateJobObjectW(nullptr, nullptr);
    if (made == nullptr) {
        return process_error("CreateJobObject", "", ::GetLastError());
    }
    job = File(reinterpret_cast<NativeHandle>(made));
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits{};
    limits.BasicLimitInformation.LimitFlags =
        JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE | JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION;
    if (::SetInformationJobObject(
            made, JobObjectExtendedLimitInformation, &limits, static_cast<DWORD>(sizeof limits))
        == 0) {
        return process_error("SetInformationJobObject", "", ::GetLastError());
    }
    return {};
}

PORTHOLE_FN Error SpawnPlan::create(
    const std::string& name, STARTUPINFOEXW& startup, PROCESS_INFORMATION& created) noexcept {
    constexpr DWORD flags = CREATE_SUSPENDED | CREATE_NO_WINDOW | CREATE_UNICODE_ENVIRONMENT
                            | EXTENDED_STARTUPINFO_PRESENT;
    if (::CreateProcessW(
            program_.c_str(), &line_[0], nullptr, nullptr, TRUE, flags, &environment_[0],
            directory_.empty() ? nullptr : directory_.c_str(), &startup.StartupInfo, &created)
        != 0) {
        return {};
    }
    const DWORD code = ::GetLastError();
    const bool is_directory = code == ERROR_DIRECTORY;
    return process_error(
        "CreateProcess", name, code, is_directory ? "the working directory is not there" : "");
}

PORTHOLE_FN Error SpawnPlan::run(
    const std::string& name, const ChildEnds& ends, File& process, File& job, std::int64_t& id) {
    if (Error error = open_job(job)) {
        return error;
    }
    HANDLE handles[] = {native_file(ends.input), native_file(ends.output), native_file(ends.error)};
    SIZE_T list_size = 0;
    ::InitializeProcThreadAttributeList(nullptr, 1, 0, &list_size); // fails, and tells the size
    const auto memory = std::make_unique<char[]>(list_size);
    STARTUPINFOEXW startup{};
    startup.lpAttributeList = reinterpret_cast<LPPROC_THREAD_ATTRIBUTE_LIST>(memory.get());
    if (::InitializeProcThreadAttributeList(startup.lpAttributeList, 1, 0, &list_size) == 0) {
        return process_error("InitializeProcThreadAttributeList", name, ::GetLastError());
    }
    startup.StartupInfo.cb = static_cast<DWORD>(sizeof startup);
    startup.StartupInfo.dwFlags = STARTF_USESTDHANDLES;
    startup.StartupInfo.hStdInput = handles[0];
    startup.StartupInfo.hStdOutput = handles[1];
    startup.StartupInfo.hStdError = handles[2];
    PROCESS_INFORMATION created{};
    Error error;
    if (::UpdateProcThreadAttribute(
            startup.lpAttributeList, 0, PROC_THREAD_ATTRIBUTE_HANDLE_LIST, handles, sizeof handles,
            nullptr, nullptr)
        == 0) {
        error = process_error("UpdateProcThreadAttribute", name, ::GetLastError());
    } else {
        error = create(name, startup, created);
    }
    ::DeleteProcThreadAttributeList(startup.lpAttributeList);
    if (error) {
        return error;
    }
    process = File(reinterpret_cast<NativeHandle>(created.hProcess));
    const File thread(reinterpret_cast<NativeHandle>(created.hThread));
    if (::AssignProcessToJobObject(native_file(job), created.hProcess) == 0
        || ::ResumeThread(created.hThread) == static_cast<DWORD>(-1)) {
        const DWORD code = ::GetLastError();
        static_cast<void>(::TerminateProcess(created.hProcess, killed_exit_code));
        return process_error("AssignProcessToJobObject", name, code);
    }
    id = static_cast<std::int64_t>(created.dwProcessId);
    return {};
}

inline bool is_file(const std::wstring& path) noexcept {
    const DWORD attributes = ::GetFileAttributesW(path.c_str());
    return !path.empty() && attributes != INVALID_FILE_ATTRIBUTES
           && (attributes & FILE_ATTRIBUTE_DIRECTORY) == 0;
}

/// From the root of a disk; empty when it is no file.
inline std::string complete_path(std::string_view path) {
    const std::wstring full = full_path(widen(path));
    return is_file(full) ? narrow(full.c_str(), full.size()) : std::string();
}

PORTHOLE_FN std::string find_program(std::string_view name, std::string_view search_path) {
    const bool is_path = name.find_first_of("/\\:") != std::string_view::npos;
    for (const std::string_view extension : {".exe", ".com", ""}) {
        const std::string file = std::string(name) + std::string(extension);
        if (is_path) {
            std::string found = complete_path(file);
            if (!found.empty()) {
                return found;
            }
            continue;
        }
        std::string_view left = search_path;
        while (!name.empty() && !left.empty()) {
            const std::size_t end = left.find(';');
            const std::string_view part = left.substr(0, end);
            std::string found =
                part.empty() ? std::string() : complete_path(std::string(part) + '\\' + file);
            if (!found.empty()) {
                return found;
            }
            left.remove_prefix(end == std::string_view::npos ? left.size() : end + 1);
        }
    }
    return {};
}

} // namespace detail

PORTHOLE_NAMESPACE_END

#endif
