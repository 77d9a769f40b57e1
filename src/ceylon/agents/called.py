"""The calls of one reply, and what has come of them: paired with results, whatever happened."""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from ceylon.models.turns import Reply, ToolCall, ToolResult, Turn

__all__ = ["CallCounts", "Calls", "with_ids"]


class CallCounts(msgspec.Struct):
    """What became of the calls of an agent's model, since the agent was made.

    `called` counts those that ran to a result. `unknown`, `invalid` (arguments) and `surplus` ones were never run,
    `failed` raised, `late` took too long, `repeated` ones had the id of an effect that had been run, `denied` ones had
    to be approved and were not.
    """

    called: int = 0
    unknown: int = 0
    invalid: int = 0
    surplus: int = 0
    failed: int = 0
    late: int = 0
    repeated: int = 0
    denied: int = 0


class Calls:
    """The calls of one reply, and what has come of them so far."""

    def __init__(self, reply: Reply[Any], taken: Collection[str]) -> None:
        self.said = reply.calls
        calls = with_ids(reply.calls, taken)
        # What the provider wants back unchanged may name the old ids.
        self.reply = reply if calls == reply.calls else msgspec.structs.replace(reply, calls=calls, native=None)
        self.results: list[ToolResult | None] = [None] * len(calls)

    def turns(self) -> tuple[Turn, Turn]:
        """Return them as entries of the conversation: each call is paired, one that was broken off with the word."""
        paired = zip(self.reply.calls, self.results, strict=True)
        results = tuple(
            result or ToolResult(call.id, call.name, "interrupted", is_error=True) for call, result in paired
        )
        return self.reply.turn(), Turn("tool", results=results)


def with_ids(calls: Sequence[ToolCall], taken: Collection[str] = ()) -> tuple[ToolCall, ...]:
    """Return *calls* with ids that differ, from those *taken* too: a result has to find its call.

    They are counted, so that a replay makes the same ones.
    """
    seen = set(taken)
    unique: list[ToolCall] = []
    for call in calls:
        name, number = call.id, 0
        while not name or name in seen:
            name, number = f"{call.id or 'call'}_{number}", number + 1
        seen.add(name)
        unique.append(call if name == call.id else msgspec.structs.replace(call, id=name))
    return tuple(unique)
