"""What the project wants to reach, as data, and whether a run shows it."""

from typing import NamedTuple

from benchmarks.results import Results

__all__ = ["Judged", "judge"]


class Judged(NamedTuple):
    """A goal beside what was measured; `holds` is `None` if it was not."""

    what: str
    goal: str
    measured: str
    holds: bool | None

    @property
    def verdict(self) -> str:
        """A word for the table."""
        return {True: "yes", False: "NO", None: "–"}[self.holds]


def judge(results: Results) -> list[Judged]:
    """Return every goal with its verdict."""
    return []
