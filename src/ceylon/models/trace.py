"""What led to an answer: thoughts, actions, observations, read out of a reply's turns."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from ceylon.models.turns import Finish, Reply, Turn

__all__ = ["Trace", "TraceStep", "trace_of"]


class TraceStep(msgspec.Struct, frozen=True):
    """One action: what was thought before it, what was called, and what that came to.

    Where one thought led to several actions, it stands with the first.
    """

    thought: str
    action: str
    arguments: dict[str, Any]
    observation: str
    is_error: bool = False

    def __str__(self) -> str:
        """Return it in the words of ReAct."""
        arguments = msgspec.json.encode(self.arguments).decode()
        action = f"Action: {self.action}\nAction Input: {arguments}"
        return f"{_thought(self.thought)}{action}\nObservation: {self.observation}"


class Trace(msgspec.Struct, frozen=True):
    """All actions of an answer in their order, the last thought, the answer's text, and why the model stopped."""

    steps: tuple[TraceStep, ...]
    thought: str
    answer: str
    finish: Finish

    def __str__(self) -> str:
        """Return it in the words of ReAct, for people to read."""
        return "\n".join([*map(str, self.steps), f"{_thought(self.thought)}Final Answer: {self.answer}"])


def trace_of(reply: Reply[Any]) -> Trace:
    """Return what led to *reply*, whichever way its model calls: by ReAct, by tools, by a schema.

    A thought is what the model said or showed of its thinking beside its calls.
    """
    last = reply.turns[-1] if reply.turns else reply.turn()
    thought = last.thinking if last.role == "assistant" and not last.calls else ""
    return Trace(tuple(_steps(reply.turns)), thought, reply.text, reply.finish)


def _steps(turns: Iterable[Turn]) -> Iterator[TraceStep]:
    """Yield a step for each call; its result stands in the turn behind it."""
    calling: Turn | None = None
    for turn in turns:
        if turn.role == "tool" and calling is not None:
            yield from _steps_of(calling, turn)
        calling = turn if turn.calls else None


def _steps_of(calling: Turn, told: Turn) -> Iterator[TraceStep]:
    results = {result.id: result for result in told.results}
    thought = "\n".join(filter(None, [calling.thinking, calling.text]))
    for call in calling.calls:
        if (result := results.get(call.id)) is not None:
            yield TraceStep(thought, call.name, call.arguments, result.text, result.is_error)
            thought = ""


def _thought(thought: str) -> str:
    return f"Thought: {thought}\n" if thought else ""
