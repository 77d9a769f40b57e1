"""A pipeline as plain JSON data, for drawing, logging and tests."""

from collections.abc import Callable
from typing import Any, Final

from ceylon.pipelines.nodes import (
    Branch,
    Each,
    Fallback,
    Loop,
    Node,
    Parallel,
    Reduce,
    Retry,
    Stage,
    Timeout,
)

__all__ = ["describe"]


def describe(node: Node, place: str = "", label: str = "") -> dict[str, Any]:
    """Return *node* and what is below it as plain data."""
    told: dict[str, Any] = {"kind": node.kind, "place": place, "label": label or node.label, "facts": _facts(node)}
    if isinstance(node, Stage):
        told |= {"what": node.what, "source": node.source}
    if node.keys:
        told["keys"] = [_plain(key) for key in node.keys]
    below = enumerate(node.children)
    told["children"] = [describe(child, f"{place}.{index}" if place else str(index)) for index, child in below]
    return told


def _facts(node: Node) -> dict[str, Any]:
    find = _FACTS.get(type(node))
    return {} if find is None else find(node)


def _names(kinds: tuple[type[BaseException], ...]) -> list[str]:
    return [kind.__name__ for kind in kinds]


def _plain(value: Any) -> Any:
    """Return *value* as JSON has it; anything else by its looks."""
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)


def _parallel(node: Parallel) -> dict[str, Any]:
    return {"on_failure": node.on_failure}


def _branch(node: Branch) -> dict[str, Any]:
    return {"by": node.by.label, "default": node.default is not None}


def _loop(node: Loop) -> dict[str, Any]:
    until = None if node.until is None else node.until.label
    return {"at_most": node.at_most, "until": until, "at_limit": node.at_limit}


def _each(node: Each) -> dict[str, Any]:
    return {"concurrency": node.concurrency, "ordered": node.ordered, "on_failure": node.on_failure}


def _reduce(node: Reduce) -> dict[str, Any]:
    return {"function": node.function.label}


def _retry(node: Retry) -> dict[str, Any]:
    told = {"times": node.times, "on": _names(node.on), "pause": node.pause, "factor": node.factor}
    return told | {"jitter": node.jitter}


def _fallback(node: Fallback) -> dict[str, Any]:
    return {"on": _names(node.on)}


def _timeout(node: Timeout) -> dict[str, Any]:
    return {"seconds": node.seconds}


def _stage(node: Stage) -> dict[str, Any]:
    return {"arguments": {name: _plain(value) for name, value in node.arguments}} if node.arguments else {}


_FACTS: Final[dict[type[Node], Callable[[Any], dict[str, Any]]]] = {
    Branch: _branch,
    Each: _each,
    Fallback: _fallback,
    Loop: _loop,
    Parallel: _parallel,
    Reduce: _reduce,
    Retry: _retry,
    Stage: _stage,
    Timeout: _timeout,
}
