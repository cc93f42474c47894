#!/bin/sh
# SPDX-License-Identifier: MIT
# Porthole's parser against Node's on a few thousand requests; ends with `N passed, N failed`.
#     sh tests/differential/run.sh [BUILD-DIRECTORY]
# The driver is compiled into the build directory with ${CXX:-g++}.
set -u
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd) || exit 1
root=$(CDPATH='' cd -- "$here/../.." && pwd) || exit 1

if ! command -v node >/dev/null 2>&1; then
    echo 'skipped: node is missing'
    echo '0 passed, 0 failed'
    exit 0
fi

scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
build=${1:-$scratch}
mkdir -p "$build" || exit 1
if ! "${CXX:-g++}" -std=c++17 -O1 "-I$root/include" "$here/driver.cpp" \
    -o "$build/differential_driver" -pthread; then
    echo 'FAIL the driver does not compile'
    echo '0 passed, 1 failed'
    exit 1
fi
# Not through exec: the scratch directory is to be removed behind it.
node "$here/compare.mjs" "$build/differential_driver" "$scratch"
