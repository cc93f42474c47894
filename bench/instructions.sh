#!/bin/sh
# SPDX-License-Identifier: MIT
# Instructions per request, by callgrind: the loop of request_loop.cpp run with two lengths, whose
# difference has no start-up in it. Exact to the instruction, so that a change of 1 % can be seen.
#
#     sh bench/instructions.sh [PROGRAMS_DIR]
#
# Read: instructions for each request, the in-memory client's few hundred included.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
command -v valgrind >/dev/null \
    || { echo "valgrind is needed: apt-get install valgrind" >&2; exit 1; }

programs=${1:-}
if [ -z "$programs" ]; then
    programs=$work
    CXXFLAGS="${CXXFLAGS:--O2 -g}" sh "$here/build.sh" "$programs" request_loop
fi

# CMake calls its targets bench_NAME.
program() {
    if [ -x "$programs/bench_$1" ]; then echo "$programs/bench_$1"; else echo "$programs/$1"; fi
}

# The instructions of one run.
count() {
    valgrind --tool=callgrind --callgrind-out-file="$work/$1.$2" \
        "$(program request_loop)" --kind "$1" --requests "$2" >"$work/log" 2>&1 \
        || { cat "$work/log" >&2; exit 1; }
    sed -n 's/^\(summary\|totals\): //p' "$work/$1.$2" | head -n 1
}

few=1000
many=6000
for kind in small browser route; do
    first=$(count "$kind" "$few")
    second=$(count "$kind" "$many")
    echo "$kind: $(((second - first) / (many - few))) instructions per request"
done

if [ -n "${DETAILS:-}" ]; then
    callgrind_annotate "$work/small.$many" | head -n 60
else
    echo "DETAILS=1 shows the functions."
fi
