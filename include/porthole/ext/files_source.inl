// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/ext/files_source.hpp"

#include <utility>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

PORTHOLE_FN FileSource::FileSource(std::shared_ptr<const OpenFile> file, std::vector<Part> parts)
    : file_(std::move(file)), parts_(std::move(parts)) {
    for (const Part& part : parts_) {
        size_ += part.text.size() + part.range.size;
    }
    leave_finished_parts();
    if (size_ > window) {
        file_->file.stop_reading_ahead();
        read_ahead();
    }
}

/// What the next turns will send is fetched while they wait for their tick: one bounded piece,
/// instead of as much as the system likes within the call that meets the end of what is there.
PORTHOLE_FN void FileSource::read_ahead() noexcept {
    if (is_at_end() || size_ <= window) {
        return;
    }
    const ByteRange& range = parts_[at_].range;
    const std::uint64_t next = range.first + bytes_sent_;
    const std::uint64_t end = range.first + range.size;
    if (read_ahead_to_ < next || read_ahead_to_ > end) {
        read_ahead_to_ = next; // another part, or the first
    }
    if (read_ahead_to_ < end && read_ahead_to_ - next < window) {
        const std::uint64_t left = end - read_ahead_to_;
        const std::uint64_t bytes = left < window ? left : window;
        file_->file.read_ahead(read_ahead_to_, bytes);
        read_ahead_to_ += bytes;
    }
}

PORTHOLE_FN void FileSource::leave_finished_parts() noexcept {
    while (!is_at_end() && text_sent_ == parts_[at_].text.size()
           && bytes_sent_ == parts_[at_].range.size) {
        ++at_;
        text_sent_ = 0;
        bytes_sent_ = 0;
    }
}

PORTHOLE_FN BodySource::Piece FileSource::pull(char* into, std::size_t capacity) {
    Piece piece;
    while (!is_at_end() && piece.bytes < capacity) {
        const Part& part = parts_[at_];
        const std::size_t room = capacity - piece.bytes;
        if (text_sent_ < part.text.size()) {
            const std::size_t taken = part.text.copy(into + piece.bytes, room, text_sent_);
            text_sent_ += taken;
            piece.bytes += taken;
        } else {
            const std::uint64_t left = part.range.size - bytes_sent_;
            const auto wanted = left < room ? static_cast<std::size_t>(left) : room;
            const std::size_t taken =
                file_->file.read_at(part.range.first + bytes_sent_, into + piece.bytes, wanted);
            bytes_sent_ += taken;
            piece.bytes += taken;
            if (taken < wanted) {
                piece.state = State::failed; // it has shrunk, or the disk has failed
                return piece;
            }
        }
        leave_finished_parts();
    }
    piece.state = is_at_end() ? State::end : State::more;
    read_ahead();
    return piece;
}

PORTHOLE_FN std::uint64_t FileSource::file_piece(FilePiece& piece) {
    if (is_at_end() || text_sent_ < parts_[at_].text.size()) {
        return 0;
    }
    const ByteRange& range = parts_[at_].range;
    piece.handle = file_->file.handle();
    piece.offset = range.first + bytes_sent_;
    return range.size - bytes_sent_;
}

PORTHOLE_FN void FileSource::skip(std::uint64_t bytes) {
    bytes_sent_ += bytes;
    leave_finished_parts();
    read_ahead();
}

} // namespace detail

PORTHOLE_NAMESPACE_END
