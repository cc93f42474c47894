#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the demo, a game loop with Porthole in it, and runs it. Arguments go to the demo:
#     sh examples/run.sh --port 8080 --seconds 5
set -u
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd) || exit 1
# shellcheck source=tools/ensure.sh
. "$root/tools/ensure.sh"

need_build_tools
install_missing

tree=$root/build/demo-run
mkdir -p "$tree" || exit 1
echo "Building the demo ..."
if ! cmake -S "$root" -B "$tree" -G Ninja -DCMAKE_BUILD_TYPE=Release -DPORTHOLE_BUILD_TESTS=OFF \
    -DPORTHOLE_BUILD_BENCH=OFF >"$tree/log.txt" 2>&1 \
    || ! cmake --build "$tree" --target game_loop >>"$tree/log.txt" 2>&1; then
    tail -n 60 "$tree/log.txt" >&2
    exit 1
fi
exec "$tree/examples/game_loop" "$@"
