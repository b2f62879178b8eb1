# The arrows between the native folders: api -> session -> llama (its own headers), and llama.cpp's internal headers in
# native/src/llama alone. ArchUnit holds the arrows between the Java modules.
# shellcheck shell=sh disable=SC1091,SC2154
. "$(dirname -- "$0")/harness.sh"

# Includes of the given folders that match a pattern, "file: line" each.
includes() {   # <pattern> <folder...>
    pattern=$1
    shift
    (cd "$root/native/src" && grep -rnE "^ *# *include *\"($pattern)\"" "$@")
}

same "llama.cpp's internal headers are included in native/src/llama alone" \
    "$(includes '(llama|ggml|unicode)-[a-z-]+\.h' api session | grep -vE '"ggml-(backend|cpu)\.h"')" ""
same "session knows nothing of api" "$(includes 'api/.*|handles\.h|guard\.h' session)" ""
same "the seam knows nothing of session and api" "$(includes '(api|session)/.*' llama)" ""
same "the public header includes nothing of ours" \
    "$(grep -nE '^ *# *include *"' "$root/native/include/llm_mobile.h")" ""
holds "the patterns find what they look for" test -n "$(includes 'llama-[a-z-]+\.h' llama)"
finish
