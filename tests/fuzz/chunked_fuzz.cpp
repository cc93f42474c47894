// SPDX-License-Identifier: MIT

// libFuzzer's way into chunked.hpp: the decoder of the chunked coding.

#include "fuzz/chunked.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    porthole_fuzz::fuzz_chunked(data, size);
    return 0;
}
