"""Read what a model without tools writes by the schema that stands for them: a call, or an answer."""

import re
from typing import Any, Final

import msgspec

from ceylon.models.call_pieces import read_arguments
from ceylon.models.json_stream import StringReader, ValueReader
from ceylon.models.turns import ToolCall

__all__ = ["ANSWER", "ARGUMENTS", "TOOL", "StepReader"]

TOOL: Final = "tool"
ARGUMENTS: Final = "arguments"
ANSWER: Final = "answer"

_head: Final = re.compile(r'\s*\{\s*"answer"\s*:\s*(.)', re.DOTALL)
_LONGEST_HEAD: Final = 200  # spaces and all; what has not begun to answer by then is no answer that can be shown early


class StepReader:
    """Takes the text of one step and gives the answer's as it comes; at its end, `text` is that, or `call` the call.

    A text that is neither is the answer itself: it comes from a server that does not keep to schemas.
    """

    def __init__(self) -> None:
        self._written: list[str] = []
        self._head = ""
        self._value: StringReader | ValueReader | None = None
        self._is_plain = False
        self._said: list[str] = []
        self.call: ToolCall | None = None

    @property
    def text(self) -> str:
        """The answer so far."""
        return "".join(self._said)

    def feed(self, text: str) -> str:
        """Take in a piece, and return what it adds to the answer."""
        self._written.append(text)
        if self._value is None and not self._is_plain:
            text = self._begin(text)
        if self._is_plain:
            return self._say(text)
        return self._say(self._value.feed(text)[0]) if self._value is not None else ""

    def finish(self) -> str:
        """Say that nothing follows, and return the rest of the answer."""
        if self._value is not None or self._is_plain:
            return ""
        written = "".join(self._written)
        step, strange = read_arguments(written)
        if strange:
            return "" if _is_cut_off(written) else self._say(written)
        if isinstance(step.get(TOOL), str):
            self.call = _call(step)
            return ""
        return self._say(_written(step[ANSWER]) if ANSWER in step else written)

    def _begin(self, text: str) -> str:
        """Look for the beginning of an answer, and return what of it has come."""
        if len(self._head) > _LONGEST_HEAD:
            return ""
        self._head += text
        head = self._head.lstrip()
        if head and not head.startswith("{"):
            self._is_plain = True
            return self._head
        found = _head.match(self._head)
        if found is None:
            return ""
        begins = found.group(1)
        if begins == '"':
            self._value = StringReader()
            return self._head[found.end() :]
        if begins in "{[":
            self._value = ValueReader()
            return self._head[found.start(1) :]
        return ""  # a number or a word: short enough to be read at the end

    def _say(self, text: str) -> str:
        if text:
            self._said.append(text)
        return text


def _call(step: dict[str, Any]) -> ToolCall:
    """Return the call that *step* is; its id is given by whoever knows the others."""
    arguments: Any = step.get(ARGUMENTS) or {}
    return ToolCall("", step[TOOL], *read_arguments(_written(arguments)))


def _written(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _is_cut_off(written: str) -> bool:
    """Return whether *written* began as a step: the limit came before it was one."""
    return re.match(r'\s*(\{\s*("(tool|answer|t|to|too|a|an|ans|answ|answe)?"?.*)?)?$', written, re.DOTALL) is not None
