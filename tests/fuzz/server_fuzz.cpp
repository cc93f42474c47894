// SPDX-License-Identifier: MIT

// libFuzzer's way into server.hpp: a whole server in memory.

#include "fuzz/server.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    porthole_fuzz::fuzz_server(data, size);
    return 0;
}
