"""Medians as Markdown tables, and their place in a page."""

import statistics
from pathlib import Path

from .setup import Failure

MARKS = ("<!-- bench-peers -->", "<!-- /bench-peers -->")
ROWS = ["read 128", "read 512", "write", "read 128 at 4096", "write at 4096"]
# What is compared in a ratio: keys and values of as many bits, theirs with what is faster for them.
PAIRS = {"f16": ("streamgist f16", ["llama.cpp f16", "llama.cpp f16, fa"]),
         "q8": ("streamgist q8", ["llama.cpp q8, fa"])}


def medians(part: dict) -> dict:
    return {who: {test: statistics.median(values) for test, values in tests.items()}
            for who, tests in part["samples"].items()}


def spread(part: dict) -> float:
    """By how much the rounds of a number differ, of the number that differs most."""
    return max(max(values) / min(values) - 1 for tests in part["samples"].values() for values in tests.values())


def table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def text(part: dict) -> str:
    found = medians(part)
    limits = found.pop("machine")
    rows = []
    for test in [test for test in ROWS if any(test in tests for tests in found.values())]:
        ratios = []
        for ours, theirs in PAIRS.values():
            best = max(found[who][test] for who in theirs)
            ratios.append(f"{found[ours][test] / best:.2f}")
        rows.append([test, *(f"{tests[test]:.1f}" for tests in found.values()), *ratios])
    head = ["tokens/s", *found, *(f"ours / theirs, {kind}" for kind in PAIRS)]
    size = part["bytes_a_token"]
    shares = ", ".join(f"{who} {tests['write'] * size / limits['GB/s'] / 1e7:.0f} %" for who, tests in found.items())
    return (f"{table(head, rows)}\n\nWriting a token reads {size / 1e6:,.0f} MB of weights. Share of what memory gives "
            f"({limits['GB/s']:.1f} GB/s) while writing: {shares}.")


def vision(part: dict) -> str:
    found = medians(part)
    limits = found.pop("machine")
    ours = found["streamgist f16"]["pair"]
    rows = [[who, f"{tests['pair']:.0f}", f"{tests['pair'] / ours:.2f}"] for who, tests in found.items()]
    grid = "×".join(map(str, reversed(part["versions"]["grid"])))
    return (f"{table(['', 'ms a pair', 'as long as ours in f16'], rows)}\n\nAll compute {grid} patches. A large product "
            f"of floats came to {limits['GFLOP/s']:.0f} GFLOP/s.")


def page(result: dict, parts) -> str:
    """The tables of those of `parts` that were measured."""
    blocks = []
    for name in parts:
        part = result["parts"].get(name)
        if part is None:
            continue
        llama = part["llama.cpp"]
        what = f"llama.cpp {llama['commit'] or 'of unknown commit'} ({llama['package'].replace('==', ' ')})"
        if "transformers" in part["versions"] and name == "vision":
            what += f", transformers {part['versions']['transformers']}"
        rounds = "1 round" if part["rounds"] == 1 else f"{part['rounds']} rounds that differ by up to {spread(part):.0%}"
        blocks.append(
            f"**{part['title']}** · {part['date']}, {part['cpu']}, {part['cores']} cores and threads, {rounds}, "
            f"others took {part['others']:.0%} of the cores · streamgist {part['streamgist']}, {what}\n\n"
            + (vision(part) if name == "vision" else text(part)))
    return "\n\n".join(blocks)


def insert(path: Path, tables: str | None):
    """Puts the tables between the marks of a page; without tables only looks whether the marks are there."""
    try:
        whole = path.read_text()
        before, rest = whole.split(MARKS[0])
        _, after = rest.split(MARKS[1])
    except FileNotFoundError:
        raise Failure(f"{path} is not there. Name the page with --docs.") from None
    except ValueError:
        raise Failure(f"{path} has to have the lines {MARKS[0]} and {MARKS[1]} once, in this order.") from None
    if tables is not None:
        path.write_text(f"{before}{MARKS[0]}\n\n{tables}\n\n{MARKS[1]}{after}")
