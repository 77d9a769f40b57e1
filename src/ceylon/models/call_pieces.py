"""Put a model's calls together from the pieces a stream sends, whatever their server thinks the order of things is."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from ceylon.models.turns import ToolCall, Turn

__all__ = ["CallPieces", "read_arguments", "unique_id"]

_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)


class _Started:
    """A call under way."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.id = self.name = ""
        self.written: list[str] = []
        self.given: dict[str, Any] | None = None

    def takes(self, id: str, name: str, arguments: str) -> bool:  # noqa: A002 – the wire's word
        """Return whether a piece under the same index belongs to this call, and is not the first of another one.

        Servers repeat id and name, or make up a new id for each piece: only both together, new, are a new call. A name
        without an id is one where the arguments so far are whole and others begin.
        """
        if not name or not self.name:
            return True
        if id and self.id:
            return id == self.id
        if name != self.name:
            return False
        return not (arguments.lstrip().startswith("{") and self.is_whole())

    def is_whole(self) -> bool:
        """Return whether the arguments so far are a JSON object to its end."""
        if self.given is not None:
            return True
        if not self.written or not self.written[-1].rstrip().endswith("}"):
            return False
        return read_arguments("".join(self.written))[1] == ""

    def call(self) -> ToolCall:
        """Return it as a call."""
        arguments, invalid = (self.given, "") if self.given is not None else read_arguments("".join(self.written))
        return ToolCall(self.id, self.name, arguments, invalid)


class CallPieces:
    """The calls of one answer; *turns* are what was asked, whose ids are not given again."""

    def __init__(self, turns: Iterable[Turn] = ()) -> None:
        self._turns = turns
        self._started: list[_Started] = []
        self._at: dict[int, _Started] = {}
        self._highest = -1

    def add(self, index: int | None, id: str, name: str, arguments: Any) -> None:  # noqa: A002 – the wire's word
        """Take in a piece; *arguments* are a piece of JSON text, or the object itself, and any other may be empty."""
        written = arguments if isinstance(arguments, str) else ""
        if index is None:
            call = self._without_index(id, name, written)
        else:
            started = self._at.get(index)
            call = started if started and started.takes(id, name, written) else self._start(index)
        call.id = call.id or id
        call.name = call.name or name
        if written:
            call.written.append(written)
        elif isinstance(arguments, dict):
            call.given = arguments
        elif arguments not in (None, ""):
            call.written.append(msgspec.json.encode(arguments).decode())

    def add_whole(self, id: str, name: str, arguments: Any) -> None:  # noqa: A002 – the wire's word
        """Take in a call that comes in one piece."""
        self.add(self._highest + 1, id, name, arguments)

    def calls(self) -> tuple[ToolCall, ...]:
        """Return the calls, in the order of their indexes, each with an id of its own; a repeated one is one."""
        taken = {call.id for turn in self._turns for call in turn.calls}
        before, calls = len(taken), dict[str, ToolCall]()
        for started in sorted(self._started, key=lambda each: each.index):
            call = started.call()
            if call.id and calls.get(call.id) == call:
                continue
            if not call.id or call.id in taken:
                call = msgspec.structs.replace(call, id=unique_id(taken, before + len(calls)))
            taken.add(call.id)
            calls[call.id] = call
        return tuple(calls.values())

    def _without_index(self, id: str, name: str, written: str) -> _Started:  # noqa: A002 – the wire's word
        last = self._started[-1] if self._started else None
        if last is not None and last.takes(id, name, written):
            return last
        return self._start(self._highest + 1)

    def _start(self, index: int) -> _Started:
        call = _Started(index)
        self._at[index] = call
        self._started.append(call)
        self._highest = max(index, self._highest)
        return call


def read_arguments(text: str) -> tuple[dict[str, Any], str]:
    """Return the arguments that *text* holds, and what of it is no JSON object: one of both is empty.

    No text at all is what many servers send for no arguments.
    """
    if not text.strip():
        return {}, ""
    try:
        return msgspec.json.decode(text, type=dict[str, Any]), ""
    except _UNREADABLE:
        return {}, text


def unique_id(taken: Iterable[str], number: int) -> str:
    """Return ``call_{number}``, or the next one that is not *taken*; counted, so that a replay makes the same."""
    while (name := f"call_{number}") in taken:
        number += 1
    return name
