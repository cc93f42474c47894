// SPDX-License-Identifier: MIT

// libFuzzer's way into parser.hpp: the request parser.

#include "fuzz/parser.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    porthole_fuzz::fuzz_parser(data, size);
    return 0;
}
