"""How a pool chooses the member that is to have a message."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias

from ceylon.core.pins import Pins
from ceylon.errors import ArgumentError, describe
from ceylon.messages import type_name

if TYPE_CHECKING:
    from ceylon.core.member_cell import MemberCell
    from ceylon.messages import Envelope

__all__ = ["ByKey", "KeyOf", "LeastLoaded", "RoundRobin", "Routing", "Strategy", "seed_of", "strategy_of"]

KeyOf: TypeAlias = Callable[[Any], "str | int | bytes"]
Routing: TypeAlias = "Literal['round_robin', 'least_loaded'] | KeyOf"
"""Who is next, who has least to do, or a function of the message that returns its key."""

_WHOLE: Final = (1 << 32) - 1
_BEHIND: Final = 1 << 32  # more than any mailbox holds
_MOST: Final = _BEHIND**4


class Strategy(Protocol):
    """One pool's way; called on the loop, with the members that take mail, at least one."""

    def choose(self, members: "Sequence[MemberCell]", envelope: "Envelope") -> "MemberCell":
        """Return who is to have *envelope*."""
        ...

    def resized(
        self, before: "Sequence[MemberCell]", members: "Sequence[MemberCell]", opened: "Mapping[int, Envelope]"
    ) -> None:
        """Hear that *members* are left, or new, of those *before*; *opened* are all envelopes that have not ended."""
        ...


class RoundRobin:
    """One after the other; a member that waits for the answer itself is passed over if it can be."""

    def __init__(self) -> None:
        self._turn = -1

    def choose(self, members: "Sequence[MemberCell]", envelope: "Envelope") -> "MemberCell":
        """See `Strategy`."""
        for _ in members:
            self._turn = (self._turn + 1) % len(members)
            if members[self._turn].address not in envelope.chain:
                break
        return members[self._turn]

    def resized(
        self, before: "Sequence[MemberCell]", members: "Sequence[MemberCell]", opened: "Mapping[int, Envelope]"
    ) -> None:
        """See `Strategy`; whoever is next then is next."""


class LeastLoaded:
    """Whoever has least in its mailbox and its handlers; of equals, whoever comes next."""

    def __init__(self) -> None:
        self._turn = -1

    def choose(self, members: "Sequence[MemberCell]", envelope: "Envelope") -> "MemberCell":
        """See `Strategy`."""
        best, least = 0, _MOST
        for step in range(1, len(members) + 1):
            place = (self._turn + step) % len(members)
            load = _load(members[place], envelope)
            if load < least:
                best, least = place, load
                if not load:
                    break
        self._turn = best
        return members[best]

    def resized(
        self, before: "Sequence[MemberCell]", members: "Sequence[MemberCell]", opened: "Mapping[int, Envelope]"
    ) -> None:
        """See `Strategy`; as above."""


def _load(member: "MemberCell", envelope: "Envelope") -> int:
    """Return what is compared; one that could not take it, waits for it, or begins again comes last, in this order."""
    load = len(member.mail) + len(member.parked or ()) + member.running
    if not member.state.handles_mail:
        load += _BEHIND
    if envelope.chain and member.address in envelope.chain:
        load += _BEHIND**2
    return load if member.has_room() else load + _BEHIND**3


class ByKey:
    """The same member for the same key: the one that scores highest for it.

    That is rendezvous hashing (Thaler and Ravishankar, "A Name-Based Mapping Scheme for Rendezvous", 1996): a member
    more or less moves the keys of that member and no others. Scores do not depend on the process.
    """

    def __init__(self, key_of: KeyOf, pool: str) -> None:
        self._key_of: Callable[[Any], object] = key_of  # whatever it has promised
        self._pool = pool
        self._pins: Pins | None = None  # from the first change of size on

    def key(self, message: Any) -> bytes:
        """Return the key of *message* as bytes that no other key has.

        Raises:
            ArgumentError: the function raises, or returns something else than text, a whole number or bytes.
        """
        try:
            key = self._key_of(message)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            text = f"the routing of pool {self._pool!r} has no key for {type_name(message)}: {describe(error)}"
            raise ArgumentError(text) from error
        if not isinstance(key, str | int | bytes):
            text = (
                f"the routing of pool {self._pool!r} gave {key!r} for {type_name(message)}; "
                "a key is a text, a whole number or bytes"
            )
            raise ArgumentError(text)
        return repr(key).encode()

    def choose(self, members: "Sequence[MemberCell]", envelope: "Envelope") -> "MemberCell":
        """See `Strategy`; whoever still has messages of a key that has moved keeps it."""
        key = self.key(envelope.message)  # once: the function is a user's
        holder = self._pins.holder(key, envelope) if self._pins else None
        return self.owner(members, key) if holder is None else holder

    def resized(
        self, before: "Sequence[MemberCell]", members: "Sequence[MemberCell]", opened: "Mapping[int, Envelope]"
    ) -> None:
        """See `Strategy`."""
        if self._pins is None:
            self._pins = Pins(self, opened)
        self._pins.set(before, members)

    @staticmethod
    def owner(members: "Sequence[MemberCell]", key: bytes) -> "MemberCell":
        """Return whose *key* is."""
        base = zlib.crc32(key)  # 32 bits do: keys that share one only share their member, and hashlib is slow to load
        best, most = members[0], -1
        for member in members:
            score = _mixed(base ^ member.seed)
            if score > most:
                best, most = member, score
        return best


def _mixed(number: int) -> int:
    """Spread *number* over 32 bits: the finish of MurmurHash3 (Appleby, 2011)."""
    number = (number ^ (number >> 16)) * 0x85EBCA6B & _WHOLE
    number = (number ^ (number >> 13)) * 0xC2B2AE35 & _WHOLE
    return number ^ (number >> 16)


def seed_of(place: int) -> int:
    """Return what stands for the *place*-th member in scores."""
    return _mixed((place + 1) * 0x9E3779B1 & _WHOLE)


def strategy_of(routing: Routing, pool: str) -> Strategy:
    """Return the way that *routing* names.

    Raises:
        ArgumentError: it names none.
    """
    named: object = routing
    if named == "round_robin":
        return RoundRobin()
    if named == "least_loaded":
        return LeastLoaded()
    if callable(named):
        return ByKey(named, pool)
    message = f'routing={routing!r} cannot be; it is "round_robin", "least_loaded", or a function of the message'
    raise ArgumentError(message)
