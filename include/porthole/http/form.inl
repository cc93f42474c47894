// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/ascii.hpp"
#include "porthole/http/form.hpp"

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// What a FormPairs keeps for the next request; a larger one was an exception.
inline constexpr std::size_t kept_form_bytes = 64 * 1024;

/// Appends `text` decoded; never longer than `text`.
inline void append_form_decoded(std::string_view text, std::string& into) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        char c = text[i] == '+' ? ' ' : text[i];
        if (c == '%' && text.size() - i > 2) {
            const int high = ascii::hex_value(text[i + 1]);
            const int low = ascii::hex_value(text[i + 2]);
            if (high >= 0 && low >= 0) {
                c = static_cast<char>(high * 16 + low);
                i += 2;
            }
        }
        into += c;
    }
}

} // namespace detail

PORTHOLE_FN void FormPairs::parse(std::string_view encoded) {
    clear();
    decoded_.reserve(encoded.size());
    while (!encoded.empty() && pairs_.size() < max_pairs) {
        const std::string_view pair = encoded.substr(0, encoded.find('&'));
        encoded.remove_prefix(pair.size() < encoded.size() ? pair.size() + 1 : pair.size());
        if (pair.empty()) {
            continue;
        }
        const std::string_view name = pair.substr(0, pair.find('='));
        Pair place{};
        place.name_at = decoded_.size();
        detail::append_form_decoded(name, decoded_);
        place.name_size = decoded_.size() - place.name_at;
        place.value_at = decoded_.size();
        if (name.size() < pair.size()) {
            detail::append_form_decoded(pair.substr(name.size() + 1), decoded_);
        }
        place.value_size = decoded_.size() - place.value_at;
        pairs_.push_back(place);
    }
}

PORTHOLE_FN void FormPairs::clear() noexcept {
    pairs_.clear();
    if (decoded_.capacity() > detail::kept_form_bytes) {
        std::string().swap(decoded_); // assigning an empty string may keep the memory
    } else {
        decoded_.clear();
    }
}

PORTHOLE_FN std::string_view FormPairs::name(std::size_t index) const noexcept {
    return {decoded_.data() + pairs_[index].name_at, pairs_[index].name_size};
}

PORTHOLE_FN std::string_view FormPairs::value(std::size_t index) const noexcept {
    return {decoded_.data() + pairs_[index].value_at, pairs_[index].value_size};
}

PORTHOLE_FN std::optional<std::string_view>
FormPairs::find(std::string_view wanted) const noexcept {
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
        if (name(i) == wanted) {
            return value(i);
        }
    }
    return std::nullopt;
}

PORTHOLE_FN std::vector<std::string_view> FormPairs::find_all(std::string_view wanted) const {
    std::vector<std::string_view> values;
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
        if (name(i) == wanted) {
            values.push_back(value(i));
        }
    }
    return values;
}

PORTHOLE_NAMESPACE_END
