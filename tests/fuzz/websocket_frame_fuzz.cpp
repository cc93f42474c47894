// SPDX-License-Identifier: MIT

// libFuzzer's way into websocket_frame.hpp: the codec of WebSocket frames.

#include "fuzz/websocket_frame.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    porthole_fuzz::fuzz_websocket_frame(data, size);
    return 0;
}
