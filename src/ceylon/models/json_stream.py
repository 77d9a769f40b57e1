"""Read JSON while it is being written: where a value ends, and what a string says so far."""

import json
import re
from typing import Final

__all__ = ["StringReader", "ValueReader"]

_structure: Final = re.compile(r'[{}\[\]"]')
_escaped: Final = re.compile(r'["\\]')
_whole: Final = re.compile(
    r"""(?:
    [^"\\]
    | \\[^u]
    | \\u(?![dD][89abAB])[0-9a-fA-F]{4}
    | \\u[0-9a-fA-F]{4}(?:\\u[0-9a-fA-F]{4}|(?=[^\\]|\\[^u]))  # the first half of a pair, with what follows it
    )*""",
    re.VERBOSE,
)
_LONGEST_ESCAPE: Final = len(r"\ud83d\ude00")
_BEGINS: Final = re.compile(r"[{\[]")


class ValueReader:
    """Takes the first object or list out of a text, and leaves the words round it."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = self._after_escape = False
        self.has_begun = self.is_over = False

    def feed(self, text: str) -> tuple[str, str]:
        """Return what of *text* belongs to the value, and what comes after it."""
        start = 0
        if self.is_over:
            return "", text
        if not self.has_begun:
            found = _BEGINS.search(text)
            if found is None:
                return "", ""
            start, self.has_begun = found.start(), True
        end = self._end_of(text, start)
        return text[start:end], text[end:]

    def _end_of(self, text: str, position: int) -> int:
        """Return where the value ends, or the length of *text* if it goes on."""
        if self._after_escape and position < len(text):
            position, self._after_escape = position + 1, False
        while found := (_escaped if self._in_string else _structure).search(text, position):
            character, position = found.group(), found.end()
            if character == "\\":
                self._after_escape = position == len(text)
                position += 1
            elif character == '"':
                self._in_string = not self._in_string
            else:
                self._depth += 1 if character in "{[" else -1
                if not self._depth:
                    self.is_over = True
                    return position
        return len(text)


class StringReader:
    """Reads a string, from behind its first quotation mark to its last."""

    def __init__(self) -> None:
        self._rest = ""
        self.is_over = False

    def feed(self, text: str) -> tuple[str, str]:
        """Return what the string says in *text*, and what comes after it; half an escape waits for its other half."""
        if self.is_over:
            return "", text
        said: list[str] = []
        rest = self._rest + text
        while True:
            found = _whole.match(rest)
            end = found.end() if found else 0
            said.append(_said(rest[:end]))
            rest = rest[end:]
            if rest.startswith('"'):
                self.is_over, self._rest = True, ""
                return "".join(said), rest[1:]
            if len(rest) <= _LONGEST_ESCAPE:
                self._rest = rest
                return "".join(said), ""
            said.append(rest[0])  # a backslash that begins nothing
            rest = rest[1:]


def _said(written: str) -> str:
    """Return what a piece of a JSON string says; half a pair of surrogates, which is no character, is U+FFFD."""
    try:
        said = json.loads(f'"{written}"', strict=False)
    except ValueError:  # an escape that there is not
        return written
    return str(said).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
