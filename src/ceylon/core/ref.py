"""Handles and verbs: what callers hold, and what they can do with it.

`AsyncVerbs` and `BlockingVerbs` are the two skins around the operations of `verbs`; meshes and contexts wear them, a
`Ref` or `BlockingRef` is one of them with an address.
"""

from collections.abc import Coroutine, Iterable
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

import msgspec

from ceylon.core import submitting, verbs
from ceylon.core.cell import State
from ceylon.core.composing import Composable
from ceylon.core.current import current
from ceylon.core.names import check_address, split_key
from ceylon.core.publishing import PublishTerms
from ceylon.core.request import Request
from ceylon.core.streams import BlockingStream, Stream
from ceylon.core.subscriptions import WhenFull
from ceylon.core.terms import Priority, Terms, terms_of
from ceylon.errors import NotAnAddressError
from ceylon.messages import ActionCall, Message

if TYPE_CHECKING:
    from ceylon.core.budgets import Budget
    from ceylon.core.handlers import Behaviour
    from ceylon.core.interior import Interior
    from ceylon.core.origin import Origin
    from ceylon.core.ports import AgentLike

__all__ = ["AsyncVerbs", "BlockingRef", "BlockingVerbs", "Options", "Ref", "address_of"]

R = TypeVar("R")


class Options(msgspec.Struct, frozen=True):
    """What `Ref.using` keeps for every verb; `None` leaves the default."""

    timeout: float | None = None
    terms: Terms | None = None


NO_OPTIONS: Final = Options()


class AsyncVerbs:
    """tell, ask, stream, call, publish and broadcast, to be awaited on any loop."""

    __slots__ = ()

    def _interior(self) -> "Interior":
        raise NotImplementedError

    def _source(self) -> "Origin | None":
        raise NotImplementedError

    def tell(self, recipient: "str | Ref", message: Any) -> Coroutine[Any, Any, None]:
        """Put *message* into the mailbox of *recipient*; returns when it is there, and waits for no reply.

        Raises:
            MailboxFullError: there was no room for 5 s.
            UnknownAgentError: nobody has that address.
            MeshClosedError: the mesh is not running.
        """
        return verbs.tell(self._interior(), self._source(), address_of(recipient), message)

    def tell_nowait(self, recipient: "str | Ref", message: Any) -> None:
        """Put *message* into the mailbox of *recipient* now; only on the mesh's own loop.

        Raises:
            MailboxFullError: there is no room.
        """
        verbs.tell_nowait(self._interior(), self._source(), address_of(recipient), message)

    @overload
    def ask(
        self, recipient: "str | Ref", message: Message[R], *, timeout: float | None = None
    ) -> Coroutine[Any, Any, R]: ...
    @overload
    def ask(
        self, recipient: "str | Ref", message: object, *, timeout: float | None = None
    ) -> Coroutine[Any, Any, Any]: ...
    def ask(self, recipient: "str | Ref", message: Any, *, timeout: float | None = None) -> Coroutine[Any, Any, Any]:
        """Send *message* and await the reply, for *timeout* seconds.

        The default is what is left of the asker's own deadline, else the receiver's `ask_timeout`, else 30 s.

        Raises:
            HandlerError: the handler raised; `root` is its exception.
            AskTimeoutError: no reply in time.
            DeliveryError: the message was refused.
            UnhandledMessageError: the agent takes no such message.
            DeadlockError: the asker would wait for itself.
        """
        return verbs.ask(self._interior(), self._source(), address_of(recipient), message, timeout)

    def stream(
        self, recipient: "str | Ref", message: Any, *, timeout: float | None = None, idle_timeout: float | None = None
    ) -> Stream:
        """Send *message* and take the reply part by part; it is sent when the first part is awaited.

        Args:
            recipient: An address or a ref.
            message: What to send.
            timeout: Seconds for the whole stream; by default only an inherited deadline bounds it.
            idle_timeout: Seconds between two parts (60).
        """
        return verbs.stream(
            Stream, self._interior(), self._source, address_of(recipient), message, timeout, idle_timeout
        )

    def call(self, recipient: "str | Ref", action: str, /, **arguments: Any) -> Coroutine[Any, Any, Any]:
        """Run an *action* of *recipient* and await what it returns; every keyword belongs to the action.

        Raises:
            UnknownActionError: the agent has no such action.
            ActionArgumentsError: the arguments do not fit its schema.
            HandlerError: the action raised.
        """
        return verbs.ask(self._interior(), self._source(), address_of(recipient), ActionCall(action, arguments), None)

    @overload
    def submit(
        self, recipient: "str | Ref", message: Message[R], *, timeout: float | None = None
    ) -> Coroutine[Any, Any, Request[R]]: ...
    @overload
    def submit(
        self, recipient: "str | Ref", message: object, *, timeout: float | None = None
    ) -> Coroutine[Any, Any, Request[Any]]: ...
    def submit(self, recipient: "str | Ref", message: Any, *, timeout: float | None = None) -> Coroutine[Any, Any, Any]:
        """Send *message* and go on as soon as it is in the mailbox; the request that this returns can be awaited later.

        It has *timeout* seconds; the default is what is left of the sender's own deadline, else an hour.

        Raises:
            MailboxFullError: there was no room for 5 s.
            UnknownAgentError: nobody has that address.
            MeshClosedError: the mesh is not running.
        """
        return submitting.submit(self._interior(), self._source(), address_of(recipient), message, timeout)

    async def publish(self, topic: str, message: Any, *, when_full: WhenFull = "wait") -> int:
        """Tell *message* to every subscriber of *topic*, and to one member of each group; return how many received it.

        No subscriber is no error: 0 is returned, and counted as `unheard`. Order is kept between one publisher that
        awaits this and one subscriber; whether the handlers succeed is not waited for. No deadline is passed on.

        Args:
            topic: Words between dots.
            message: What to tell.
            when_full: ``"wait"`` for room in full mailboxes, in all of them at the same time and for 5 s at most, but
                for subscribers that refuse for their part; ``"refuse"``: never wait. Who has no room does not get it,
                which is counted as `refused` and kept as a dead letter.

        Raises:
            ArgumentError: that is no topic; wildcards are for those who subscribe.
            MeshClosedError: the mesh is not running.
        """
        return await verbs.publish(self._interior(), self._source(), topic, message, PublishTerms(when_full=when_full))

    async def broadcast(
        self, message: Any, *, exclude: "Iterable[str | Ref]" = (), when_full: WhenFull = "wait"
    ) -> int:
        """Tell *message* to every agent of the mesh but *exclude*; return how many received it.

        *when_full* is as in `publish`.
        """
        terms = PublishTerms(frozenset(map(address_of, exclude)), when_full)
        return await verbs.publish(self._interior(), self._source(), None, message, terms)


class BlockingVerbs:
    """The same verbs, blocking the calling thread until they are done."""

    __slots__ = ()

    def _interior(self) -> "Interior":
        raise NotImplementedError

    def _source(self) -> "Origin | None":
        raise NotImplementedError

    def tell(self, recipient: "str | BlockingRef | Ref", message: Any) -> None:
        """Put *message* into the mailbox of *recipient*; see `AsyncVerbs.tell`."""
        verbs.block_tell(self._interior(), self._source(), address_of(recipient), message)

    @overload
    def ask(self, recipient: "str | BlockingRef | Ref", message: Message[R], *, timeout: float | None = None) -> R: ...
    @overload
    def ask(self, recipient: "str | BlockingRef | Ref", message: object, *, timeout: float | None = None) -> Any: ...
    def ask(self, recipient: "str | BlockingRef | Ref", message: Any, *, timeout: float | None = None) -> Any:
        """Send *message* and wait for the reply; see `AsyncVerbs.ask`."""
        return verbs.block_ask(self._interior(), self._source(), address_of(recipient), message, timeout)

    def stream(
        self,
        recipient: "str | BlockingRef | Ref",
        message: Any,
        *,
        timeout: float | None = None,
        idle_timeout: float | None = None,
    ) -> BlockingStream:
        """Send *message* and take the reply part by part; see `AsyncVerbs.stream`."""
        return verbs.stream(
            BlockingStream, self._interior(), self._source, address_of(recipient), message, timeout, idle_timeout
        )

    def call(self, recipient: "str | BlockingRef | Ref", action: str, /, **arguments: Any) -> Any:
        """Run an *action* of *recipient*; see `AsyncVerbs.call`."""
        message = ActionCall(action, arguments)
        return verbs.block_ask(self._interior(), self._source(), address_of(recipient), message, None)

    @overload
    def submit(
        self, recipient: "str | BlockingRef | Ref", message: Message[R], *, timeout: float | None = None
    ) -> Request[R]: ...
    @overload
    def submit(
        self, recipient: "str | BlockingRef | Ref", message: object, *, timeout: float | None = None
    ) -> Request[Any]: ...
    def submit(self, recipient: "str | BlockingRef | Ref", message: Any, *, timeout: float | None = None) -> Any:
        """Send *message* and return the request, whose `wait()` blocks until the reply; see `AsyncVerbs.submit`."""
        return submitting.block_submit(self._interior(), self._source(), address_of(recipient), message, timeout)

    def publish(self, topic: str, message: Any, *, when_full: WhenFull = "wait") -> int:
        """Tell *message* to every subscriber of *topic*; return how many received it; see `AsyncVerbs.publish`."""
        terms = PublishTerms(when_full=when_full)
        return verbs.block_publish(self._interior(), self._source(), topic, message, terms)

    def broadcast(
        self, message: Any, *, exclude: "Iterable[str | BlockingRef | Ref]" = (), when_full: WhenFull = "wait"
    ) -> int:
        """Tell *message* to every agent of the mesh but *exclude*; see `AsyncVerbs.broadcast`."""
        terms = PublishTerms(frozenset(map(address_of, exclude)), when_full)
        return verbs.block_publish(self._interior(), self._source(), None, message, terms)


class _Handle(Composable):
    """What both kinds of ref are: an address in a mesh."""

    __slots__ = ("_mesh", "_options", "address")

    def __init__(self, interior: "Interior", address: str, options: Options = NO_OPTIONS) -> None:
        self._mesh = interior
        self._options = options
        self.address = check_address(address)

    @property
    def __ceylon_target__(self) -> "AgentLike | None":
        """The agent behind the address, where it lives in this process; for code of this package.

        Of a pool it is one of them, and likewise of a family, if the agent for the key is not in memory.
        """
        cells, name = self._mesh.cells(), split_key(self.address)[0]
        cell = cells.get(self.address) or cells.get(name)
        if cell is not None and cell.state is not State.WAITING:
            return cell.agent.__ceylon_itself__
        registered = self._mesh.registered.get(name)
        return None if registered is None else registered.example

    @property
    def __ceylon_does__(self) -> "Behaviour | None":
        """What the agent behind the address does, without interceptors; `None`: nobody can say; likewise."""
        agent = self.__ceylon_target__
        if agent is not None:
            return agent.__ceylon_behaviour__
        registered = self._mesh.registered.get(split_key(self.address)[0])
        return getattr(registered.maker.cls, "__ceylon_behaviour__", None) if registered is not None else None

    @property
    def __ceylon_mesh__(self) -> "Interior":
        """The mesh of the address; for code of this package."""
        return self._mesh

    @property
    def __ceylon_awaited__(self) -> "Ref":
        """The same handle with awaited verbs; for code of this package."""
        return Ref(self._mesh, self.address, self._options)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Handle) and other.address == self.address and other._mesh is self._mesh

    def __hash__(self) -> int:
        return hash(self.address)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.address!r} in mesh {self._mesh.name!r}>"


class Ref(_Handle):
    """A handle on an agent: safe to share, compare and send; its verbs are awaited, on any loop."""

    __slots__ = ()

    def using(
        self, *, timeout: float | None = None, budget: "Budget | None" = None, priority: Priority | None = None
    ) -> "Ref":
        """Return a ref whose verbs go by these.

        Args:
            timeout: Seconds that asks, calls and streams take unless they say otherwise.
            budget: What each message sent, with all that follows from it, may spend; it is told of a `BudgetError`.
            priority: Whether requests to busy models go before or behind those of other messages.

        Raises:
            ArgumentError: that is no budget, or no priority.
        """
        return Ref(self._mesh, self.address, Options(timeout, terms_of(budget, priority)))

    def tell(self, message: Any) -> Coroutine[Any, Any, None]:
        """Put *message* into the agent's mailbox; see `AsyncVerbs.tell`."""
        mesh = self._mesh
        source = current.get()
        if source is not None and source.interior is not mesh:  # `source_in`, a call less
            source = None
        if self._options.terms is not None:
            return verbs.tell(mesh, source, self.address, message, terms=self._options.terms)
        return verbs.tell(mesh, source, self.address, message)

    def tell_nowait(self, message: Any) -> None:
        """Put *message* into the agent's mailbox now; see `AsyncVerbs.tell_nowait`."""
        source, terms = verbs.source_in(self._mesh), self._options.terms
        verbs.tell_nowait(self._mesh, source, self.address, message, terms=terms)

    @overload
    def ask(self, message: Message[R], *, timeout: float | None = None) -> Coroutine[Any, Any, R]: ...
    @overload
    def ask(self, message: object, *, timeout: float | None = None) -> Coroutine[Any, Any, Any]: ...
    def ask(self, message: Any, *, timeout: float | None = None) -> Coroutine[Any, Any, Any]:
        """Send *message* and await the reply; see `AsyncVerbs.ask`."""
        mesh = self._mesh
        options = self._options
        if timeout is None:
            timeout = options.timeout
        source = current.get()
        if source is not None and source.interior is not mesh:  # as above
            source = None
        if options.terms is not None:
            return verbs.ask(mesh, source, self.address, message, timeout, terms=options.terms)
        return verbs.ask(mesh, source, self.address, message, timeout)

    def stream(self, message: Any, *, timeout: float | None = None, idle_timeout: float | None = None) -> Stream:
        """Send *message* and take the reply part by part; see `AsyncVerbs.stream`."""
        timeout = self._options.timeout if timeout is None else timeout
        mesh = self._mesh
        find, terms = (lambda: verbs.source_in(mesh)), self._options.terms
        return verbs.stream(Stream, mesh, find, self.address, message, timeout, idle_timeout, terms=terms)

    def call(self, action: str, /, **arguments: Any) -> Coroutine[Any, Any, Any]:
        """Run an *action* of the agent; see `AsyncVerbs.call`."""
        mesh, options, message = self._mesh, self._options, ActionCall(action, arguments)
        return verbs.ask(mesh, verbs.source_in(mesh), self.address, message, options.timeout, terms=options.terms)

    @overload
    def submit(self, message: Message[R], *, timeout: float | None = None) -> Coroutine[Any, Any, Request[R]]: ...
    @overload
    def submit(self, message: object, *, timeout: float | None = None) -> Coroutine[Any, Any, Request[Any]]: ...
    def submit(self, message: Any, *, timeout: float | None = None) -> Coroutine[Any, Any, Any]:
        """Send *message* and go on; see `AsyncVerbs.submit`."""
        mesh, options = self._mesh, self._options
        timeout = options.timeout if timeout is None else timeout
        return submitting.submit(mesh, verbs.source_in(mesh), self.address, message, timeout, options.terms)

    @property
    def blocking(self) -> "BlockingRef":
        """The same handle with blocking verbs, for threads."""
        return BlockingRef(self._mesh, self.address, self._options)


class BlockingRef(_Handle):
    """A handle on an agent whose verbs block the calling thread."""

    __slots__ = ()

    def using(
        self, *, timeout: float | None = None, budget: "Budget | None" = None, priority: Priority | None = None
    ) -> "BlockingRef":
        """Return a ref whose verbs go by these.

        Args:
            timeout: Seconds that asks, calls and streams take unless they say otherwise.
            budget: What each message sent, with all that follows from it, may spend; it is told of a `BudgetError`.
            priority: Whether requests to busy models go before or behind those of other messages.

        Raises:
            ArgumentError: that is no budget, or no priority.
        """
        return BlockingRef(self._mesh, self.address, Options(timeout, terms_of(budget, priority)))

    def tell(self, message: Any) -> None:
        """Put *message* into the agent's mailbox; see `AsyncVerbs.tell`."""
        source, terms = verbs.source_in(self._mesh), self._options.terms
        verbs.block_tell(self._mesh, source, self.address, message, terms=terms)

    def tell_nowait(self, message: Any) -> None:
        """Put *message* into the agent's mailbox without waiting for room; see `AsyncVerbs.tell_nowait`."""
        source, terms = verbs.source_in(self._mesh), self._options.terms
        verbs.block_tell(self._mesh, source, self.address, message, nowait=True, terms=terms)

    @overload
    def ask(self, message: Message[R], *, timeout: float | None = None) -> R: ...
    @overload
    def ask(self, message: object, *, timeout: float | None = None) -> Any: ...
    def ask(self, message: Any, *, timeout: float | None = None) -> Any:
        """Send *message* and wait for the reply; see `AsyncVerbs.ask`."""
        timeout = self._options.timeout if timeout is None else timeout
        source, terms = verbs.source_in(self._mesh), self._options.terms
        return verbs.block_ask(self._mesh, source, self.address, message, timeout, terms=terms)

    def stream(
        self, message: Any, *, timeout: float | None = None, idle_timeout: float | None = None
    ) -> BlockingStream:
        """Send *message* and take the reply part by part; see `AsyncVerbs.stream`."""
        timeout = self._options.timeout if timeout is None else timeout
        mesh = self._mesh
        source = verbs.source_in(mesh)
        terms = self._options.terms
        return verbs.stream(
            BlockingStream, mesh, lambda: source, self.address, message, timeout, idle_timeout, terms=terms
        )

    def call(self, action: str, /, **arguments: Any) -> Any:
        """Run an *action* of the agent; see `AsyncVerbs.call`."""
        message, options = ActionCall(action, arguments), self._options
        source = verbs.source_in(self._mesh)
        return verbs.block_ask(self._mesh, source, self.address, message, options.timeout, terms=options.terms)

    @overload
    def submit(self, message: Message[R], *, timeout: float | None = None) -> Request[R]: ...
    @overload
    def submit(self, message: object, *, timeout: float | None = None) -> Request[Any]: ...
    def submit(self, message: Any, *, timeout: float | None = None) -> Any:
        """Send *message* and return the request; see `AsyncVerbs.submit`."""
        mesh, options = self._mesh, self._options
        timeout = options.timeout if timeout is None else timeout
        return submitting.block_submit(mesh, verbs.source_in(mesh), self.address, message, timeout, options.terms)


def address_of(recipient: object) -> str:
    """Return the address that *recipient* names.

    Raises:
        TypeError: it names none.
    """
    if isinstance(recipient, str):
        return recipient
    if isinstance(recipient, _Handle):
        return recipient.address
    raise NotAnAddressError(recipient)
