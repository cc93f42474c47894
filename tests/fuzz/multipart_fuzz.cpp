// SPDX-License-Identifier: MIT

// libFuzzer's way into multipart.hpp: forms with files.

#include "fuzz/multipart.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    porthole_fuzz::fuzz_multipart(data, size);
    return 0;
}
