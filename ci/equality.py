"""Compares LLM Mobile with the unpatched llama.cpp; ci/equality calls it."""

import argparse
import json
import re
import subprocess
import sys
import time

CONTEXT = 2048


class Failure(Exception):
    """One comparison that did not hold; the text says what was expected."""


def run(command):
    """The finished process; both outputs as bytes. A failing program is a failure of the comparison."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True)
    if done.returncode != 0:
        tail = done.stderr.decode("utf-8", "replace").strip().splitlines()[-5:]
        raise Failure(f"{command[0]} ended with {done.returncode}: " + " / ".join(tail))
    return done


def number(pattern, log, what):
    """The integer that the peer's log has for a pattern."""
    found = re.search(pattern, log)
    if not found:
        raise Failure(f"the peer's log has no {what}")
    return int(found.group(1))


class Generation:
    """What one of the two made of a prompt."""

    def __init__(self, text, prompt_tokens, tokens):
        self.text = text                        # bytes, as they come out of the tokens
        self.prompt_tokens = prompt_tokens      # count, with BOS and template
        self.tokens = tokens                    # count, with the end token if there was one


def ask_peer(args, model, prompt, chat, max_tokens):
    # Without --prompt-cache, which would evaluate the last token of the prompt in a batch of its own.
    mode = ["--jinja", "-cnv", "-st"] if chat else ["-no-cnv"]
    done = run([f"{args.peer}/llama-completion", "-m", model, "-p", prompt, "--no-escape", "-n", str(max_tokens),
                "--temp", "0", "-c", str(CONTEXT), "-t", str(args.threads), "--no-display-prompt", "--verbose-prompt",
                "--no-warmup", "--perf", *mode])
    log = done.stderr.decode("utf-8", "replace")
    text = done.stdout
    ended = False
    if text.endswith(b"\n\n"):
        text = text[:-2]
    if text.endswith(b" [end of text]\n"):
        text = text[:-len(b" [end of text]\n")]
        ended = True
    prompt_tokens = number(r"number of tokens in prompt = (\d+)", log, "number of prompt tokens")
    tokens = number(r"samplers time = .*/ +(\d+) tokens", log, "number of sampled tokens") - prompt_tokens
    return Generation(text, prompt_tokens, tokens), ended


def ask_ours(args, model, prompt, chat, max_tokens):
    mode = [] if chat else ["--raw"]
    # An @ would name a file.
    shown = "@" + prompt if prompt.startswith("@") else prompt
    done = run([args.ours, "run", "--model", model, "--json", "--temperature", "0", "--max-tokens", str(max_tokens),
                "--context", str(CONTEXT), "--threads", str(args.threads), *mode, "--", shown])
    answer = json.loads(done.stdout.decode("utf-8"))
    made = Generation(answer["text"].encode("utf-8"), answer["prompt_tokens"], len(answer["tokens"]))
    return made, answer["stop_reason"] == "end"


def cut_character(tail):
    """True if bytes are the beginning of a character that the token limit has cut: those are not given out."""
    if len(tail) > 3:
        return False
    try:
        tail.decode("utf-8")
        return len(tail) == 0
    except UnicodeDecodeError as e:
        return e.reason == "unexpected end of data"


def first_difference(ours, peer):
    i = next((i for i, (a, b) in enumerate(zip(ours, peer)) if a != b), min(len(ours), len(peer)))
    around = slice(max(0, i - 20), i + 30)
    return f"at byte {i}: ours {ours[around]!r}, peer {peer[around]!r}"


def same_generation(args, model, prompt, chat, max_tokens):
    peer, peer_ended = ask_peer(args, model, prompt, chat, max_tokens)
    ours, ours_ended = ask_ours(args, model, prompt, chat, max_tokens)
    if ours.prompt_tokens != peer.prompt_tokens:
        raise Failure(f"the prompt has {ours.prompt_tokens} tokens, peer {peer.prompt_tokens}")
    if ours.text != peer.text and not (peer.text.startswith(ours.text) and cut_character(peer.text[len(ours.text):])):
        raise Failure("the text differs " + first_difference(ours.text, peer.text))
    if ours_ended != peer_ended:
        raise Failure(f"ended by itself: ours {ours_ended}, peer {peer_ended}")
    # The peer counts the end token; whether it belongs to the answer is a matter of taste.
    expected = (peer.tokens - 1, peer.tokens) if peer_ended else (peer.tokens,)
    if ours.tokens not in expected:
        raise Failure(f"the answer has {ours.tokens} tokens, peer {peer.tokens}")
    return ours.tokens


def same_perplexity(args, model, context, chunks):
    peer = run([f"{args.peer}/llama-perplexity", "-m", model, "-f", args.text, "-c", str(context),
                "--chunks", str(chunks), "-t", str(args.threads)])
    log = (peer.stdout + peer.stderr).decode("utf-8", "replace")
    found = re.search(r"Final estimate: PPL = ([0-9.]+)", log)
    if not found:
        raise Failure("the peer gave no perplexity")
    ours = run([args.ours, "perplexity", "--model", model, "--file", args.text, "--context", str(context),
                "--chunks", str(chunks), "--threads", str(args.threads), "--json"])
    value = f"{json.loads(ours.stdout.decode('utf-8'))['perplexity']:.4f}"
    if value != found.group(1):
        raise Failure(f"perplexity {value}, peer {found.group(1)}")
    return value


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", action="append", default=[], metavar="NAME=FILE", help="one with a chat template")
    parser.add_argument("--raw-model", action="append", default=[], metavar="NAME=FILE", help="one without")
    for name in ("text", "prompts", "ours", "peer"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()

    with open(args.prompts, encoding="utf-8") as lines:
        prompts = [line.rstrip("\n").replace("\\n", "\n") for line in lines if line.strip()]
    if args.quick:
        prompts, n_chat, max_tokens, context, chunks = prompts[::4], 1, 32, 512, 2
    else:
        n_chat, max_tokens, context, chunks = 4, 64, 2048, 4

    passed = failed = 0

    def check(title, compare):
        nonlocal passed, failed
        try:
            result = compare()
            passed += 1
            return result
        except Failure as e:
            failed += 1
            print(f"NOT EQUAL  {title}: {e}", flush=True)
            return None

    for entry in args.model + args.raw_model:
        name, _, model = entry.partition("=")
        for chat, chosen in ((False, prompts), (True, prompts[:n_chat])):
            if chat and entry in args.raw_model:
                continue        # the peer would make up a template of its own
            mode = "chat template" if chat else "raw prompt"
            began = time.monotonic()
            counts = [check(f"{name}, {mode} {prompt!r}",
                            lambda: same_generation(args, model, prompt, chat, max_tokens)) for prompt in chosen]
            equal = [n for n in counts if n is not None]
            print(f"{name}, {mode}: {len(equal)} of {len(counts)} answers equal, {sum(equal)} tokens "
                  f"({time.monotonic() - began:.0f} s)", flush=True)
        began = time.monotonic()
        value = check(f"{name}, perplexity", lambda: same_perplexity(args, model, context, chunks))
        if value is not None:
            print(f"{name}, perplexity of {chunks} x {context} tokens: {value}, equal to 4 decimals "
                  f"({time.monotonic() - began:.0f} s)", flush=True)

    print(f"equality: {passed} passed, {failed} failed, 0 skipped", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
