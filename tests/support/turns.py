"""What the tests of turns share: models that want calls, and programs that run on time which jumps."""

from collections.abc import Awaitable, Callable
from typing import Any, Literal

from ceylon import Reply, ToolCall, Usage
from ceylon.testing import Simulation, run_simulation

__all__ = ["results", "run_at_once", "wants"]


def wants(*calls: ToolCall, text: str = "", usage: int = 1) -> Reply[Any]:
    """Return what a model says that wants *calls*."""
    return Reply(text=text, calls=calls, finish="tool", usage=Usage(input=usage, output=usage), cost=usage / 10)


def results(reply: Reply[Any]) -> list[str]:
    """Return the texts of all results in the turns of *reply*."""
    return [result.text for turn in reply.turns for result in turn.results]


def run_at_once(program: Callable[[Simulation], Awaitable[None]], backend: str = "asyncio", *, seed: int = 2) -> None:
    """Run *program* where no waiting takes time; fail as it does."""
    loop: Literal["asyncio", "trio"] = "trio" if backend == "trio" else "asyncio"
    outcome = run_simulation(program, seed=seed, backend=loop)
    if outcome.error is not None:
        raise outcome.error
