"""The handle on one subscription, and how it is begun: on the mesh's loop, from threads, or before there is a loop."""

import contextlib
import functools
import threading
from typing import TYPE_CHECKING, Any

from ceylon.core.names import check_address, split_key
from ceylon.errors import MeshClosedError, UnknownAgentError
from ceylon.messages import attempt

if TYPE_CHECKING:
    from ceylon.core.backend import Sink
    from ceylon.core.interior import Interior
    from ceylon.core.subscriptions import Interest
    from ceylon.core.topic_index import Member

__all__ = ["Subscription"]


class Subscription:
    """What `subscribe` returns: a way to take it back, from the loop and from threads."""

    __slots__ = ("_interior", "_member")

    def __init__(self, interior: "Interior", member: "Member") -> None:
        self._interior, self._member = interior, member

    @classmethod
    def of(cls, interior: "Interior", address: str, interest: "Interest") -> "Subscription":
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


def _subscribe(interior: "Interior", address: str, interest: "Interest") -> "Member":
    """Do it; on the loop, or before there is one."""
    if interior.has_ended:
        raise MeshClosedError(interior.name, "it is closed")
    return interior.subscriptions.ask(_owner_of(interior, address), address, interest)


def _owner_of(interior: "Interior", address: str) -> str:
    """Return with whom a subscription of *address* is to end: its agent, or the family or pool that it names."""
    (name, key), cells = split_key(address), interior.cells()
    registered = interior.registered.get(name)
    if registered is not None and registered.wants_key() == bool(key):
        return name
    cell = interior.router.find(address) if interior.was_opened else cells.get(address) or cells.get(name)
    if cell is None:
        raise UnknownAgentError(address, [*cells, *(each.sample for each in interior.registered.values())])
    return cell.address
