"""Kills workers in the middle of answers; ci/edge-faults calls it."""

import argparse
import os
import random
import re
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


def command(args, prompt, more):
    """The command line of one answer."""
    return [args.program, "run", "--raw", "--model", args.model, "--threads", str(args.threads), "--temperature", "0",
            "--max-tokens", str(TOKENS), "--context", "512", "--stats"] + more + [prompt]


def run(args, prompt, more, strike_at=None, strike=None):
    """The text of one answer, and how many steps were split and local. Strikes once so many bytes of it are out."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command(args, prompt, more), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=errors)
        text = b""
        while True:
            piece = os.read(process.stdout.fileno(), 4096)
            if not piece:
                break
            text += piece
            if strike is not None and len(text) >= strike_at:
                strike()
                strike = None
        process.stdout.close()
        code = process.wait(timeout=120)
        errors.seek(0)
        said = errors.read().decode("utf-8", "replace")
    if code != 0:
        raise RuntimeError(f"ended with {code}: {said}")
    steps = re.search(r"(\d+) split, (\d+) local", said)
    return text, (int(steps.group(1)), int(steps.group(2))) if steps else (0, 0)


def trial(args, worker, folder, prompts):
    """All sessions; gives how many had another text, and the steps of all."""
    chance = random.Random(args.seed)
    expected = {}
    bad = 0
    totals = [0, 0]
    remote = ["--worker", f"localhost:{worker.port}", "--tls", os.path.join(folder, "keys"), "--codec", args.codec,
              "--split", str(args.split), "--bandwidth-threshold", "0"]
    for i in range(args.sessions):
        prompt = prompts[i % len(prompts)]
        if prompt not in expected:
            expected[prompt], _ = run(args, prompt, remote if args.codec != "f32" else [])
        # The worker's successor takes a second or two to start; the answer does not wait for it.
        starter = threading.Thread(target=worker.start)

        def strike(starter=starter):
            worker.kill()
            starter.start()

        try:
            text, steps = run(args, prompt, remote, chance.randrange(1, max(2, len(expected[prompt]))), strike)
            if text != expected[prompt]:
                bad += 1
                print(f"session {i}: {text!r} instead of {expected[prompt]!r}", file=sys.stderr)
            totals = [total + step for total, step in zip(totals, steps)]
        except (RuntimeError, subprocess.TimeoutExpired) as e:
            bad += 1
            print(f"session {i}: {e}", file=sys.stderr)
        if starter.ident is not None:
            starter.join()
        if (i + 1) % 10 == 0:
            print(f"{i + 1} sessions, {bad} bad, steps: {totals[0]} split, {totals[1]} local", file=sys.stderr)
    return bad, totals


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
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([args.program, "keys", os.path.join(folder, "keys")], check=True, stdout=subprocess.DEVNULL)
        worker = Worker(args, folder)
        try:
            bad, totals = trial(args, worker, folder, prompts)
        finally:
            worker.kill()
    print(f"{args.sessions} sessions, worker killed in each: {args.sessions - bad} with the same text, {bad} not; "
          f"steps: {totals[0]} split, {totals[1]} local")
    # Sessions that never had a worker would prove nothing.
    return 0 if bad == 0 and min(totals) > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
