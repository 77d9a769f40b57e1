"""The turn of a conversation that is under way, as later messages of that conversation find it.

Those wait in the agent's mailbox until the conversation is free. One that is to be absorbed is answered from there, by
the turn that has read it; one that interrupts is heard of as it arrives, before any slot is free, and is the next.
"""

import contextlib
import itertools
from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

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

__all__ = ["Turning", "Turnings"]

Scope: TypeAlias = "contextlib.AbstractContextManager[object, bool]"

# A scope would cost a turn without a key more than all else that it has of its own.
_UNREACHED: Final = cast("Scope", contextlib.nullcontext())
_NOTHING_SAID = "(interrupted before an answer)"


class Turning:
    """One turn under way, of the conversation *key*; without a key nothing can reach it."""

    scope: Scope = _UNREACHED  # of the code that an interruption breaks off
    is_interrupted = False
    is_followed = True  # somebody may ask what has been said
    _absorbed: tuple[Envelope, ...] = ()

    def __init__(self, key: str, context: "Context", emit: "Emit | None") -> None:
        self.key, self.context, self._emit = key, context, emit
        self._told: list[str] = []
        if key:
            self.scope = anyio.CancelScope()

    @property
    def emit(self) -> "Emit | None":
        """What sends a part to whoever takes the answer as a stream, and remembers what has been said."""
        return self._tell if self.is_followed and self._emit is not None else self._emit

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
            self._cancel()

    def begin_again(self) -> None:
        """Have another block of code that an interruption breaks off; one that came before it breaks it off too."""
        self.scope = anyio.CancelScope()
        if self.is_interrupted:
            self._cancel()

    def _cancel(self) -> None:
        if isinstance(self.scope, anyio.CancelScope):
            self.scope.cancel()

    def cut(self, turns: Iterable[Turn]) -> tuple[Turn, ...]:
        """Return *turns*, whose calls are paired, with an end that any provider takes: what had been said."""
        return *turns, Turn("assistant", self.text or _NOTHING_SAID)

    @property
    def text(self) -> str:
        """What was said since it was last written down."""
        return "".join(self._told)

    def error(self) -> InterruptedTurnError:
        """Return what whoever waits for the turn is told."""
        return InterruptedTurnError(self.context.recipient, self.text)

    def let_next(self) -> None:
        """Put those that interrupt before everything else in the mailbox, in their order."""
        mail = self.context.cell.mail
        for envelope in reversed([each for each in self._waiting() if each.message.when == "interrupt"]):
            mail.remove(envelope)  # type: ignore[union-attr]
            mail.appendleft(envelope)  # type: ignore[union-attr]

    # -- absorbing -----------------------------------------------------------------------------------------------------

    def absorb(self) -> tuple[Turn, ...]:
        """Return what arrived to join this turn, as one more entry of the conversation, or none."""
        found = [each for each in self._waiting() if _is_absorbable(each) and each not in self._absorbed]
        self._absorbed += tuple(found)
        if not found:
            return ()
        prompts: list[Prompt] = [each.message for each in found]
        attachments = tuple(itertools.chain.from_iterable(each.attachments for each in prompts))
        return (Turn("user", "\n\n".join(each.text for each in prompts), attachments=attachments),)

    def settle(self, outcome: "Reply[Any] | CeylonError") -> None:
        """Answer those that were absorbed, all at once; what the turn took is whoever's who began it."""
        cell, dispatcher = self.context.cell, self.context.interior.dispatcher
        for envelope in self._absorbed:
            if isinstance(outcome, Reply):
                value = msgspec.structs.replace(outcome, usage=Usage(), cost=0.0, requests=0, turns=())
                dispatcher.answered(cell, envelope, Outcome(value))
            else:
                dispatcher.answered(cell, envelope, Outcome(error=outcome))
        self._absorbed = ()

    def _waiting(self) -> "Iterator[Envelope]":
        """Yield the messages of this conversation that are in the mailbox."""
        if not self.key:
            return
        for envelope in tuple(self.context.cell.mail):
            if isinstance(envelope.message, Prompt) and split_key(envelope.recipient)[1] == self.key:
                yield envelope


class Turnings:
    """The turns under way of one agent, by conversation."""

    def __init__(self) -> None:
        self._by_key: dict[str, Turning] = {}

    @contextlib.contextmanager
    def holding(self, turning: Turning) -> Generator[None]:
        """Let *turning* be found in the block; not one inside another of the same conversation, which is that one's."""
        key = turning.key
        is_found = bool(key) and key not in self._by_key
        if is_found:
            self._by_key[key] = turning
        try:
            yield
        finally:
            if is_found:
                del self._by_key[key]

    def hear(self, envelope: Envelope) -> None:
        """Break off the turn that *envelope* is to interrupt, unless it comes out of that turn itself."""
        message = envelope.message
        if isinstance(message, Prompt) and message.when == "interrupt":
            turning = self._by_key.get(split_key(envelope.recipient)[1])
            if turning is not None and turning.context.address not in envelope.chain:
                turning.interrupt()


def _is_absorbable(envelope: Envelope) -> bool:
    """Say whether the turn under way can answer this too: in one piece, and with no type of its own."""
    prompt: Prompt = envelope.message
    return prompt.when == "absorb" and envelope.kind is not STREAM and prompt.output is None
