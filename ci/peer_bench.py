"""Runs LLM Mobile and the unpatched llama.cpp in turn and compares them pair by pair; ci/peer-bench calls it."""

import argparse
import datetime
import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time

PROMPT = "Why is the sky blue?"
# The share of the machine's time that others may take, and how long to look.
BUSY_MAX = 0.05
LOOK_SECONDS = 3


def die(message):
    sys.exit(f"ci/peer-bench: {message}")


def cpu_times():
    """(busy, all) clock ticks of the whole machine since it started; None where the system does not tell."""
    try:
        with open("/proc/stat") as f:
            ticks = [int(n) for n in f.readline().split()[1:9]]
    except OSError:
        return None
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def neighbours():
    """What else is running: the load average, and the share of the machine's time taken while we do nothing."""
    load = os.getloadavg()[0]
    before = cpu_times()
    if before is None:
        return {"load": load, "busy": None}
    time.sleep(LOOK_SECONDS)
    after = cpu_times()
    return {"load": load, "busy": (after[0] - before[0]) / max(1, after[1] - before[1])}


def require_quiet(force):
    seen = neighbours()
    # The load average lags by a minute; where the busy share is known it says more about now, in both directions.
    quiet = seen["busy"] <= BUSY_MAX if seen["busy"] is not None else seen["load"] <= 0.3
    # Yet work that comes and goes shows only in the average.
    quiet = quiet and seen["load"] <= 0.75 * (os.cpu_count() or 1)
    if not quiet:
        busy = "unknown" if seen["busy"] is None else f"{100 * seen['busy']:.0f} %"
        text = f"the machine is busy: load average {seen['load']:.2f}, {busy} of its time taken by others"
        if not force:
            die(text + ". Wait, or end what runs beside; --force measures all the same.")
        print("ci/peer-bench: " + text + "; measuring all the same", file=sys.stderr)
    return seen


def output(command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True)
    if done.returncode != 0:
        tail = done.stderr.decode("utf-8", "replace").strip().splitlines()[-8:]
        die(f"{' '.join(command)}\nended with {done.returncode}:\n" + "\n".join(tail))
    return done.stdout.decode("utf-8")


# ---- speed ---------------------------------------------------------------------------------------------------


# Name of a setting that both sides have, and its value on our and on the peer's command line.
PAGES = {None: [], "f16": ["--max-memory-mb", "4096", "--quantization-enabled", "false"],
         "q4": ["--max-memory-mb", "4096", "--quantization-enabled", "true", "--no-probe"],
         "smallest": ["--max-memory-mb", "4096", "--smallest-tier", "true", "--no-probe", "--page-size", "64",
                      "--recent-window", "64"],
         "pruned": ["--max-memory-mb", "4096", "--quantization-enabled", "true", "--no-probe",
                    "--pruning-threshold", "0.01"]}
VARIANTS = {"flash attention off": ("off", "0"), "flash attention on": ("on", "1")}


def ours_speed(args, flash_attention, depths, prompt, gen, repeat):
    record = json.loads(output([args.ours, "bench", "--model", args.model, "--threads", str(args.threads), "--depth",
                                ",".join(map(str, depths)), "--prompt", str(prompt), "--gen", str(gen),
                                "--flash-attention", flash_attention, "--repeat", str(repeat), "--json",
                                *PAGES[args.pages]]))
    return {(r["test"], r["depth"]): statistics.median(r["tokens_per_second"]) for r in record["results"]}, record


def peer_speed(args, flash_attention, depths, prompt, gen, repeat):
    rows = json.loads(output([f"{args.peer}/llama-bench", "-m", args.model, "-t", str(args.threads),
                              "-d", ",".join(map(str, depths)), "-p", str(prompt), "-n", str(gen), "-r", str(repeat),
                              "-fa", flash_attention, "-o", "json"]))
    speeds = {}
    for r in rows:
        test = f"pp{r['n_prompt']}" if r["n_prompt"] else f"tg{r['n_gen']}"
        speeds[(test, r["n_depth"])] = statistics.median(r["samples_ts"])
    return speeds, rows


def measure_speed(args):
    depths = [int(n) for n in args.depth.split(",")]

    # A short round that nobody counts: files come into memory, clocks go up.
    ours_speed(args, "off", [0], 64, 8, 1)
    peer_speed(args, "0", [0], 64, 8, 1)

    settings = {name: flags for name, flags in VARIANTS.items() if args.flash_attention in ("both", flags[0])}
    speeds = {side: {name: [] for name in settings} for side in ("ours", "peer")}
    raw = {side: {name: [] for name in settings} for side in ("ours", "peer")}
    for pair in range(args.pairs):
        for name, (our_flag, peer_flag) in settings.items():
            progress(f"pair {pair + 1} of {args.pairs}, {name}")
            for side, measure, flag in (("ours", ours_speed, our_flag), ("peer", peer_speed, peer_flag)):
                run, record = measure(args, flag, depths, args.prompt, args.gen, args.repeat)
                speeds[side][name].append(run)
                raw[side][name].append(record)
    progress("")

    results = []
    for key in sorted(speeds["ours"][next(iter(settings))][0], key=lambda k: (k[1], k[0])):
        test = f"{key[0]} at depth {key[1]}"
        column = {side: {name: [run[key] for run in runs] for name, runs in by_setting.items()}
                  for side, by_setting in speeds.items()}
        best = {side: max(runs, key=lambda name: statistics.median(runs[name])) for side, runs in column.items()}
        for name in settings:
            results.append(compare(test, "tokens/s", name, column["ours"][name], column["peer"], name, higher=True))
        if len(settings) > 1:
            results.append(compare(test, "tokens/s", "the better of each", column["ours"][best["ours"]], column["peer"],
                                   best["peer"], higher=True))
    return results, raw


# ---- start ---------------------------------------------------------------------------------------------------


def first_byte_ms(command):
    """From the start of a program to the first byte of its answer, then waits for its end."""
    began = time.monotonic()
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    first = child.stdout.read(1)
    took = 1000 * (time.monotonic() - began)
    child.stdout.read()
    if child.wait() != 0 or not first:
        die(f"{' '.join(command)}\ngave no answer and ended with {child.returncode}")
    return took


def measure_start(args):
    ours = [args.ours, "run", "--model", args.model, "--threads", str(args.threads), "--temperature", "0",
            "--max-tokens", "4", "--context", "2048", PROMPT]
    peer = [f"{args.peer}/llama-completion", "-m", args.model, "-t", str(args.threads), "--temp", "0", "-n", "4",
            "-c", "2048", "--jinja", "-cnv", "-st", "--no-display-prompt", "-p", PROMPT]
    peers = {"as it comes": peer, "without its warm-up": peer + ["--no-warmup"]}
    for command in (ours, *peers.values()):
        first_byte_ms(command)
    mine, theirs = [], {name: [] for name in peers}
    for pair in range(args.pairs):
        progress(f"pair {pair + 1} of {args.pairs}")
        mine.append(first_byte_ms(ours))
        for name, command in peers.items():
            theirs[name].append(first_byte_ms(command))
    progress("")
    best = min(peers, key=lambda name: statistics.median(theirs[name]))
    result = compare("start to first token", "ms", "peer " + best, mine, theirs, best, higher=False)
    return [result], [{"ours": ours, "peers": peers}]


# ---- reporting -----------------------------------------------------------------------------------------------


def compare(test, unit, setting, ours, theirs, variant, higher):
    """Pair i of ours with pair i of a variant of the peer. A ratio above 1 means that ours is the faster."""
    ratios = [a / b if higher else b / a for a, b in zip(ours, theirs[variant])]
    return {"test": test, "unit": unit, "setting": setting, "ours": ours, "peer": theirs[variant],
            "median_ours": statistics.median(ours), "median_peer": statistics.median(theirs[variant]),
            "ratio": statistics.median(ratios), "ratio_min": min(ratios), "ratio_max": max(ratios)}


def progress(text):
    if sys.stderr.isatty():
        print("\r\033[K" + text, end="", file=sys.stderr, flush=True)


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        for block in iter(lambda: f.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def cpu_name():
    try:
        with open("/proc/cpuinfo") as f:
            return next(line.split(":", 1)[1].strip() for line in f if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("model", "ours", "peer", "peer-version", "peer-tree", "commit", "record"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--depth", default="0,2048")
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--gen", type=int, default=32)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--pairs", type=int)
    parser.add_argument("--flash-attention", choices=("both", "off", "on"), default="both")
    parser.add_argument("--pages", choices=sorted(k for k in PAGES if k))
    parser.add_argument("--start", action="store_true")
    parser.add_argument("--force", action="store_true")
    args = parser.parse_args()
    args.pairs = args.pairs or (15 if args.start else 5)
    if args.pairs < 5:
        die("fewer than 5 pairs say nothing")

    before = require_quiet(args.force)
    results, raw = measure_start(args) if args.start else measure_speed(args)

    record = {
        "when": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": {"cpu": cpu_name(), "cores": os.cpu_count(), "system": platform.platform()},
        "neighbours_before": before,
        "model": {"file": os.path.basename(args.model), "sha256": sha256(args.model)},
        "commit": args.commit,
        "peer": {"version": args.peer_version, "tree": args.peer_tree},
        "settings": {k: getattr(args, k) for k in ("threads", "depth", "prompt", "gen", "repeat", "pairs", "flash_attention",
                                                   "pages", "start")},
        "results": results,
        "runs": raw,
    }
    with open(args.record, "w", encoding="utf-8") as f:
        json.dump(record, f, indent=1)
        f.write("\n")

    print(f"{record['model']['file']}, {record['machine']['cpu']}, {args.threads} threads, {args.pairs} pairs, "
          f"commit {args.commit[:12]}, llama.cpp {args.peer_version}")
    print(f"{'':24} {'ours':>10} {'peer':>10} {'unit':9} {'ratio':>6}  {'min..max':12}  setting")
    for r in results:
        print(f"{r['test']:24} {r['median_ours']:10.1f} {r['median_peer']:10.1f} {r['unit']:9} {r['ratio']:6.3f}  "
              f"{r['ratio_min']:.3f}..{r['ratio_max']:.3f}  {r['setting']}")
    print(f"record: {args.record}")


if __name__ == "__main__":
    main()
