// SPDX-License-Identifier: MIT
#pragma once

#include "porthole/base/ascii.hpp"
#include "porthole/http/accept.hpp"

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// qvalue: "0" or "1", and up to three decimals (RFC 9110 section 12.4.2). -1 for anything else.
inline int parse_quality(std::string_view text) noexcept {
    constexpr std::size_t max_size = 5;
    if (text.empty() || text.size() > max_size || (text[0] != '0' && text[0] != '1')
        || (text.size() > 1 && text[1] != '.')) {
        return -1;
    }
    int quality = text[0] == '1' ? max_quality : 0;
    int unit = max_quality;
    for (const char digit : text.substr(text.size() > 1 ? 2 : 1)) {
        if (!ascii::is_digit(digit)) {
            return -1;
        }
        unit /= 10;
        quality += (digit - '0') * unit;
    }
    return quality <= max_quality ? quality : -1;
}

/// One element of an Accept list: "text/html;level=1;q=0.5".
struct Preference {
    std::string_view name;
    int quality = max_quality;
    bool has_parameters = false; ///< others than q
};

/// False when its weight is malformed: the element then says nothing.
inline bool read_preference(std::string_view element, Preference& preference) noexcept {
    preference = Preference{};
    std::size_t semicolon = element.find(';');
    preference.name = ascii::trim(element.substr(0, semicolon));
    while (semicolon != std::string_view::npos) {
        element.remove_prefix(semicolon + 1);
        semicolon = element.find(';');
        const std::string_view parameter = ascii::trim(element.substr(0, semicolon));
        const std::size_t equals = parameter.find('=');
        if (equals != 1 || ascii::to_lower(parameter[0]) != 'q') {
            preference.has_parameters |= !parameter.empty();
            continue;
        }
        preference.quality = parse_quality(parameter.substr(equals + 1));
        return preference.quality >= 0;
    }
    return true;
}

/// Calls `visit` with each element of each line of that field.
template <class Visit>
void for_each_preference(const Fields& fields, std::string_view name, const Visit& visit) noexcept {
    for (std::size_t i = 0; i < fields.size(); ++i) {
        const Field field = fields[i];
        if (!ascii::equals_ignoring_case(field.name, name)) {
            continue;
        }
        std::string_view rest = field.value;
        while (const auto element = ascii::next_list_element(rest)) {
            Preference preference;
            if (read_preference(*element, preference)) {
                visit(preference);
            }
        }
    }
}

/// How closely a media range fits: 3 for the type itself, 2 for "text/*", 1 for "*/*", 0 not.
inline int media_range_fit(const Preference& preference, std::string_view type) noexcept {
    const std::string_view range = preference.name;
    const std::size_t slash = type.find('/');
    if (preference.has_parameters) {
        return 0; // what is offered here has none of them
    }
    if (ascii::equals_ignoring_case(range, type)) {
        return 3;
    }
    if (range.size() == slash + 2 && range.back() == '*'
        && ascii::equals_ignoring_case(range.substr(0, slash + 1), type.substr(0, slash + 1))) {
        return 2;
    }
    return range == "*/*" ? 1 : 0;
}

} // namespace detail

PORTHOLE_FN std::optional<int>
encoding_quality(const Fields& fields, std::string_view coding) noexcept {
    std::optional<int> by_name;
    std::optional<int> by_star;
    detail::for_each_preference(
        fields, "Accept-Encoding", [&](const detail::Preference& preference) {
            std::string_view name = preference.name;
            if (ascii::equals_ignoring_case(name, "x-gzip")) {
                name.remove_prefix(std::string_view("x-").size());
            }
            if (ascii::equals_ignoring_case(name, coding)) {
                by_name = preference.quality;
            } else if (name == "*") {
                by_star = preference.quality;
            }
        });
    return by_name ? by_name : by_star;
}

PORTHOLE_FN int media_type_quality(const Fields& fields, std::string_view type) noexcept {
    if (fields.count("Accept") == 0) {
        return max_quality;
    }
    int best_fit = 0;
    int quality = 0;
    detail::for_each_preference(fields, "Accept", [&](const detail::Preference& preference) {
        const int fit = detail::media_range_fit(preference, type);
        if (fit > best_fit) {
            best_fit = fit;
            quality = preference.quality;
        }
    });
    return quality;
}

PORTHOLE_NAMESPACE_END
