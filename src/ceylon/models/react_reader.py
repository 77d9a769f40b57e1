"""Read what a model writes in the form of ReAct: its thoughts as they come, then calls, or the answer as it comes."""

import re
from collections.abc import Collection, Iterable
from typing import Final

import msgspec

from ceylon.models.call_pieces import unique_id
from ceylon.models.json_stream import ValueReader
from ceylon.models.react_input import has_observation, read_action, read_input
from ceylon.models.react_marks import Piece, Section, SectionReader
from ceylon.models.turns import Part, TextPart, ThinkingPart, Tool, ToolCall

__all__ = ["ReActReader"]

_NO_ACTIONS: Final = frozenset({"none", "no", "n/a", "no action", "nothing", "none needed"})
_ANSWERS: Final = frozenset({"final answer", "final_answer", "finish", "answer"})
_IN_WORDS: Final = re.compile(r"\w")


class ReActReader:
    """Takes the text of one answer and gives its parts; at its end, `calls` are the calls, or `answer` the answer.

    An answer that stands behind calls was given before their results: it does not count. What stands behind an
    observation is invented like that, and does not count either. A text without any mark is an answer, and a thought
    that leads to nothing is one too.

    Args:
        tools: What may be called; other names are calls all the same, for their caller to be told.
        is_json: Whether the answer is an object; then the words round it are left out.
    """

    def __init__(self, tools: Iterable[Tool], *, is_json: bool = False) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._sections, self._section = SectionReader(), Section.PLAIN
        self._written: list[str] = []  # of a section that is read when it is whole
        self._action = ""  # one that waits for its input
        self._plain = ""  # an answer without a mark
        self._calls: list[ToolCall] = []
        self._thoughts = _Thoughts()
        self._answer = _Answer(is_json=is_json)
        self.is_cut = False  # what follows does not count

    @property
    def answer(self) -> str:
        """The answer so far."""
        return self._answer.text

    def calls(self, taken: Collection[str]) -> tuple[ToolCall, ...]:
        """Return the calls with ids that are not *taken*."""
        given, named = {*taken}, list[ToolCall]()
        for call in self._calls:
            named.append(msgspec.structs.replace(call, id=unique_id(given, len(given))))
            given.add(named[-1].id)
        return tuple(named)

    def go_on(self) -> None:
        """Say that thoughts have been shown before: the next begins a line."""
        self._thoughts.is_first = False

    def feed(self, text: str) -> list[Part]:
        """Take in a piece of the model's text, and return what it comes to."""
        return self._read(self._sections.feed(text))

    def finish(self) -> list[Part]:
        """Say that nothing follows, and return the rest."""
        parts = self._read(self._sections.finish())
        parts += self._close(Section.OBSERVATION)
        if self._calls or self._answer.has_begun:
            return [*parts, *self._answer.finish()]
        self._answer.begin()
        return [*parts, *self._answer.feed(self._plain or self._thoughts.last), *self._answer.finish()]

    def _read(self, pieces: Iterable[Piece]) -> list[Part]:
        parts: list[Part] = []
        for section, text, begins in pieces:
            if self.is_cut:
                break
            parts += self._turn_to(section) if begins else self._take(text)
        return parts

    def _turn_to(self, section: Section) -> list[Part]:
        """End the section under way, and begin *section* unless nothing counts any more."""
        parts = self._close(section)
        is_late = section is Section.ANSWER and bool(self._calls or self._answer.has_begun)
        self.is_cut = self.is_cut or is_late or section is Section.OBSERVATION
        self._section = Section.OBSERVATION if self.is_cut else section
        if self._section is Section.THOUGHT:
            self._thoughts.begin()
        elif self._section is Section.ANSWER:
            self._answer.begin()
        return parts

    def _take(self, text: str) -> list[Part]:
        if self._section is Section.THOUGHT:
            return self._thoughts.feed(text)
        if self._section is Section.ANSWER:
            return self._answer.feed(text)
        self._written.append(text)
        return []

    def _close(self, following: Section) -> list[Part]:
        """End the section under way, which *following* comes after."""
        written = "".join(self._written)
        self._written.clear()
        if self._section is Section.PLAIN:
            return self._read_plain(written, following)
        if self._section is Section.ACTION:
            self._action = written
            return [] if following is Section.INPUT else self._act("")
        return self._act(written) if self._section is Section.INPUT else []

    def _read_plain(self, written: str, following: Section) -> list[Part]:
        """Take in what stands before all marks: a thought, if an action or an answer follows."""
        if following is Section.OBSERVATION:
            self._plain = written
        elif _IN_WORDS.search(written):
            self._thoughts.begin()
            return self._thoughts.feed(written)
        return []

    def _act(self, written: str) -> list[Part]:
        """Note the call of the action under way with the input *written*."""
        name, within = read_action(self._action)
        given = written or within
        self.is_cut = self.is_cut or has_observation(given) or has_observation(self._action)
        self._action = ""
        if name in self._tools or name.lower() not in _NO_ACTIONS | _ANSWERS:
            if not self._answer.has_begun:
                self._calls.append(ToolCall("", name, *read_input(given, self._tools.get(name))))
            return []
        if name.lower() in _NO_ACTIONS or self._calls or self._answer.has_begun:
            return []
        self._answer.begin()
        return self._answer.feed(given)


class _Trimmed:
    """Takes a text in pieces and leaves out the blanks round it."""

    def __init__(self) -> None:
        self._rest: str = ""
        self._has_begun = False

    def feed(self, text: str) -> str:
        text = self._rest + text if self._has_begun else text.lstrip()
        trimmed = text.rstrip()
        self._has_begun = self._has_begun or bool(trimmed)
        self._rest = text[len(trimmed) :]
        return trimmed


class _Thoughts:
    """Thoughts one after the other, each on lines of its own."""

    def __init__(self) -> None:
        self._trimmed, self._last, self.is_first = _Trimmed(), list[str](), True

    @property
    def last(self) -> str:
        """The one under way."""
        return "".join(self._last)

    def begin(self) -> None:
        self._trimmed = _Trimmed()
        self._last.clear()

    def feed(self, text: str) -> list[Part]:
        said = self._trimmed.feed(text)
        if not said:
            return []
        before = "" if self.is_first or self._last else "\n"
        self._last.append(said)
        self.is_first = False
        return [ThinkingPart(before + said)]


class _Answer:
    """The answer's text: as it is, or the object in it."""

    def __init__(self, *, is_json: bool) -> None:
        self._trimmed, self._value = _Trimmed(), ValueReader() if is_json else None
        self._written, self._said = list[str](), list[str]()
        self.has_begun = False

    @property
    def text(self) -> str:
        """What it says so far."""
        return "".join(self._said)

    def begin(self) -> None:
        self.has_begun = True

    def feed(self, text: str) -> list[Part]:
        text = self._trimmed.feed(text)
        if self._value is None:
            return self._say(text)
        self._written.append(text)
        return self._say(self._value.feed(text)[0])

    def finish(self) -> list[Part]:
        """Return what is left: the words, where no object was among them."""
        is_there = self._value is None or self._value.has_begun
        return [] if is_there else self._say("".join(self._written))

    def _say(self, text: str) -> list[Part]:
        if not text:
            return []
        self._said.append(text)
        return [TextPart(text)]
