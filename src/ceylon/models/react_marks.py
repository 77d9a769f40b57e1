"""Cut what a model writes in the form of ReAct into its sections, while it is being written."""

import re
from collections.abc import Iterable
from enum import Enum
from typing import Final, NamedTuple

__all__ = ["Piece", "Section", "SectionReader"]


class Section(Enum):
    """What a stretch of text is; the value is the word before its colon."""

    PLAIN = ""  # what comes before any mark
    THOUGHT = "thought"
    ACTION = "action"
    INPUT = "action input"
    OBSERVATION = "observation"  # the model's own invention; nothing behind it counts
    ANSWER = "final answer"


class Piece(NamedTuple):
    """Some text of a section; `begins` says that a new one begins with it."""

    section: Section
    text: str
    begins: bool = False


_BEFORE: Final = (
    r"[ \t]{0,8}",
    r"[*#>_`-]{0,4}",
    r"[ \t]{0,2}",
)  # at the beginning of a line: "**Thought:**"
_AFTER: Final = (r"[ ]?", r"\d{0,3}", r"[*_`]{0,3}", r"[ \t]{0,2}", ":", r"[*_`]{0,3}")  # "Thought 1:", "**Action**:"
_BLANK: Final = "[ _]"  # "action_input:"
_AT_LINE: Final = tuple(section for section in Section if section.value)
_IN_LINE: Final = (r"(?<=\s)", "Final Answer"), (r"(?<=[.!?]\s)", "Action")  # … small models forget the line's end
_LONGEST_LOOK_BACK: Final = 2


class SectionReader:
    """Takes a text in pieces of any size, and gives it back by sections; how it is cut changes nothing."""

    def __init__(self) -> None:
        self._section = Section.PLAIN
        self._text = ""
        self._position: int = 0  # where in it what is not given back yet begins

    def feed(self, text: str) -> list[Piece]:
        """Take in *text*; return what of it can no longer be the beginning of a mark."""
        self._text += text
        pieces = self._sections(is_over=False)
        held = _beginnings[self._section].search(self._text, self._position)
        end = len(self._text) if held is None else held.start()
        pieces.append(Piece(self._section, self._text[self._position : end]))
        start = max(0, end - _LONGEST_LOOK_BACK)
        self._text, self._position = self._text[start:], end - start
        return pieces

    def finish(self) -> list[Piece]:
        """Say that nothing follows; return the rest."""
        pieces = self._sections(is_over=True)
        pieces.append(Piece(self._section, self._text[self._position :]))
        self._text, self._position = "", 0
        return pieces

    def _sections(self, *, is_over: bool) -> list[Piece]:
        """Return what has come up to the last mark that is whole."""
        pieces: list[Piece] = []
        while found := _marks[self._section].search(self._text, self._position):
            if found.end() == len(self._text) and not is_over:
                break
            pieces.append(Piece(self._section, self._text[self._position : found.start()]))
            name = found["line"] or found["within"]
            self._section, self._position = Section(name.lower().replace("_", " ")), found.end()
            pieces.append(Piece(self._section, "", begins=True))
        return pieces


def _mark(at_line: Iterable[Section], in_line: Iterable[tuple[str, str]]) -> re.Pattern[str]:
    """Return what finds a mark: at the beginning of a line in any spelling, within it in the exact one."""
    longest_first = sorted((section.value for section in at_line), key=len, reverse=True)
    names = "|".join(name.replace(" ", _BLANK) for name in longest_first) or "(?!)"
    line = f"^{''.join(_BEFORE)}(?P<line>(?i:{names})){''.join(_AFTER)}"
    within = "|".join(f"{behind}{name}(?=:)" for behind, name in in_line) or "(?!)"
    return re.compile(f"{line}|(?P<within>{within}):", re.MULTILINE | re.ASCII)


def _beginning(at_line: Iterable[Section], in_line: Iterable[tuple[str, str]]) -> re.Pattern[str]:
    """Return what finds, at the end of a text, what may become such a mark."""
    names = ([_BLANK if letter == " " else letter for letter in section.value] for section in at_line)
    lines = (_nested((*_BEFORE, *name, *_AFTER)) for name in names)
    within = (f"{behind}{_nested((*name, ':'))}" for behind, name in in_line)
    either = "|".join([*(f"^(?i:{line})" for line in lines), *within])
    return re.compile(rf"(?:{either})\Z", re.MULTILINE | re.ASCII)


def _nested(atoms: Iterable[str]) -> str:
    """Return a pattern that matches the first of *atoms*, the first two, and so on to all of them."""
    nested = ""
    for atom in reversed(tuple(atoms)):
        nested = f"{atom}(?:{nested})?" if nested else atom
    return nested


# A thought may go on with any mark; an answer is whatever the model says, but for an observation.
_kinds: Final = {section: (_AT_LINE, _IN_LINE if section.value in {"", "thought"} else ()) for section in Section} | {
    Section.ANSWER: ((Section.OBSERVATION,), ()),
    Section.OBSERVATION: ((), ()),
}
_marks: Final = {section: _mark(*kinds) for section, kinds in _kinds.items()}
_beginnings: Final = {section: _beginning(*kinds) for section, kinds in _kinds.items()}
