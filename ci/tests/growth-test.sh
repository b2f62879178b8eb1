# ci/growth: slopes of records of ci/peer-bench, and a plot that stands by itself.
# shellcheck shell=sh disable=SC1091,SC2154
. "$(dirname -- "$0")/harness.sh"

# record <kind of pages> <tokens/s of ours at depth 1000> <at 3000>: the peer takes 10 and 20 ms.
record() {
    cat <<END
{"settings": {"pages": $1}, "results": [
 {"test": "pp16 at depth 1000", "setting": "the better of each", "median_ours": 1, "median_peer": 1},
 {"test": "tg4 at depth 1000", "setting": "flash attention on", "median_ours": 1, "median_peer": 1},
 {"test": "tg4 at depth 1000", "setting": "the better of each", "median_ours": $2, "median_peer": 100},
 {"test": "tg4 at depth 3000", "setting": "the better of each", "median_ours": $3, "median_peer": 50}]}
END
}
record '"q4"' 125 100 >"$scratch/q4.json"
record null 100 50 >"$scratch/none.json"

try "$root/ci/growth" "$scratch/growth.svg" "$scratch/q4.json" "$scratch/none.json"
check "slopes, and their ratio to the peer's" 0 "llama.cpp         5.000 ms per 1,000 tokens, 1.000 of" \
    "pages q4          1.000 ms per 1,000 tokens, 0.200 of" "without pages     5.000 ms"
holds "the plot has a line for each and needs nothing else" python3 -c '
import sys
import xml.etree.ElementTree as xml
svg = xml.parse(sys.argv[1]).getroot()
assert len(svg.findall("{http://www.w3.org/2000/svg}polyline")) == 3
assert not [e for e in svg.iter() if any("href" in k or "url" in v for k, v in e.attrib.items())]' "$scratch/growth.svg"

echo '{"settings": {}, "results": []}' >"$scratch/empty.json"
try "$root/ci/growth" "$scratch/no.svg" "$scratch/empty.json"
check "a record without depths is refused" 1 "empty.json has decode times of fewer than two depths"
lacks "and leaves no plot" test -e "$scratch/no.svg"
try "$root/ci/growth"
check "help" 1 "ci/growth docs/growth.svg"
finish
