"""Split off what a model thinks, where its server leaves that in the text: ``<think>…</think>`` before the answer.

DeepSeek-R1, Qwen3 and others write so, and whoever serves them without a parser for it (imported weights in Ollama,
vLLM and llama.cpp without one) passes it on. Only what an answer begins with counts: tags further on are text, that an
answer may well be about.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from ceylon.errors import ModelConfigError

__all__ = ["NO_TAGS", "OPTION", "THINK", "Tags", "ThinkReader", "tags_of"]

OPTION: Final = "think_tags"
"""Our own among a model's options; it does not go to the server."""


class Tags(NamedTuple):
    """What comes before and behind thoughts; without an `opening` an answer begins with them."""

    opening: str
    closing: str


THINK: Final = Tags("<think>", "</think>")
NO_TAGS: Final = Tags("", "")


def tags_of(model: str, options: Mapping[str, Any], default: Tags) -> Tags:
    """Return the tags that *options* name, or the *default*.

    Raises:
        ModelConfigError: they name something that cannot be tags.
    """
    given: Any = options.get(OPTION, default)
    if given is False:
        return NO_TAGS
    if given is True:
        return THINK
    if isinstance(given, list | tuple) and len(given) == len(THINK) and all(isinstance(each, str) for each in given):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        tags = Tags(*given)  # pyright: ignore[reportUnknownArgumentType]
        if tags.closing or tags == NO_TAGS:
            return tags
    sentence = (
        f"{model}: {OPTION}={given!r} cannot be; it takes False, True, or two texts like ['<think>', '</think>'], the "
        "first of them empty where an answer begins with thoughts"
    )
    raise ModelConfigError(sentence)


class ThinkReader:
    """Takes the text of one answer, in whatever pieces, and gives what of it is text and what is thought."""

    def __init__(self, tags: Tags) -> None:
        self._tags = tags
        self._held = ""  # of which nobody knows yet what it is
        self._thinks = not tags.opening
        self._has_thought = False
        self._is_behind = self.is_done = False

    def feed(self, text: str) -> tuple[str, str]:
        """Take in a piece; return what it adds to the text, and to the thoughts. Once `is_done`, all is text."""
        if self.is_done:
            return text, ""
        self._held += text
        if self._is_behind:
            return self._answer(), ""
        if self._thinks:
            return self._think()
        return self._begin()

    def finish(self) -> tuple[str, str]:
        """Say that nothing follows; return the rest."""
        held, self._held, self.is_done = self._held, "", True
        if self._is_behind:
            return "", ""
        return ("", self._thought(held)) if self._thinks else (held, "")

    def _begin(self) -> tuple[str, str]:
        """Look whether the answer begins with a tag; blanks may be before it."""
        begun, opening = self._held.lstrip(), self._tags.opening
        if begun.startswith(opening):
            self._thinks, self._held = True, begun[len(opening) :]
            return self._think()
        return ("", "") if opening.startswith(begun) else self.finish()

    def _think(self) -> tuple[str, str]:
        """Give out thoughts, but hold back what may be the tag behind them, and the blanks before it."""
        held, closing = self._held, self._tags.closing
        at = held.find(closing)
        if at >= 0:
            self._held, self._is_behind = held[at + len(closing) :], True
            return self._answer(), self._thought(held[:at].rstrip())
        safe = len(held) - _begun(held, closing)
        thought = held[:safe].rstrip()
        self._held = held[len(thought) :]
        return "", self._thought(thought)

    def _thought(self, thought: str) -> str:
        if not self._has_thought:
            thought = thought.lstrip()
        self._has_thought = self._has_thought or bool(thought)
        return thought

    def _answer(self) -> str:
        """Give out the answer, which begins with no blanks."""
        answer, self._held = self._held.lstrip(), ""
        self.is_done = bool(answer)
        return answer


def _begun(text: str, tag: str) -> int:
    """Return how many characters at the end of *text* may be the beginning of *tag*."""
    return next((size for size in range(min(len(text), len(tag) - 1), 0, -1) if text.endswith(tag[:size])), 0)
