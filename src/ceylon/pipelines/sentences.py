"""Say what the options of a node mean, in the few words that a box has room for; what is as usual is not said."""

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["facts_of", "sentences_of"]

_SENTENCES: Final = {
    "each": "each ×{concurrency}",
    "loop": "loop, at most {at_most} times",
    "retry": "retry, {times} tries",
    "timeout": "timeout {seconds:g} s",
    "tap": "tap",
}


def sentences_of(node: Mapping[str, Any]) -> list[str]:
    """Return a line for the node, if its kind has one, and one for each option that is not as usual."""
    facts = facts_of(node)
    return [line for line in (_main(node["kind"], facts), *_others(facts)) if line]


def facts_of(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a node."""
    facts: dict[str, Any] = node.get("facts", {})
    return facts


def _main(kind: str, facts: Mapping[str, Any]) -> str:
    if kind == "reduce":
        return _reduced(facts)
    return _SENTENCES[kind].format_map(facts) if kind in _SENTENCES else ""


def _reduced(facts: Mapping[str, Any]) -> str:
    by, initial = facts.get("function"), facts.get("initial")
    return " ".join([*([f"by {by}"] if by else []), *([f"from {initial!r}"] if "initial" in facts else [])])


def _others(facts: Mapping[str, Any]) -> list[str]:
    on = facts.get("on")
    names = [on] if isinstance(on, str) else on or []
    return [
        "unordered" if facts.get("ordered") is False else "",
        {"wait": "others go on", "keep": "failures kept"}.get(facts.get("on_failure", ""), ""),
        "keeps the last" if facts.get("at_limit") == "keep" else "",
        f"on {', '.join(names)}" if names and list(names) != ["Exception"] else "",
    ]
