#!/usr/bin/env python3
"""Holds streamgist's speed against that of llama.cpp and transformers on this machine, turn by turn.

    make bench-peers                        everything: about 30 minutes on 2 cores, half of it once
    make bench-peers PEERS="--quick"        whether all works: one round of the smallest model
    tools/bench_peers.py --only vision      one part; the tables of the others stay

Every program computes on all cores. In each round ours and each setting of theirs run once, one after the other, so
that what else goes on meets all alike; the median of the rounds is told. The tables go into docs/performance.md between
the marks `<!-- bench-peers -->`, the numbers into DIR/result.json. The parts:

    text05, text15    Qwen2.5-Coder 0.5B and 1.5B in Q4_K_M: tokens read and written a second, also behind 4,096
    text2b            the shape of Qwen3-VL-2B in Q4_K_M with random weights
    vision            a pair of 448x256 in the vision tower of that shape

Numbers mean something on a machine that does nothing else. Who shares the cores is slowed down very unevenly: threads
that wait for one another by spinning, as llama.cpp's do, by ten times and more. So what other programs took meanwhile is
measured, and when that is more than 5 % of the cores the tables are printed but not written into the docs.
"""

import argparse
import datetime
import json
import os
import platform
import re
import statistics
import sys
import time
from pathlib import Path

from peers import report
from peers.setup import PICTURE, ROOT, Failure, Peers, bytes_a_token, cores, model, run, say

PARTS = {"text05": "qwen2.5-coder-0.5b", "text15": "qwen2.5-coder-1.5b", "text2b": "Qwen3-VL-2B, random weights",
         "vision": "A pair of 448×256, Qwen3-VL-2B, random weights"}
DEPTH = 4096
WRITTEN = 32  # as many as `streamgist bench context` writes
QUIET = 0.05  # share of the cores that others may take before numbers mean too little
RUNS = 3  # in each round, after one that warms up; their median counts as the round's number
# Ours by how keys and values are stored; theirs by that and flash attention, which packed values need.
THEIRS = {"llama.cpp f16": ("f16", 0), "llama.cpp f16, fa": ("f16", 1), "llama.cpp q8, fa": ("q8_0", 1)}


def objects(text: str, command: str) -> list[dict]:
    """Objects, one a line or in an array, wherever they stand in the output."""
    try:
        found = json.loads(text) if text.lstrip().startswith("[") else [
            json.loads(line) for line in text.splitlines() if line.startswith("{")]
    except ValueError as error:
        raise Failure(f"{command} wrote something that is no JSON ({error}):\n{text[-500:]}") from None
    if not found:
        raise Failure(f"{command} wrote no number. Is the binary older than this script? `make build` renews it.")
    return found


class Bench:
    def __init__(self, args, peers: Peers):
        self.ours, self.reference, self.threads = args.binary, args.reference_python, cores()
        self.peers = peers
        self.programs, self.llama_version = peers.llama()
        self.versions = {}

    def streamgist(self, *arguments) -> list[dict]:
        return objects(run([self.ours, "bench", *arguments, "--json"]), f"streamgist bench {arguments[0]}")

    def limits(self) -> dict:
        """What the machine gives at most: bytes read from memory and operations of a product of floats a second."""
        rows = self.streamgist("attention", "--kv-type", "f16", "--depth", DEPTH, "--runs", RUNS)
        return {name: statistics.median(row["speed"][key] for row in rows)
                for name, key in [("GB/s", "read_gb_per_second"), ("GFLOP/s", "product_gflops")]}

    def text_ours(self, path: Path, kv: str, deep: bool, vision: Path | None) -> dict:
        def bench(tokens: int, depths: str) -> list[dict]:
            eyes = ["--mmproj", vision] if vision else []
            return self.streamgist("context", "--model", path, *eyes, "--kv-type", kv, "--tokens", tokens, "--depth",
                                   depths, "--runs", RUNS)

        long, = bench(512, "0")
        # A full window lets the oldest segment go first: of 4,224 tokens 4,096 are seen while reading 128.
        short = bench(128, f"0,{DEPTH + 128}" if deep else "0")
        found = {"read 512": long["prefill_tps"]}
        for speed, where in zip(short, ["", f" at {DEPTH}"]):
            found |= {f"read 128{where}": speed["prefill_tps"], f"write{where}": speed["decode_tps"]}
        return found

    def text_theirs(self, path: Path, kv: str, flash: int, deep: bool) -> dict:
        found = {}
        for depth, prompts in [(0, "128,512"), (DEPTH, "128")][: 1 + deep]:
            rows = objects(run([self.programs["llama-bench"], "-m", path, "-t", self.threads, "-r", RUNS, "-o", "json",
                                "-p", prompts, "-n", WRITTEN, "-d", depth, "-fa", flash, "-ctk", kv, "-ctv", kv]),
                           "llama-bench")
            for row in rows:
                name = f"read {row['n_prompt']}" if row["n_prompt"] else "write"
                found[name + (f" at {depth}" if depth else "")] = statistics.median(row["samples_ts"])
                self.versions["llama-bench"] = f"{row['build_commit']} ({row['build_number']})"
        return found

    def vision_ours(self, kind: str) -> dict:
        width, height = PICTURE
        speed, = self.streamgist("vision", "--type", kind, "--width", width, "--height", height)
        self.versions["grid"] = speed["grid"]
        return {"pair": speed["ms_per_pair"]}

    def vision_theirs(self, flash: str) -> dict:
        text, vision = self.peers.random_pair(self.ours)
        picture = self.peers.picture()
        log = self.peers.folder / "mtmd.log"
        # Several pictures in one prompt are encoded one by one; the first meets cold memory.
        run([self.programs["llama-mtmd-cli"], "-m", text, "--mmproj", vision, "-t", self.threads, "-fa", flash, "-n", 1,
             "-c", 4096, "-p", "Read.", "--image", ",".join([picture.name] * (RUNS + 1))], log, cwd=picture.parent)
        said = log.read_text()
        times = [int(n) for n in re.findall(r"(?:batch encoding done|slice encoded) in (\d+) ms", said)]
        if len(times) != RUNS + 1:
            raise Failure(f"llama-mtmd-cli told {len(times)} times for {RUNS + 1} pictures. See {log}.")
        return {"pair": statistics.median(times[1:])}

    def vision_reference(self) -> dict:
        python = self.reference or self.peers.python("reference")
        width, height = PICTURE
        said, = objects(run([python, ROOT / "tools/peers/vision_reference.py", "--width", width, "--height", height,
                             "--threads", self.threads, "--runs", RUNS]), "vision_reference.py")
        self.versions["transformers"] = f"{said['transformers']}, torch {said['torch']}"
        return {"pair": statistics.median(said["ms"])}

    def steps(self, part: str, reference: bool) -> tuple[list, dict]:
        """Who is measured in a round and by what, and what is known of the model."""
        if part == "vision":
            steps = [(f"streamgist {kind}", lambda kind=kind: self.vision_ours(kind)) for kind in ["f16", "q8"]]
            steps += [(f"llama.cpp f16{', fa' if on == 'on' else ''}", lambda on=on: self.vision_theirs(on))
                      for on in ["off", "on"]]
            if reference:
                steps.append(("transformers f32", self.vision_reference))
            about = {}
        else:
            deep = part != "text2b"
            path, vision = (model(self.ours, PARTS[part]), None) if deep else self.peers.random_pair(self.ours)
            steps = [(f"streamgist {kv}", lambda kv=kv: self.text_ours(path, kv, deep, vision)) for kv in ["f16", "q8"]]
            steps += [(who, lambda kv=kv, flash=flash: self.text_theirs(path, kv, flash, deep))
                      for who, (kv, flash) in THEIRS.items()]
            about = {"file": path.name, "bytes_a_token": bytes_a_token(path)}
        return [("machine", self.limits), *steps], about


def computed() -> tuple[float, float, float]:
    """Seconds until now: of the clock, of computing on all cores, and of that by us and what we ran to its end."""
    with open("/proc/stat") as file:
        user, nice, system, _, _, irq, softirq, steal = map(int, file.readline().split()[1:9])
    ours = os.times()
    return (time.monotonic(), (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK"),
            ours.user + ours.system + ours.children_user + ours.children_system)


def measure(bench: Bench, part: str, rounds: int, reference: bool) -> dict:
    steps, about = bench.steps(part, reference)
    before, start, done = computed(), time.monotonic(), 0
    samples = {who: {} for who, _ in steps}
    for turn in range(rounds):
        for who, step in steps:
            print(f"{part}, round {turn + 1} of {rounds}, {who}:", end=" ", flush=True)
            for test, value in step().items():
                samples[who].setdefault(test, []).append(value)
            done += 1
            left = (time.monotonic() - start) / done * (rounds * len(steps) - done)
            told = ", ".join(f"{test} {values[-1]:.1f}" for test, values in samples[who].items())
            say(f"{told} (this part: {left / 60:.0f} min left)")
    passed, busy, ours = (after - then for after, then in zip(computed(), before))
    others = max(0.0, (busy - ours) / (passed * bench.threads))
    return {"title": PARTS[part], "date": datetime.date.today().isoformat(), "rounds": rounds, "others": others,
            "versions": dict(bench.versions), **about, "samples": samples}


def machine() -> dict:
    cpu = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.machine())
    git = ["git", "-C", ROOT]
    dirty = " and changes" if run([*git, "status", "--porcelain", "-uno"]).strip() else ""
    return {"cpu": cpu, "cores": cores(), "streamgist": run([*git, "rev-parse", "--short", "HEAD"]).strip() + dirty}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true",
                        help="one round of text05, or of what --only names; docs and result.json stay as they are")
    parser.add_argument("--only", type=lambda text: text.split(","), metavar="PARTS",
                        help=f"some of {','.join(PARTS)} instead of all")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="of which the median is told [default: 3]")
    parser.add_argument("--binary", type=Path, default=ROOT / "target/release/streamgist", metavar="FILE",
                        help="ours [default: target/release/streamgist, which `make build` makes]")
    parser.add_argument("--dir", type=Path, default=ROOT / "target/peers", metavar="DIR",
                        help="for all that is fetched, built and measured [default: target/peers; takes 10 GB]")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs/performance.md", metavar="FILE",
                        help="where the tables go [default: docs/performance.md]")
    parser.add_argument("--reference-python", type=Path, metavar="FILE",
                        help="a Python that has PyTorch and transformers, instead of one of our own (6 GB)")
    parser.add_argument("--busy", action="store_true", help="write into the docs what was measured on a busy machine")
    parser.add_argument("--no-reference", action="store_true", help="leave transformers out")
    args = parser.parse_args()
    parts = args.only or (["text05"] if args.quick else list(PARTS))
    if unknown := [part for part in parts if part not in PARTS]:
        parser.error(f"no part is called {unknown[0]}: there are {', '.join(PARTS)}")
    if args.rounds < 1:
        parser.error("there has to be a round")
    if not args.binary.is_file():
        parser.error(f"{args.binary} is not there: `make build` makes it")
    peers = Peers(args.dir.resolve())
    # Marks that are missing are told now, not when all is measured.
    if not args.quick:
        report.insert(args.docs, None)
    bench = Bench(args, peers)
    file = peers.folder / ("quick.json" if args.quick else "result.json")
    result = json.loads(file.read_text()) if file.is_file() else {"parts": {}}
    for part in parts:
        measured = measure(bench, part, 1 if args.quick else args.rounds, not args.no_reference)
        result["parts"][part] = measured | machine() | {"llama.cpp": bench.llama_version}
        file.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
        if measured["others"] > QUIET:
            say(f"Other programs took {measured['others']:.0%} of the cores meanwhile: these numbers mean little.")
    print("\n" + report.page(result, parts if args.quick else PARTS))
    say(f"\nAll numbers are in {file}.")
    busy = [part for part in PARTS if result["parts"].get(part, {}).get("others", 0) > QUIET]
    if busy and not args.quick and not args.busy:
        raise Failure(f"nothing was written into {args.docs}, since other programs took more than {QUIET:.0%} of the cores "
                      f"while {', '.join(busy)} ran. Measure again when they have ended: --only {','.join(busy)}")
    if not args.quick:
        report.insert(args.docs, report.page(result, PARTS))
        say(f"The tables are in {args.docs}.")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"bench-peers: {failure}")
    except KeyboardInterrupt:
        sys.exit("bench-peers: stopped. What is built stays, and parts that were measured are in result.json.")
