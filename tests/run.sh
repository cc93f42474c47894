#!/bin/sh
# SPDX-License-Identifier: MIT
# The whole suite. Installs what is missing, builds, runs, and ends with `N passed, N failed`.
#     sh tests/run.sh                  the compiler at hand, both pollers, the compile checks
#     sh tests/run.sh --ci [STAGE...]  every way to build and run it, or these of the stages below
#     sh tests/run.sh --fuzz SECONDS   each libFuzzer target for that long, on a copy of its corpus
set -u
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd) || exit 1
# shellcheck source=tools/ensure.sh
. "$root/tools/ensure.sh"

builds=$root/build/run
jobs=$(nproc 2>/dev/null || echo 2)
passed=0
failed=0
failures=
besides=0
beside_ids=
scratch=$(mktemp -d) || exit 1
# What runs in the background does not hear of Ctrl-C by itself.
finish() {
    # shellcheck disable=SC2086 # each a word of its own
    [ -z "$beside_ids" ] || kill $beside_ids 2>/dev/null
    rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 130' INT TERM

# Sets `used` to the processor seconds that everything started from here has taken. Not with $(...):
# that shell would count only its own.
processor_seconds() {
    times >"$scratch/times.txt"
    used=$(tail -n 1 "$scratch/times.txt" | tr 'ms' '  ' \
        | awk '{ printf "%d", 60 * $1 + $2 + 60 * $3 + $4 }')
}

stage() {
    stage_name=$1
    stage_began=$(date +%s)
    processor_seconds
    stage_used=$used
    log=$scratch/log.txt
    : >"$log"
    echo "== $stage_name"
}

# add PASSED FAILED
add() {
    passed=$((passed + $1))
    failed=$((failed + $2))
    if [ "$2" -gt 0 ]; then
        failures="$failures
  $stage_name: $2 failed"
    fi
    processor_seconds
    echo "   $1 passed, $2 failed ($(($(date +%s) - stage_began)) s," \
        "$((used - stage_used)) s of processors)"
}

# A step that has to succeed: its words are shown only when it does not.
step() {
    "$@" >"$log" 2>&1 && return 0
    grep -nE 'error|Error|FAILED' "$log" | head -n 20
    tail -n 40 "$log"
    echo "   failed: $*"
    add 0 1
    return 1
}

# report STATUS FILE: adds up a JUnit report; a failing tool that reports no failure counts as one.
report() {
    counts=$(python3 "$root/tests/count.py" "$2" 2>"$scratch/names.txt") || counts='0 1'
    good=${counts% *}
    bad=${counts#* }
    if [ "$1" -ne 0 ] && [ "$bad" -eq 0 ]; then
        bad=1
    fi
    if [ "$bad" -gt 0 ]; then
        grep -nE 'ERROR|FAIL|[0-9] failed|SUMMARY|runtime error|Sanitizer' "$log" | head -n 60
        tail -n 60 "$log"
        cat "$scratch/names.txt"
    fi
    add "$good" "$bad"
}

# checks COMMAND...: a script whose last line is `N passed, N failed`.
checks() {
    "$@" >"$log" 2>&1
    checked "$?"
}

# checked STATUS: what such a script has left in $log.
checked() {
    status=$1
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1)
    if [ -z "$line" ]; then
        tail -n 40 "$log"
        add 0 1
        return
    fi
    good=${line%% *}
    bad=${line#*, }
    bad=${bad%% *}
    if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
        bad=1
    fi
    if [ "$bad" -gt 0 ]; then
        grep -v '^ok ' "$log" | head -n 120
    fi
    add "$good" "$bad"
}

# beside NAME COMMAND...: the same in the background, for scripts that wait more than they compute
# and measure no time. The counts come with join.
beside() {
    besides=$((besides + 1))
    printf '%s\n' "$1" >"$scratch/beside.$besides.name"
    shift
    "$@" >"$scratch/beside.$besides.log" 2>&1 &
    beside_ids="$beside_ids $!"
}

join() {
    number=0
    for id in $beside_ids; do
        wait "$id"
        status=$?
        number=$((number + 1))
        # The time is that since the first of them began.
        stage_name=$(cat "$scratch/beside.$number.name")
        echo "-- $stage_name"
        log=$scratch/beside.$number.log
        checked "$status"
    done
    besides=0
    beside_ids=
}

run_ctest() {
    ctest --test-dir "$tree" --parallel "$jobs" --output-on-failure --no-tests=error \
        --test-output-size-passed 1000000 --test-output-size-failed 1000000 \
        --output-junit "$tree/report.xml" >"$log" 2>&1
}

# suite NAME TARGETS CMAKE-OPTIONS...: configures, builds and runs one variant.
suite() {
    stage "$1"
    tree=$builds/$(printf '%s' "$1" | tr -c 'a-zA-Z0-9+\n' '-')
    targets=$2
    shift 2
    mkdir -p "$tree"
    rm -f "$tree/report.xml"
    step cmake -S "$root" -B "$tree" -G Ninja -DPORTHOLE_BUILD_EXAMPLES=OFF \
        -DPORTHOLE_BUILD_BENCH=OFF "$@" || return
    # shellcheck disable=SC2086 # each a word of its own
    step cmake --build "$tree" --parallel "$jobs" --target $targets || return
    run_ctest
    report "$?" "$tree/report.xml"
}

# variant NAME COMPILER OPTIONS...: all tests, compiled together in a few files and not optimised.
variant() {
    name=$1
    compiler=$2
    shift 2
    suite "$name" porthole_tests "-DCMAKE_CXX_COMPILER=$compiler" -DCMAKE_BUILD_TYPE=Debug \
        '-DCMAKE_CXX_FLAGS_DEBUG=-O0' -DPORTHOLE_TEST_UNITY=4 -DPORTHOLE_TEST_TOOLS=OFF "$@"
}

stage_native() {
    suite 'g++ C++17' porthole_tests -DCMAKE_CXX_COMPILER=g++ -DCMAKE_BUILD_TYPE=Debug \
        '-DCMAKE_CXX_FLAGS_DEBUG=-O0' -DPORTHOLE_TEST_UNITY=4 -DPORTHOLE_TEST_FULL=ON
    # One program of each kind is built as users build it; tests/compile takes in the others.
    suite 'clang++ C++20' 'porthole_tests hello tool_ui bench_hello_server' \
        -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_BUILD_TYPE=Debug '-DCMAKE_CXX_FLAGS_DEBUG=-O0' \
        -DPORTHOLE_TEST_UNITY=4 -DCMAKE_CXX_STANDARD=20 -DPORTHOLE_TEST_POLLERS=epoll \
        -DPORTHOLE_BUILD_EXAMPLES=ON -DPORTHOLE_BUILD_BENCH=ON
}

stage_variants() {
    # The optimiser warns of more; the target porthole is held to all of it.
    suite 'g++ C++20, single header, optimised' 'porthole porthole_tests' \
        -DCMAKE_CXX_COMPILER=g++ -DCMAKE_BUILD_TYPE=Release \
        '-DCMAKE_CXX_FLAGS_RELEASE=-O1 -DNDEBUG' -DCMAKE_CXX_STANDARD=20 \
        -DPORTHOLE_TEST_SINGLE_HEADER=ON -DPORTHOLE_TEST_UNITY=4 -DPORTHOLE_TEST_TOOLS=OFF \
        -DPORTHOLE_TEST_POLLERS=epoll
    variant 'clang++ C++17, zlib, no exceptions' clang++ -DPORTHOLE_WITH_ZLIB=ON \
        '-DCMAKE_CXX_FLAGS=-fno-exceptions -fno-rtti' -DPORTHOLE_TEST_POLLERS=poll
    variant 'header-only, gnu++17' g++ -DPORTHOLE_TEST_HEADER_ONLY=ON -DCMAKE_CXX_EXTENSIONS=ON \
        '-DPORTHOLE_TEST_LAYERS=http;server' -DPORTHOLE_TEST_POLLERS=epoll
}

stage_sanitizers() {
    variant 'address and undefined sanitizers' g++ '-DCMAKE_CXX_FLAGS_DEBUG=-O0 -g1' \
        -DPORTHOLE_SANITIZE=address,undefined -DPORTHOLE_WITH_ZLIB=ON
    variant 'thread sanitizer' g++ '-DCMAKE_CXX_FLAGS_DEBUG=-O0 -g1' -DPORTHOLE_SANITIZE=thread \
        '-DPORTHOLE_TEST_LAYERS=os;server;ext;loopback' '-DPORTHOLE_TEST_CONTAINING=std::thread'
}

stage_windows() {
    # Only doctest: all of /usr/include would hide the headers of the cross compiler.
    mkdir -p "$scratch/include"
    cp -R /usr/include/doctest "$scratch/include/"
    WINEPREFIX=$scratch/wine
    WINEDEBUG=-all
    WINEDLLOVERRIDES='mscoree,mshtml='
    export WINEPREFIX WINEDEBUG WINEDLLOVERRIDES
    unset DISPLAY WAYLAND_DISPLAY
    wineboot --init >/dev/null 2>&1
    rm -rf "$builds/windows--mingw--wine-"
    suite 'windows (mingw, wine)' 'porthole_tests hello tool_ui' \
        "-DCMAKE_TOOLCHAIN_FILE=$root/tools/cmake/mingw64.cmake" \
        "-DPORTHOLE_DOCTEST_DIR=$scratch/include" -DCMAKE_BUILD_TYPE=Debug \
        '-DCMAKE_CXX_FLAGS_DEBUG=-O0' -DPORTHOLE_TEST_UNITY=4 -DPORTHOLE_BUILD_EXAMPLES=ON
    # Ends the server of this prefix and no other.
    wineserver --kill >/dev/null 2>&1
    stage 'windows: compile checks'
    checks python3 "$root/tests/compile/run.py" --cxx x86_64-w64-mingw32-g++-posix \
        --nm x86_64-w64-mingw32-nm \
        --jobs "$jobs" --only 'hostile|leaks|prefix|define'
}

# Test files by themselves, with all that they include; and the examples. The other layers differ by
# nothing that a build system has a say in.
stage_meson() {
    stage 'meson'
    tree=$builds/meson
    rm -rf "$tree"
    step env CXX=g++ meson setup "$tree" "$root" -Dbuildtype=plain \
        -Dtest_layers=base,os,loopback,fuzz || return
    step meson compile -C "$tree" -j "$jobs" || return
    # The other poller, compile/ and tools/ have run already, with nothing of Meson in them.
    names=$(meson test -C "$tree" --list 2>/dev/null | sed -n 's/.*\(epoll\.[a-z]*\)$/\1/p')
    # shellcheck disable=SC2086 # each a word of its own
    meson test -C "$tree" --no-rebuild --num-processes "$jobs" $names >"$log" 2>&1
    report "$?" "$tree/meson-logs/testlog.junit.xml"
}

# Builds of others, assets, and Node's parser: nothing that a busy machine makes fail.
stage_scripts() {
    stage 'scripts'
    beside 'packages' python3 "$root/tests/package/run.py" --cxx g++
    beside 'assets' python3 "$root/tests/assets/run.py" --cxx g++
    # Only what a compiler has a say in.
    beside 'assets, clang++' python3 "$root/tests/assets/run.py" --cxx clang++ \
        --only 'backends|add_subdirectory|reproducible|incremental|meson'
    beside 'differential' sh "$root/tests/differential/run.sh" "$builds/differential"
    join
}

# Clients and programs of others. They are patient, and mostly wait for each other.
stage_others() {
    stage 'others'
    beside 'interop' sh "$root/tests/interop/run.sh"
    beside 'cgi' python3 "$root/tests/cgi/run.py" --cxx g++ --build "$builds/cgi"
    beside 'browser' sh "$root/tests/browser/run.sh"
    join
}

# The stages of --ci, in their order. A new one is a name here, what it needs below, and a function
# stage_NAME above; a script of checks (`N passed, N failed`) is run by checks, or by beside.
stages='native variants sanitizers windows meson scripts others'

# needs STAGE: its programs and headers, each with the Debian packages that bring it.
needs() {
    need_build_tools
    need python3 python3
    case $1 in
    quick)
        need_header doctest/doctest.h doctest-dev
        ;;
    native | variants | sanitizers)
        need_header doctest/doctest.h doctest-dev
        need g++ g++
        need clang++ clang
        need_header zlib.h zlib1g-dev
        ;;
    windows)
        need_header doctest/doctest.h doctest-dev
        need x86_64-w64-mingw32-g++-posix g++-mingw-w64-x86-64-posix
        need wine wine wine64
        ;;
    meson)
        need_header doctest/doctest.h doctest-dev
        need g++ g++
        need meson meson
        need pkg-config pkg-config
        ;;
    scripts)
        need g++ g++
        need clang++ clang
        need meson meson
        need pkg-config pkg-config
        need brotli brotli
        need node nodejs
        ;;
    others)
        need g++ g++
        need node nodejs
        need npm npm
        need_header zlib.h zlib1g-dev
        need_python websockets python3-websockets
        need chromium chromium
        need git git
        need php-cgi php-cgi
        ls /usr/sbin/php-fpm* >/dev/null 2>&1 || missing="$missing php-fpm"
        [ -e /usr/share/gitweb/gitweb.cgi ] || missing="$missing gitweb"
        perl -MCGI -e 1 2>/dev/null || missing="$missing libcgi-pm-perl"
        ;;
    esac
}

quick() {
    needs quick
    install_missing
    suite 'quick' porthole_tests -DCMAKE_BUILD_TYPE=Debug '-DCMAKE_CXX_FLAGS_DEBUG=-O0' \
        -DPORTHOLE_TEST_PCH=ON
}

# ci [STAGE...]
ci() {
    for name in "$@"; do
        case " $stages " in
        *" $name "*) needs "$name" ;;
        *)
            echo "No stage $name; there are: $stages" >&2
            exit 2
            ;;
        esac
    done
    install_missing
    for chosen in "$@"; do
        "stage_$chosen"
    done
}

# fuzz SECONDS: tests/fuzz/NAME_fuzz.cpp with tests/fuzz/corpus/NAME. The committed corpus is never
# written to; what was found stays in build/fuzz/NAME.
fuzz() {
    need clang++ clang
    install_missing
    runtime=$(clang++ -print-runtime-dir 2>/dev/null)
    if ! ls "$runtime"/libclang_rt.fuzzer* >/dev/null 2>&1; then
        version=$(clang++ -dumpversion)
        missing=" libclang-rt-${version%%.*}-dev"
        install_missing
    fi
    found_one=
    for source in "$root"/tests/fuzz/*_fuzz.cpp; do
        [ -f "$source" ] || continue
        found_one=yes
        fuzz_one "$source" "$1"
    done
    if [ -z "$found_one" ]; then
        stage 'fuzz'
        echo '   tests/fuzz holds no *_fuzz.cpp'
        add 0 1
    fi
}

# fuzz_one SOURCE SECONDS
fuzz_one() {
    name=$(basename "$1" _fuzz.cpp)
    stage "fuzz $name"
    tree=$root/build/fuzz/$name
    mkdir -p "$tree/corpus"
    if [ -d "$root/tests/fuzz/corpus/$name" ]; then
        cp -R "$root/tests/fuzz/corpus/$name/." "$tree/corpus/"
    fi
    step clang++ -std=c++17 -O1 -g -fsanitize=fuzzer,address,undefined \
        -fno-sanitize-recover=all -fno-omit-frame-pointer "-I$root/include" "-I$root/tests" \
        "$1" "$root/tests/support/implementation.cpp" -o "$tree/fuzz" || return
    # A bounded quarantine: of freed memory, a fuzzer leaves a great deal.
    if ASAN_OPTIONS=quarantine_size_mb=64 "$tree/fuzz" "-max_total_time=$2" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        "-artifact_prefix=$tree/" "$tree/corpus" >"$log" 2>&1; then
        grep -E 'stat::number_of_executed_units|stat::new_units_added' "$log"
        grep -oE 'cov: [0-9]+ ft: [0-9]+ corp: [^ ]+' "$log" | tail -n 1
        add 1 0
    else
        tail -n 60 "$log"
        add 0 1
    fi
}

usage() {
    sed -n '3,6p' "$0" | sed 's/^# //'
    exit "$1"
}

case ${1-} in
    '') quick ;;
    --ci)
        shift
        # shellcheck disable=SC2086 # each a word of its own
        [ $# -gt 0 ] || set -- $stages
        ci "$@"
        ;;
    --fuzz)
        case ${2-} in
            '' | *[!0-9]*) usage 2 ;;
        esac
        fuzz "$2"
        ;;
    -h | --help) usage 0 ;;
    *) usage 2 ;;
esac

if [ -n "$failures" ]; then
    echo "== failures$failures"
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
