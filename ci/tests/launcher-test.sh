# The launcher: when it builds, what it says, what it hands to Java.
# shellcheck shell=sh disable=SC1091,SC2154
. "$(dirname -- "$0")/harness.sh"

tree=$scratch/tree
mkdir -p "$tree/ci" "$tree/native/src" "$tree/native/tests" "$tree/presets/src" "$tree/java/cli/src/test" \
    "$tree/third_party/llama.cpp/patches"
cp "$root/llm-mobile" "$tree/"
cp "$root/ci/lib.sh" "$tree/ci/"
echo 'set(LLAMA_CPP_TREE 0)' >"$tree/third_party/llama.cpp/manifest.cmake"
echo 'int x;' >"$tree/native/src/x.cpp"
touch "$tree/pom.xml" "$tree/CMakeLists.txt" "$tree/CMakePresets.json"
program "$tree/ci/setup" <<'END'
exit "${SETUP_STATUS:-0}"
END
program "$tree/ci/fetch-models" <<'END'
echo "fetched $*"
END

# A build that leaves what the real one leaves, counts itself, and shows some of what Maven and Ninja print.
program "$scratch/bin/mvn" <<'END'
echo "$*" >>"$TREE/mvn.calls"
echo '[INFO] [1/2] Building CXX object x.o'
[ -z "${MVN_SLEEP:-}" ] || sleep "$MVN_SLEEP"
if [ -n "${MVN_FAILS:-}" ]; then
    echo '[ERROR] x.cpp: cannot find symbol'
    echo '[ERROR] re-run Maven with the -e switch.'
    exit 1
fi
mkdir -p "$TREE/java/cli/target/cli" "$TREE/build/host/jar"
touch "$TREE/java/cli/target/cli/program.jar"
END
program "$scratch/bin/java" <<'END'
for arg in "$@"; do printf '<%s>' "$arg"; done
END
TREE=$tree
PATH=$scratch/bin:$PATH
LLMM_CACHE_DIR=$scratch/cache
export TREE PATH LLMM_CACHE_DIR
unset JAVA_HOME LLMM_REBUILD LLMM_JAVA_OPTS
builds() { wc -l <"$tree/mvn.calls" 2>/dev/null | tr -d ' '; }

try "$tree/llm-mobile" --help
check "help comes before anything is built, and says that the first use builds" 0 "Usage: llm-mobile" "not built yet"
lacks "asking for help builds nothing" test -e "$tree/mvn.calls"

SETUP_STATUS=1 && export SETUP_STATUS
try "$tree/llm-mobile" models
check "a machine that lacks tools stops the first use" 1
lacks "nothing is built without tools" test -e "$tree/mvn.calls"
unset SETUP_STATUS

MVN_FAILS=1 && export MVN_FAILS
try "$tree/llm-mobile" models
check "a failed build says why and where its log is" 1 "cannot find symbol" "build/first-build.log"
says_nothing_of "Maven's own advice is left out" re-run
unset MVN_FAILS

: >"$tree/mvn.calls"
try "$tree/llm-mobile" run --model m.gguf "two words" ''
check "the first use builds and then runs, arguments untouched" 0 "first use" "<run><--model><m.gguf><two words><>"
check "Java is told where the natives are" 0 "<-Dllmm.native.path=$tree/build/host/jar>" "program.jar"
same "one build" "$(builds)" 1

try "$tree/llm-mobile" models
check "a later use runs" 0 "<models>"
same "a later use does not build" "$(builds)" 1

ln -s "$tree/llm-mobile" "$scratch/link"
ln -s link "$scratch/link to link"
try "$scratch/link to link" models
check "a link to the launcher works" 0 "<-Dllmm.native.path=$tree/build/host/jar>"
same "a link to the launcher does not build" "$(builds)" 1

# Newer by a whole second, for file systems that count in seconds.
sleep 1
touch "$tree/native/tests/some_test.cpp" "$tree/java/cli/src/test/SomeTest.java"
try "$tree/llm-mobile" models
same "a change of tests does not build" "$(builds)" 1
touch "$tree/native/src/x.cpp"
try "$tree/llm-mobile" models
check "a change of sources builds" 0 "sources have changed"
same "a change of sources builds once" "$(builds)" 2
sleep 1
rm "$tree/native/src/x.cpp"
try "$tree/llm-mobile" models
same "a removed source builds" "$(builds)" 3
sleep 1
touch "$tree/third_party/llama.cpp/patches/0001-x.patch"
try "$tree/llm-mobile" models
same "a new patch builds" "$(builds)" 4

LLMM_REBUILD=1 && export LLMM_REBUILD
try "$tree/llm-mobile" models
same "LLMM_REBUILD=1 builds" "$(builds)" 5
LLMM_REBUILD=0
touch "$tree/pom.xml"
try "$tree/llm-mobile" models
same "LLMM_REBUILD=0 never builds" "$(builds)" 5
unset LLMM_REBUILD
try "$tree/llm-mobile" models
same "what was left out is built later" "$(builds)" 6

try "$tree/llm-mobile" run hello
check "a command that needs the default model fetches it" 0 "fetched default" "<run><hello>"
for args in 'run -m x hello' 'run --model=x hello' 'bench --help' 'inspect x' 'models'; do
    # shellcheck disable=SC2086
    try "$tree/llm-mobile" $args
    says_nothing_of "no model is fetched for: $args" fetched
done
try "$tree/llm-mobile" run -- -m
check "what follows -- is the prompt, not an option" 0 "fetched default"
mkdir -p "$LLMM_CACHE_DIR/models" && touch "$LLMM_CACHE_DIR/models/SmolLM2-135M-Instruct.Q4_1.gguf"
try "$tree/llm-mobile" run hello
says_nothing_of "a model that is there is not fetched" fetched

JAVA_HOME=$scratch/nowhere && export JAVA_HOME
try "$tree/llm-mobile" models
check "a JAVA_HOME without Java is an error that says so" 1 "no Java at" "JAVA_HOME"
unset JAVA_HOME

# A moved tree: CMake's folder is tied to its old place.
mv "$tree" "$scratch/moved"
tree=$scratch/moved
TREE=$tree
echo "CMAKE_HOME_DIRECTORY:INTERNAL=$scratch/tree" >"$tree/build/host/CMakeCache.txt"
try "$tree/llm-mobile" models
same "a moved tree builds" "$(builds)" 7
lacks "a moved tree drops the native build of its old place" test -e "$tree/build/host/CMakeCache.txt"

# A lock whose owner is gone.
mkdir -p "$tree/build/launcher/lock" && echo 999999 >"$tree/build/launcher/lock/pid"
LLMM_REBUILD=1 && export LLMM_REBUILD
try "$tree/llm-mobile" models
check "a lock that was left behind does not block" 0 "<models>"
unset LLMM_REBUILD
lacks "the lock is gone after a build" test -e "$tree/build/launcher/lock"

# Two at once: the second waits and finds everything built.
sleep 1
touch "$tree/pom.xml"
before=$(builds)
MVN_SLEEP=3 "$tree/llm-mobile" models >"$scratch/first.out" 2>&1 &
sleep 1
try "$tree/llm-mobile" models
wait
check "a second start waits for the first one's build" 0 "waiting for it" "<models>"
same "two starts at once build once" "$(builds)" $((before + 1))
finish
