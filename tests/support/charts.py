"""Descriptions of pipelines at random, and a reader of Mermaid that takes nothing but what ours may write."""

import re
from collections.abc import Iterator
from typing import Any, Final

from hypothesis import strategies as st

__all__ = ["HOSTILE", "Chart", "descriptions", "labels_in", "node", "read", "stage"]

HOSTILE: Final = (
    'a"b', "[x](http://e.com)", "end", "`**md**`", "$$x^2$$", "fa:fa-car", "<script>alert(1)</script>", "1. first",
    "- dash", "__init__", "a\nb", "日本語 🍵", "x" * 80, "%% comment", "%%{init: {'theme': 'dark'}}%%", 'click a "x"',
    "#quot; &amp;", "", "\u202eabc", "\ud800", "graph TD; a-->b", '"]; evil["x', "\\", "a|b", "subgraph", ":::x", "~~~",
    "  ", "<br/>", "@{ shape: x }", "---", "</svg>", "<img src=x onerror=alert(1)>", "\x00", "classDef x fill:#f00;",
)  # fmt: skip
"""Names that Mermaid, Markdown, YAML or HTML would take for their own."""

_TEXT: Final = r'"(?:[^"#&<>`$%;{}|\[\]\\]|#\d+;|<br/>)+"'
_KEY: Final = r"(?:g?n[0-9_]*j?|a\d+f?|hidden)"
_LINES: Final = {
    "box": rf"({_KEY})(?:\[|\(|\[\[|\[/|\{{|\{{\{{|\(\(|\[\\|>)({_TEXT})(?:\]|\)|\]\]|/\]|\}}|\}}\}}|\)\))",
    "edge": rf"({_KEY}) (?:-->|-\.->)(?:\|({_TEXT})\|)? ({_KEY})",
    "frame": rf"subgraph ({_KEY})\[({_TEXT})\]",
    "end": "end",
    "style": r"classDef [a-z]+ [a-z0-9#:,\- ]+",
    "class": rf"class {_KEY}(?:,{_KEY})* [a-z]+",
    "red": r"linkStyle \d+(?:,\d+)* [a-z0-9#:,]+",
}
_HEAD: Final = re.compile(
    r'---\n(?:title: "(?:[^"\\%<>{}#\n]|\\.)*"\n)?config:\n  flowchart:\n    wrappingWidth: \d+\n'
    r"    subGraphTitleMargin: \{top: \d+, bottom: \d+\}\n---\nflowchart (?:TD|LR)\n"
)


class Chart:
    """What has been read: boxes and frames by key, with their lines, and edges."""

    def __init__(self) -> None:
        self.boxes: dict[str, list[str]] = {}
        self.frames: dict[str, str] = {}
        self.edges: list[tuple[str, str, str]] = []
        self.classes: dict[str, str] = {}

    def line(self, line: str) -> None:
        """Take one line.

        Raises:
            AssertionError: it is none that ours may write.
        """
        for kind, form in _LINES.items():
            found = re.fullmatch(form, line)
            if found is not None:
                self._take(kind, found)
                return
        raise AssertionError(f"this is no line of a chart: {line!r}")

    def _take(self, kind: str, found: re.Match[str]) -> None:
        if kind == "box":
            assert found[1] not in self.boxes, "two boxes of one key"
            self.boxes[found[1]] = _plain(found[2]).split("\n")
        elif kind == "edge":
            self.edges.append((found[1], found[3], _plain(found[2] or "")))
        elif kind == "frame":
            self.frames[found[1]] = _plain(found[2])
        elif kind == "class":
            *_, keys, mark = found[0].split(" ")
            self.classes |= dict.fromkeys(keys.split(","), mark)


def read(text: str) -> Chart:
    """Read a chart, and fail at whatever could mean something else to Mermaid than a label."""
    head = _HEAD.match(text)
    assert head is not None, text[:300]
    chart, depth = Chart(), 0
    for line in text[head.end() :].splitlines():
        chart.line(line.strip(" "))
        depth += line.strip(" ").startswith("subgraph ") - (line.strip(" ") == "end")
        assert depth >= 0
    assert depth == 0
    known = {*chart.boxes}
    assert all({giver, taker} <= known for giver, taker, _ in chart.edges), "an arrow to a box that is not there"
    return chart


def _plain(quoted: str) -> str:
    lines = quoted[1:-1].replace("<br/>", "\n")  # before the numbers: a name may be `<br/>`
    return re.sub(r"#(\d+);", lambda found: chr(int(found[1])), lines).replace("\u2060", "")


# -- descriptions ------------------------------------------------------------------------------------------------------


def node(kind: str, *children: dict[str, Any], label: str = "", **more: Any) -> dict[str, Any]:
    """Return a node as `describe` tells of it, still without its place."""
    facts = more.pop("facts", {})
    return {"kind": kind, "label": label or kind, "facts": facts, "children": list(children), **more}


def stage(label: str, what: str = "function") -> dict[str, Any]:
    """Return a stage."""
    return {**node("stage", what=what, source="some.py:1"), "label": label}


def placed(told: dict[str, Any], place: str = "") -> dict[str, Any]:
    """Return *told* with every place filled in."""
    below = [placed(child, f"{place}.{at}" if place else str(at)) for at, child in enumerate(told["children"])]
    return {**told, "place": place, "children": below}


def labels_in(told: dict[str, Any]) -> Iterator[str]:
    """Give what every stage and every named child is called."""
    if told["kind"] == "stage":
        yield told["label"]
    yield from map(str, told.get("keys", ()))
    for child in told["children"]:
        yield from labels_in(child)


_names = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=40))
_whats = st.sampled_from(["function", "agent", "ref", "action", "generator", "pipeline"])
_leaves: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.builds(stage, _names, _whats),
    st.just(node("gather")),
    st.builds(lambda name: node("reduce", facts={"function": name}), _names),
)
_Told = dict[str, Any]


def _inner(children: st.SearchStrategy[_Told]) -> st.SearchStrategy[_Told]:
    several = st.lists(children, min_size=1, max_size=3)
    policies = st.sampled_from(["cancel", "wait", "keep"])
    return st.one_of(
        st.builds(lambda name, steps: node("sequence", *steps, label=name), _names, several),
        st.builds(_parallel, several, st.lists(_names, min_size=3, max_size=3, unique=True), st.booleans(), policies),
        st.builds(lambda steps: node("race", *steps), several),
        st.builds(_branch, several, st.lists(_names, min_size=3, max_size=3, unique=True), _names, st.booleans()),
        st.builds(lambda step, until: node("loop", step, facts={"at_most": 3, "until": until}), children, _names),
        st.builds(lambda step: node("each", step, facts={"concurrency": 8, "ordered": False}), children),
        st.builds(lambda step: node("retry", step, facts={"times": 3, "on": ["ValueError"]}), children),
        st.builds(lambda step: node("timeout", step, facts={"seconds": 0.5}), children),
        st.builds(lambda step: node("tap", step), children),
        st.builds(lambda steps: node("fallback", *steps, facts={"on": ["Exception"]}), several),
    )


def _parallel(steps: list[_Told], names: list[str], named: bool, policy: str) -> _Told:  # noqa: FBT001 – drawn
    keys: _Told = {"keys": names[: len(steps)]} if named else {}
    return node("parallel", *steps, facts={"on_failure": policy}, **keys)


def _branch(steps: list[_Told], names: list[str], by: str, default: bool) -> _Told:  # noqa: FBT001 – drawn
    keys = [*names[: len(steps) - default], *(["default"] if default else [])]
    return node("branch", *steps, facts={"by": by, "default": default}, keys=keys)


def descriptions(leaves: int = 12) -> st.SearchStrategy[_Told]:
    """Return random descriptions of whole pipelines."""
    trees = st.recursive(_leaves, _inner, max_leaves=leaves)
    return st.builds(_whole, _names, st.lists(trees, min_size=1, max_size=4))


def _whole(name: str, steps: list[_Told]) -> _Told:
    return placed({**node("sequence", *steps, label=name), "name": name})
