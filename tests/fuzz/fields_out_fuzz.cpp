// SPDX-License-Identifier: MIT

// libFuzzer's way into fields_out.hpp: the fields of an answer.

#include "fuzz/fields_out.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    porthole_fuzz::fuzz_fields_out(data, size);
    return 0;
}
