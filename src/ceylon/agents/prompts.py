"""The messages an `LlmAgent` understands besides plain text."""

from ceylon.messages import Message
from ceylon.models.turns import Reply, Turn

__all__ = ["Forget", "Prompt", "Recall"]


class Prompt(Message[Reply], tag="$prompt"):
    """Continue the conversation the address names, or answer a query of its own; the reply is whole, with its usage."""

    text: str
    tries: int | None = None  # of each request to the model; `None` leaves it to the mesh's settings


class Recall(Message[tuple[Turn, ...]], tag="$recall"):
    """Return the turns of the conversation the address names."""


class Forget(Message[None], tag="$forget"):
    """Drop the conversation the address names."""
