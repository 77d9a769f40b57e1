"""A model's calls: out of the text or the value that it gave as their arguments, and into a complete answer."""

from typing import Any, Final, TypeAlias, cast

import msgspec

from ceylon.models.turns import Finish, Native, Reply, ToolCall

__all__ = ["JsonObject", "call_of_text", "call_of_value", "with_calls"]

JsonObject: TypeAlias = dict[str, Any]

_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)
_WHOLE: Final = frozenset({"stop", "tool"})


def call_of_text(identity: str, name: str, text: str) -> ToolCall:
    """Return the call whose arguments are written in *text*; none at all are an empty object."""
    try:
        return call_of_value(identity, name, msgspec.json.decode(text) if text.strip() else {}, text)
    except _UNREADABLE:
        return ToolCall(identity, name, invalid=text)


def call_of_value(identity: str, name: str, value: Any, text: str = "") -> ToolCall:
    """Return the call with *value* as its arguments; *text* is how the model wrote it."""
    if value is None:
        value = {}
    if isinstance(value, dict):
        return ToolCall(identity, name, cast("JsonObject", value))
    return ToolCall(identity, name, invalid=text or msgspec.json.encode(value).decode())


def with_calls(reply: Reply, calls: list[ToolCall], native: Native | None) -> Reply:
    """Return *reply* with its calls, by which and not by the server's word it ends in calls or not.

    An answer that a limit or a filter stopped has none: nobody knows what its last arguments would have been.
    """
    if reply.finish not in _WHOLE:
        return msgspec.structs.replace(reply, native=native)
    finish: Finish = "tool" if calls else "stop"
    return msgspec.structs.replace(reply, calls=tuple(calls), finish=finish, native=native)
