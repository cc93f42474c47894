// SPDX-License-Identifier: MIT

// How long a process of many gigabytes stands still while it starts a program: the library's way
// beside posix_spawn() alone, vfork() and fork(), each with exec.
//
// Run:  spawn [--resident-mib N] [--rounds N]
// The memory is written to, in the small pages that an allocator's memory mostly has. The programs
// are waited for between the rounds, outside of what is measured.

#include "options.hpp"

#define PORTHOLE_IMPLEMENTATION
#include <porthole.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace {

constexpr const char* program = "/bin/true";
constexpr std::size_t mebibyte = 1024 * 1024;

using Clock = std::chrono::steady_clock;
using Microseconds = std::chrono::duration<double, std::micro>;

char* const* arguments() {
    static char name[] = "true";
    static char* const words[] = {name, nullptr};
    return words;
}

char* const* environment() {
    static char* const none[] = {nullptr};
    return none;
}

void wait_for_child(pid_t id) {
    int status = 0;
    if (id <= 0 || ::waitpid(id, &status, 0) != id || !WIFEXITED(status)
        || WEXITSTATUS(status) != 0) {
        std::fprintf(stderr, "%s could not be run\n", program);
        std::exit(1);
    }
}

double microseconds_since(Clock::time_point begin) {
    return Microseconds(Clock::now() - begin).count();
}

double by_library() {
    porthole::detail::ProcessOptions options;
    options.program = program;
    porthole::detail::Process process;
    const auto begin = Clock::now();
    const auto error = porthole::detail::Process::start(options, process);
    const double took = microseconds_since(begin);
    wait_for_child(error ? 0 : static_cast<pid_t>(process.id()));
    return took;
}

double by_posix_spawn() {
    pid_t id = 0;
    const auto begin = Clock::now();
    const int code = ::posix_spawn(&id, program, nullptr, nullptr, arguments(), environment());
    const double took = microseconds_since(begin);
    wait_for_child(code == 0 ? id : 0);
    return took;
}

double by_vfork() {
    char* const* words = arguments();
    char* const* none = environment();
    const auto begin = Clock::now();
    const pid_t id = ::vfork();
    if (id == 0) {
        ::execve(program, words, none);
        ::_exit(1);
    }
    const double took = microseconds_since(begin);
    wait_for_child(id);
    return took;
}

double by_fork() {
    const auto begin = Clock::now();
    const pid_t id = ::fork();
    if (id == 0) {
        ::execve(program, arguments(), environment());
        ::_exit(1);
    }
    const double took = microseconds_since(begin);
    wait_for_child(id);
    return took;
}

void measure(const char* name, double (*once)(), int rounds) {
    std::vector<double> times;
    static_cast<void>(once()); // the first finds the program's pages on the disk
    for (int i = 0; i < rounds; ++i) {
        times.push_back(once());
    }
    std::sort(times.begin(), times.end());
    const std::size_t size = times.size();
    std::printf(
        "%-16s %10.0f %10.0f %10.0f\n", name, times[size / 2], times[size - 1 - size / 100],
        times[size - 1]);
    std::fflush(stdout);
}

} // namespace

int main(int argc, char** argv) {
    const auto resident = bench::number_option<std::size_t>(argc, argv, "--resident-mib", 8192);
    const int rounds = bench::number_option(argc, argv, "--rounds", 100);
    if (rounds < 1) {
        std::fprintf(stderr, "--rounds: at least one\n");
        return 2;
    }
    const std::size_t size = resident * mebibyte;
    char* memory = nullptr;
    if (size != 0) {
        void* mapped =
            ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (mapped == MAP_FAILED) {
            std::perror("mmap");
            return 1;
        }
#if defined(MADV_NOHUGEPAGE)
        ::madvise(mapped, size, MADV_NOHUGEPAGE);
#endif
        memory = static_cast<char*>(mapped);
        const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
        for (std::size_t at = 0; at < size; at += page) {
            memory[at] = 1;
        }
    }
    std::printf("%zu MiB resident, %d rounds, microseconds\n", resident, rounds);
    std::printf("%-16s %10s %10s %10s\n", "", "median", "p99", "most");
    measure("porthole", by_library, rounds);
    measure("posix_spawn", by_posix_spawn, rounds);
    measure("vfork + exec", by_vfork, rounds);
    measure("fork + exec", by_fork, rounds);
    if (memory != nullptr) {
        ::munmap(memory, size);
    }
    return 0;
}
