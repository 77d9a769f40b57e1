"""What a test server's model says."""

import msgspec

from ceylon.models.turns import ToolCall

__all__ = ["Said"]


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """An answer with more in it than text; `thinking` comes before it, the calls behind it."""

    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    thinking: str = ""

    @classmethod
    def of(cls, answer: "str | Said") -> "Said":
        """Return *answer* as what is said."""
        return cls(text=answer) if isinstance(answer, str) else answer
