#!/bin/sh
# SPDX-License-Identifier: MIT
# Foreign WebSocket clients, and bytes written by hand, against Porthole's echo server; ends with
# `N passed, N failed`.
#     sh tests/interop/run.sh
# Wants python3; node with npm, the Python package websockets and zlib are used where they are.
# The npm package ws is installed into a directory that is removed again, unless
# PORTHOLE_NODE_DIRECTORY names one whose node_modules has it.
set -u
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd) || exit 1
root=$(CDPATH='' cd -- "$here/../.." && pwd) || exit 1

fail() {
    echo "FAIL $1"
    echo '0 passed, 1 failed'
    exit 1
}

scratch=$(mktemp -d) || exit 1
server=
finish() {
    [ -z "$server" ] || kill "$server" 2>/dev/null
    rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 130' INT TERM

compiler=${CXX:-g++}
zlib=
mode=plain
if printf '#include <zlib.h>\n' | "$compiler" -x c++ -E - >/dev/null 2>&1; then
    zlib='-DPORTHOLE_WITH_ZLIB=1 -lz'
    mode=compressed
fi
# shellcheck disable=SC2086 # each a word of its own
"$compiler" -std=c++17 -O1 "-I$root/include" "$here/websocket_echo.cpp" -o "$scratch/echo" \
    -pthread $zlib || fail 'websocket_echo.cpp does not compile'

# Its input stays open for as long as this script runs.
mkfifo "$scratch/input" "$scratch/output" || exit 1
"$scratch/echo" <"$scratch/input" >"$scratch/output" &
server=$!
exec 3>"$scratch/input"
read -r _ port <"$scratch/output"
[ -n "$port" ] || fail 'the echo server does not start'

passed=0
failed=0
# run COMMAND...: shows what it says, but adds up its last line.
run() {
    "$@" >"$scratch/output.txt" 2>&1
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
        echo "FAIL $* does not come to its end"
        failed=$((failed + 1))
        ;;
    esac
}

PYTHONDONTWRITEBYTECODE=1
export PYTHONDONTWRITEBYTECODE
run python3 "$here/websocket_cases.py" "$port"
if [ "$mode" = compressed ]; then
    run python3 "$here/websocket_deflate_cases.py" "$port"
fi

# The distribution's package belongs to the distribution's Python, which need not come first.
for python in python3 /usr/bin/python3; do
    if "$python" -c 'import websockets' 2>/dev/null; then
        run "$python" "$here/websocket_websockets.py" "$port" "$mode"
        python=
        break
    fi
done
[ -z "$python" ] || echo 'skipped: the Python package websockets is missing'

modules=${PORTHOLE_NODE_DIRECTORY:-$scratch}
if ! command -v node >/dev/null 2>&1 || ! command -v npm >/dev/null 2>&1; then
    echo 'skipped: node or npm is missing'
else
    if [ ! -d "$modules/node_modules/ws" ]; then
        cp "$here/package.json" "$scratch/"
        (cd "$scratch" && npm install --no-package-lock --no-audit --no-fund --ignore-scripts) \
            >"$scratch/npm.txt" 2>&1 || {
            cat "$scratch/npm.txt"
            fail 'npm install ws'
        }
        modules=$scratch
    fi
    run node "$here/websocket_ws.mjs" "$port" "$modules" "$mode"
fi

kill -0 "$server" 2>/dev/null || {
    echo 'FAIL the echo server has ended'
    failed=$((failed + 1))
}
exec 3>&-
wait "$server" || {
    echo 'FAIL the echo server did not end well'
    failed=$((failed + 1))
}
server=
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
