// SPDX-License-Identifier: MIT

// libFuzzer's way into cookie.hpp: cookies both ways.

#include "fuzz/cookie.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    porthole_fuzz::fuzz_cookie(data, size);
    return 0;
}
