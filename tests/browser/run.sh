#!/bin/sh
# SPDX-License-Identifier: MIT
# A real Chromium against Porthole programs; ends with `N passed, N failed`.
#     sh tests/browser/run.sh
# Wants chromium, node and npm. playwright-core is installed into a directory that is removed again,
# unless PORTHOLE_NODE_DIRECTORY names one whose node_modules has it.
set -u
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd) || exit 1
root=$(CDPATH='' cd -- "$here/../.." && pwd) || exit 1

skip() {
    echo "skipped: $1 is missing"
    echo '0 passed, 0 failed'
    exit 0
}
fail() {
    echo "FAIL $1"
    echo '0 passed, 1 failed'
    exit 1
}

browser=$(command -v chromium || command -v chromium-browser) || skip chromium
command -v node >/dev/null 2>&1 || skip node
command -v npm >/dev/null 2>&1 || skip npm

scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

for source in tests/browser/server tests/browser/media examples/chat examples/upload \
    examples/live_dashboard; do
    "${CXX:-g++}" -std=c++17 -O1 "-I$root/include" "$root/$source.cpp" \
        -o "$scratch/$(basename "$source")" -pthread || fail "$source.cpp does not compile"
done

modules=${PORTHOLE_NODE_DIRECTORY:-$scratch}
if [ ! -d "$modules/node_modules/playwright-core" ]; then
    cp "$here/package.json" "$scratch/"
    (cd "$scratch" && npm install --no-package-lock --no-audit --no-fund --ignore-scripts) \
        >"$scratch/npm.txt" 2>&1 || {
        cat "$scratch/npm.txt"
        fail 'npm install playwright-core'
    }
    modules=$scratch
fi
HOME=$scratch
TMPDIR=$scratch
export HOME TMPDIR

passed=0
failed=0
# run SCRIPT PROGRAM: shows what the script says, but adds up its last line.
run() {
    # Not through exec: the scratch directory is to be removed behind it.
    node "$here/$1" "$scratch/$2" "$browser" "$modules" >"$scratch/output.txt"
    total=$(tail -n 1 "$scratch/output.txt")
    case $total in
    [0-9]*' passed, '[0-9]*' failed')
        sed '$d' "$scratch/output.txt"
        total=${total% failed}
        passed=$((passed + ${total%% *}))
        failed=$((failed + ${total##* }))
        ;;
    *)
        cat "$scratch/output.txt"
        echo "FAIL $1 does not come to its end"
        failed=$((failed + 1))
        ;;
    esac
}
run attacks.mjs server
run media.mjs media
run live.mjs .
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
