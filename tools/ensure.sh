# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Sourced by tests/run.sh and examples/run.sh: note what is missing with the need functions, then
# install it, or say what is missing and stop.

missing=
lists_are_fresh=

# need COMMAND PACKAGE...: the packages that bring a command, when it is not there.
need() {
    command -v "$1" >/dev/null 2>&1 && return 0
    shift
    missing="$missing $*"
}

# need_header HEADER PACKAGE: the same for a C++ header.
need_header() {
    for directory in /usr/include /usr/local/include /opt/homebrew/include; do
        [ -f "$directory/$1" ] && return 0
    done
    missing="$missing $2"
}

# need_python MODULE PACKAGE: the same for a Python module of the distribution.
need_python() {
    for python in python3 /usr/bin/python3; do
        "$python" -c "import $1" 2>/dev/null && return 0
    done
    missing="$missing $2"
}

install_missing() {
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" = 0 ]; then
        as_root=
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        as_root='sudo -n'
    else
        as_root=none
    fi
    if [ "$as_root" = none ] || ! command -v apt-get >/dev/null 2>&1; then
        echo "Missing (by their Debian names):$missing" >&2
        echo "Please install them and start again." >&2
        exit 1
    fi
    echo "Installing:$missing"
    log=$(mktemp)
    if [ -z "$lists_are_fresh" ]; then
        $as_root apt-get update >"$log" 2>&1 || tail -n 5 "$log" >&2
        lists_are_fresh=yes
    fi
    # shellcheck disable=SC2086 # each a word of its own
    if ! $as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends $missing >"$log" 2>&1; then
        tail -n 30 "$log" >&2
        echo "Could not install:$missing" >&2
        rm -f "$log"
        exit 1
    fi
    rm -f "$log"
    missing=
}

# What every build needs.
need_build_tools() {
    command -v "${CXX:-c++}" >/dev/null 2>&1 || missing="$missing g++"
    need cmake cmake
    need ninja ninja-build
}
