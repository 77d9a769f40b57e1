"""The messages an `LlmAgent` understands besides plain text."""

from typing import Any, Literal, TypeAlias

import msgspec

from ceylon.messages import Message
from ceylon.models.turns import Attachment, Reply, Turn

__all__ = ["Forget", "Prompt", "Recall", "TakeOver", "TakenOver", "Transfer", "When"]

When: TypeAlias = Literal["queue", "absorb", "interrupt"]
"""What a message does whose conversation is busy: wait, join the turn that is under way, or break it off."""


class Prompt(Message[Reply[Any]], tag="$prompt"):
    """Continue the conversation the address names, or answer a query of its own; the reply is whole, with its usage.

    `output` is the type of the answer, `tool_choice` as in `Request`, `tries` bounds those of each request to the
    model; `None` leaves each to the agent, or to the mesh's settings. `when` says what to do while the conversation is
    busy; see `Conversation.send`.
    """

    text: str
    output: Any = None
    tool_choice: str | None = None
    attachments: tuple[Attachment, ...] = ()
    when: When = "queue"
    tries: int | None = None


class Recall(Message[tuple[Turn, ...]], tag="$recall"):
    """Return the turns of the conversation the address names."""


class Forget(Message[None], tag="$forget"):
    """Drop the conversation the address names."""


class Transfer(msgspec.Struct, frozen=True):
    """A model wants another agent to go on: whom, and why; `call` is the id of its call."""

    agent: str
    reason: str
    call: str


class TakenOver(msgspec.Struct, frozen=True):
    """What became of a conversation that was taken over: its answer; or, with `transfer`, all that was said before."""

    reply: Reply[Any]
    transfer: Transfer | None = None


class TakeOver(Message[TakenOver], tag="$take_over"):
    """Go on with a conversation of another agent; what is added to it is that agent's to keep.

    `handoffs` says how often it may be handed on in this answer.
    """

    turns: tuple[Turn, ...]
    output: Any = None
    handoffs: int = 0
