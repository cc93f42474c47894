// SPDX-License-Identifier: MIT

// libFuzzer's way into date.hpp: dates both ways.

#include "fuzz/date.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    porthole_fuzz::fuzz_date(data, size);
    return 0;
}
