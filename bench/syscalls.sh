#!/bin/sh
# SPDX-License-Identifier: MIT
# Counts system calls: for each tick of an idle server at 60 ticks a second, with 0 and with 1000
# idle connections, and for each of 1000 keep-alive GETs.
#
#     sh bench/syscalls.sh [PROGRAMS_DIR]       POLLER=poll for the portable poller
#
# Read: one call a tick for Porthole (clock_nanosleep is the loop's own sleep), whatever the number
# of connections; one read, one write and one wait for each request.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
poller=${POLLER:-automatic}
ticks=300
work=$(mktemp -d)
server=
trap 'test -z "$server" || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
command -v strace >/dev/null || { echo "strace is needed: apt-get install strace" >&2; exit 1; }
# shellcheck disable=SC3045
ulimit -n 4096 2>/dev/null || true

programs=${1:-}
if [ -z "$programs" ]; then
    programs=$work
    sh "$here/build.sh" "$programs" idle_server hello_server
fi

# CMake calls its targets bench_NAME.
program() {
    if [ -x "$programs/bench_$1" ]; then echo "$programs/bench_$1"; else echo "$programs/$1"; fi
}

# Waits for the line "port N" in a file and prints the number.
port_of() {
    for _ in $(seq 100); do
        port=$(sed -n 's/^port //p' "$1")
        test -n "$port" && break
        sleep 0.1
    done
    test -n "$port" || { echo "the server did not start" >&2; exit 1; }
    echo "$port"
}

# The calls of a trace between two marks, by name, and per unit.
count_between() {
    awk -v units="$2" -v unit="$3" -v from="$4" -v to="$5" '
        index($0, from) && !counting { counting = 1; if (from ~ /^write/) next }
        index($0, to) && to ~ /^write/ { counting = 0 }
        counting && match($0, /[a-z_0-9]+\(/) { ++calls[substr($0, RSTART, RLENGTH - 1)] }
        END {
            for (name in calls) {
                printf "    %-18s %6d   %.3f for each %s\n", name, calls[name],
                    calls[name] / units, unit
            }
        }' "$1"
}

for connections in 0 1000; do
    echo "$ticks ticks with $connections idle connections"
    : >"$work/out"
    strace -f -o "$work/trace" "$(program idle_server)" --connections "$connections" \
        --ticks "$ticks" --poller "$poller" >"$work/out" &
    server=$!
    python3 - "$(port_of "$work/out")" "$connections" <<'PYTHON' &
import socket, sys, time
port, count = int(sys.argv[1]), int(sys.argv[2])
clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
clients and clients[0].settimeout(60)
try:
    clients and clients[0].recv(1)  # until the server ends
except OSError:
    pass
PYTHON
    clients=$!
    wait "$server"
    server=
    wait "$clients"
    count_between "$work/trace" "$ticks" tick 'write(1, "begin' 'write(1, "end'
done

echo "1000 keep-alive GETs on one connection"
: >"$work/out"
strace -f -o "$work/trace" "$(program hello_server)" --poller "$poller" --seconds 10 >"$work/out" &
server=$!
python3 - "$(port_of "$work/out")" <<'PYTHON'
import socket, sys
client = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=10)
for _ in range(1000):
    client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = b""
    while not answer.endswith(b"Porthole\n"):
        piece = client.recv(4096)
        assert piece, "cut off"
        answer += piece
PYTHON
kill "$(sed -n '1s/ .*//p' "$work/trace")" 2>/dev/null || true
wait "$server" || true
server=
# From the first request on: what comes before is start-up.
count_between "$work/trace" 1000 request 'GET / HTTP' 'never'
