"""What a model has said so far."""

from collections.abc import Iterable
from typing import Final

from ceylon.models.call_pieces import CallPieces
from ceylon.models.think_tags import NO_TAGS, Tags, ThinkReader
from ceylon.models.turns import Finish, Native, Reply, TextPart, ThinkingPart, ToolCall, ToolCallPart, Turn, Usage

__all__ = ["Draft"]

_WHOLE: Final = {None, "stop", "tool"}


class Draft:
    """Collects the pieces of one answer until it is a `Reply`; `finish` stays `None` until the server ends it.

    *turns* are those of the request: a call whose id is missing gets one that none of theirs has. *tags* are around
    thoughts that the server leaves in the text.
    """

    def __init__(self, turns: Iterable[Turn] = (), tags: Tags = NO_TAGS) -> None:
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._turns = turns
        self._pieces: CallPieces | None = None
        self._tags = tags if tags.closing else None  # as long as thoughts may be in the text
        self._reader: ThinkReader | None = None
        self.usage = Usage()
        self.finish: Finish | None = None
        self.model = ""
        self.tokens_per_second: float | None = None
        self.native: Native | None = None

    @property
    def text(self) -> str:
        """The answer so far."""
        return "".join(self._text)

    @property
    def pieces(self) -> CallPieces:
        """The calls so far, which may not be whole yet."""
        if self._pieces is None:
            self._pieces = CallPieces(self._turns)
        return self._pieces

    def add(self, text: str, thinking: str) -> list[TextPart | ThinkingPart]:
        """Take in both, either may be empty, and return them as parts."""
        if self._tags is not None and (text or thinking):
            text, thinking = self._split(self._tags, text, thinking)
        parts: list[TextPart | ThinkingPart] = []
        if thinking:
            self._thinking.append(thinking)
            parts.append(ThinkingPart(thinking))
        if text:
            self._text.append(text)
            parts.append(TextPart(text))
        return parts

    def rest(self) -> list[TextPart | ThinkingPart]:
        """Return what was held back because it might have been the beginning of a tag: the answer has ended."""
        if self._reader is None:
            return []
        reader, self._reader, self._tags = self._reader, None, None
        return self.add(*reader.finish())

    def _split(self, tags: Tags, text: str, thinking: str) -> tuple[str, str]:
        """Return what of *text* is text, and what is thought; a server that gives *thinking* has done it itself."""
        if self._reader is None:
            if thinking or (tags.opening and text[0] != tags.opening[0] and not text[0].isspace()):
                self._tags = None
                return text, thinking
            self._reader = ThinkReader(tags)
        said, thought = self._reader.finish() if thinking else ("", "")
        more, rest = self._reader.feed(text)
        if self._reader.is_done:
            self._reader = self._tags = None
        return said + more, thought + thinking + rest

    def calls(self) -> tuple[ToolCall, ...]:
        """Return the calls of the complete answer.

        An answer that a limit or a filter stopped has none: nobody knows what its last arguments would have been.
        """
        if self._pieces is None or self.finish not in _WHOLE:
            return ()
        return self._pieces.calls()

    def call_parts(self) -> list[ToolCallPart]:
        """Return the calls of the complete answer, as parts."""
        return [ToolCallPart(call) for call in self.calls()]

    def reply(self) -> Reply:
        """Return the whole answer; whether it ends by calls is said by the calls, whatever word the server has."""
        calls = self.calls()
        finish = "stop" if self.finish in _WHOLE else self.finish
        return Reply(
            text=self.text,
            thinking="".join(self._thinking),
            calls=calls,
            usage=self.usage,
            finish="tool" if calls else finish or "stop",
            model=self.model,
            tokens_per_second=self.tokens_per_second,
            native=self.native,
        )
