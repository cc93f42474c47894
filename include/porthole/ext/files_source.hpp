// SPDX-License-Identifier: MIT
#pragma once

// A file's content, or parts of it, as a body source of known size. The size is what the file had
// when the answer began: one that has shrunk since breaks the answer off, and what it has grown by
// is not sent.

#include "porthole/ext/files_cache.hpp"
#include "porthole/http/body.hpp"
#include "porthole/http/range.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class FileSource final : public BodySource {
public:
    /// Text, and bytes of the file behind it.
    struct Part {
        std::string text;
        ByteRange range;
    };
    FileSource(std::shared_ptr<const OpenFile> file, std::vector<Part> parts);

    std::optional<std::uint64_t> size() const override { return size_; }
    PORTHOLE_FN Piece pull(char* into, std::size_t capacity) override;
    PORTHOLE_FN std::uint64_t file_piece(FilePiece& piece) override;
    PORTHOLE_FN void skip(std::uint64_t bytes) override;

private:
    bool is_at_end() const noexcept { return at_ == parts_.size(); }
    void leave_finished_parts() noexcept;
    void read_ahead() noexcept;

    /// What is read ahead of the turn that sends it, for files that are larger.
    static constexpr std::uint64_t window = 256 * 1024;

    std::shared_ptr<const OpenFile> file_;
    std::vector<Part> parts_;
    std::uint64_t size_ = 0;
    std::size_t at_ = 0;           ///< the part that is being sent
    std::size_t text_sent_ = 0;    ///< of its text
    std::uint64_t bytes_sent_ = 0; ///< of its range
    std::uint64_t read_ahead_to_ = 0;
};

} // namespace detail

PORTHOLE_NAMESPACE_END
