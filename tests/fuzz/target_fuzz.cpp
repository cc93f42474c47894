// SPDX-License-Identifier: MIT

// libFuzzer's way into target.hpp: request targets and paths.

#include "fuzz/target.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    porthole_fuzz::fuzz_target(data, size);
    return 0;
}
