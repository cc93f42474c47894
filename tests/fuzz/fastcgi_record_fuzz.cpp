// SPDX-License-Identifier: MIT

// libFuzzer's way into fastcgi_record.hpp: records of an application server.

#include "fuzz/fastcgi_record.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    porthole_fuzz::fuzz_fastcgi_record(data, size);
    return 0;
}
