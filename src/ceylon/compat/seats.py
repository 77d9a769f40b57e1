"""What stands in a mesh for an agent of `ceylon.compat`: an agent of ours that hands it each message."""

import hashlib
import inspect
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

import msgspec

from ceylon.agents.agent import Agent
from ceylon.compat.contexts import PyAgentContext
from ceylon.compat.meter import meter
from ceylon.compat.settling import block
from ceylon.core.context import BlockingContext
from ceylon.core.marking import on
from ceylon.core.names import check_name
from ceylon.errors import InvalidNameError
from ceylon.messages import Message
from ceylon.settings import DEFAULTS

__all__ = ["Flush", "Post", "Received", "Seat", "Tenant", "Text", "address_for", "seat_for", "text_of"]

_FOREIGN: Final = re.compile(r"[^A-Za-z0-9_.-]+")
_HOOKS: Final = ("on_start", "on_stop")
_NOTHING_SAID: Final = "Message received"


class Text(Message[Any], tag="$compat.said"):
    """A message of `ceylonai-next`, which is text, who sent it (see `ceylon.compat.callers`), and when."""

    payload: str
    caller: str = ""
    sent: float = msgspec.field(default_factory=time.perf_counter)


class Flush(Message[None], tag="$compat.flush"):
    """Answer when what was sent before is done."""


class Received(msgspec.Struct, frozen=True):
    """How an agent takes messages: by which function, a plain one or not, and how many at a time."""

    function: Callable[[Text], Any]
    is_async: bool
    concurrency: int = 1
    hooks: Mapping[str, Callable[[], Any]] = {}


class Post(msgspec.Struct, eq=False):
    """An agent's place in a mesh: its name there and its address, and how many messages have been handled.

    `reported` of these were told to somebody who asked.
    """

    name: str
    address: str
    is_plain: bool
    handled: int = 0
    reported: int = 0

    def report(self) -> int:
        """Return how many messages were handled since the last time this was asked."""
        news = self.handled - self.reported
        self.reported += news
        return news


class Tenant(Protocol):
    """An agent of `ceylon.compat`, as its seat sees it."""

    def __ceylon_receiver__(self, mesh: str) -> Received:
        """Return how the agent takes messages in the mesh of that name."""
        ...


class Seat(Agent):
    """Stands in a mesh for one agent.

    Args:
        name: The address.
        receiver: How the agent takes messages.
        post: Where they are counted.
    """

    mailbox_capacity: int | None = DEFAULTS.compat_mailbox
    reentrant: bool = True  # agents that talk to each other in a circle: as if they called each other's methods

    def __init__(self, name: str, receiver: Received, post: Post) -> None:
        super().__init__(name)
        self._receive = receiver.function
        self._hooks = receiver.hooks
        self._post = post
        self.concurrency = receiver.concurrency

    @on(inline=True)
    def flush(self, flush: Flush) -> None:
        """Have nothing to do: what came before is done."""

    def __ceylon_hook__(self, name: str) -> Callable[..., Any] | None:
        """See `AgentLike`: the agent's own."""
        return self._hooks.get(name)


class ThreadSeat(Seat):
    """For a plain handler: it may block, so it has a thread."""

    @on
    def said(self, said: Text, context: BlockingContext) -> Any:
        """Hand the message over."""
        try:
            with meter.handling(said.sent):
                answer = self._receive(said)
                if inspect.iscoroutine(answer):
                    return block(context.interior, "on_message", lambda: answer)
                return answer
        finally:
            self._post.handled += 1


class LoopSeat(Seat):
    """For an async handler: it runs on the mesh's loop, as all of them do."""

    @on
    async def said(self, said: Text) -> Any:
        """Hand the message over."""
        try:
            with meter.handling(said.sent):
                answer: Awaitable[Any] = self._receive(said)
                return await answer
        finally:
            self._post.handled += 1


def hooks_of(tenant: object, context: PyAgentContext) -> dict[str, Callable[[], Any]]:
    """Return what *tenant* wants done when it starts and when it stops, if anything."""
    return {name: _told(hook, context) for name in _HOOKS if (hook := getattr(tenant, name, None)) is not None}


def _told(hook: Callable[..., Any], context: PyAgentContext) -> Callable[[], Any]:
    """Return *hook* with what it takes: the context, or nothing."""
    given = (context,)[: len(inspect.signature(hook).parameters)]
    if not inspect.iscoroutinefunction(hook):
        return lambda: hook(*given)

    async def run() -> None:
        await hook(*given)

    return run


def seat_for(name: str, tenant: Tenant, mesh: str) -> tuple[Seat, Post]:
    """Return a seat for *tenant*, called *name*, in the mesh of that name, and what the mesh keeps of it."""
    receiver = tenant.__ceylon_receiver__(mesh)
    receiver = msgspec.structs.replace(receiver, hooks=hooks_of(tenant, PyAgentContext(mesh)))
    post = Post(name, address_for(name), is_plain=receiver.concurrency == 1)
    return (LoopSeat if receiver.is_async else ThreadSeat)(post.address, receiver, post), post


def address_for(name: str) -> str:
    """Return the address of an agent called *name*: the name, or one made of it where a mesh takes no such name."""
    try:
        return check_name(name)
    except InvalidNameError:
        digest = hashlib.sha256(str(name).encode()).hexdigest()[:12]
        return f"agent{_FOREIGN.sub('_', str(name))[:40]}.{digest}"


def text_of(answer: Any) -> str:
    """Return *answer* as the text that it is in a result; who says nothing has received the message."""
    return _NOTHING_SAID if answer is None else str(answer)
