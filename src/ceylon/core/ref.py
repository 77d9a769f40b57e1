"""Handles: what callers hold of an agent, an address with the verbs of `skins`, awaited or blocking."""

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

import msgspec

from ceylon.core import submitting, verbs
from ceylon.core.cell import State
from ceylon.core.composing import Composable
from ceylon.core.current import current
from ceylon.core.names import check_address, split_key
from ceylon.core.request import Request
from ceylon.core.streams import BlockingStream, Stream
from ceylon.core.terms import Priority, Terms, terms_of
from ceylon.errors import NotAnAddressError
from ceylon.messages import ActionCall, Message

if TYPE_CHECKING:
    from ceylon.core.budgets import Budget
    from ceylon.core.handlers import Behaviour
    from ceylon.core.interior import Interior
    from ceylon.core.ports import AgentLike

__all__ = ["BlockingRef", "Options", "Ref", "address_of"]

R = TypeVar("R")


class Options(msgspec.Struct, frozen=True):
    """What `Ref.using` keeps for every verb; `None` leaves the default."""

    timeout: float | None = None
    terms: Terms | None = None


NO_OPTIONS: Final = Options()


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
