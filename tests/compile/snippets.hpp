// SPDX-License-Identifier: MIT
#pragma once

// The program around the snippets of the documents, as far as they mention it; see snippets.py.
// Nothing here is ever defined: the snippets are compiled, and not linked.

#include <porthole.hpp>

#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

bool game_is_running();
void update();
void render();

struct World {
    int score = 0;
};

namespace app_assets { // as porthole_embed_assets() makes it
std::unique_ptr<porthole::Mount> bundle();
}

#define CHECK(condition) static_cast<void>(condition)
