#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds bench programs without a build system, for the scripts beside it:
#     sh bench/build.sh OUT_DIR NAME...        uses $CXX and $CXXFLAGS when they are set
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
out=$1
shift
compiler=${CXX:-c++}
flags="-std=c++17 -DNDEBUG ${CXXFLAGS:--O2}"
mkdir -p "$out"
for name in "$@"; do
    # shellcheck disable=SC2086
    $compiler $flags -I"$root/include" "$root/bench/$name.cpp" -pthread -o "$out/$name"
done
