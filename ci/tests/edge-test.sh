# The scripts ci/edge-*: what they ask of the tests, and that a test that is skipped is no success. Scripts play Maven and the
# program.
# shellcheck shell=sh disable=SC1091,SC2154
. "$(dirname -- "$0")/harness.sh"

tree=$scratch/tree
reports=$tree/java/edge/target/surefire-reports
mkdir -p "$tree/ci" "$tree/docs" "$reports"
cp "$root/ci/lib.sh" "$root"/ci/edge-* "$tree/ci/"
program "$tree/ci/fetch-models" </dev/null
program "$tree/llm-mobile" </dev/null
program "$scratch/bin/mvn" <<'END'
echo "mvn $*"
for arg in "$@"; do
    case $arg in -Dtest=*) name=${arg#-Dtest=} name=${name%%#*} ;; esac
done
[ "${NO_REPORT:-}" ] || echo "<testcase/>${SKIPPED:+<skipped/>}" >"$REPORTS/TEST-$name.xml"
exit "${MVN_STATUS:-0}"
END
program "$scratch/bin/haproxy" </dev/null
program "$scratch/bin/id" <<'END'
echo 1000
END
REPORTS=$reports
PATH=$scratch/bin:$PATH
export REPORTS PATH

try "$tree/ci/edge-faults" --sessions 12 --codec int8
check "workers are killed as often as asked" 0 "test=io.github.llmmobile.edge.WorkerKillTest" "kills=12" "codec=int8" \
    "program=$tree/llm-mobile"
try env SKIPPED=1 "$tree/ci/edge-faults"
check "a test that is skipped is no success" 1 "has not run whole"
try env NO_REPORT=1 "$tree/ci/edge-load"
check "nor is one that has not run" 1 "has not run whole"
try "$tree/ci/edge-load" --real 8 12
check "load has the default model if that is asked for" 0 "load=8" "rounds=12" "real=true"
try env MVN_STATUS=1 "$tree/ci/edge-equality" 3
check "nor one that fails" 1 "equality=3"
try "$tree/ci/edge-faults" --network
check "packets are lost where that is permitted" 0 "NetworkFaultTest" "network=long" "SKIPPED, needs root"
try "$tree/ci/edge-fuzz" 10 20
check "frames and a worker are fuzzed" 0 "mutations=10" "fuzz=20"
try "$tree/ci/edge-balancer"
check "the documented configurations are what runs" 0 "haproxy=$tree/docs"
plain_tools "$scratch/plain"
try env PATH="$scratch/plain" "$tree/ci/edge-balancer"
check "without HAProxy it is skipped" 0 "SKIPPED: no haproxy"
for script in "--codec x" "--sessions 0" --nonsense; do
    # shellcheck disable=SC2086
    try "$tree/ci/edge-faults" $script
    check "ci/edge-faults $script is refused" 1 "ci/edge-faults:"
done
for script in edge-fuzz edge-load edge-equality; do
    try "$tree/ci/$script" x
    check "ci/$script x is refused" 1 "takes"
done
finish
