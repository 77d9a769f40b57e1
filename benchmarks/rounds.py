"""How things are measured: alternating rounds on one loop, and fresh processes for what a process keeps."""

import gc
import statistics
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

__all__ = ["Pair", "alternate", "fresh", "median"]

_ROOT = Path(__file__).resolve().parent.parent

median = statistics.median


class Pair(msgspec.Struct, frozen=True):
    """The seconds that rounds of Ceylon and of the bare thing took, round by round."""

    ceylon: list[float]
    bare: list[float]

    def ratios(self) -> list[float]:
        """Return how fast Ceylon was in each round, as a share of the bare thing."""
        return [bare / ours for ours, bare in zip(self.ceylon, self.bare, strict=True)]

    def differences(self) -> list[float]:
        """Return by how much Ceylon took longer in each round."""
        return [ours - bare for ours, bare in zip(self.ceylon, self.bare, strict=True)]


async def alternate(rounds: int, ceylon: Callable[[], Awaitable[float]], bare: Callable[[], Awaitable[float]]) -> Pair:
    """Run both once to warm up, then *rounds* times in turn; each returns the seconds it took."""
    await bare()
    await ceylon()
    pair = Pair([], [])
    for _ in range(rounds):
        gc.collect()
        pair.bare.append(await bare())
        pair.ceylon.append(await ceylon())
    return pair


def fresh(*arguments: str, environment: Mapping[str, str] | None = None) -> Any:
    """Run Python with *arguments* in a process of its own; return the JSON it prints."""
    command = [sys.executable, *arguments]
    printed = subprocess.run(command, cwd=_ROOT, env=environment, stdout=subprocess.PIPE, check=True).stdout  # noqa: S603 – our own modules
    return msgspec.json.decode(printed)
