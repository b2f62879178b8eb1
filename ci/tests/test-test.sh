# ci/test: what it counts, and that nothing that went wrong gets lost.
# shellcheck shell=sh disable=SC1091,SC2154
. "$(dirname -- "$0")/harness.sh"

tree=$scratch/tree
reports=$tree/java/core/target/surefire-reports
mkdir -p "$tree/ci/tests" "$reports" "$tree/java/core/target/failsafe-reports"
cp "$root/ci/test" "$root/ci/lib.sh" "$tree/ci/"
for name in setup fetch-models; do program "$tree/ci/$name" </dev/null; done
program "$tree/ci/tests/run" <<'END'
echo 'scripts: 3 passed, 0 failed, 0 skipped'
END
program "$tree/ci/bit-identity" <<'END'
echo 'identity: 4 passed, 0 failed, 0 skipped'
END
program "$tree/ci/equality" <<'END'
echo "equality: 10 passed, ${EQUALITY_FAILED:-0} failed, 0 skipped"
[ "${EQUALITY_FAILED:-0}" = 0 ]
END
program "$tree/ci/remote" <<'END'
echo 'remote: 6 passed, 0 failed, 0 skipped'
END
echo '<testsuite tests="77" failures="0" errors="0" skipped="0"></testsuite>' >"$reports/TEST-old.xml"
program "$scratch/bin/mvn" <<'END'
echo '[INFO]  7/20 Test  #7: Model.Loads ...............***Skipped   0.01 sec'
echo "[INFO] 95% tests passed, ${CTEST_FAILED:-0} tests failed out of 20"
mkdir -p "$TREE/java/core/target/surefire-reports" "$TREE/java/core/target/failsafe-reports"
cat >"$TREE/java/core/target/surefire-reports/TEST-a.xml" <<'XML'
<?xml version="1.0" encoding="UTF-8"?>
<testsuite xmlns:xsi="x" name="a"
           time="0.1" tests="5" errors="1" skipped="1" failures="1">
  <testcase name="tests" classname="a" time="0.1"/>
</testsuite>
XML
echo '<testsuite name="b" tests="2" errors="0" skipped="0" failures="0"></testsuite>' \
    >"$TREE/java/core/target/failsafe-reports/TEST-b.xml"
exit "${MVN_STATUS:-0}"
END
program "$scratch/bin/cmake" <<'END'
case "$*" in *"${CMAKE_FAILS:-nothing}"*) echo 'CMake Error: no'; exit 1 ;; esac
END
program "$scratch/bin/ctest" <<'END'
echo "$* TSAN=${TSAN_OPTIONS:-} ISA=${LLMM_ISA:-}"
echo '100% tests passed, 0 tests failed out of 8'
END
TREE=$tree
PATH=$scratch/bin:$PATH
export TREE PATH
unset LLMM_CTEST_EXCLUDE LLMM_ISA LLMM_MVN_OPTS TSAN_OPTIONS
last() { printf '%s\n' "$out" | sed -n '$p'; }

try "$tree/ci/test"
check "a failed Java test fails the whole, even if Maven were content" 1 "native (ctest): 19 passed, 0 failed, 1 skipped" \
    "java (Surefire, Failsafe): 4 passed, 2 failed, 1 skipped" "native (asan): 8 passed" "native (tsan): 8 passed" \
    "native (arm64): 8 passed" "same answers as llama.cpp: 10 passed" \
    "against a real server: 6 passed"
same "the last line is the sum" "$(last)" "70 passed, 2 failed, 2 skipped"
lacks "reports of a former run are not counted" test -e "$reports/TEST-old.xml"
check "sanitizers leave out the long tests and those of real models" 1 "--preset asan -LE long|model"
check "a data race ends its test" 1 "TSAN=halt_on_error=1"
check "the emulator runs the NEON kernels" 1 "--preset qemu-arm64" "ISA=neon"

try "$tree/ci/test" scripts asan
check "single stages run alone" 0 "scripts: 3 passed" "native (asan): 8 passed"
same "and are summed alone" "$(last)" "11 passed, 0 failed, 0 skipped"
LLMM_CTEST_EXCLUDE='^$' && export LLMM_CTEST_EXCLUDE
try "$tree/ci/test" asan
check "ci/long's setting takes in all native tests" 0 "-LE ^\$"
unset LLMM_CTEST_EXCLUDE

MVN_STATUS=1 && export MVN_STATUS
try "$tree/ci/test" --quick
check "a Maven that fails is named" 1 "failed stages: verify"
unset MVN_STATUS
CMAKE_FAILS='--preset asan' && export CMAKE_FAILS
try "$tree/ci/test" asan tsan
check "a build that fails is a failure though no test failed" 1 "failed stages: asan" "native (tsan): 8 passed"
unset CMAKE_FAILS
EQUALITY_FAILED=2 && export EQUALITY_FAILED
try "$tree/ci/test" equality
check "unequal answers fail" 1 "failed stages: equality"
same "and are counted" "$(last)" "14 passed, 2 failed, 0 skipped"
unset EQUALITY_FAILED

program "$tree/ci/setup" <<'END'
[ "${1:-}" != --arm64 ]
END
try "$tree/ci/test" scripts arm64
check "without an emulator its tests count as skipped" 0 "the NEON kernels are not tested" "native (arm64): 0 passed, 0 failed, 1 skipped"
same "and the rest goes on" "$(last)" "3 passed, 0 failed, 1 skipped"
program "$tree/ci/tests/run" </dev/null
try "$tree/ci/test" scripts
check "a stage that ran no test is not a success" 1 "no test has run"
program "$tree/ci/setup" <<'END'
exit 1
END
try "$tree/ci/test" scripts
check "nothing runs where the tools are missing" 1
finish
