# ci/remote: what it counts, and that a server that does not start is no success. Scripts play Maven and the server.
# shellcheck shell=sh disable=SC1091,SC2154
. "$(dirname -- "$0")/harness.sh"

tree=$scratch/tree
reports=$tree/java/edge/target/surefire-reports
mkdir -p "$tree/ci/data" "$tree/build/peer/bin" "$reports"
cp "$root/ci/remote" "$root/ci/lib.sh" "$tree/ci/"
for name in fetch-models peer; do program "$tree/ci/$name" </dev/null; done
report=$reports/TEST-io.github.llmmobile.edge.remote.LlamaServerTest.xml
program "$scratch/bin/mvn" <<'END'
[ "${NO_REPORT:-}" ] || cat >"$REPORT" <<XML
<testsuite xmlns:xsi="x" name="LlamaServerTest"
           time="0.1" tests="9" errors="${ERRORS:-0}" skipped="1" failures="1">
XML
exit "${MVN_STATUS:-0}"
END
program "$tree/build/peer/bin/llama-server" <<'END'
[ -z "${SERVER_FAILS:-}" ] || exit 1
echo "0.1 I srv  llama_server: listening on http://127.0.0.1:4711"
exec sleep 60
END
program "$tree/llm-mobile" <<'END'
echo "args $*"
END
REPORT=$report
PATH=$scratch/bin:$PATH
export REPORT PATH

try env MVN_STATUS=1 ERRORS=2 "$tree/ci/remote"
check "tests are counted, and their failure is one" 1 "remote: 5 passed, 3 failed, 1 skipped"
try env NO_REPORT=1 "$tree/ci/remote"
check "tests that have not run are no success" 1 "the tests have not run"
try "$tree/ci/remote" --table --shares 0.3
check "the table is made with the address of the server" 0 "args routing" "--remote-model http://127.0.0.1:4711" "--shares 0.3"
try env SERVER_FAILS=1 "$tree/ci/remote" --table
check "a server that does not start is named" 1 "llama-server has not started"
try "$tree/ci/remote" --nonsense
check "unknown arguments are refused" 1 "unknown argument"
finish
