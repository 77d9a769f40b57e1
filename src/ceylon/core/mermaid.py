"""Write a flowchart in Mermaid's language, in which a name is a label and never anything else.

Names come from everywhere: functions, agents, keys that a model made up. Whatever Mermaid, Markdown or HTML could take
for its own is written as a number (``#35;``), which Mermaid turns back after all three have looked.
"""

import contextlib
import json
import re
from collections.abc import Generator, Iterable, Iterator
from typing import Final, Literal, TypeAlias

__all__ = ["Chart", "Direction", "Mark", "Shape", "escape", "fold"]

Direction: TypeAlias = Literal["down", "right"]
Shape: TypeAlias = Literal[
    "box", "round", "double", "slanted", "diamond", "hexagon", "circle", "funnel", "flag", "drum"
]
Mark: TypeAlias = Literal["ended", "failed", "partly", "running", "cancelled", "never", "plain", "faint"]

_SHAPES: Final[dict[Shape, tuple[str, str]]] = {
    "box": ("[", "]"),
    "round": ("(", ")"),
    "double": ("[[", "]]"),
    "slanted": ("[/", "/]"),
    "diamond": ("{", "}"),
    "hexagon": ("{{", "}}"),
    "circle": ("((", "))"),
    "funnel": ("[\\", "/]"),
    "flag": (">", "]"),
    "drum": ("[(", ")]"),
}
# Text, border and ground are all given, so that a picture reads the same on a dark page; colour never stands alone.
_STYLES: Final[dict[Mark | Literal["group"], str]] = {
    "plain": "fill:#f6f8fa,stroke:#57606a,color:#1f2328",
    "faint": "fill:#ffffff,stroke:#8c959f,color:#57606a",
    "ended": "fill:#dafbe1,stroke:#1a7f37,color:#1f2328",
    "failed": "fill:#ffebe9,stroke:#cf222e,color:#1f2328,stroke-width:2px",
    "partly": "fill:#fff8c5,stroke:#9a6700,color:#1f2328",
    "running": "fill:#ddf4ff,stroke:#0969da,color:#1f2328,stroke-width:2px",
    "cancelled": "fill:#eaeef2,stroke:#57606a,color:#57606a,stroke-dasharray:6 3",
    "never": "fill:#ffffff,stroke:#8c959f,color:#6e7781,stroke-dasharray:2 3",
    "group": "fill:#8c959f18,stroke:#8c959f,color:#57606a",
}
_FAILED_EDGE: Final = "stroke:#cf222e,color:#cf222e"
_WIDTH: Final = 30  # characters of a line; what Mermaid would break by itself is longer …
_NARROW: Final = 20  # … and so is this where room is dear: on edges, and in what grows in both directions
_NARROW_SHAPES: Final = frozenset[Shape]({"diamond", "circle", "hexagon"})
_HEADING: Final = 60  # characters of a frame's title, which has one line
_NOTHING: Final = "#160;"  # Mermaid takes no empty label
_LINES: Final = 4  # of one name; the rest is cut
# Mermaid must not break our lines again; and arrows enter frames from above, where the title stands.
_OPTIONS: Final = (
    "config:",
    "  flowchart:",
    "    wrappingWidth: 400",
    "    subGraphTitleMargin: {top: 4, bottom: 16}",
)
_INDENT: Final = "    "

_CHUNKS: Final = re.compile(r"(?<=[\s_./:-])")
# What may stand as it is; marks between letters are no Markdown, so that most names stay readable as text.
_SAFE_OR_NOT: Final = re.compile(r"([^\W_]|(?<=[^\W_])[._-](?=[^\W_])|[ (),=×≤·…–→])|(.)", re.DOTALL)


def escape(line: str) -> str:
    """Return *line* as it may stand between the quotes of a label.

    Two dollar signs begin a formula even where they are written as numbers; a joiner, which nobody sees, parts them.
    """
    line = line.replace("$$", "$\u2060$")
    return _SAFE_OR_NOT.sub(lambda found: found[1] or f"#{ord(found[2])};", line)


def fold(text: str, width: int = _WIDTH) -> list[str]:
    """Break *text* into lines of *width* characters, where a reader would; cut what is too long for any box."""
    lines = [""]
    for chunk in _chunks(_cleaned(text), width):
        if lines[-1] and len(f"{lines[-1]}{chunk}".rstrip()) > width:
            lines.append("")
        lines[-1] += chunk
    shown = [line.strip() for line in lines[:_LINES]]
    if len(lines) > _LINES:
        shown[-1] = f"{shown[-1][: width - 1]}…"
    return shown


def _cleaned(text: str) -> str:
    """Return *text* without line breaks, and without characters that are not seen but change what is."""
    seen = "".join(each if each.isprintable() else " " if each.isspace() else "\ufffd" for each in text)
    return " ".join(seen.split())


def _chunks(text: str, width: int) -> Iterator[str]:
    for chunk in _CHUNKS.split(text):
        yield from (chunk[start : start + width] for start in range(0, len(chunk), width))


class Chart:
    """A flowchart while it is written; keys are ours, labels are anybody's.

    Args:
        title: Shown above it.
        direction: Where arrows lead to.
    """

    def __init__(self, title: str = "", direction: Direction = "down") -> None:
        self._head = _front_matter(title)
        self._lines = [f"flowchart {'LR' if direction == 'right' else 'TD'}"]
        self._depth = 1
        self._edges = 0
        self._failed_edges: list[int] = []
        self._marked: dict[str, list[str]] = {}

    def node(self, key: str, lines: Iterable[str], *, shape: Shape = "box", mark: Mark = "plain") -> None:
        """Put a box there; each of *lines* is folded by itself."""
        opening, closing = _SHAPES[shape]
        width = _NARROW if shape in _NARROW_SHAPES else _WIDTH
        self._write(f"{key}{opening}{_label(lines, width)}{closing}")
        self._marked.setdefault(mark, []).append(key)

    def edge(self, giver: str, taker: str, label: str = "", *, dashed: bool = False, failed: bool = False) -> None:
        """Draw an arrow; a failed one is red."""
        arrow = "-.->" if dashed else "-->"
        if failed:
            self._failed_edges.append(self._edges)
        self._edges += 1
        self._write(f"{giver} {arrow}|{_label([label], _NARROW)}| {taker}" if label else f"{giver} {arrow} {taker}")

    @contextlib.contextmanager
    def group(self, key: str, title: str) -> Generator[None]:
        """Draw a frame around what is put there meanwhile; its title is one line."""
        self._write(f'subgraph {key}["{_heading(title)}"]')
        self._depth += 1
        yield
        self._depth -= 1
        self._write("end")
        self._marked.setdefault("group", []).append(key)

    def text(self) -> str:
        """Return all of it."""
        styles = [f"{_INDENT}classDef {mark} {style}" for mark, style in _STYLES.items() if mark in self._marked]
        marks = [f"{_INDENT}class {','.join(self._marked[mark])} {mark}" for mark in _STYLES if mark in self._marked]
        red = ",".join(map(str, self._failed_edges))
        edges = [f"{_INDENT}linkStyle {red} {_FAILED_EDGE}"] if red else []
        return "\n".join([*self._head, *self._lines, *styles, *marks, *edges, ""])

    def _write(self, line: str) -> None:
        self._lines.append(f"{_INDENT * self._depth}{line}")


def _label(lines: Iterable[str], width: int = _WIDTH) -> str:
    folded = [escape(part) for line in lines for part in fold(line, width) if part]
    return f'"{"<br/>".join(folded) or _NOTHING}"'


def _heading(title: str) -> str:
    line = _cleaned(title)
    return escape(line if len(line) <= _HEADING else f"{line[: _HEADING - 1]}…") or _NOTHING


def _front_matter(title: str) -> list[str]:
    """Return what stands before the chart: YAML, and JSON's strings are that."""
    quoted = json.dumps(_cleaned(title), ensure_ascii=False)
    safe = re.sub(r"[%<>{}#]", lambda found: f"\\u{ord(found[0]):04x}", quoted)  # Mermaid looks for its own even here
    named = [f"title: {safe}"] if title else []
    return ["---", *named, *_OPTIONS, "---"]
