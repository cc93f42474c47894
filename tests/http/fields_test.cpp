// SPDX-License-Identifier: MIT

#include "support/test.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace {

/// Adds `name` and `value` to `bytes`, and their places to `fields`.
void add(
    std::string& bytes, porthole::Fields& fields, std::string_view name, std::string_view value) {
    porthole::detail::FieldSpan span;
    span.name.at = static_cast<std::uint32_t>(bytes.size());
    span.name.size = static_cast<std::uint32_t>(name.size());
    bytes += name;
    span.value.at = static_cast<std::uint32_t>(bytes.size());
    span.value.size = static_cast<std::uint32_t>(value.size());
    bytes += value;
    fields.add(span);
}

struct Sample {
    std::string bytes;
    porthole::Fields fields;

    Sample() {
        add(bytes, fields, "Host", "localhost");
        add(bytes, fields, "Accept", "text/html, */*");
        add(bytes, fields, "X-A", "1");
        add(bytes, fields, "accept", "Image/PNG,,text/css");
        add(bytes, fields, "X-B", "");
        fields.set_base(bytes.data());
    }
};

} // namespace

TEST_CASE("fields: names compare in any case (RFC 9110 section 5.1)") {
    const Sample sample;
    for (const std::string_view name : {"Host", "host", "HOST", "hOsT"}) {
        CHECK(sample.fields.find(name) == "localhost");
    }
    for (const std::string_view name : {"", "Hos", "Hosts", "Iost", "Hosu", "X-C", "X"}) {
        CAPTURE(name);
        CHECK_FALSE(sample.fields.find(name).has_value());
        CHECK(sample.fields.count(name) == 0);
        CHECK(sample.fields.find_all(name).empty());
        CHECK_FALSE(sample.fields.has_element(name, "1"));
    }
}

TEST_CASE("fields: lines keep their order, and an empty value is a value") {
    const Sample sample;
    REQUIRE(sample.fields.size() == 5);
    CHECK_FALSE(sample.fields.is_empty());
    CHECK(sample.fields[0].name == "Host");
    CHECK(sample.fields[3].name == "accept");
    CHECK(sample.fields[3].value == "Image/PNG,,text/css");
    CHECK(sample.fields.find("accept") == "text/html, */*");
    CHECK(sample.fields.count("ACCEPT") == 2);
    const auto all = sample.fields.find_all("Accept");
    REQUIRE(all.size() == 2);
    CHECK(all[1] == "Image/PNG,,text/css");
    CHECK(sample.fields.find("X-B") == "");
}

TEST_CASE("fields: list elements are found in every line of the name (RFC 9110 section 5.6.1)") {
    const Sample sample;
    for (const std::string_view element : {"text/html", "*/*", "image/png", "TEXT/CSS"}) {
        CHECK(sample.fields.has_element("Accept", element));
    }
    for (const std::string_view element : {"", "text", "text/htm", "1"}) {
        CHECK_FALSE(sample.fields.has_element("Accept", element));
    }
}

TEST_CASE("fields: the bytes may move as a whole") {
    Sample sample;
    const std::string copy = "xx" + sample.bytes;
    sample.bytes.assign(sample.bytes.size(), '!');
    sample.fields.set_base(copy.data() + 2);
    CHECK(sample.fields.find("host") == "localhost");
    CHECK(sample.fields[0].value.data() == copy.data() + 2 + 4);
    sample.fields.clear();
    CHECK(sample.fields.is_empty());
    CHECK_FALSE(sample.fields.find("host").has_value());
}
