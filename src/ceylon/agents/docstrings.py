"""Read what a docstring says about a function and about each of its parameters.

Three styles are understood, as far as they describe parameters:

* Google: a section `Args:` (`Arguments:`, `Parameters:`, `Keyword Args:`, …) with indented `name (type): text` entries;
* NumPy: a heading `Parameters` (`Other Parameters`) underlined with dashes, `name : type` entries, text indented below;
* reST: fields `:param name: text` or `:param type name: text`; `:type name:` is left out.

A text goes on over the lines indented deeper than its entry. Everything else, in its order, is the description.
"""

import inspect
import itertools
import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

__all__ = ["Docstring", "read_docstring"]

_GOOGLE_SECTION: Final = re.compile(
    r"(?:Args|Arguments|Params|Parameters|(?:Keyword|Other) (?:Args|Arguments|Parameters)):\s*"
)
_GOOGLE_ENTRY: Final = re.compile(r"\s*(?P<names>\*{0,2}\w+)\s*(?:\(.*?\)\s*)?:(?P<text>\s.*)?")
_NUMPY_SECTION: Final = re.compile(r"(?:Other )?Parameters\s*")
_NUMPY_UNDERLINE: Final = re.compile(r"-{3,}\s*")
_NUMPY_ENTRY: Final = re.compile(r"(?P<names>\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?(?P<text>)")
_REST_ENTRY: Final = re.compile(
    r"\s*:(?:(?:param|parameter|arg|argument|key|keyword)\s(?:[^:]*\s)?(?P<names>\*{0,2}\w+)|type\s[^:]*):(?P<text>.*)"
)


class Docstring(NamedTuple):
    """A docstring, taken apart: `parameters` maps a name to the text about it."""

    description: str
    parameters: dict[str, str]


class _Section(NamedTuple):
    """Some lines about parameters, and what an entry in them looks like."""

    lines: Sequence[str]
    entry: re.Pattern[str]


def read_docstring(text: str | None) -> Docstring:
    """Split *text* into the description of a function and the descriptions of its parameters."""
    lines = inspect.cleandoc(text or "").splitlines()
    kept: list[str] = []
    parameters: dict[str, str] = {}
    while lines:
        section = _section(lines)
        if section is None:
            kept.append(lines.pop(0))
        else:
            parameters |= _entries(section)
            del lines[: len(section.lines)]
    return Docstring(re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip(), parameters)


def _section(lines: Sequence[str]) -> _Section | None:
    """Return the section about parameters that *lines* begin with, if they do."""
    first, following = lines[0], lines[1:]
    if _GOOGLE_SECTION.fullmatch(first):
        return _Section(lines[: 1 + _count_deeper(following, 0, blank=True)], _GOOGLE_ENTRY)
    if _NUMPY_SECTION.fullmatch(first) and following and _NUMPY_UNDERLINE.fullmatch(following[0]):
        return _Section(lines[: 2 + _count_to_heading(following[1:])], _NUMPY_ENTRY)
    if _REST_ENTRY.fullmatch(first):
        return _Section(lines[: 1 + _count_deeper(following, _indent(first), blank=False)], _REST_ENTRY)
    return None


def _count_deeper(lines: Sequence[str], indent: int, *, blank: bool) -> int:
    """Count the first lines that are indented deeper than *indent*, or (if *blank*) empty."""
    for count, line in enumerate(lines):
        if (line.strip() and _indent(line) <= indent) or not (blank or line.strip()):
            return count
    return len(lines)


def _count_to_heading(lines: Sequence[str]) -> int:
    """Count the lines before the next underlined heading."""
    for count, (line, below) in enumerate(itertools.pairwise(lines)):
        if line.strip() and _NUMPY_UNDERLINE.fullmatch(below):
            return count
    return len(lines)


def _entries(section: _Section) -> dict[str, str]:
    """Return the texts of *section*; a line that begins no entry goes on with the one before."""
    body = section.lines if section.entry is _REST_ENTRY else section.lines[1:]
    indent = min((_indent(line) for line in body if line.strip()), default=0)
    texts: dict[str, list[str]] = {}
    current: Sequence[str] = ()
    for line in body:
        entry = section.entry.fullmatch(line) if _indent(line) == indent else None
        if entry is not None:
            current = [name.strip("* ") for name in (entry["names"] or "").split(",")]
        for name in current:
            texts.setdefault(name, []).append(line if entry is None else entry["text"] or "")
    return {name: text for name, words in texts.items() if name and (text := _joined(words))}


def _joined(lines: Iterable[str]) -> str:
    return " ".join(" ".join(lines).split())


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
