"""What a model has said so far."""

from ceylon.models.turns import Finish, Reply, TextPart, ThinkingPart, Usage

__all__ = ["Draft"]


class Draft:
    """Collects the pieces of one answer until it is a `Reply`; `finish` stays `None` until the server ends it."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._thinking: list[str] = []
        self.usage = Usage()
        self.finish: Finish | None = None
        self.model = ""
        self.tokens_per_second: float | None = None

    @property
    def text(self) -> str:
        """The answer so far."""
        return "".join(self._text)

    def add(self, text: str, thinking: str) -> list[TextPart | ThinkingPart]:
        """Take in both, either may be empty, and return them as parts."""
        parts: list[TextPart | ThinkingPart] = []
        if thinking:
            self._thinking.append(thinking)
            parts.append(ThinkingPart(thinking))
        if text:
            self._text.append(text)
            parts.append(TextPart(text))
        return parts

    def reply(self) -> Reply:
        """Return the whole answer."""
        return Reply(
            text=self.text,
            thinking="".join(self._thinking),
            usage=self.usage,
            finish=self.finish or "stop",
            model=self.model,
            tokens_per_second=self.tokens_per_second,
        )
