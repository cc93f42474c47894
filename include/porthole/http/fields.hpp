// SPDX-License-Identifier: MIT
#pragma once

// Field lines of a received message, as places in the bytes they arrived in: nothing is copied, and
// the bytes may move as a whole.

#include "porthole/base/config.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

PORTHOLE_NAMESPACE_BEGIN

namespace detail {

/// A piece of a message head: an offset from its first byte, and a size.
struct Span {
    std::uint32_t at = 0;
    std::uint32_t size = 0;
    std::string_view in(const char* base) const noexcept { return {base + at, size}; }
};

struct FieldSpan {
    Span name;
    Span value;
};

} // namespace detail

/// One field line; the value is trimmed.
struct Field {
    std::string_view name;
    std::string_view value;
};

/// The field lines of a message in the order of arrival. Names compare in any case (RFC 9110
/// section 5.1).
class Fields {
public:
    std::size_t size() const noexcept { return spans_.size(); }
    bool is_empty() const noexcept { return spans_.empty(); }
    Field operator[](std::size_t index) const noexcept {
        return {spans_[index].name.in(base_), spans_[index].value.in(base_)};
    }
    /// Of the name at that place, without building the field.
    std::size_t name_size(std::size_t index) const noexcept { return spans_[index].name.size; }
    /// The first value with that name.
    std::optional<std::string_view> find(std::string_view name) const noexcept;
    /// All values with that name, in order.
    std::vector<std::string_view> find_all(std::string_view name) const;
    /// How many field lines have that name.
    std::size_t count(std::string_view name) const noexcept;
    /// True when any line of that name has `element` in its comma-separated list.
    bool has_element(std::string_view name, std::string_view element) const noexcept;

    // For the parsers.
    void clear() noexcept { spans_.clear(); }
    void add(const detail::FieldSpan& span) { spans_.push_back(span); }
    /// The head's first byte is at `base` from now on.
    void set_base(const char* base) noexcept { base_ = base; }

private:
    const char* base_ = nullptr;
    std::vector<detail::FieldSpan> spans_;
};

PORTHOLE_NAMESPACE_END
