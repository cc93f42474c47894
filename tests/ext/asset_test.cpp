// SPDX-License-Identifier: MIT

#include "support/test.hpp"

#include <type_traits>

namespace {

constexpr unsigned long long words[] = {0x0a6f6c6c6548ULL};
// As a generated source has it: a compiler that had to run code for this would refuse it.
constexpr porthole::Asset asset = {
    "/hello.txt",
    nullptr,
    "0123456789abcdef",
    {words, 6},
    {nullptr, 0},
    {nullptr, 0},
    porthole::AssetCaching::by_name,
};
constexpr const porthole::Asset* all[] = {&asset};
constexpr porthole::AssetTable table = {all, 1, nullptr, nullptr};

} // namespace

TEST_CASE("asset: tables are constant data, whatever type the bytes are written as") {
    static_assert(std::is_trivially_copyable_v<porthole::Asset>);
    static_assert(std::is_trivially_destructible_v<porthole::AssetTable>);
    static_assert(table.size == 1 && table.assets[0]->plain.data == words);
    CHECK(table.assets[0]->gzip.data == nullptr);
    CHECK(table.directory == nullptr);
}
