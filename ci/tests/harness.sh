# For the *-test.sh files, which source it: a scratch folder with a space in its name, and checks. Every check prints
# one line; a test file calls `finish` at its end.

# shellcheck shell=sh disable=SC2034
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd) || exit 1
scratch=$(mktemp -d) || exit 1
scratch="$scratch/a folder/src"      # a space, and a name that means something in our tree
mkdir -p "$scratch"
trap 'rm -rf "${scratch%/a folder/src}"' EXIT
n_failed=0
out=
rc=0

# Runs a command; leaves its output (both streams) in $out and its status in $rc.
try() {
    out=$("$@" 2>&1 </dev/null)
    rc=$?
}

pass() { echo "ok $1"; }

fail() {   # <title> <why>
    n_failed=$((n_failed + 1))
    echo "not ok $1: $2"
    printf '%s\n' "$out" | tail -n 8 | sed 's/^/    /'
}

# check <title> <status> [<text in the output>...]: what the last `try` gave.
check() {
    if [ "$rc" -ne "$2" ]; then fail "$1" "status $rc, want $2"; return; fi
    checked=$1
    shift 2
    for part in "$@"; do
        case $out in
            *"$part"*) ;;
            *) fail "$checked" "no '$part' in the output"; return ;;
        esac
    done
    pass "$checked"
}

# says_nothing_of <title> <text>: the output of the last `try` lacks it.
says_nothing_of() {
    case $out in
        *"$2"*) fail "$1" "'$2' is in the output" ;;
        *) pass "$1" ;;
    esac
}

# same <title> <value> <wanted value>
same() { if [ "$2" = "$3" ]; then pass "$1"; else fail "$1" "got '$2', want '$3'"; fi; }

# holds <title> <command...>: the command succeeds.
holds() {
    checked=$1
    shift
    if "$@" >/dev/null 2>&1; then pass "$checked"; else fail "$checked" "'$*' does not hold"; fi
}

lacks() {
    checked=$1
    shift
    if "$@" >/dev/null 2>&1; then fail "$checked" "'$*' holds"; else pass "$checked"; fi
}

# program <file>: standard input becomes an executable script.
program() {
    mkdir -p "$(dirname "$1")"
    { echo '#!/bin/sh'; cat; } >"$1"
    chmod +x "$1"
}

# Folder of the few tools that every system has, and nothing else: for a PATH that lacks the rest.
plain_tools() {
    mkdir -p "$1"
    for tool in sh env cat sed awk grep tr cut sort uniq head tail wc dirname basename mkdir rm mv cp ln ls find id uname \
        mktemp readlink date sleep sha256sum shasum df printf expr getconf chmod touch true kill ps; do
        for dir in /usr/bin /bin; do
            if [ -x "$dir/$tool" ]; then ln -sf "$dir/$tool" "$1/$tool"; break; fi
        done
    done
}

finish() { [ "$n_failed" -eq 0 ] || exit 1; exit 0; }
