// SPDX-License-Identifier: MIT
#pragma once

// What an application server sends: read whole, in two parts and byte by byte, in pieces of any
// size, it says the same, which is also what a second, much simpler reading of the whole says.
// Input: flags (a byte), the cut (two bytes), then the bytes themselves or, by flag, records of
// which each is a kind, a length, a padding and its content.

#include "fuzz/fuzz.hpp"

#include <algorithm>
#include <vector>

namespace porthole_fuzz {

using porthole::detail::FastCgiFault;
using porthole::detail::FastCgiReader;

/// What a whole exchange has said. Neighbouring pieces of one kind are one.
struct Exchanged {
    struct Piece {
        bool is_output;
        std::string text;
    };
    std::vector<Piece> pieces;
    FastCgiReader::Event last = FastCgiReader::Event::need_more;
    FastCgiFault fault = FastCgiFault::none;
    std::size_t consumed = 0;
    unsigned outcome = 0;
    std::uint32_t app_status = 0;

    void add(bool is_output, std::string_view text) {
        if (pieces.empty() || pieces.back().is_output != is_output) {
            pieces.push_back({is_output, std::string()});
        }
        pieces.back().text.append(text);
    }
};

inline bool operator==(const Exchanged& a, const Exchanged& b) {
    const auto is_same = [](const Exchanged::Piece& one, const Exchanged::Piece& other) {
        return one.is_output == other.is_output && one.text == other.text;
    };
    return a.last == b.last && a.fault == b.fault && a.consumed == b.consumed
           && a.outcome == b.outcome && a.app_status == b.app_status
           && a.pieces.size() == b.pieces.size()
           && std::equal(a.pieces.begin(), a.pieces.end(), b.pieces.begin(), is_same);
}

/// FastCGI sections 3.3, 5.3, 5.5 and 8, with all bytes at hand.
inline FastCgiFault judge_record(int type, int id, std::size_t length, bool output_has_ended) {
    if (id == 0) {
        return type == 10 || type == 11 ? FastCgiFault::none : FastCgiFault::bad_type;
    }
    if (id != 1) {
        return FastCgiFault::wrong_id;
    }
    switch (type) {
    case 3: return length == 8 ? FastCgiFault::none : FastCgiFault::bad_end;
    case 6:
        return length != 0 && output_has_ended ? FastCgiFault::content_past_end
                                               : FastCgiFault::none;
    case 7: return FastCgiFault::none;
    default: return FastCgiFault::bad_type;
    }
}

inline Exchanged read_plainly(std::string_view bytes) {
    using Event = FastCgiReader::Event;
    Exchanged all;
    bool output_has_ended = false;
    std::size_t at = 0;
    const auto number = [&bytes](std::size_t from, std::size_t size) {
        std::uint32_t value = 0;
        for (const char c : bytes.substr(from, size)) {
            value = value * 256 + static_cast<unsigned char>(c);
        }
        return value;
    };
    for (;;) {
        if (bytes.size() - at < 8) {
            all.consumed = bytes.size();
            return all;
        }
        const int type = static_cast<int>(number(at + 1, 1));
        const int id = static_cast<int>(number(at + 2, 2));
        const std::size_t length = number(at + 4, 2);
        const std::size_t padding = number(at + 6, 1);
        all.fault = number(at, 1) != 1 ? FastCgiFault::bad_version
                                       : judge_record(type, id, length, output_has_ended);
        at += 8;
        if (all.fault != FastCgiFault::none) {
            all.last = Event::failed;
            all.consumed = at;
            return all;
        }
        const std::string_view content = bytes.substr(at, length);
        const bool is_end = id == 1 && type == 3;
        if (id == 1 && !is_end && !content.empty()) {
            all.add(type == 6, content);
        }
        output_has_ended = output_has_ended || (id == 1 && type == 6 && length == 0);
        if (is_end && content.size() == length) {
            all.app_status = number(at, 4);
            all.outcome = (std::min)(number(at + 4, 1), 4u);
        }
        if (bytes.size() - at < length + padding) {
            all.consumed = bytes.size();
            return all;
        }
        at += length + padding;
        if (is_end) {
            all.last = Event::end;
            all.consumed = at;
            return all;
        }
    }
}

/// Hands one part over until no more is taken of it. False when nothing can follow.
inline bool
read_part(FastCgiReader& reader, std::string_view part, std::size_t most, Exchanged& all) {
    using Event = FastCgiReader::Event;
    for (;;) {
        const FastCgiReader::Result result = reader.read(part, most);
        require(result.consumed <= part.size(), "a reader takes no more than there is");
        require(
            lies_in(result.piece, part.substr(0, result.consumed)),
            "a piece lies in what was taken");
        require(result.piece.size() <= most, "a piece is no larger than wanted");
        all.consumed += result.consumed;
        all.last = result.event;
        part.remove_prefix(result.consumed);
        switch (result.event) {
        case Event::output:
        case Event::errors:
            require(!result.piece.empty(), "a piece is something");
            all.add(result.event == Event::output, result.piece);
            break;
        case Event::need_more:
            require(part.empty() && result.piece.empty(), "who wants more has taken everything");
            return true;
        case Event::end:
        case Event::failed: {
            require(result.piece.empty(), "an end has no piece");
            const FastCgiReader::Result again = reader.read(part, most);
            require(
                again.event == result.event && again.consumed == 0 && again.piece.empty(),
                "behind an end nothing is taken");
            return false;
        }
        }
    }
}

/// In parts of `first` and then `step` bytes, each at the end of its memory.
inline Exchanged
read_in_parts(std::string_view bytes, std::size_t first, std::size_t step, std::size_t most) {
    FastCgiReader reader;
    Exchanged all;
    constexpr std::size_t small = 64;
    static porthole_test::GuardedBytes guarded(small); // no allocation for each byte
    std::size_t size = first;
    bool goes_on = true;
    do {
        const std::string_view part = bytes.substr(0, size);
        bytes.remove_prefix(part.size());
        if (part.size() <= small) {
            goes_on = read_part(reader, guarded.place(part), most, all);
        } else {
            const HeapBytes block(part);
            goes_on = read_part(reader, block.view(), most, all);
        }
        size = step;
    } while (goes_on && !bytes.empty());
    all.fault = reader.fault();
    all.outcome = static_cast<unsigned>(reader.outcome());
    all.app_status = reader.app_status();
    return all;
}

/// Records that are likely to be right, so that what is behind them is read, too.
inline std::string build_records(Input input) {
    constexpr std::size_t most_bytes = 80 * 1024;
    constexpr struct {
        std::uint8_t type;
        std::uint8_t id;
    } kinds[] = {{6, 1},  {6, 1}, {6, 1}, {7, 1}, {7, 1}, {3, 1}, {10, 0},  {11, 0},
                 {12, 0}, {4, 1}, {6, 0}, {6, 2}, {3, 0}, {9, 0}, {255, 1}, {1, 1}};
    std::string bytes;
    while (!input.is_empty() && bytes.size() < most_bytes) {
        const std::uint8_t choice = input.byte();
        const auto& kind = kinds[choice % 16];
        const bool is_end = kind.type == 3;
        std::size_t length = (choice & 16) != 0 ? input.number() : input.byte();
        length = is_end && (choice & 32) == 0 ? 8 : length;
        const std::size_t padding = (choice & 64) != 0 ? input.byte() : 0;
        const std::string_view text = input.take((std::min)(length, std::size_t{32}));
        bytes += (choice & 128) != 0 && (choice & 32) != 0 ? '\2' : '\1';
        bytes += static_cast<char>(kind.type);
        bytes += '\0';
        bytes += static_cast<char>(kind.id);
        bytes += static_cast<char>(length / 256);
        bytes += static_cast<char>(length % 256);
        bytes += static_cast<char>(padding);
        bytes += '\0';
        bytes.append(text).append(length - text.size(), '.').append(padding, 'p');
    }
    return bytes;
}

inline void fuzz_fastcgi_record(const std::uint8_t* data, std::size_t size) {
    Input input(data, size);
    const std::uint8_t flags = input.byte();
    const std::size_t cut = input.number();
    std::string bytes = (flags & 1) != 0 ? build_records(input) : std::string(input.rest());
    if ((flags & 2) != 0 && !bytes.empty()) {
        bytes.resize(bytes.size() - cut % bytes.size()); // ends anywhere
    }
    const Exchanged expected = read_plainly(bytes);
    const std::size_t first = bytes.empty() ? 0 : cut % (bytes.size() + 1);
    const auto check = [&](std::size_t begin, std::size_t step, std::size_t most) {
        require(
            read_in_parts(bytes, begin, step, most) == expected,
            "records are the same however they are cut");
    };
    constexpr std::size_t all = ~std::size_t{0};
    check(bytes.size(), 1, all);
    check(first, all, cut % 1000 + 1000);
    if (bytes.size() <= 4096) {
        check(bytes.size(), 1, 1);
        check(first, all, cut % 100 + 2);
        check(1, 1, all);
        check(1, cut % 9 + 1, 3);
    }
    require(
        porthole::detail::describe(expected.fault) != "unknown", "every fault has its sentence");
}

} // namespace porthole_fuzz
