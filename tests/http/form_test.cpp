// SPDX-License-Identifier: MIT
#include "support/test.hpp"

#include <string>
#include <string_view>
#include <vector>

using porthole::FormPairs;

TEST_CASE("form: names and values are decoded, in their order (WHATWG URL 5.1)") {
    FormPairs pairs;
    pairs.parse("a=1&b+c=%C3%A4+x&a=2&=v&n=&flag&x=a=b");
    REQUIRE(pairs.size() == 7);
    CHECK(pairs.name(0) == "a");
    CHECK(pairs.value(0) == "1");
    CHECK(pairs.name(1) == "b c");
    CHECK(pairs.value(1) == "\xc3\xa4 x");
    CHECK(pairs.name(3) == "");
    CHECK(pairs.value(3) == "v");
    CHECK(pairs.value(4) == "");
    CHECK(pairs.name(5) == "flag");
    CHECK(pairs.value(5) == "");
    CHECK(pairs.value(6) == "a=b");
    CHECK(pairs.find("a") == "1");
    CHECK(pairs.find_all("a") == std::vector<std::string_view>{"1", "2"});
    CHECK(pairs.find("n") == "");
    CHECK_FALSE(pairs.find("A"));
    CHECK_FALSE(pairs.find("missing"));
    CHECK(pairs.find_all("missing").empty());
}

TEST_CASE("form: empty pairs are left out") {
    FormPairs pairs;
    pairs.parse("&&a=1&&&b=2&");
    REQUIRE(pairs.size() == 2);
    CHECK(pairs.name(1) == "b");
    pairs.parse("");
    CHECK(pairs.size() == 0);
    pairs.parse("&");
    CHECK(pairs.size() == 0);
}

TEST_CASE("form: a '%' without two hexadecimal digits stands for itself") {
    FormPairs pairs;
    pairs.parse("a=100%&b=%2&c=%zz&d=%%41&%=%4");
    CHECK(pairs.find("a") == "100%");
    CHECK(pairs.find("b") == "%2");
    CHECK(pairs.find("c") == "%zz");
    CHECK(pairs.find("d") == "%A");
    CHECK(pairs.find("%") == "%4");
}

TEST_CASE("form: encoded separators do not separate, and decoding is done once") {
    FormPairs pairs;
    pairs.parse("a%3Db=c%26d&e=%2541&f=%2B&z=%00");
    CHECK(pairs.find("a=b") == "c&d");
    CHECK(pairs.find("e") == "%41");
    CHECK(pairs.find("f") == "+");
    CHECK(pairs.find("z") == std::string_view("\0", 1));
}

TEST_CASE("form: keeps a thousand pairs and ignores the rest") {
    for (const std::size_t count : {std::size_t{999}, std::size_t{1000}, std::size_t{1001}}) {
        std::string encoded;
        for (std::size_t i = 0; i < count; ++i) {
            encoded += "n" + std::to_string(i) + "=v&";
        }
        FormPairs pairs;
        pairs.parse(encoded);
        CHECK(pairs.size() == (count < FormPairs::max_pairs ? count : FormPairs::max_pairs));
        CHECK(pairs.find("n998").has_value());
        CHECK(pairs.find("n999").has_value() == (count > 999));
        CHECK_FALSE(pairs.find("n1000").has_value());
    }
}

TEST_CASE("form: parsing again replaces what was there") {
    FormPairs pairs;
    pairs.parse("a=" + std::string(200'000, 'x'));
    CHECK(pairs.find("a")->size() == 200'000);
    pairs.parse("b=1");
    CHECK(pairs.size() == 1);
    CHECK(pairs.find("b") == "1");
    pairs.clear();
    CHECK(pairs.size() == 0);
    CHECK_FALSE(pairs.find("b"));
}
