// SPDX-License-Identifier: MIT

// libFuzzer's way into host.hpp: Host, Origin and the guard.

#include "fuzz/host.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    porthole_fuzz::fuzz_host(data, size);
    return 0;
}
