"""Draw a pipeline: its description, and if there was a run what became of each place, as a flowchart."""

import contextlib
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias, get_args

import msgspec

from ceylon.core.mermaid import Chart, Direction, Mark, Shape
from ceylon.pipelines.options import check_choice
from ceylon.pipelines.sentences import facts_of, sentences_of
from ceylon.pipelines.tally import Place, Tally, tally_of

__all__ = ["draw"]

_SHAPES: Final[dict[str, Shape]] = {
    "agent": "round",
    "ref": "round",
    "action": "double",
    "generator": "slanted",
    "pipeline": "double",
}
_WRAPPERS: Final = frozenset({"retry", "timeout", "tap"})
"""These need no frame around a single stage: they are a line in its box."""

_SELF_EVIDENT: Final = frozenset({"each", "loop", "retry", "timeout", "tap"})
"""What these are stands in their first sentence."""

_NAMELESS: Final = "<lambda>"

Exit: TypeAlias = tuple[str, str]
"""Where a value leaves, and a word for the arrow."""


class Fragment(msgspec.Struct, frozen=True):
    """A part of the chart: where its value comes in and where it goes out."""

    entry: str
    exits: tuple[Exit, ...]


def draw(description: Mapping[str, Any], events: Iterable[Any] | None = None, *, direction: Direction = "down") -> str:
    """Return the pipeline of this `describe()` as Mermaid text.

    Args:
        description: What to draw.
        events: Those of a run, its `StageEvent`s: the run is drawn over the pipeline, also one that goes on.
        direction: Where the arrows lead.

    Raises:
        ArgumentError: there is no such direction, or something is no event.
    """
    check_choice("direction", direction, get_args(Direction))
    tally = None if events is None else tally_of(events)
    name = str(description.get("name") or "pipeline")
    run = [] if tally is None else tally.places.get("", Place()).said()
    drawing = _Drawing(Chart(": ".join([name, ", ".join(run)]) if run else name, direction), tally)
    drawing.node(description)
    return drawing.chart.text()


class _Drawing:
    """One picture while it is made: a method for each kind of node, each of which returns its fragment."""

    def __init__(self, chart: Chart, tally: Tally | None) -> None:
        self.chart = chart
        self._tally = tally
        self._kinds: Final[dict[str, Callable[[Mapping[str, Any]], Fragment]]] = {
            "sequence": self._sequence,
            "parallel": self._parallel,
            "race": self._race,
            "branch": self._branch,
            "loop": self._loop,
            "each": self._framed,
            "retry": self._wrapped,
            "timeout": self._wrapped,
            "tap": self._wrapped,
            "fallback": self._fallback,
        }

    def node(self, node: Mapping[str, Any]) -> Fragment:
        """Draw *node* and what is below it."""
        return self._kinds.get(node["kind"], self._stage)(node)

    # -- leaves --------------------------------------------------------------------------------------------------------

    def _stage(self, node: Mapping[str, Any], around: Sequence[Mapping[str, Any]] = ()) -> Fragment:
        """Draw one box; what is *around* it is said in it."""
        if _children(node):  # a pipeline that is a stage, and shows what it is made of
            return self._framed(node)
        said = [line for each in reversed(around) for line in sentences_of(each)]
        shape: Shape = "funnel" if node["kind"] in {"gather", "reduce"} else _SHAPES.get(node.get("what", ""), "box")
        if any(each["kind"] == "tap" for each in around):
            shape = "flag"
        key, outermost = _key(node), next(iter(around), node)
        retried = [line for each in around for line in self._retried(each)]
        lines = [_label(node), *sentences_of(node), *said, *self._said(node), *retried, self._place(node).complaint()]
        self.chart.node(key, lines, shape=shape, mark=self._mark(outermost))
        return Fragment(key, ((key, ""),))

    def _wrapped(self, node: Mapping[str, Any]) -> Fragment:
        """Draw a retry, a timeout or a tap: in the box of the stage they are about, or as a frame."""
        around = [node]
        while _children(around[-1])[0]["kind"] in _WRAPPERS:
            around.append(_children(around[-1])[0])
        inner = _children(around[-1])[0]
        if inner["kind"] in {"stage", "gather", "reduce"} and not _children(inner):
            return self._stage(inner, around)
        return self._framed(node)

    # -- one after the other -------------------------------------------------------------------------------------------

    def _sequence(self, node: Mapping[str, Any]) -> Fragment:
        """Draw a chain; one with a name inside of another pipeline gets a frame."""
        if node["place"] and _label(node) != node["kind"]:
            return self._framed(node)
        return self._chain(node)

    def _chain(self, node: Mapping[str, Any]) -> Fragment:
        parts = [self.node(child) for child in _children(node)]
        if not parts:
            self.chart.node(_key(node), ["nothing"], shape="circle", mark=self._mark(node))
            return Fragment(_key(node), ((_key(node), ""),))
        for giver, taker in itertools.pairwise(parts):
            self._connect(giver, taker.entry)
        return Fragment(parts[0].entry, parts[-1].exits)

    def _framed(self, node: Mapping[str, Any]) -> Fragment:
        with self._frame(node):
            return self._chain(node)

    # -- side by side --------------------------------------------------------------------------------------------------

    def _parallel(self, node: Mapping[str, Any]) -> Fragment:
        return self._spread(node, "all", dashed=False)

    def _race(self, node: Mapping[str, Any]) -> Fragment:
        return self._spread(node, "first", dashed=True)

    def _spread(self, node: Mapping[str, Any], joined: str, *, dashed: bool) -> Fragment:
        """Draw what begins with one value and ends when *joined* of the results are there."""
        fork, join = _key(node), f"{_key(node)}j"
        self.chart.node(
            fork, [_label(node), *sentences_of(node), *self._said(node)], shape="hexagon", mark=self._mark(node)
        )
        parts = [self.node(child) for child in _children(node)]
        self.chart.node(join, [joined], shape="circle", mark=self._mark(node))
        for key, part in zip(_keys(node), parts, strict=True):
            self.chart.edge(fork, part.entry, key, dashed=dashed)
            self._connect(part, join, dashed=dashed)
        return Fragment(fork, ((join, ""),))

    def _branch(self, node: Mapping[str, Any]) -> Fragment:
        """Draw a diamond with an arrow for each key, behind what finds the key if that is more than a function."""
        key, by = _key(node), _finder(node)
        choices = [child for child in _children(node) if child is not by]
        before = Fragment(key, ()) if by is None else self.node(by)
        asked = "" if by is not None else _spoken(facts_of(node).get("by"))
        lines = [f"{asked}?" if asked else _label(node), *self._said(node)]
        self.chart.node(key, lines, shape="diamond", mark=self._mark(node))
        self._connect(before, key)
        exits: list[Exit] = []
        for name, choice in zip(_keys(node), choices, strict=False):
            part = self.node(choice)
            self.chart.edge(key, part.entry, name)
            exits += part.exits
        return Fragment(before.entry, tuple(exits) or ((key, ""),))

    def _fallback(self, node: Mapping[str, Any]) -> Fragment:
        with self._frame(node):
            parts = [self.node(child) for child in _children(node)]
            for failed, other in itertools.pairwise(parts):
                self.chart.edge(failed.exits[0][0], other.entry, "if it fails", dashed=True)
        return Fragment(parts[0].entry, tuple(way for part in parts for way in part.exits))

    # -- again and again -----------------------------------------------------------------------------------------------

    def _loop(self, node: Mapping[str, Any]) -> Fragment:
        """Draw the way back: through a diamond that asks whether it is over."""
        key, facts = _key(node), facts_of(node)
        with self._frame(node):
            part = self._chain(node)
            until = _spoken(facts.get("until"))
            self.chart.node(
                key,
                [f"{until}?" if until else f"{facts.get('at_most')} times?"],
                shape="diamond",
                mark=self._mark(node),
            )
            self._connect(part, key)
            self.chart.edge(key, part.entry, "again", dashed=True)
        return Fragment(part.entry, ((key, "done"),))

    # -- what all of them need -----------------------------------------------------------------------------------------

    def _frame(self, node: Mapping[str, Any]) -> contextlib.AbstractContextManager[None]:
        own = _label(node) if node["kind"] not in _SELF_EVIDENT else ""
        lines = [own, *sentences_of(node), *self._said(node)]
        return self.chart.group(f"g{_key(node)}", " · ".join(line for line in lines if line))

    def _connect(self, giver: Fragment, taker: str, *, dashed: bool = False) -> None:
        for key, word in giver.exits:
            self.chart.edge(key, taker, word, dashed=dashed)

    def _said(self, node: Mapping[str, Any]) -> list[str]:
        """Say what became of this place in the run, if there is one."""
        return [] if self._tally is None else self._place(node).said()

    def _retried(self, node: Mapping[str, Any]) -> list[str]:
        number = 0 if self._tally is None else self._place(node).retried
        return [f"{number:,} retried"] if number else []

    def _mark(self, node: Mapping[str, Any]) -> Mark:
        return "plain" if self._tally is None else self._place(node).mark

    def _place(self, node: Mapping[str, Any]) -> Place:
        return Place() if self._tally is None else self._tally.places.get(node["place"], Place())


def _children(node: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return node.get("children") or ()


def _finder(node: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the child of a branch that finds the key; a plain function is no child."""
    found = facts_of(node).get("by")
    is_there = _keys(node)[-1:] == ["by"] and _label(_children(node)[-1]) == found
    return _children(node)[-1] if is_there else None


def _spoken(name: str | None) -> str:
    """Return the name of a function that asks something; one without a name asks whether it is done."""
    return "done" if name == _NAMELESS else name or ""


def _keys(node: Mapping[str, Any]) -> list[str]:
    """Return what each child is called; nothing where children have no names."""
    keys = node.get("keys") or [child.get("key", "") for child in _children(node)]
    return [str(key) for key in keys]


def _key(node: Mapping[str, Any]) -> str:
    """Return what the chart calls this place."""
    return f"n{node['place'].replace('.', '_')}"


def _label(node: Mapping[str, Any]) -> str:
    return str(node.get("label") or node["kind"])
