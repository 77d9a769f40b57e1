"""How a pool chooses the member that is to have a message."""

import zlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias

from ceylon.errors import ArgumentError, describe
from ceylon.messages import type_name

if TYPE_CHECKING:
    from ceylon.core.member_cell import MemberCell
    from ceylon.messages import Envelope

__all__ = ["ByKey", "KeyOf", "LeastLoaded", "RoundRobin", "Routing", "Strategy", "seed_of", "strategy_of"]

KeyOf: TypeAlias = Callable[[Any], "str | int | bytes"]
Routing: TypeAlias = "Literal['round_robin', 'least_loaded'] | KeyOf"
"""Who is next, who has least to do, or a function of the message that returns its key."""

_WHOLE: Final = (1 << 64) - 1


class Strategy(Protocol):
    """One pool's way; called on the loop, with the members that take mail, at least one."""

    def choose(self, members: "Sequence[MemberCell]", envelope: "Envelope") -> "MemberCell":
        """Return who is to have *envelope*."""
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


class LeastLoaded:
    """Whoever has least in its mailbox and its handlers; of equals, whoever comes next."""

    def __init__(self) -> None:
        self._turn = -1

    def choose(self, members: "Sequence[MemberCell]", envelope: "Envelope") -> "MemberCell":
        """See `Strategy`."""
        size = len(members)
        after = [(self._turn + 1 + step) % size for step in range(size)]
        self._turn = min(after, key=lambda place: _load(members[place], envelope))
        return members[self._turn]


def _load(member: "MemberCell", envelope: "Envelope") -> tuple[bool, bool, bool, int]:
    """Return what is compared: one that could not take it, waits for it, or begins again comes last."""
    waiting = len(member.mail) + len(member.parked or ())
    return (
        not member.has_room(),
        member.address in envelope.chain,
        not member.state.handles_mail,
        waiting + member.running,
    )


class ByKey:
    """The same member for the same key: the one that scores highest for it.

    That is rendezvous hashing (Thaler and Ravishankar, "A Name-Based Mapping Scheme for Rendezvous", 1996): a member
    more or less moves the keys of that member and no others. Scores do not depend on the process.
    """

    def __init__(self, key_of: KeyOf, pool: str) -> None:
        self._key_of: Callable[[Any], object] = key_of  # whatever it has promised
        self._pool = pool

    def key(self, message: Any) -> bytes:
        """Return the key of *message* as bytes that no other key has.

        Raises:
            ArgumentError: the function raises, or returns something else than text, a whole number or bytes.
        """
        try:
            key = self._key_of(message)
        except Exception as error:
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
        """See `Strategy`."""
        return self.owner(members, self.key(envelope.message))

    @staticmethod
    def owner(members: "Sequence[MemberCell]", key: bytes) -> "MemberCell":
        """Return whose *key* is."""
        base = zlib.crc32(key)  # 32 bits do: keys that share one only share their member, and hashlib is slow to load
        return max(members, key=lambda member: _mixed(base ^ member.seed))


def _mixed(number: int) -> int:
    """Spread *number* over 64 bits: the finish of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    number = (number ^ (number >> 30)) * 0xBF58476D1CE4E5B9 & _WHOLE
    number = (number ^ (number >> 27)) * 0x94D049BB133111EB & _WHOLE
    return number ^ (number >> 31)


def seed_of(place: int) -> int:
    """Return what stands for the *place*-th member in scores."""
    return _mixed((place + 1) * 0x9E3779B97F4A7C15 & _WHOLE)


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
