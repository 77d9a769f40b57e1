"""Read the actions and inputs that a model writes in the form of ReAct, in all the ways that small models do."""

import re
from typing import Any, Final

import msgspec

from ceylon.models.call_pieces import read_arguments
from ceylon.models.json_stream import ValueReader
from ceylon.models.turns import Tool

__all__ = ["has_observation", "read_action", "read_input"]

_INPUT: Final = re.compile(r"\bAction Input:")
_OBSERVATION: Final = re.compile(r"(?<!\w)Observation:")
_CALLED: Final = re.compile(r"([\w.-]+)[`*]*\s*[(\[](.*)[)\]][`*]*", re.DOTALL)  # stock("A7"), stock[A7]
_FENCE: Final = re.compile(r"\A```\w*|```\s*\Z")
_ROUND: Final = " \t\r\n`*\"'"
_NOTHING: Final = frozenset({"", "none", "null", "n/a", "no input"})
_NAMES: Final = ("action", "tool", "name")
_INPUTS: Final = ("action_input", "arguments", "parameters", "input")
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)


def read_action(written: str) -> tuple[str, str]:
    """Return the name that an action line says, and the input that stands on it."""
    if named := _INPUT.search(written):
        return _name(written[: named.start()]), written[named.end() :]
    written = _unfenced(written)
    if written.startswith("{"):
        return _of_object(written)
    called = _CALLED.fullmatch(written.strip(_ROUND))
    return (called[1], called[2]) if called else (_name(written), "")


def read_input(written: str, tool: Tool | None) -> tuple[dict[str, Any], str]:
    """Return the arguments that an input says, and what of it says none: one of both is empty.

    Words that are no object are the one argument of a *tool* that takes, or needs, just one.
    """
    written = _unfenced(_real(written))
    if written.startswith("{"):
        return read_arguments(ValueReader().feed(written)[0])
    parameters = {} if tool is None else tool.parameters
    properties: dict[str, Any] = parameters.get("properties", {})
    names = list(properties) if len(properties) == 1 else [*parameters.get("required", ())]
    if written.lower() in _NOTHING or (tool is not None and not properties):
        return {}, ""
    if len(names) != 1:
        return {}, written
    [name] = names
    return {name: _value(_assigned(written, name), properties.get(name, {}))}, ""


def has_observation(written: str) -> bool:
    """Return whether the model has gone on from an input to inventing its result, on the same line."""
    return len(_real(written)) < len(written)


def _real(written: str) -> str:
    """Return *written* up to the observation in it that stands in no object's string."""
    value = ValueReader()
    rest = value.feed(written)[1] if _unfenced(written).startswith("{") else written
    found = _OBSERVATION.search(written, len(written) - len(rest) if value.is_over else 0)
    return written if found is None else written[: found.start()]


def _unfenced(written: str) -> str:
    return _FENCE.sub("", written.strip()).strip()


def _name(written: str) -> str:
    """Return what the first line names, without quotes and marks round it."""
    return _real(written).strip(_ROUND).partition("\n")[0].strip(_ROUND).rstrip(".")


def _of_object(written: str) -> tuple[str, str]:
    """Return the action that an object says with name and input in one."""
    said, _ = read_arguments(ValueReader().feed(written)[0])
    name = next((said[key] for key in _NAMES if isinstance(said.get(key), str)), "")
    given: Any = next((said[key] for key in _INPUTS if key in said), "")
    return name, given if isinstance(given, str) else msgspec.json.encode(given).decode()


def _assigned(written: str, name: str) -> str:
    """Return what is given, where it is written as ``name=…``."""
    return re.sub(rf"\A{re.escape(name)}\s*[=:]\s*", "", written)


def _value(written: str, schema: dict[str, Any]) -> Any:
    """Return the value of one argument: JSON if it is that and the schema wants more than text."""
    try:
        value = msgspec.json.decode(written)
    except _UNREADABLE:
        return written[1:-1] if re.fullmatch(r"'[^']*'", written, re.DOTALL) else written
    return written if schema.get("type") == "string" and not isinstance(value, str) else value
