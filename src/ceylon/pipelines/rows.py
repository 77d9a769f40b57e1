"""A pipeline as lines under each other, and what became of each in a run: what a terminal shows."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from ceylon.core.mermaid import Mark
from ceylon.pipelines.sentences import sentences_of
from ceylon.pipelines.tally import Place, Tally, seconds_of

__all__ = ["Row", "Shown", "rows_of"]


class Shown(msgspec.Struct, frozen=True):
    """How a row stands at one moment: its colour, how many executions, how long."""

    mark: Mark
    counts: str
    time: str


class Row(msgspec.Struct, frozen=True):
    """A line: where it belongs, how far it is indented, and what it is called."""

    place: str
    depth: int
    label: str

    def shown(self, tally: Tally, now: float) -> Shown:
        """Say how it stands at *now*, in seconds since the run began."""
        place = tally.places.get(self.place)
        if place is None:
            return Shown("never", "", "")
        return Shown(place.mark, _counts(place), _time(place, now))


def rows_of(description: Mapping[str, Any]) -> list[Row]:
    """Return the lines of a pipeline; a sequence without a name is only its stages."""
    return [row for child in description.get("children") or () for row in _rows(child, 0)]


def _rows(node: Mapping[str, Any], depth: int) -> Iterator[Row]:
    label = str(node.get("label") or node["kind"])
    is_seen = node["kind"] != "sequence" or label != "sequence"
    if is_seen:
        yield Row(node["place"], depth, _cleaned(_named(node, label)))
    for child in node.get("children") or ():
        yield from _rows(child, depth + is_seen)


def _named(node: Mapping[str, Any], label: str) -> str:
    sentences = sentences_of(node)
    if label == node["kind"] and sentences:  # the sentence begins with that word
        return ", ".join(sentences if sentences[0].startswith(label) else [label, *sentences])
    return label


def _cleaned(label: str) -> str:
    """Return *label* without what would move a terminal's cursor."""
    return "".join(each if each.isprintable() else "\ufffd" for each in label)


def _counts(place: Place) -> str:
    parts = [f"{place.parts:,} parts"] if place.parts else []
    if place.begun < 2:  # noqa: PLR2004 – one is no crowd
        return ", ".join(parts)
    failed = [f"{place.failed:,} failed"] if place.failed else []
    return ", ".join([f"{place.over:,}/{place.begun:,}", *failed, *parts])


def _time(place: Place, now: float) -> str:
    if place.running:
        return seconds_of(max(0.0, now - place.since)) if place.begun == 1 else ""
    if not place.over:
        return ""
    return seconds_of(place.seconds) if place.over == 1 else f"{seconds_of(place.seconds / place.over)} each"
