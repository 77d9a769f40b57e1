"""Topics: many receivers by subject, with wildcards."""

from ceylon.errors import ArgumentError

__all__ = ["DEAD_LETTERS", "TopicPattern"]

DEAD_LETTERS = "$dead_letters"
"""The mesh publishes a `DeadLetter` here for every one it gets."""


class TopicPattern:
    """A topic to subscribe to: words between dots; ``*`` stands for one word, ``**`` for any number at the end."""

    __slots__ = ("_open", "_words", "text")

    def __init__(self, text: str) -> None:
        words = text.split(".")
        if not all(words) or "**" in words[:-1]:
            message = f"{text!r} is no topic pattern: words between dots, '*' for one word, '**' only as the last"
            raise ArgumentError(message)
        self.text = text
        self._open = words[-1] == "**"
        self._words = words[:-1] if self._open else words

    def matches(self, topic: str) -> bool:
        """Say whether *topic* is one of those."""
        words = topic.split(".")
        if len(words) < len(self._words) or (len(words) > len(self._words) and not self._open):
            return False
        return all(mine in {"*", word} for mine, word in zip(self._words, words, strict=False))

    def __repr__(self) -> str:
        return f"<TopicPattern {self.text!r}>"
