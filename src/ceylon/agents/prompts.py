"""The messages an `LlmAgent` understands besides plain text."""

from typing import Any

from ceylon.messages import Message
from ceylon.models.turns import Attachment, Reply, Turn

__all__ = ["Forget", "Prompt", "Recall"]


class Prompt(Message[Reply[Any]], tag="$prompt"):
    """Continue the conversation the address names, or answer a query of its own; the reply is whole, with its usage.

    `output` is the type of the answer, `tool_choice` as in `Request`; `None` leaves either to the agent.
    """

    text: str
    output: Any = None
    tool_choice: str | None = None
    attachments: tuple[Attachment, ...] = ()


class Recall(Message[tuple[Turn, ...]], tag="$recall"):
    """Return the turns of the conversation the address names."""


class Forget(Message[None], tag="$forget"):
    """Drop the conversation the address names."""
