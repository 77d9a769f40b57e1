"""Show how a request differs from the one it is most like."""

import difflib
from collections.abc import Sequence
from typing import Any, Final

from ceylon.testing.outline import write

__all__ = ["difference", "nearest"]

_CONTEXT: Final = 3  # lines around a difference, as in a pull request
_MOST_COMPARED: Final = 200  # of a long cassette: the ones that come next are the likely ones


def nearest(question: dict[str, Any], others: Sequence[dict[str, Any]]) -> int | None:
    """Return the place of the one of *others* that is most like *question*; the earlier one, where two are."""
    wanted = write(question).splitlines()
    best, place = -1.0, None
    matcher = difflib.SequenceMatcher(autojunk=False)
    matcher.set_seq2(wanted)
    for at, other in enumerate(others[:_MOST_COMPARED]):
        matcher.set_seq1(write(other).splitlines())
        if (likeness := matcher.ratio()) > best:
            best, place = likeness, at
    return place


def difference(recorded: dict[str, Any], asked: dict[str, Any]) -> str:
    """Return a unified diff, from what was recorded to what is asked now."""
    lines = difflib.unified_diff(
        write(recorded).splitlines(), write(asked).splitlines(), "recorded", "asked now", lineterm="", n=_CONTEXT
    )
    return "\n".join(lines)
