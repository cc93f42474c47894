// SPDX-License-Identifier: MIT

// libFuzzer's way into form.hpp: queries and forms.

#include "fuzz/form.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    porthole_fuzz::fuzz_form(data, size);
    return 0;
}
