"""Plain data as lines that a person reads in a diff: a small part of YAML, the same lines for the same data.

Texts of many lines are blocks; whatever YAML could take for something else, or an eye could miss (control characters,
invisible and reordering ones), is written as JSON writes it. Only what `write` writes is read.
"""

import json
import math
import re
import unicodedata
from typing import Any, Final, NamedTuple, TypeGuard

__all__ = ["OutlineError", "is_items", "is_mapping", "read", "write"]

_STEP: Final = "  "
_PLAIN: Final = re.compile(r"[^\W\d_](?:[^\n:#]|:(?=[^\s])|(?<=\S)#)*")  # no `: `, which makes a key, and no ` #`
_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_WORDS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf", "infinity"})
_NUMBERS: Final = {".nan": math.nan, ".inf": math.inf, "-.inf": -math.inf}
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"})


class OutlineError(ValueError):
    """Lines that `write` did not write."""

    def __init__(self, number: int, what: str) -> None:
        super().__init__(f"line {number}: {what}")
        self.number = number


def write(value: Any) -> str:
    """Return *value*, made of dictionaries, lists, texts, numbers, booleans and `None`, as lines."""
    return "".join(f"{line}\n" for line in _lines(value))


def read(text: str) -> Any:
    """Return what was written.

    Raises:
        OutlineError: it was not written by `write`, or changed so that it cannot be read any more.
    """
    reader = _Reader(text)
    value = reader.value(0)
    reader.end()
    return value


def is_mapping(value: object) -> TypeGuard[dict[str, Any]]:
    """Say whether *value* has keys."""
    return isinstance(value, dict)


def is_items(value: object) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    """Say whether *value* has items."""
    return isinstance(value, list | tuple)


# -- writing -----------------------------------------------------------------------------------------------------------


def _lines(value: Any) -> list[str]:
    """Return the lines of a value that stands by itself."""
    if is_mapping(value) and value:
        return [line for key, each in value.items() for line in _under(f"{_key(key)}:", each)]
    if is_items(value) and value:
        return [line for each in value for line in _item(each)]
    return [_scalar(value)]


def _under(head: str, value: Any) -> list[str]:
    """Return *head* with *value* behind or below it."""
    if isinstance(value, str) and _is_block(value):
        lines = value.split("\n")
        mark = "|-" if lines[-1] else "|"
        return [f"{head} {mark}", *(f"{_STEP}{line}" if line else "" for line in (lines if lines[-1] else lines[:-1]))]
    if (is_mapping(value) or is_items(value)) and value:
        return [head, *(f"{_STEP}{line}" if line else "" for line in _lines(value))]
    return [f"{head} {_scalar(value)}"]


def _item(value: Any) -> list[str]:
    if is_mapping(value) and value:
        first, *others = _lines(value)
        return [f"- {first}", *(f"{_STEP}{line}" if line else "" for line in others)]
    return _under("-", value)


def _key(key: str) -> str:
    return key if _KEY.fullmatch(key) and key.lower() not in _WORDS else _quoted(key)


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return value if _is_plain(value) else _quoted(value)
    if isinstance(value, float) and not math.isfinite(value):
        return next(word for word, number in _NUMBERS.items() if repr(number) == repr(value))
    return json.dumps(value)


def _is_plain(text: str) -> bool:
    is_word = _PLAIN.fullmatch(text) is not None and text.lower() not in _WORDS
    return is_word and not text.endswith(" ") and not _has_unseen(text)


def _is_block(text: str) -> bool:
    """Say whether *text* has lines that a block shows as they are."""
    lines = text.split("\n")
    if len(lines) < 2 or not lines[0] or lines[0].startswith((" ", "\t")) or (not lines[-1] and not lines[-2]):  # noqa: PLR2004 – one line is none
        return False
    return not any(_has_unseen(line) or line != line.rstrip() for line in lines)


def _has_unseen(text: str) -> bool:
    return any(each != " " and unicodedata.category(each) in _UNSEEN for each in text)


def _quoted(text: str) -> str:
    """Return *text* as JSON, with everything escaped that cannot be seen."""
    shown = json.dumps(text, ensure_ascii=False)
    return "".join(json.dumps(each)[1:-1] if each > "~" and _has_unseen(each) else each for each in shown)


# -- reading -----------------------------------------------------------------------------------------------------------


class _Line(NamedTuple):
    number: int
    depth: int  # spaces in front
    text: str


class _Reader:
    """The lines, and how far they have been read."""

    def __init__(self, text: str) -> None:
        self._lines: list[_Line] = []
        for number, line in enumerate(text.split("\n"), 1):
            bare = line.lstrip(" ")
            self._lines.append(_Line(number, len(line) - len(bare), bare))
        self._at = 0

    def _line(self) -> _Line | None:
        """Return the next line that says something."""
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if line.text and not line.text.startswith("#"):
                return line
            self._at += 1
        return None

    def end(self) -> None:
        """Raise if lines are left."""
        line = self._line()
        if line is not None:
            raise OutlineError(line.number, f"{line.text[:40]!r} belongs to nothing above it")

    def value(self, depth: int) -> Any:
        """Return the value whose lines begin at *depth*."""
        line = self._line()
        if line is None or line.depth != depth:
            number = len(self._lines) if line is None else line.number
            raise OutlineError(number, f"a value {depth} columns in is missing")
        if line.text == "-" or line.text.startswith("- "):
            return self._list(depth)
        if self._split(line) is None:
            self._at += 1
            return self._read_scalar(line, line.text)
        return self._mapping(depth)

    def _list(self, depth: int) -> list[Any]:
        values: list[Any] = []
        while (line := self._line()) is not None and line.depth == depth and line.text[:2] in {"-", "- "}:
            rest = _Line(line.number, depth + 2, line.text[2:])
            if rest.text and rest.text not in {"|", "|-"} and self._split(rest) is not None:
                self._lines[self._at] = rest  # a mapping that begins behind the dash
                values.append(self._mapping(depth + 2))
            else:
                self._at += 1
                values.append(self._rest(line, rest.text, depth))
        return values

    def _mapping(self, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while (line := self._line()) is not None and line.depth == depth:
            split = self._split(line)
            if split is None:
                raise OutlineError(line.number, f"{line.text[:40]!r} has no key")
            if split[0] in values:
                raise OutlineError(line.number, f"{split[0]!r} is there twice")
            self._at += 1
            values[split[0]] = self._rest(line, split[1], depth)
        return values

    def _rest(self, line: _Line, text: str, depth: int) -> Any:
        """Return what stands behind a key or a dash, or below it."""
        if text in {"|", "|-"}:
            return self._block(depth + 2) + ("\n" if text == "|" else "")
        return self._read_scalar(line, text) if text else self.value(depth + 2)

    def _block(self, depth: int) -> str:
        found: list[str] = []
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if line.text and line.depth < depth:
                break
            found.append(" " * (line.depth - depth) + line.text)
            self._at += 1
        while found and not found[-1]:
            found.pop()
        return "\n".join(found)

    def _split(self, line: _Line) -> tuple[str, str] | None:
        """Return the key of *line* and what stands behind it, if it has one."""
        if line.text.startswith('"'):
            try:
                key, end = json.JSONDecoder().raw_decode(line.text)
            except ValueError:
                return None
            return (key, line.text[end + 1 :].strip(" ")) if line.text[end : end + 2] in {":", ": "} else None
        found = _KEY.match(line.text)
        if found is None or line.text[found.end() : found.end() + 2] not in {":", ": "}:
            return None
        return found[0], line.text[found.end() + 1 :].strip(" ")

    def _read_scalar(self, line: _Line, text: str) -> Any:
        if text in _NUMBERS:
            return _NUMBERS[text]
        if _is_plain(text):
            return text
        try:
            return json.loads(text)
        except ValueError:
            raise OutlineError(line.number, f"{text[:40]!r} is neither plain text nor JSON") from None
