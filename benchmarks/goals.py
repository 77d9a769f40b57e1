"""What the project wants to reach, as data, and whether a run shows it.

A goal never moves; where a run misses it, the table says so.
"""

from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from benchmarks.contenders import CONTENDERS
from benchmarks.results import Results, Row, Spread, figure
from benchmarks.rounds import Entrant

__all__ = ["GOALS", "Goal", "Judged", "judge"]

RIVALS = "the best rival"
NAMES = "ceylon, its names"
_HOME = {each.name for each in CONTENDERS if each.home}


class Goal(NamedTuple):
    """One line of the table.

    Args:
        what: Words for people.
        scenario: Where it is measured.
        beside: The contender it is compared with, or the best of all rivals; without one, Ceylon's own figure counts.
        at_least, at_most: The bound.
        ceylon: The contender that has to reach it.
        loop: What it runs on.
        figure: What it reports beside its main figure, if that is what counts.
        by: `ratio`: how many times as good as the other. `share`: its figure as a share of the other's. `difference`:
            by how much it is above the other. `figure`: its own.
        unit: Of the bound.
    """

    what: str
    scenario: str
    beside: str = ""
    at_least: float | None = None
    at_most: float | None = None
    ceylon: str = "ceylon"
    loop: str = "asyncio"
    figure: str | None = None
    by: Literal["ratio", "share", "difference", "figure"] = "ratio"
    unit: str = "×"


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


_FLOOR, _LLM = "bare asyncio", "bare httpx"
GOALS: Final = (
    Goal("tell", "tell", _FLOOR, at_least=0.5),
    Goal("tell, uvloop", "tell", _FLOOR, at_least=0.5, loop="uvloop"),
    Goal("tell", "tell", RIVALS, at_least=3),
    Goal("tell to a sync handler in a thread", "sync_tell", "pykka", at_least=3),
    Goal("ask, sequential", "ask", _FLOOR, at_least=0.8),
    Goal("ask, sequential, uvloop", "ask", _FLOOR, at_least=0.6, loop="uvloop"),
    Goal("ask, sequential", "ask", RIVALS, at_least=2.5),
    Goal("ask, sequential", "ask", "autogen-core", at_least=20),
    Goal("ask, 1,000 in flight", "ask_in_flight", _FLOOR, at_least=0.9),
    Goal("ask, 1,000 in flight, uvloop", "ask_in_flight", _FLOOR, at_least=0.9, loop="uvloop"),
    Goal("stream part, per hop", "stream_hop", at_most=3, by="figure", unit="µs"),
    Goal("stream part, per hop, uvloop", "stream_hop", at_most=3, by="figure", unit="µs", loop="uvloop"),
    Goal("first part of an answer, per agent it comes through", "llm_hop", at_most=1, by="figure", unit="ms"),
    Goal(
        "idle agent, over its own attributes",
        "memory_100k",
        at_most=700,
        by="figure",
        unit="B",
        figure="over its own attributes",
    ),
    Goal("1 M agents alive, the whole process", "memory_1m", at_most=1e9, by="figure", unit="B", figure="process"),
    Goal("spawn", "spawn", at_least=150_000, by="figure", unit="/s"),
    Goal("growth of tell, 1 to 100,000 agents", "growth_tell", at_most=1.2, by="figure"),
    Goal("growth of ask, 1 to 100,000 agents", "growth_ask", at_most=1.2, by="figure"),
    Goal("growth of tell, mailbox depth 1 to the bound", "growth_depth", at_most=1.2, by="figure"),
    Goal("growth of ask, 1 in flight to the bound", "growth_in_flight", at_most=1.2, by="figure"),
    Goal("cold import", "import", "anyio + msgspec", at_most=1.3, by="share"),
    Goal("cold import of the names a program uses", "import", "anyio + msgspec", at_most=1.3, by="share", ceylon=NAMES),
    Goal("cold import, no rival lighter", "import", RIVALS, at_least=1),
    Goal("cold import of those names, no rival lighter", "import", RIVALS, at_least=1, ceylon=NAMES),
    Goal("LLM call, CPU above bare httpx", "llm_sequential", _LLM, at_most=0.15, by="difference", unit="ms"),
    Goal("LLM call, 50 in flight, `speed`", "llm_in_flight_50", _LLM, at_most=0.5, by="share", ceylon="ceylon, speed"),
    Goal("LLM call, 50 in flight, default install", "llm_in_flight_50", _LLM, at_most=0.8, by="share"),
    *(
        Goal(
            "LLM call, 50 in flight, `speed`",
            "llm_in_flight_50",
            rival,
            at_most=0.2,
            by="share",
            ceylon="ceylon, speed",
        )
        for rival in ("pydantic-ai", "openai-agents", "langgraph")
    ),
    Goal(
        "streaming, CPU per token above the parser's floor",
        "llm_streaming",
        "the parser",
        at_most=15,
        by="difference",
        unit="µs",
    ),
)


def judge(results: Results, goals: tuple[Goal, ...] = GOALS) -> list[Judged]:
    """Return every goal with its verdict."""
    return [_judge(results, goal) for goal in goals]


def _judge(results: Results, goal: Goal) -> Judged:
    bound = f"≥ {figure(goal.at_least)}" if goal.at_least is not None else f"≤ {figure(goal.at_most or 0)}"
    words = f"{bound} {goal.unit}" + (f" {goal.beside}" if goal.beside else "")
    found = _found(results, goal)
    if found is None:
        return Judged(goal.what, words, "not measured", None)
    spread, beside = found
    holds = spread.median >= goal.at_least if goal.at_least is not None else spread.median <= (goal.at_most or 0)
    measured = f"{figure(spread.median)} ({figure(spread.low)} … {figure(spread.high)}){beside}"
    return Judged(goal.what, words, measured, holds)


def _found(results: Results, goal: Goal) -> tuple[Spread, str] | None:
    """Return what was measured for *goal*, and the name of the best rival if that is what it is held against."""
    row = results.row(goal.scenario)
    if row is None:
        return None
    if goal.beside == RIVALS:
        return _beside_rivals(row, goal)
    ours = row.entrant(goal.ceylon, loop=goal.loop)
    if ours is None:
        return None
    if goal.by == "figure":
        return row.value(ours, goal.figure), ""
    theirs = row.entrant(goal.beside, ours.python, goal.loop) or row.entrant(goal.beside, ours.python)
    return None if theirs is None else (_compare(row, goal)(ours, theirs), "")


def _beside_rivals(row: Row, goal: Goal) -> tuple[Spread, str] | None:
    """Compare with the rival that comes off best; each on its own Python."""
    rivals = [each for each in row.entrants if each.contender not in _HOME and each.error is None and each.measurements]
    found = [
        (_compare(row, goal)(ours, rival), f", {rival.contender}")
        for rival in rivals
        if (ours := row.entrant(goal.ceylon, rival.python, goal.loop)) is not None
    ]
    return min(found, key=lambda pair: pair[0].median, default=None)


def _compare(row: Row, goal: Goal) -> Callable[[Entrant, Entrant], Spread]:
    return {"ratio": row.ratio, "share": row.share, "difference": row.difference}[goal.by]
