"""Topics: many receivers by subject, with wildcards."""

from ceylon.errors import ArgumentError

__all__ = ["DEAD_LETTERS", "TopicPattern", "words_of"]

DEAD_LETTERS = "$dead_letters"
"""The mesh publishes a `DeadLetter` here for every one it gets."""


class TopicPattern:
    """A topic to subscribe to: words between dots; ``*`` stands for one word, ``**`` for any number at the end.

    `words` are those before a ``**``; `is_open` says whether there is one.
    """

    __slots__ = ("is_open", "text", "words")

    def __init__(self, text: str) -> None:
        words = _split(text)
        if not all(words) or "**" in words[:-1]:
            message = f"{text!r} is no topic pattern: words between dots, '*' for one word, '**' only as the last"
            raise ArgumentError(message)
        self.text = text
        self.is_open = words[-1] == "**"
        self.words = words[:-1] if self.is_open else words

    @property
    def is_exact(self) -> bool:
        """Whether it stands for one topic only: itself."""
        return not self.is_open and "*" not in self.words

    def matches(self, topic: str) -> bool:
        """Say whether *topic* is one of those."""
        words = topic.split(".")
        if len(words) < len(self.words) or (len(words) > len(self.words) and not self.is_open):
            return False
        return all(mine in {"*", word} for mine, word in zip(self.words, words, strict=False))

    def __repr__(self) -> str:
        return f"<TopicPattern {self.text!r}>"


def words_of(topic: str) -> list[str]:
    """Return the words of *topic*, which something is to be published on.

    Raises:
        ArgumentError: it is none; wildcards are for those who subscribe.
    """
    words = _split(topic)
    if not all(words) or "*" in words or "**" in words:
        message = f"{topic!r} is no topic: publish on words between dots; '*' and '**' are for those who subscribe"
        raise ArgumentError(message)
    return words


def _split(text: str) -> list[str]:
    """Return the words of *text*; one that is empty of what is no text, as where topic and message are swapped."""
    try:
        return text.split(".")
    except (AttributeError, TypeError):
        return [""]
