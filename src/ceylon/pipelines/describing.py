"""A pipeline as plain JSON data, for drawing, logging and tests."""

from typing import Any

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
    match node:
        case Parallel(on_failure=on_failure):
            return {"on_failure": on_failure}
        case Branch(by=by):
            return {"by": by.label, "default": node.default is not None}
        case Loop(at_most=at_most, until=until, at_limit=at_limit):
            return {"at_most": at_most, "until": None if until is None else until.label, "at_limit": at_limit}
        case Each(concurrency=concurrency, ordered=ordered, on_failure=on_failure):
            return {"concurrency": concurrency, "ordered": ordered, "on_failure": on_failure}
        case Reduce(function=function):
            return {"function": function.label}
        case Retry(times=times, on=on, pause=pause, factor=factor):
            return {"times": times, "on": [kind.__name__ for kind in on], "pause": pause, "factor": factor}
        case Fallback(on=on):
            return {"on": [kind.__name__ for kind in on]}
        case Timeout(seconds=seconds):
            return {"seconds": seconds}
        case Stage(arguments=arguments) if arguments:
            return {"arguments": {name: _plain(value) for name, value in arguments}}
    return {}


def _plain(value: Any) -> Any:
    """Return *value* as JSON has it; anything else by its looks."""
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)
