"""Kills workers in the middle of answers; ci/edge-faults calls it."""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

TOKENS = 64


class Worker:
    """One worker process on a port of its own, which its successors take over."""

    def __init__(self, args, folder):
        self.args = args
        self.folder = folder
        self.port = 0
        self.process = None
        self.start()

    def start(self):
        port_file = os.path.join(self.folder, "port")
        if os.path.exists(port_file):
            os.remove(port_file)
        # A process group of its own: the launcher becomes the JVM by exec, but nothing here relies on that.
        self.process = subprocess.Popen(
            [self.args.program, "worker", "--model", self.args.model, "--layers", f"{self.args.split}:",
             "--listen", f"127.0.0.1:{self.port}", "--port-file", port_file, "--threads", str(self.args.threads),
             "--tls", os.path.join(self.folder, "keys")],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
        while not os.path.exists(port_file):
            if self.process.poll() is not None:
                sys.exit("the worker did not start: " + self.process.stderr.read().decode("utf-8", "replace"))
            time.sleep(0.02)
        with open(port_file, encoding="ascii") as f:
            self.port = int(f.read())

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stderr.close()


def run(args, prompt, more):
    """One answer; the process must end well."""
    command = [args.program, "run", "--raw", "--model", args.model, "--threads", str(args.threads), "--temperature", "0",
               "--max-tokens", str(TOKENS), "--context", "512", "--json"] + more + [prompt]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
    if done.returncode != 0:
        raise RuntimeError(f"ended with {done.returncode}: " + done.stderr.decode("utf-8", "replace"))
    return json.loads(done.stdout)


def trial(args, worker, folder, prompts, totals):
    """All sessions; adds up what they report and gives the number of those that were wrong."""
    chance = random.Random(args.seed)
    expected = {}
    bad = 0
    keys = os.path.join(folder, "keys")
    remote = ["--worker", f"localhost:{worker.port}", "--tls", keys, "--codec", args.codec]
    for i in range(args.sessions):
        prompt = prompts[i % len(prompts)]
        if prompt not in expected:
            expected[prompt] = run(args, prompt, remote if args.codec != "f32" else [])["tokens"]
        # Starting takes about a second, an answer another one: the kill comes anywhere, or a little too late.
        pause = chance.uniform(0.5, 3.0)

        def strike(pause=pause):
            time.sleep(pause)
            worker.kill()
            worker.start()

        striker = threading.Thread(target=strike)
        striker.start()
        try:
            answer = run(args, prompt, remote)
            if answer["tokens"] != expected[prompt]:
                bad += 1
                print(f"session {i}: {answer['tokens']} instead of {expected[prompt]}", file=sys.stderr)
            for name in totals:
                totals[name] += answer["edge"][name]
        except (RuntimeError, subprocess.TimeoutExpired) as e:
            bad += 1
            print(f"session {i}: {e}", file=sys.stderr)
        striker.join()
        if (i + 1) % 10 == 0:
            print(f"{i + 1} sessions, {bad} bad, {totals}", file=sys.stderr)
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--prompts", required=True)
    parser.add_argument("--sessions", type=int, required=True)
    parser.add_argument("--codec", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--split", type=int, default=15)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with open(args.prompts, encoding="utf-8") as f:
        prompts = [line.strip() for line in f if line.strip()]
    # Ended from outside, it still takes its worker along.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    totals = {"split_steps": 0, "local_steps": 0, "losses": 0, "replayed_rows": 0, "connections": 0}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([args.program, "keys", os.path.join(folder, "keys")], check=True, stdout=subprocess.DEVNULL)
        worker = Worker(args, folder)
        try:
            bad = trial(args, worker, folder, prompts, totals)
        finally:
            worker.kill()
    print(f"{args.sessions} sessions, worker killed in each: {args.sessions - bad} with the same tokens, {bad} not; {totals}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
