// SPDX-License-Identifier: MIT
#pragma once

// A file that is written beside its target under a name of its own, and takes the target's name
// when it is complete: nobody ever sees half of it, and what fails leaves nothing behind. The
// platforms differ in output_file_posix.inl and output_file_windows.inl only. Paths are UTF-8.

#include "porthole/base/config.hpp"
#include "porthole/os/socket.hpp"

#include <cstdint>
#include <memory>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// How a step of writing a file ended.
enum class OutputResult : unsigned char {
    ok,
    no_space,       ///< the disk, the quota, or what this process may write, is used up
    not_found,      ///< the target's directory is not there, or its path names no file
    denied,         ///< there, and this process may not write into it
    already_exists, ///< a file that was to be kept, or of the target's name and no file
    exhausted,      ///< no descriptor or memory left
    failed,         ///< anything else; system_code() tells
};

/// Discards itself unless it was committed. No call waits for the disk, but for what the system
/// itself makes a writer wait.
class OutputFile {
public:
    OutputFile();
    OutputFile(OutputFile&& other) noexcept;
    OutputFile& operator=(OutputFile&& other) noexcept;
    OutputFile(const OutputFile&) = delete;
    OutputFile& operator=(const OutputFile&) = delete;
    ~OutputFile();

    /// Creates the file beside `target`, with the permissions of the file that it is to replace.
    /// The target's directory is looked up once: commit() finds it though the program has changed
    /// its working directory since. `may_replace` false: an existing target is already_exists, here
    /// and in commit().
    OutputResult open(std::string_view target, bool may_replace = true);
    bool is_open() const noexcept { return state_ != nullptr; }

    /// So many bytes are to come: no_space when there is no room for them now. The room is taken
    /// in steps, ahead of the writing, where that is cheap.
    OutputResult announce(std::uint64_t bytes) noexcept;
    /// All of `bytes`, or a reason. After a reason only discard() makes sense.
    OutputResult write(std::string_view bytes) noexcept;
    /// Starts to bring to the disk, in the background, what has been written since the last call,
    /// and gives up the memory of what was written long before. Otherwise the system collects
    /// gigabytes, and then makes one write() wait for them. To be called about once in
    /// `write_behind_bytes`.
    void write_behind() noexcept;
    static constexpr std::uint64_t write_behind_bytes = 1024 * 1024;

    /// Gives the file its target's name, in place of what had it. The bytes are as safe as those
    /// of any file that was just written: the system brings them to the disk when it likes.
    /// `has_replaced` tells whether there was such a file before.
    OutputResult commit(bool& has_replaced) noexcept;
    /// Removes the file and frees what it holds, all in one call: for a large file, on many file
    /// systems, that takes a long time.
    void discard() noexcept;
    /// The same in steps: removes the name at the first call, and frees a bounded amount in each.
    /// False when there is more to free.
    bool discard_step() noexcept;

    std::uint64_t size() const noexcept;
    /// What the system said when something was not ok; 0 when it was not asked.
    int system_code() const noexcept { return system_code_; }

private:
    struct State;
    OutputResult keep(int code) noexcept;

    std::unique_ptr<State> state_;
    int system_code_ = 0;
};

} // namespace detail

PORTHOLE_NAMESPACE_END
