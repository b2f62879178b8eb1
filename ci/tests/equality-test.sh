# ci/equality.py: every kind of difference is found, and nothing else is. Two scripts play both sides.
# shellcheck shell=sh disable=SC1091,SC2154
. "$(dirname -- "$0")/harness.sh"

# The peer prints the text, then its own endings, and counts in its log; the end token counts as sampled.
program "$scratch/peer/llama-completion" <<'END'
printf '%b' "${PEER_TEXT-an answer}"
[ "${PEER_END:-no}" = no ] || printf ' [end of text]\n'
printf '\n\n'
echo "0.1 I llama_completion: number of tokens in prompt = ${PEER_PROMPT:-5}" >&2
echo "0.2 I common_perf_print:    samplers time =       1.03 ms /    $((${PEER_PROMPT:-5} + ${PEER_TOKENS:-3})) tokens" >&2
exit "${PEER_STATUS:-0}"
END
program "$scratch/peer/llama-perplexity" <<'END'
echo "0.3 I Final estimate: PPL = ${PEER_PPL:-24.1661} +/- 3.12215" >&2
END
program "$scratch/ours" <<'END'
case $1 in
    run) printf '{"text":"%s","tokens":[%s],"prompt_tokens":5,"stop_reason":"%s"}\n' \
        "${OUR_TEXT-an answer}" "${OUR_TOKENS-7,8,9}" "${OUR_STOP:-max_tokens}" ;;
    perplexity) echo '{"perplexity":24.16608,"stderr":3.1}' ;;
esac
END
echo 'one prompt' >"$scratch/prompts"
touch "$scratch/text"
compare() {
    try env "$@" python3 -B "$root/ci/equality.py" --quick --model "M=m.gguf" --text "$scratch/text" \
        --prompts "$scratch/prompts" --ours "$scratch/ours" --peer "$scratch/peer" --threads 1
}

compare A=1
check "equal answers and an equal perplexity pass" 0 "equality: 3 passed, 0 failed, 0 skipped"
compare PEER_TEXT='an answes'
check "another letter is a difference, with its place" 1 "at byte 8" "1 passed, 2 failed"
compare PEER_TEXT='an answer and more'
check "a longer text is a difference" 1 "the text differs"
compare PEER_PROMPT=6
check "another tokenisation of the prompt is a difference" 1 "the prompt has 5 tokens, peer 6"
compare PEER_TOKENS=4
check "the same text from other tokens is a difference" 1 "the answer has 3 tokens, peer 4"
compare PEER_PPL=24.1662
check "perplexity is compared to the fourth decimal" 1 "perplexity 24.1661, peer 24.1662" "2 passed, 1 failed"
compare PEER_END=yes PEER_TOKENS=4 OUR_STOP=end
check "the end token may count or not" 0 "3 passed"
compare PEER_END=yes PEER_TOKENS=3 OUR_STOP=end
check "the end token may count on both sides" 0 "3 passed"
compare PEER_END=yes PEER_TOKENS=4
check "an end on one side only is a difference" 1 "ended by itself: ours False, peer True"
compare PEER_TEXT='an answer\0360\0237\0221'
check "a character cut by the limit is not given out by ours" 0 "3 passed"
compare PEER_TEXT='an answer\0360\0237\0221\0251'
check "a whole character more is a difference" 1 "the text differs"
compare PEER_STATUS=1
check "a peer that fails is a failure, not a pass" 1 "ended with 1"
compare OUR_TEXT= OUR_TOKENS= PEER_TEXT= PEER_TOKENS=0
check "two empty answers are equal" 0 "3 passed"
finish
