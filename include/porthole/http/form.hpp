// SPDX-License-Identifier: MIT
#pragma once

// Names and values of a query or of application/x-www-form-urlencoded content (WHATWG URL,
// section 5.1).

#include "porthole/base/config.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

/// Decoded name-value pairs. Owns their bytes; views are valid until the next parse() or
/// clear(). Memory is kept for reuse, but for that of a very large one.
class FormPairs {
public:
    /// How many pairs are kept at the most; further ones are ignored.
    static constexpr std::size_t max_pairs = 1000;

    /// Replaces the content. '+' is a space; a '%' that is not followed by two hexadecimal
    /// digits stands for itself, as browsers have it.
    void parse(std::string_view encoded);
    void clear() noexcept;

    std::size_t size() const noexcept { return pairs_.size(); }
    std::string_view name(std::size_t index) const noexcept;
    std::string_view value(std::size_t index) const noexcept;
    /// The first value of that name; names are exact.
    std::optional<std::string_view> find(std::string_view name) const noexcept;
    std::vector<std::string_view> find_all(std::string_view name) const;

private:
    struct Pair {
        std::size_t name_at, name_size, value_at, value_size;
    };
    std::string decoded_;
    std::vector<Pair> pairs_;
};

PORTHOLE_NAMESPACE_END
