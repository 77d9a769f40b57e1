"""Who subscribes to what, in a whole mesh: what classes declare by `@on`, and what `subscribe` asks for.

A subscription belongs to an agent and ends with it; it stays while the agent begins again, as its mailbox does. The
same agent, pattern and group are one subscription, however often it is asked for.
"""

import contextlib
import functools
import heapq
import itertools
import operator
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

import msgspec

from ceylon.core.names import check_address, check_name, split_key
from ceylon.core.topic_index import Member, Members, Place, TopicIndex
from ceylon.core.topics import TopicPattern, words_of
from ceylon.errors import ArgumentError, MeshClosedError, UnknownAgentError
from ceylon.messages import attempt

if TYPE_CHECKING:
    from ceylon.core.backend import Sink
    from ceylon.core.interior import Interior

__all__ = ["Interest", "Receivers", "Subscription", "Subscriptions", "WhenFull", "check_when_full", "interest_in"]

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
        member.is_asked = True
        return member

    def _have(self, owner: str, address: str, interest: Interest) -> Member:
        own = self._of.setdefault(owner, {})
        key = (address, interest.pattern.text, interest.group)
        member = own.get(key)
        if member is None:
            if len(own) >= self._most:
                message = (
                    f"agent {owner!r} has {self._most:,} subscriptions; cancel some, subscribe to a pattern "
                    "instead of many topics, or raise Settings.subscriptions"
                )
                raise ArgumentError(message)
            member = Member(address, owner, interest.pattern, interest.group, waits=True, turn=next(self._turns))
            own[key] = member
            self.index.place(interest.pattern).members(interest.group)[address] = member
        member.waits = interest.when_full == "wait"
        return member

    def cancel(self, member: Member) -> None:
        """Take back what `ask` was asked for; what a class declares stays."""
        member.is_asked = False
        if not member.is_declared:
            key = (member.address, member.pattern.text, member.group)
            own = self._of.get(member.owner, {})
            if own.get(key) is member:
                del own[key]
                self.index.discard(member)

    def end(self, owner: str) -> None:
        """Take back everything of the agent at *owner*, which is not there any more."""
        for member in self._of.pop(owner, {}).values():
            member.is_declared = member.is_asked = False
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


class Subscription:
    """What `subscribe` returns: a way to take it back, from the loop and from threads."""

    __slots__ = ("_interior", "_member")

    def __init__(self, interior: "Interior", member: Member) -> None:
        self._interior, self._member = interior, member

    @classmethod
    def of(cls, interior: "Interior", address: str, interest: Interest) -> "Subscription":
        """Let *address* subscribe, from any thread; from another than the loop's this blocks for the moment it takes.

        Raises:
            UnknownAgentError: nobody has that address.
            ArgumentError: the agent has as many subscriptions as it may.
            MeshClosedError: the mesh is closed.
        """
        begin = functools.partial(_subscribe, interior, check_address(address), interest)
        if interior.was_opened and threading.get_ident() != interior.thread:

            def operation(sink: "Sink") -> None:
                sink.set_result(attempt(begin))

            member: Any = interior.gateway.block("subscribe", operation, may_warn=False).get()
        else:
            member = begin()
        return cls(interior, member)

    def __repr__(self) -> str:
        member, state = self._member, "active" if self.is_active else "over"
        group = f" as one of {member.group!r}" if member.group else ""
        return f"<Subscription of {member.address!r} to {member.pattern.text!r}{group} {state}>"

    @property
    def topic(self) -> str:
        """The topic or pattern that is subscribed to."""
        return self._member.pattern.text

    @property
    def address(self) -> str:
        """Who subscribes."""
        return self._member.address

    @property
    def group(self) -> str | None:
        """Of which group it is a member; `None`: it receives everything."""
        return self._member.group or None

    @property
    def is_active(self) -> bool:
        """Whether it has neither been cancelled nor ended with its agent."""
        return self._member.is_asked

    def cancel(self) -> None:
        """Receive nothing more by this; what is in the mailbox stays there. May be called again, from any thread."""
        cancel = functools.partial(self._interior.subscriptions.cancel, self._member)
        if not self._interior.was_opened or self._interior.gateway.is_inside():
            cancel()
            return
        with contextlib.suppress(MeshClosedError):  # with what else this thread asks for, and before what it asks next
            self._interior.gateway.post(cancel)


def _subscribe(interior: "Interior", address: str, interest: Interest) -> Member:
    """Do it; on the loop, or before there is one."""
    if interior.has_ended:
        raise MeshClosedError(interior.name, "it is closed")
    cells = interior.cells()
    cell = interior.router.find(address) if interior.was_opened else cells.get(split_key(address)[0])
    if cell is None:
        raise UnknownAgentError(address, cells)
    return interior.subscriptions.ask(cell.address, address, interest)
