"""The turn of a conversation that is under way, as later messages of that conversation find it.

Those wait in the agent's mailbox until the conversation is free. One that is to be absorbed is answered from there, by
the turn that has read it; one that interrupts is heard of as it arrives, before any slot is free, and is the next.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import anyio
import msgspec

from ceylon.agents.prompts import Prompt
from ceylon.core.names import split_key
from ceylon.errors import CeylonError, InterruptedTurnError
from ceylon.messages import STREAM, Envelope, Outcome
from ceylon.models.turns import Part, Reply, TextPart, Turn, Usage

if TYPE_CHECKING:
    from ceylon.agents.callees import Emit
    from ceylon.core.context import Context

__all__ = ["Turning"]

_NOTHING_SAID = "(interrupted before an answer)"


class Turning:
    """One turn under way, of the conversation *key*; without a key nothing can reach it."""

    def __init__(self, key: str, context: "Context", emit: "Emit | None") -> None:
        self.key = key
        self._context, self._emit = context, emit
        self._scope = anyio.CancelScope()
        self._told: list[str] = []
        self._absorbed: list[Envelope] = []
        self.is_interrupted = False

    @property
    def emit(self) -> "Emit | None":
        """What sends a part to whoever takes the answer as a stream, and remembers what has been said."""
        return None if self._emit is None else self._tell

    async def _tell(self, part: Part) -> None:
        if isinstance(part, TextPart):
            self._told.append(part.text)
        if self._emit is not None:
            await self._emit(part)

    def written_down(self) -> None:
        """Take note that all that was said so far stands in the turns."""
        self._told.clear()

    # -- interrupting --------------------------------------------------------------------------------------------------

    def interrupt(self) -> None:
        """Break the turn off, as soon as it waits for anything."""
        if not self.is_interrupted:
            self.is_interrupted = True
            self._scope.cancel()

    def __enter__(self) -> "Turning":
        self._scope.__enter__()
        return self

    def __exit__(self, *error: Any) -> bool | None:
        """See `anyio.CancelScope`; what is behind the block runs where the turn was broken off."""
        return self._scope.__exit__(*error)

    def cut(self, turns: Iterable[Turn]) -> tuple[Turn, ...]:
        """Return *turns*, of which each call is paired, ended so that any provider takes them: by what had been said."""
        return *turns, Turn("assistant", self.text or _NOTHING_SAID)

    @property
    def text(self) -> str:
        """What was said since it was last written down."""
        return "".join(self._told)

    def error(self) -> InterruptedTurnError:
        """Return what whoever waits for the turn is told."""
        return InterruptedTurnError(self._context.recipient, self.text)

    def let_next(self) -> None:
        """Put those that interrupt before everything else in the mailbox, in their order."""
        mail = self._context.cell.mail
        for envelope in reversed([each for each in self._waiting() if each.message.when == "interrupt"]):
            mail.remove(envelope)  # type: ignore[union-attr]
            mail.appendleft(envelope)  # type: ignore[union-attr]

    # -- absorbing -----------------------------------------------------------------------------------------------------

    def absorb(self) -> tuple[Turn, ...]:
        """Return what arrived to join this turn, as further entries of the conversation."""
        found = [each for each in self._waiting() if _is_absorbable(each) and each not in self._absorbed]
        self._absorbed += found
        return tuple(Turn("user", each.message.text, attachments=each.message.attachments) for each in found)

    def settle(self, outcome: "Reply[Any] | CeylonError") -> None:
        """Answer those that were absorbed, all at once; what the turn took is whoever's who began it."""
        cell, dispatcher = self._context.cell, self._context.interior.dispatcher
        for envelope in self._absorbed:
            if isinstance(outcome, Reply):
                value = msgspec.structs.replace(outcome, usage=Usage(), cost=0.0, requests=0, turns=())
                dispatcher.answered(cell, envelope, Outcome(value))
            else:
                dispatcher.answered(cell, envelope, Outcome(error=outcome))
        self._absorbed.clear()

    def _waiting(self) -> "Iterator[Envelope]":
        """Yield the messages of this conversation that are in the mailbox."""
        for envelope in tuple(self._context.cell.mail):
            if isinstance(envelope.message, Prompt) and self.key and split_key(envelope.recipient)[1] == self.key:
                yield envelope


def _is_absorbable(envelope: Envelope) -> bool:
    """Say whether the turn under way can answer this too: in one piece, and with no type of its own."""
    prompt: Prompt = envelope.message
    return prompt.when == "absorb" and envelope.kind is not STREAM and prompt.output is None
