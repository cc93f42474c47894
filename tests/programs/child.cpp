// SPDX-License-Identifier: MIT

// The program that the tests start. Its arguments are commands, done one after the other; what they
// find is printed to standard output, unbuffered and without the library's help, so that the tests
// judge the library by something else.

#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include <shellapi.h> // which needs it
#else
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
extern char** environ;
#endif

namespace {

constexpr int bad_usage = 99;
constexpr std::size_t piece_bytes = 64 * 1024;

#if defined(_WIN32)

HANDLE standard(int number) {
    constexpr DWORD names[] = {STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE};
    return GetStdHandle(names[number]);
}

void put(int number, const char* bytes, std::size_t size) {
    while (size != 0) {
        DWORD written = 0;
        if (WriteFile(standard(number), bytes, static_cast<DWORD>(size), &written, nullptr) == 0) {
            std::exit(bad_usage);
        }
        bytes += written;
        size -= written;
    }
}

std::size_t get(char* into, std::size_t capacity) {
    DWORD count = 0;
    return ReadFile(standard(0), into, static_cast<DWORD>(capacity), &count, nullptr) != 0 ? count
                                                                                           : 0;
}

std::string narrow(const wchar_t* text) {
    const int size = WideCharToMultiByte(CP_UTF8, 0, text, -1, nullptr, 0, nullptr, nullptr);
    std::string bytes(static_cast<std::size_t>(size), '\0');
    WideCharToMultiByte(CP_UTF8, 0, text, -1, &bytes[0], size, nullptr, nullptr);
    bytes.resize(bytes.size() - 1);
    return bytes;
}

std::vector<std::string> arguments(int, char**) {
    int count = 0;
    wchar_t** wide = CommandLineToArgvW(GetCommandLineW(), &count);
    std::vector<std::string> texts;
    for (int i = 0; i < count; ++i) {
        texts.push_back(narrow(wide[i]));
    }
    return texts;
}

std::string environment() {
    std::string text;
    wchar_t* block = GetEnvironmentStringsW();
    for (const wchar_t* at = block; *at != L'\0'; at += wcslen(at) + 1) {
        text += narrow(at) + '\n';
    }
    return text;
}

std::string directory() {
    wchar_t path[MAX_PATH];
    return GetCurrentDirectoryW(MAX_PATH, path) != 0 ? narrow(path) : std::string();
}

[[noreturn]] void hang() {
    for (;;) {
        Sleep(INFINITE);
    }
}

// Starts this program again; the new one hangs with the same standard handles.
std::string grandchild() {
    wchar_t path[MAX_PATH];
    GetModuleFileNameW(nullptr, path, MAX_PATH);
    wchar_t line[] = L"child hang";
    STARTUPINFOW startup{};
    startup.cb = sizeof startup;
    PROCESS_INFORMATION created{};
    if (CreateProcessW(path, line, nullptr, nullptr, TRUE, 0, nullptr, nullptr, &startup, &created)
        == 0) {
        std::exit(bad_usage);
    }
    return std::to_string(created.dwProcessId);
}

void close_standard(int number) {
    CloseHandle(standard(number));
}

#else

void put(int number, const char* bytes, std::size_t size) {
    while (size != 0) {
        const ssize_t count = write(number, bytes, size);
        if (count <= 0) {
            std::exit(bad_usage);
        }
        bytes += count;
        size -= static_cast<std::size_t>(count);
    }
}

std::size_t get(char* into, std::size_t capacity) {
    const ssize_t count = read(0, into, capacity);
    return count > 0 ? static_cast<std::size_t>(count) : 0;
}

std::vector<std::string> arguments(int count, char** values) {
    return std::vector<std::string>(values, values + count);
}

std::string environment() {
    std::string text;
    for (char** at = environ; *at != nullptr; ++at) {
        text += std::string(*at) + '\n';
    }
    return text;
}

std::string directory() {
    char path[4096];
    return getcwd(path, sizeof path) != nullptr ? path : "";
}

[[noreturn]] void hang() {
    for (;;) {
        pause();
    }
}

std::string grandchild() {
    const pid_t id = fork();
    if (id == 0) {
        hang();
    }
    return std::to_string(id);
}

void close_standard(int number) {
    close(number);
}

// Which descriptors are open, each with what it is: pipe, socket, or something else.
std::string descriptors() {
    std::string text;
    for (int number = 0; number < 4096; ++number) {
        struct stat found {};
        if (fstat(number, &found) == 0) {
            text += std::to_string(number);
            text += S_ISFIFO(found.st_mode) ? "p" : S_ISSOCK(found.st_mode) ? "s" : "o";
            text += (fcntl(number, F_GETFL) & O_NONBLOCK) != 0 ? "n " : " ";
        }
    }
    return text;
}

// What is blocked or not as the system would have it. The last signals are the C library's own.
std::string signals() {
    sigset_t mask;
    sigprocmask(SIG_BLOCK, nullptr, &mask);
    std::string text;
    for (int number = 1; number < 65; ++number) {
        struct sigaction action {};
        if (sigismember(&mask, number) == 1) {
            text += "blocked " + std::to_string(number) + ' ';
        }
        if (sigaction(number, nullptr, &action) == 0 && action.sa_handler != SIG_DFL) {
            text += "changed " + std::to_string(number) + ' ';
        }
    }
    return text;
}

#endif

void print(const std::string& text) {
    put(1, text.data(), text.size());
}

// Both read until the end of the input.
std::size_t copy_input(bool prints) {
    std::vector<char> piece(piece_bytes);
    std::size_t total = 0;
    while (const std::size_t count = get(piece.data(), piece.size())) {
        total += count;
        if (prints) {
            put(1, piece.data(), count);
        }
    }
    return total;
}

void write_many(std::size_t total) {
    std::vector<char> piece(piece_bytes);
    for (std::size_t done = 0; done < total;) {
        const std::size_t size = total - done < piece.size() ? total - done : piece.size();
        for (std::size_t i = 0; i < size; ++i) {
            piece[i] = static_cast<char>('a' + (done + i) % 23);
        }
        put(1, piece.data(), size);
        done += size;
    }
}

bool run_simple(const std::string& command) {
    if (command == "copy") {
        copy_input(true);
    } else if (command == "count") {
        print(std::to_string(copy_input(false)) + '\n');
    } else if (command == "environment") {
        print(environment());
    } else if (command == "directory") {
        print(directory() + '\n');
    } else if (command == "grandchild") {
        print(grandchild() + '\n');
    } else if (command == "close-input") {
        close_standard(0);
    } else if (command == "close-output") {
        close_standard(1);
    } else if (command == "hang") {
        hang();
    } else {
        return false;
    }
    return true;
}

#if defined(_WIN32)
bool run_posix(const std::string&) {
    return false;
}
#else
// By name, as scripts do it.
void open_by_name() {
    const int in = open("/dev/stdin", O_RDONLY | O_NONBLOCK);
    const int out = open("/dev/stdout", O_WRONLY);
    const int error = open("/dev/stderr", O_WRONLY);
    print(in >= 0 && out >= 0 && error >= 0 ? "opened\n" : "refused\n");
}

bool run_posix(const std::string& command) {
    if (command == "descriptors") {
        print(descriptors() + '\n');
    } else if (command == "signals") {
        print(signals() + '\n');
    } else if (command == "group") {
        print(getpgrp() == getpid() ? "leader\n" : "member\n");
    } else if (command == "ignore-terminate") {
        std::signal(SIGTERM, SIG_IGN);
    } else if (command == "open-by-name") {
        open_by_name();
    } else {
        return false;
    }
    return true;
}
#endif

// Commands from a file, one in a line, with "\\n" and "\\r" in them: this program as an
// interpreter.
std::vector<std::string> read_script(const std::string& path) {
    std::vector<std::string> words{path};
    std::FILE* file = std::fopen(path.c_str(), "rb");
    std::string word;
    for (int c = 0; file != nullptr && (c = std::fgetc(file)) != EOF;) {
        if (c == '\n') {
            words.push_back(word);
            word.clear();
        } else if (c == '\\') {
            const int code = std::fgetc(file);
            word += code == 'n' ? '\n' : code == 'r' ? '\r' : static_cast<char>(code);
        } else {
            word += static_cast<char>(c);
        }
    }
    if (file == nullptr) {
        std::exit(bad_usage);
    }
    std::fclose(file);
    return words;
}

bool is_script(const std::vector<std::string>& words) {
    const std::string ending = ".run";
    return words.size() == 2 && words[1].size() > ending.size()
           && words[1].compare(words[1].size() - ending.size(), ending.size(), ending) == 0;
}

} // namespace

int main(int count, char** values) {
    std::vector<std::string> words = arguments(count, values);
    if (is_script(words)) {
        words = read_script(words[1]);
    }
    if (words.size() > 1 && words[1] == "arguments") {
        for (const std::string& word : words) {
            print('[' + word + "]\n");
        }
        return 0;
    }
    for (std::size_t i = 1; i < words.size(); ++i) {
        if (run_simple(words[i]) || run_posix(words[i])) {
            continue;
        }
        if (i + 1 == words.size()) {
            return bad_usage;
        }
        const std::string& value = words[++i];
        const std::string& command = words[i - 1];
        if (command == "exit") {
            std::exit(std::atoi(value.c_str()));
        } else if (command == "print") {
            print(value);
        } else if (command == "error") {
            put(2, value.data(), value.size());
        } else if (command == "write") {
            write_many(static_cast<std::size_t>(std::strtoull(value.c_str(), nullptr, 10)));
        } else if (command == "raise") {
            std::raise(std::atoi(value.c_str()));
        } else {
            return bad_usage;
        }
    }
    return 0;
}
