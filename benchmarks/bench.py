"""Measure Ceylon beside what it is built on, and print a table; `scripts/bench` runs this.

The exit code says whether the measurements worked, not whether the figures please.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
from benchmarks import crowd, imports, model_calls, sending, sync_handlers, waits
from benchmarks.report import Row, head, line

__all__ = ["main"]


class Sizes(NamedTuple):
    """How much is measured."""

    rounds: int
    messages: int
    in_flight: int
    crowds: int
    agents: int
    calls: int
    imports: int


FULL = Sizes(rounds=15, messages=20_000, in_flight=50, crowds=3, agents=100_000, calls=100, imports=11)
QUICK = Sizes(rounds=1, messages=500, in_flight=50, crowds=1, agents=1_000, calls=5, imports=1)


def main() -> None:
    """Measure, print, and write what `--json` asks for."""
    parser = argparse.ArgumentParser(description="Measure Ceylon beside what it is built on.")
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes; the figures mean little")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows there")
    options = parser.parse_args()

    print(f"Python {sys.version.split()[0]} on {sys.platform}\n\n{head()}", flush=True)
    rows = []
    for row in measure(QUICK if options.quick else FULL):
        print(line(row), flush=True)
        rows.append(row)
    if options.json is not None:
        facts = [{**msgspec.structs.asdict(row), "holds": row.holds} for row in rows]
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(facts)))
    print(f"\n{_verdict(rows)}")


def measure(sizes: Sizes) -> Iterator[Row]:
    """Yield every row as soon as it is measured."""
    yield from sending.measure(rounds=sizes.rounds, messages=sizes.messages, in_flight=sizes.in_flight)
    yield from waits.measure(rounds=sizes.rounds, messages=sizes.messages)
    yield from sync_handlers.measure(rounds=sizes.rounds, messages=sizes.messages)
    yield from crowd.measure(rounds=sizes.crowds, agents=sizes.agents)
    yield from model_calls.measure(rounds=sizes.rounds, calls=sizes.calls)
    yield from imports.measure(rounds=sizes.imports)


def _verdict(rows: list[Row]) -> str:
    missed = [row.measured for row in rows if row.holds is False]
    return f"expected more of: {', '.join(missed)}" if missed else "every expectation holds"


if __name__ == "__main__":
    main()
