// SPDX-License-Identifier: MIT
#pragma once

// UTF-8 (RFC 3629) that arrives in pieces, which may end within a character. A byte that cannot
// belong to any text is noticed when it comes, not when its character is complete.

#include "porthole/base/config.hpp"

#include <cstddef>
#include <string_view>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

class Utf8Validator {
public:
    /// False from the first byte on that no text can have there; then only reset() helps.
    bool feed(std::string_view piece) noexcept;
    /// True between two characters.
    bool is_complete() const noexcept { return missing_ == 0 && is_valid_; }
    void reset() noexcept { *this = Utf8Validator(); }

private:
    bool begin_character(unsigned char byte) noexcept;

    unsigned char missing_ = 0;    ///< bytes of the character under way
    unsigned char least_ = 0x80;   ///< what its next byte may be ...
    unsigned char largest_ = 0xbf; ///< ... at the most
    bool is_valid_ = true;
};

bool is_utf8(std::string_view text) noexcept;
/// The size of the character that `text` begins with, 1 to 4; 0 when it begins with none.
std::size_t first_character_size(std::string_view text) noexcept;
/// How many bytes at the front are ASCII.
std::size_t ascii_prefix(std::string_view text) noexcept;

} // namespace detail

PORTHOLE_NAMESPACE_END
