"""How much of a conversation a model is shown: its end, cut where a question begins."""

from collections.abc import Sequence
from typing import Final

import msgspec

from ceylon.errors import ArgumentError
from ceylon.models.turns import Turn
from ceylon.settings import DEFAULTS

__all__ = ["Window", "exchanges", "last_turns", "tokens_of"]

_ATTACHMENT_TOKENS: Final = 1_000  # about what a picture costs; its bytes say nothing


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Show a model the last exchanges only: as many as stay within both limits, and always the last one.

    The store keeps the rest. Tokens are estimated from characters, as no two providers count alike.
    """

    turns: int | None = None
    tokens: int | None = None

    def __post_init__(self) -> None:
        """Raise `ArgumentError` unless there is a limit, and each is a number from 1."""
        limits = [limit for limit in (self.turns, self.tokens) if limit is not None]
        if not limits or any(type(limit) is not int or limit < 1 for limit in limits):
            sentence = "a window has limits: Window(turns=40), Window(tokens=4_000), or both; whole numbers from 1"
            raise ArgumentError(sentence)

    def of(self, turns: Sequence[Turn]) -> tuple[Turn, ...]:
        """Return the end of *turns* that stays within the limits; a summary that stands first stays."""
        told, asked = exchanges(turns)
        left_turns = None if self.turns is None else self.turns - len(told)
        left_tokens = None if self.tokens is None else self.tokens - sum(map(tokens_of, told))
        kept: list[tuple[Turn, ...]] = []
        for exchange in reversed(asked):
            left_turns = None if left_turns is None else left_turns - len(exchange)
            left_tokens = None if left_tokens is None else left_tokens - sum(map(tokens_of, exchange))
            if kept and any(left is not None and left < 0 for left in (left_turns, left_tokens)):
                break
            kept.append(exchange)
        return (*told, *(turn for exchange in reversed(kept) for turn in exchange))


def exchanges(turns: Sequence[Turn]) -> tuple[tuple[Turn, ...], list[tuple[Turn, ...]]]:
    """Return what stands before the first question, and the exchanges: each a question with all that followed it.

    Turns before the first question that are no summary are left out: nobody knows what they answer.
    """
    starts = [place for place, turn in enumerate(turns) if turn.role == "user"]
    before = turns[: starts[0]] if starts else turns
    told = tuple(turn for turn in before if turn.role == "system")
    ends = [*starts[1:], len(turns)]
    return told, [tuple(turns[start:end]) for start, end in zip(starts, ends, strict=bool(starts))]


def last_turns(turns: Sequence[Turn], most: int) -> tuple[Turn, ...]:
    """Return *turns* if they are not too many, else the end of them, as a window of so many turns shows it."""
    return tuple(turns) if len(turns) <= most else Window(turns=most).of(turns)


def tokens_of(turn: Turn) -> int:
    """Return about how many tokens *turn* takes."""
    characters = len(turn.text) + sum(len(result.text) for result in turn.results)
    characters += sum(len(call.name) + len(msgspec.json.encode(call.arguments)) for call in turn.calls)
    return 4 + int(characters / DEFAULTS.characters_per_token) + _ATTACHMENT_TOKENS * len(turn.attachments)
