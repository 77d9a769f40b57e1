"""The two skins around the operations of `verbs`, awaited and blocking; meshes and contexts wear them."""

from collections.abc import Coroutine, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ceylon.core import submitting, verbs
from ceylon.core.publishing import PublishTerms
from ceylon.core.ref import address_of
from ceylon.core.request import Request
from ceylon.core.streams import BlockingStream, Stream
from ceylon.core.subscriptions import WhenFull
from ceylon.messages import ActionCall, Message

if TYPE_CHECKING:
    from ceylon.core.interior import Interior
    from ceylon.core.origin import Origin
    from ceylon.core.ref import BlockingRef, Ref

__all__ = ["AsyncVerbs", "BlockingVerbs"]

R = TypeVar("R")


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
