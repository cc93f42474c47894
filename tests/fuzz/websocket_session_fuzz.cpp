// SPDX-License-Identifier: MIT

// libFuzzer's way into websocket_session.hpp: a server's WebSocket session.

#include "fuzz/websocket_session.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    porthole_fuzz::fuzz_websocket_session(data, size);
    return 0;
}
