"""Carry what is published to whoever subscribes: to each of some, and to one of every group.

Who publishes waits only for room in full mailboxes, for all of them at the same time, at most as long as a tell does;
and for those only whose subscription, and the publication itself, say ``"wait"``. Where one of a group is to have it,
the publication stands before all the group's mailboxes and goes into the first that has room.
"""

from typing import TYPE_CHECKING, Any

import msgspec

from ceylon.core.ledger import DeadLetter
from ceylon.core.publication import Publication
from ceylon.core.subscriptions import WhenFull, check_when_full
from ceylon.core.topics import DEAD_LETTERS
from ceylon.messages import TELL, Outcome

if TYPE_CHECKING:
    from ceylon.core.backend import Sink
    from ceylon.core.origin import Origin
    from ceylon.core.router import Router
    from ceylon.core.subscriptions import Subscriptions

__all__ = ["PublishTerms", "Publisher"]


class PublishTerms(msgspec.Struct, frozen=True):
    """How something is published: to whom not, of a broadcast, and whether it may wait for room."""

    exclude: frozenset[str] = frozenset()
    when_full: WhenFull = "wait"


class Publisher:
    """Publishes for one mesh; on its loop."""

    def __init__(self, router: "Router", subscriptions: "Subscriptions") -> None:
        self._router = router
        self._subscriptions = subscriptions
        self.unheard = 0  # publications that nobody subscribes to

    def publish(
        self,
        topic: str | None,
        message: Any,
        source: "Origin | None",
        sink: "Sink",
        terms: "PublishTerms",
    ) -> "Publication":
        """Tell *message* to the subscribers of *topic*, or with `None` to every agent.

        Raises:
            ArgumentError: that is no topic, or no such choice.
        """
        waits = check_when_full(terms.when_full) == "wait"
        publication = Publication(self._router, self._subscriptions, sink, (topic, message, source), waits=waits)
        if topic is not None:
            self._publish(topic, publication)
        else:
            addresses = [
                address  # but a private one is nobody's
                for address in self._router.cells
                if address not in terms.exclude and "$" not in address
            ]
            self.unheard += not addresses
            for address in addresses:
                publication.offer(address, waits=waits)
        publication.set_result(Outcome())
        return publication

    def _publish(self, topic: str, publication: "Publication") -> None:
        receivers = self._subscriptions.receivers(topic)
        self.unheard += receivers.are_none
        waits = publication.waits
        reached = [
            address
            for address, member in receivers.each.items()
            if publication.offer(address, waits=waits and member.waits)
        ]
        for name, group in receivers.groups.items():
            if all(members.keys().isdisjoint(reached) for members in group):  # else one of them has it already
                publication.offer_group(name, group)

    def announce(self, letter: DeadLetter) -> None:
        """Publish *letter* to whoever has room for it; one that would be about itself is not."""
        subscriptions, router = self._subscriptions, self._router
        if subscriptions.are_none or isinstance(letter.envelope.message, DeadLetter) or router.is_closed:
            return
        receivers = subscriptions.receivers(DEAD_LETTERS)
        for address in receivers.each:
            self._put(address, letter)
        for group in receivers.groups.values():
            member = next((each for each in subscriptions.in_turn(group) if self._put(each.address, letter)), None)
            if member is not None:
                subscriptions.was_served(member)

    def _put(self, address: str, letter: DeadLetter) -> bool:
        """Put *letter* into the mailbox at *address*, if it has room."""
        router = self._router
        cell = router.find(address)
        if cell is None or not cell.state.takes_mail or not cell.has_room():
            return False
        envelope = router.envelope(TELL, None, address, letter, DEAD_LETTERS)
        cell.put(envelope)
        router.accepted(cell, envelope)
        return True
