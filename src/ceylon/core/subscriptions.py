"""Who subscribes to what, in a whole mesh: what classes declare by `@on`, and what `subscribe` asks for.

A subscription belongs to an agent and ends with it; it stays while the agent begins again, as its mailbox does. What is
asked for a keyed agent is its family's: what is published brings it back to memory. The same address, pattern and group
are one subscription, however often it is asked for.
"""

import heapq
import itertools
import operator
from collections.abc import Iterable, Iterator
from typing import Final, Literal, TypeAlias, get_args

import msgspec

from ceylon.core.names import check_name
from ceylon.core.topic_index import Member, Members, Place, TopicIndex
from ceylon.core.topics import TopicPattern, words_of
from ceylon.errors import ArgumentError

__all__ = ["Interest", "Receivers", "Subscriptions", "WhenFull", "check_when_full", "interest_in"]

WhenFull: TypeAlias = Literal["wait", "refuse"]
"""What happens to a publication that finds a subscriber's mailbox full: it waits as a tell does, or is refused."""

_CHOICES: Final[tuple[str, ...]] = get_args(WhenFull)
_by_turn = operator.attrgetter("turn")


class Interest(msgspec.Struct, frozen=True, eq=False):
    """What is subscribed to, as whose member, and whether a publication waits for room; see `interest_in`."""

    pattern: TopicPattern
    group: str
    when_full: WhenFull


def interest_in(topic: str, group: str | None, when_full: WhenFull) -> Interest:
    """Return the interest in *topic*, a pattern, once it has been looked at.

    Raises:
        ArgumentError: that is no pattern, no group's name, or no such choice.
    """
    return Interest(TopicPattern(topic), "" if group is None else check_name(group), check_when_full(when_full))


def check_when_full(when_full: WhenFull) -> WhenFull:
    """Return *when_full* if there is such a choice; `ArgumentError` if not."""
    if when_full not in _CHOICES:
        message = f"when_full={when_full!r} cannot be; it is one of {', '.join(map(repr, _CHOICES))}"
        raise ArgumentError(message)
    return when_full


class Receivers(msgspec.Struct, frozen=True, eq=False):
    """Who is to receive what is published: each of some, and one of every group."""

    each: Members
    groups: dict[str, list[Members]]

    @property
    def are_none(self) -> bool:
        """Whether nobody subscribes."""
        return not self.each and not self.groups


class Subscriptions:
    """The subscriptions of one mesh. They change on its loop, or before there is one."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.index = TopicIndex()
        self._of: dict[str, dict[tuple[str, str, str], Member]] = {}  # by agent; by address, pattern, group
        self._turns = itertools.count(1)

    @property
    def are_none(self) -> bool:
        """Whether nobody subscribes to anything."""
        return self.index.is_empty

    def declare(self, owner: str, interests: Iterable[Interest]) -> None:
        """Let the agent at *owner* have what its class declares."""
        for interest in interests:
            self._have(owner, owner, interest).is_declared = True

    def ask(self, owner: str, address: str, interest: Interest) -> Member:
        """Let *address*, which is *owner*'s, subscribe.

        Raises:
            ArgumentError: the agent has as many subscriptions as it may.
        """
        member = self._have(owner, address, interest)
        member.is_asked, member.owner = True, owner
        return member

    def _have(self, owner: str, address: str, interest: Interest) -> Member:
        own = self._of.setdefault(owner, {})
        key = (address, interest.pattern.text, interest.group)
        member = own.get(key)
        if member is None:
            if len(own) >= self._most:
                message = (
                    f"{owner!r} has {self._most:,} subscriptions; cancel some, subscribe to a pattern "
                    "instead of many topics, or raise Settings.subscriptions"
                )
                raise ArgumentError(message)
            members = self.index.place(interest.pattern).members(interest.group)
            member = members.get(address)  # another's: a family's, or that of one of its agents
            if member is None:
                member = Member(address, interest.pattern, interest.group, waits=True, turn=next(self._turns))
                members[address] = member
            own[key] = member
        member.waits = interest.when_full == "wait"
        return member

    def cancel(self, member: Member) -> None:
        """Take back what `ask` was asked for; what a class declares stays."""
        if not member.is_asked:
            return
        member.is_asked = False
        if not member.is_declared or member.owner != member.address:
            self._of.get(member.owner, {}).pop((member.address, member.pattern.text, member.group), None)
        self._discard_if_over(member)

    def end(self, owner: str) -> None:
        """Take back everything of *owner*, an agent or a family, which is not there any more."""
        for member in self._of.pop(owner, {}).values():
            if member.address == owner:
                member.is_declared = False
            if member.owner == owner:
                member.is_asked = False
            self._discard_if_over(member)

    def _discard_if_over(self, member: Member) -> None:
        if not (member.is_declared or member.is_asked):
            self.index.discard(member)

    # -- receiving -----------------------------------------------------------------------------------------------------

    def receivers(self, topic: str) -> Receivers:
        """Return who is to receive what is published on *topic*.

        Raises:
            ArgumentError: that is no topic.
        """
        places = self.index.find(topic, words_of(topic))
        if len(places) == 1 and not places[0].groups:  # as nearly always, and without looking at each
            return Receivers(places[0].each.copy(), {})
        return Receivers(_each_once(places), _by_group(places))

    def in_turn(self, group: list[Members]) -> Iterator[Member]:
        """Give the members of *group*, those first that have waited longest for something."""
        return heapq.merge(*(members.values() for members in group), key=_by_turn)

    def was_served(self, member: Member) -> None:
        """Let the others of its group go before *member* next time."""
        if member.is_declared or member.is_asked:  # or it has cancelled meanwhile
            members = self.index.place(member.pattern).members(member.group)
            member.turn = next(self._turns)
            members[member.address] = members.pop(member.address)


def _each_once(places: list[Place]) -> Members:
    """Return who subscribes for themselves, once; of several subscriptions the patient one counts."""
    found: Members = {}
    for place in places:
        for address, member in place.each.items():
            if address not in found or member.waits:
                found[address] = member
    return found


def _by_group(places: list[Place]) -> dict[str, list[Members]]:
    found: dict[str, list[Members]] = {}
    for place in places:
        for name, members in place.groups.items():
            found.setdefault(name, []).append(members)
    return found
