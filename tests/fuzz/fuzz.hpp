// SPDX-License-Identifier: MIT
#pragma once

// What the fuzz targets share. A target is a plain function fuzz_<name>(data, size) in <name>.hpp,
// so that libFuzzer (<name>_fuzz.cpp) and the ordinary tests (corpus_test.cpp) run the same code. A
// broken rule ends the program: that is what a fuzzer looks for, and a replayed input must not get
// there at all.

#include "support/guarded_bytes.hpp"
#include "support/misuse.hpp"

#include <porthole.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace porthole_fuzz {

using porthole_test::HeapBytes;

/// Ends the program, with that rule, unless it holds.
inline void require(bool holds, const char* rule) {
    if (!holds) {
        std::fprintf(stderr, "broken rule: %s\n", rule);
        std::abort();
    }
}

/// An input, taken apart from its front. Behind its end there are zeros and nothing.
class Input {
public:
    Input(const std::uint8_t* data, std::size_t size)
        : rest_(size != 0 ? reinterpret_cast<const char*>(data) : "", size) {}

    bool is_empty() const { return rest_.empty(); }
    std::uint8_t byte() {
        const std::string_view taken = take(1);
        return taken.empty() ? std::uint8_t{0} : static_cast<std::uint8_t>(taken[0]);
    }
    /// Two bytes, for offsets and sizes.
    std::size_t number() {
        const std::size_t high = byte();
        return high * 256 + byte();
    }
    std::string_view take(std::size_t size) {
        const std::string_view taken = rest_.substr(0, size);
        rest_.remove_prefix(taken.size());
        return taken;
    }
    /// Up to the next line feed, which is taken too and left out.
    std::string_view line() {
        const std::string_view taken = rest_.substr(0, rest_.find('\n'));
        rest_.remove_prefix(taken.size() < rest_.size() ? taken.size() + 1 : taken.size());
        return taken;
    }
    std::string_view rest() const { return rest_; }

private:
    std::string_view rest_;
};

// The independent readings below use nothing of the library, so that a mistake in it is not made
// twice.

inline bool is_tchar(char c) {
    return c > ' ' && c < '\x7f'
           && std::string_view("\"(),/:;<=>?@[\\]{}").find(c) == std::string_view::npos;
}

inline bool is_name(std::string_view text) {
    for (const char c : text) {
        if (!is_tchar(c)) {
            return false;
        }
    }
    return !text.empty();
}

/// A field value: no control character but the tab.
inline bool is_clean(std::string_view text) {
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if ((byte < ' ' && c != '\t') || c == '\x7f') {
            return false;
        }
    }
    return true;
}

inline std::string_view stripped(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) {
        text.remove_prefix(1);
    }
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) {
        text.remove_suffix(1);
    }
    return text;
}

inline std::string lowered(std::string_view text) {
    std::string lower(text);
    for (char& c : lower) {
        c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
    return lower;
}

/// -1 for what is no hexadecimal digit.
inline int hex_digit(char c) {
    const std::size_t at = std::string_view("0123456789abcdefABCDEF").find(c);
    if (at == std::string_view::npos) {
        return -1;
    }
    return static_cast<int>(at < 16 ? at : at - 6);
}

inline bool ends_with(std::string_view text, std::string_view end) {
    return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

/// True when `view` lies in `whole`.
inline bool lies_in(std::string_view view, std::string_view whole) {
    return view.empty()
           || (view.data() >= whole.data()
               && view.data() + view.size() <= whole.data() + whole.size());
}

} // namespace porthole_fuzz
