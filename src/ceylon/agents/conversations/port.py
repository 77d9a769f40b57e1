"""The port every store of conversations is behind; a store of one's own passes `ceylon.testing.contracts`."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

import msgspec

from ceylon.errors import ArgumentError, StoreError
from ceylon.models.turns import Turn

__all__ = ["ConversationStore", "check_stored_key", "decode_turn", "encode_turn"]

_LONGEST_KEY: Final = 512  # an agent's name, a slash, a conversation's key

_decoder: Final = msgspec.json.Decoder(Turn)


class ConversationStore(ABC):
    """Turns under keys; an agent keeps the conversation *alice* under ``name/alice``.

    A store keeps the last turns of the conversations used last. What it drops are whole exchanges, from a question to
    what followed it, so that no call is ever parted from its result; a summary that stands first stays.
    """

    @abstractmethod
    async def load(self, key: str) -> tuple[Turn, ...]:
        """Return the turns under *key*, oldest first; none if there is no such conversation."""

    @abstractmethod
    async def append(self, key: str, turns: Sequence[Turn]) -> None:
        """Add *turns*, all or none; the conversation counts as used."""

    @abstractmethod
    async def replace(self, key: str, turns: Sequence[Turn]) -> None:
        """Keep *turns* in place of what is there, in one step; none of them drops the conversation."""

    @abstractmethod
    async def drop(self, key: str) -> None:
        """Forget what is under *key*."""

    @abstractmethod
    async def keys(self) -> tuple[str, ...]:
        """Return the keys there are, the one used last first."""

    async def aclose(self) -> None:  # noqa: B027 – a store in this process has nothing to give back
        """Give back what the store holds: files, threads, connections."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def check_stored_key(key: object) -> str:
    """Return *key* if turns may be kept under it.

    Raises:
        ArgumentError: it is empty, too long, or no text.
    """
    if not isinstance(key, str) or not 1 <= len(key) <= _LONGEST_KEY:
        sentence = f"{str(key)[:80]!r} is no key; it takes text of 1 to {_LONGEST_KEY} characters"
        raise ArgumentError(sentence)
    try:
        key.encode()
    except UnicodeEncodeError:
        sentence = "a key holds half a character (a lone surrogate)"
        raise ArgumentError(sentence) from None
    return key


def encode_turn(turn: Turn) -> bytes:
    """Return *turn* as JSON.

    Raises:
        ArgumentError: it holds what JSON cannot.
    """
    try:
        return msgspec.json.encode(turn)
    except (TypeError, ValueError, RecursionError) as error:
        sentence = f"a turn cannot be kept: {error}"
        raise ArgumentError(sentence) from error


def decode_turn(stored: bytes | str) -> Turn:
    """Return what `encode_turn` made.

    Raises:
        StoreError: somebody else made it.
    """
    try:
        return _decoder.decode(stored)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        sentence = f"what is kept is no turn: {error}"
        raise StoreError(sentence) from error
