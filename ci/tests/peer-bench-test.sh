# ci/peer_bench.py: pairs in turn, each setting against itself and the better of each side, medians of ratios, and no measuring on a busy machine.
# shellcheck shell=sh disable=SC1091,SC2154
. "$(dirname -- "$0")/harness.sh"

# Both sides note their turn. Ours is twice as fast as the peer with flash attention, which beats the one without.
program "$scratch/ours" <<'END'
echo ours >>"$TURNS"
case $1 in
    bench) echo "$*" >"$TURNS.arguments"
           echo '{"results":[{"test":"pp16","depth":0,"tokens_per_second":[190,200,900]},
                             {"test":"tg4","depth":0,"tokens_per_second":[20,20,20]}]}' ;;
    run) echo answer ;;
esac
END
program "$scratch/peer/llama-bench" <<'END'
case " $* " in *' -fa 1 '*) fa=1; pp=100 ;; *) fa=0; pp=50 ;; esac
echo "peer$fa" >>"$TURNS"
echo '[{"n_prompt":16,"n_gen":0,"n_depth":0,"samples_ts":['$pp,$pp,9000']},
       {"n_prompt":0,"n_gen":4,"n_depth":0,"samples_ts":[40,40,41]}]'
END
program "$scratch/peer/llama-completion" <<'END'
sleep 0.4
echo answer
END
TURNS=$scratch/turns
export TURNS
touch "$scratch/model.gguf"
bench() {
    rm -f "$TURNS"
    try python3 -B "$root/ci/peer_bench.py" --model "$scratch/model.gguf" --ours "$scratch/ours" --peer "$scratch/peer" \
        --peer-version v0 --peer-tree 0 --commit 0 --record "$scratch/record.json" --threads 1 --depth 0 --force "$@"
}

bench --pairs 5
check "prefill: ratio for each setting" 0 "pp16 at depth 0" "4.000  4.000..4.000  flash attention off" \
    "2.000  2.000..2.000  flash attention on"
check "prefill: ratio of the better ones" 0 "2.000  2.000..2.000  the better of each"
check "decoding: a loss is shown as one" 0 "0.500  0.500..0.500"
same "ours and the peer take turns" "$(tail -n 8 "$TURNS" | tr '\n' ' ')" \
    "ours peer0 ours peer1 ours peer0 ours peer1 "
same "a round before does not count" "$(wc -l <"$TURNS" | tr -d ' ')" 22
holds "the record has every repetition" python3 -c '
import json, sys
r = json.load(open(sys.argv[1]))
assert r["settings"]["pairs"] == 5 and len(r["runs"]["ours"]["flash attention off"]) == 5 and r["commit"] == "0"
assert r["runs"]["ours"]["flash attention off"][4]["results"][0]["tokens_per_second"] == [190, 200, 900]
assert r["runs"]["peer"]["flash attention on"][4][0]["samples_ts"] == [100, 100, 9000]
assert "load" in r["neighbours_before"]' "$scratch/record.json"
bench --pairs 4
check "fewer than five pairs are refused" 1 "fewer than 5 pairs"
bench --pairs 5 --pages smallest
holds "pages are asked for" grep -q -e '--smallest-tier true --no-probe' "$TURNS.arguments"
holds "the record has their kind" grep -q '"pages": "smallest"' "$scratch/record.json"
bench --pairs 5 --flash-attention off
same "one setting is asked for" "$(tail -n 4 "$TURNS" | tr '\n' ' ')" "ours peer0 ours peer0 "
holds "and nothing is called the better one" sh -c '! grep -q "the better of each" "$1"' sh "$scratch/record.json"
bench --pairs 5 --pages q5
check "an unknown kind is refused" 2 "q5"
bench --start --pairs 5
check "start to first token" 0 "start to first token" "ms"
program "$scratch/ours" </dev/null
bench --start --pairs 5
check "a start without an answer is an error" 1 "gave no answer"

# What the machine is said to do, in place of what it does.
quiet() {   # <load average> <busy share> <force>
    try python3 -B -c 'import sys
sys.path.insert(0, sys.argv[1])
import peer_bench
peer_bench.os.cpu_count = lambda: 2
peer_bench.neighbours = lambda: {"load": float(sys.argv[2]), "busy": eval(sys.argv[3])}
peer_bench.require_quiet(sys.argv[4] == "force")' "$root/ci" "$@"
}
quiet 0.1 0.01 -
check "a quiet machine is measured" 0
quiet 0.1 0.40 -
check "a busy one is not" 1 "the machine is busy" "40 %" "--force"
quiet 1.9 0.01 -
check "nor one whose load comes and goes" 1 "load average 1.90"
quiet 1.9 0.40 force
check "--force measures it all the same, and says so" 0 "measuring all the same"
quiet 0.9 None -
check "where the busy share is unknown the load average decides" 1 "the machine is busy"
finish
