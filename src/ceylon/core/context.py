"""What a handler knows of the message it handles, and the verbs it has.

`Context` is for code on the mesh's loop, its verbs are awaited; `BlockingContext` is the same for code in a worker
thread. Both hand everything to the same operations, with themselves as the source: so deadlines, hops and the chain of
askers are inherited.
"""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ceylon.core.durations import Duration
from ceylon.core.origin import Origin
from ceylon.core.ref import BlockingRef, Ref, address_of
from ceylon.core.registering import address_in
from ceylon.core.skins import AsyncVerbs, BlockingVerbs
from ceylon.core.subscription import Subscription
from ceylon.core.subscriptions import WhenFull, interest_in
from ceylon.messages import attempt

if TYPE_CHECKING:
    from ceylon.core.agent_timers import TimerHandle
    from ceylon.core.ports import AgentLike, AgentSource

__all__ = ["BlockingContext", "Context", "blocking_twin"]


class Context(Origin, AsyncVerbs):
    """The context of an `async def` handler; its verbs are awaited."""

    def reply(self, value: Any) -> None:
        """Answer the asker now and go on; what the handler returns afterwards is no second reply."""
        self._give_reply(value)

    def ref(self, address: "str | Ref | type[AgentLike] | None" = None, *, key: str | None = None) -> Ref:
        """Return a ref to *address*, by default to the agent itself; with *key* to the agent for that key."""
        return Ref(self.interior, address_in(self.interior, self.address if address is None else address, key))

    def after(self, seconds: Duration, message: Any) -> "TimerHandle":
        """Tell the agent itself *message* in *seconds*, or ``"5m"``; hops start at zero. It ends with the agent."""
        return self.interior.agent_timers.after(self.cell, seconds, message)

    def every(self, seconds: Duration, message: Any) -> "TimerHandle":
        """Tell the agent itself *message* every *seconds*, or ``"5m"``, until it is cancelled or the agent ends."""
        return self.interior.agent_timers.every(self.cell, seconds, message)

    def at(self, when: datetime, message: Any) -> "TimerHandle":
        """Tell the agent itself *message* at the moment *when*, which has a time zone; at once, if that is over."""
        return self.interior.agent_timers.at(self.cell, when, message)

    def cron(self, expression: str, message: Any, *, timezone: str | None = None) -> "TimerHandle":
        """Tell the agent itself *message* whenever a cron expression says so; see `ceylon.cron`.

        Raises:
            ArgumentError: no such expression, or no such zone.
            MissingPackageError: the extra `cron` is not installed.
        """
        return self.interior.agent_timers.cron(self.cell, expression, message, timezone)

    def start_soon(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Run the async *function* in the background; it is the agent's own, and cancelled when that stops."""
        self.interior.belongings.start_soon(self.cell, function, arguments)

    def spawn(self, agent: "AgentLike | AgentSource") -> Ref:
        """Add *agent* to the mesh as a child of this one, which stops and begins again with it; return a ref to it.

        Raises:
            DuplicateNameError: there is an agent of this name.
            AgentInUseError: another mesh has it.
            AgentStoppedError: this agent is stopping.
        """
        return Ref(self.interior, self.interior.spawn(self.cell, agent))

    def watch(self, recipient: "str | Ref") -> None:
        """Let the agent get one `Terminated` when *recipient* has ended; at once, if there is no such agent.

        That holds across the agent's own restarts. What *recipient* has told the agent before is in front of it.

        Raises:
            ArgumentError: it is the name of a family or a pool; each of their agents ends alone.
        """
        self.interior.watches.begin(self.cell, address_of(recipient))

    def unwatch(self, recipient: "str | Ref") -> None:
        """Take `watch` back; a `Terminated` that is in the mailbox already stays there."""
        self.interior.watches.end(self.cell, address_of(recipient))

    def subscribe(self, topic: str, *, group: str | None = None, when_full: WhenFull = "wait") -> Subscription:
        """Let the agent itself receive what is published on *topic*; see `Mesh.subscribe`.

        `on_start` is a good place: when the agent begins again, that is the same subscription once more.
        """
        return Subscription.of(self.interior, self.address, interest_in(topic, group, when_full))


class BlockingContext(Origin, BlockingVerbs):
    """The context of a plain `def` handler; its verbs block the worker thread, and no other."""

    _original: Context | None = None  # where the same handler has one on the loop too

    @property
    def invocation(self) -> Origin:
        """See `Origin`."""
        return self if self._original is None else self._original

    def _on_loop(self, verb: str, function: Callable[[], Any]) -> Any:
        """Run *function* on the mesh's loop and return what it returns."""

        def operation(sink: Any) -> None:
            sink.set_result(attempt(function))

        if self.interior.gateway.is_inside():  # an inline handler: it stands on the loop already
            return function()
        return self.interior.gateway.block(verb, operation).get()

    def reply(self, value: Any) -> None:
        """Answer the asker now and go on; what the handler returns afterwards is no second reply."""
        self._on_loop("reply", lambda: self._give_reply(value))

    def ref(
        self, address: "str | BlockingRef | Ref | type[AgentLike] | None" = None, *, key: str | None = None
    ) -> BlockingRef:
        """Return a ref to *address*, by default to the agent itself; with *key* to the agent for that key."""
        return BlockingRef(self.interior, address_in(self.interior, self.address if address is None else address, key))

    def spawn(self, agent: "AgentLike | AgentSource") -> BlockingRef:
        """Add *agent* to the mesh as a child of this one; see `Context.spawn`."""
        address: str = self._on_loop("spawn", lambda: self.interior.spawn(self.cell, agent))
        return BlockingRef(self.interior, address)

    def watch(self, recipient: "str | BlockingRef | Ref") -> None:
        """Let the agent get one `Terminated` when *recipient* has ended; see `Context.watch`."""
        address = address_of(recipient)
        self._on_loop("watch", lambda: self.interior.watches.begin(self.cell, address))

    def unwatch(self, recipient: "str | BlockingRef | Ref") -> None:
        """Take `watch` back; see `Context.unwatch`."""
        address = address_of(recipient)
        self._on_loop("unwatch", lambda: self.interior.watches.end(self.cell, address))

    def after(self, seconds: Duration, message: Any) -> "TimerHandle":
        """Tell the agent itself *message* in *seconds*; see `Context.after`."""
        timers = self.interior.agent_timers
        timer: TimerHandle = self._on_loop("after", lambda: timers.after(self.cell, seconds, message))
        return timer

    def every(self, seconds: Duration, message: Any) -> "TimerHandle":
        """Tell the agent itself *message* every *seconds*; see `Context.every`."""
        timers = self.interior.agent_timers
        timer: TimerHandle = self._on_loop("every", lambda: timers.every(self.cell, seconds, message))
        return timer

    def at(self, when: datetime, message: Any) -> "TimerHandle":
        """Tell the agent itself *message* at the moment *when*; see `Context.at`."""
        timers = self.interior.agent_timers
        timer: TimerHandle = self._on_loop("at", lambda: timers.at(self.cell, when, message))
        return timer

    def cron(self, expression: str, message: Any, *, timezone: str | None = None) -> "TimerHandle":
        """Tell the agent itself *message* whenever a cron expression says so; see `Context.cron`."""
        timers = self.interior.agent_timers
        timer: TimerHandle = self._on_loop("cron", lambda: timers.cron(self.cell, expression, message, timezone))
        return timer

    def subscribe(self, topic: str, *, group: str | None = None, when_full: WhenFull = "wait") -> Subscription:
        """Let the agent itself receive what is published on *topic*; see `Context.subscribe`."""
        return Subscription.of(self.interior, self.address, interest_in(topic, group, when_full))


def blocking_twin(context: Context) -> BlockingContext:
    """Return the same context for use in a thread; the handler waits in whichever it uses."""
    twin = BlockingContext(context.interior, context.cell, context.envelope, _original=context)
    if context.waits is None:
        context.waits = []
    twin.waits = context.waits
    return twin
