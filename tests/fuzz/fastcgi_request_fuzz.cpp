// SPDX-License-Identifier: MIT

// libFuzzer's way into fastcgi_request.hpp: what an application server is sent.

#include "fuzz/fastcgi_request.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    porthole_fuzz::fuzz_fastcgi_request(data, size);
    return 0;
}
