// SPDX-License-Identifier: MIT

// libFuzzer's way into cgi_head.hpp: heads of CGI programs.

#include "fuzz/cgi_head.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    porthole_fuzz::fuzz_cgi_head(data, size);
    return 0;
}
