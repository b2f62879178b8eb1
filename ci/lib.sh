# Shared by the scripts in ci/ and by the launcher. POSIX sh, to be sourced after `root` is set to the
# top of the source tree.

# shellcheck shell=sh disable=SC2154

# The word in front of every message; the scripts set it to their own name.
me=${me:-llm-mobile}

say()  { printf '%s: %s\n' "$me" "$*" >&2; }
die()  { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# Where models and the llama.cpp source are kept. The build's own scripts follow the same order.
cache_dir() {
    if [ -n "${LLMM_CACHE_DIR:-}" ]; then printf '%s\n' "$LLMM_CACHE_DIR"
    elif [ -n "${XDG_CACHE_HOME:-}" ]; then printf '%s\n' "$XDG_CACHE_HOME/llm-mobile"
    elif [ -n "${HOME:-}" ]; then printf '%s\n' "$HOME/.cache/llm-mobile"
    else die "set LLMM_CACHE_DIR: neither it nor HOME says where files may be kept"
    fi
}

# A value of third_party/llama.cpp/manifest.cmake.
pinned() { sed -n "s/^set($1 \(.*\))\$/\1/p" "$root/third_party/llama.cpp/manifest.cmake"; }

# The unchanged llama.cpp that the build has fetched (or was given).
llama_cpp_source() {
    if [ -n "${LLAMA_CPP_SOURCE_DIR:-}" ]; then printf '%s\n' "$LLAMA_CPP_SOURCE_DIR"
    else printf '%s\n' "$(cache_dir)/llama.cpp/$(pinned LLAMA_CPP_TREE)"
    fi
}

sha256_of() {
    if have sha256sum; then sha256sum <"$1"; else shasum -a 256 <"$1"; fi | cut -d' ' -f1
}

size_of() { wc -c <"$1" | tr -d ' '; }

# The file names are those of `models_dir`; ci/fetch-models is where they come from.
models_dir()    { printf '%s\n' "$(cache_dir)/models"; }
default_model() { printf '%s\n' "$(models_dir)/SmolLM2-135M-Instruct.Q4_1.gguf"; }
gemma_model()   { printf '%s\n' "$(models_dir)/gemma-3-270m-q4_k_m.gguf"; }
eval_text()     { printf '%s\n' "$(models_dir)/paul-graham-essays.txt"; }

# Cores without their second hyper-threads: what llama.cpp and LLM Mobile use by default.
physical_cores() {
    n=$(lscpu -p=CORE,SOCKET 2>/dev/null | grep -v '^#' | sort -u | wc -l | tr -d ' ')
    [ "${n:-0}" -gt 0 ] || n=$(sysctl -n hw.physicalcpu 2>/dev/null || echo 0)
    [ "${n:-0}" -gt 0 ] || n=$(getconf _NPROCESSORS_ONLN)
    printf '%s\n' "$n"
}

# How many compilers may run at once. A llama.cpp source file can take 1.5 GB to compile.
build_jobs() {
    n=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
    kb=$(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo 2>/dev/null)
    if [ -n "$kb" ]; then
        fit=$((kb / 1500000))
        [ "$fit" -ge 1 ] || fit=1
        [ "$n" -le "$fit" ] || n=$fit
    fi
    printf '%s\n' "$n"
}

# Ninja where there is one, else make.
cmake_generator() { if have ninja; then echo Ninja; else echo 'Unix Makefiles'; fi; }

# Tests of java/edge that take too long for every build, or need a whole program. What they print is their result; one that is
# skipped is none.
edge_test() {   # <class or class#method> <option of Maven...>; $edge_under is a command that runs it, if set
    edge_class=${1%%#*}
    edge_report=$root/java/edge/target/surefire-reports/TEST-io.github.llmmobile.edge.$edge_class.xml
    "$root/llm-mobile" --version >/dev/null || return 1
    rm -f "$edge_report"
    (
        edge_tests=$1
        shift
        # shellcheck disable=SC2086
        cd "$root" && ${edge_under:-} mvn -B -ntp -q -Dstyle.color=never -pl java/edge -am test -Dnative.skip=true "-Dtest=io.github.llmmobile.edge.$edge_tests" \
            -Dsurefire.failIfNoSpecifiedTests=false "-Dllmm.edge.program=$root/llm-mobile" "$@" </dev/null
    ) || return 1
    grep -q '<testcase' "$edge_report" && ! grep -q '<skipped' "$edge_report" || {
        say "$edge_class has not run whole; see $edge_report"
        return 1
    }
}
