"""What a handler knows of the message it handles, and the verbs it has.

`Context` is for code on the mesh's loop, its verbs are awaited; `BlockingContext` is the same for code in a worker
thread. Both hand everything to the same operations, with themselves as the source: so deadlines, hops and the chain of
askers are inherited.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ceylon.core.origin import Origin
from ceylon.core.ref import AsyncVerbs, BlockingRef, BlockingVerbs, Ref, address_of
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

    def ref(self, address: str | None = None) -> Ref:
        """Return a ref to *address*, by default to the agent itself."""
        return Ref(self.interior, address or self.address)

    def after(self, seconds: float, message: Any) -> "TimerHandle":
        """Tell the agent itself *message* in *seconds*; hops start at zero. The timer ends with the agent."""
        return self.interior.agent_timers.after(self.cell, seconds, message)

    def every(self, seconds: float, message: Any) -> "TimerHandle":
        """Tell the agent itself *message* every *seconds*, until the timer is cancelled or the agent ends."""
        return self.interior.agent_timers.every(self.cell, seconds, message)

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
        """
        self.interior.watches.begin(self.cell, address_of(recipient))

    def unwatch(self, recipient: "str | Ref") -> None:
        """Take `watch` back; a `Terminated` that is in the mailbox already stays there."""
        self.interior.watches.end(self.cell, address_of(recipient))


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

    def after(self, seconds: float, message: Any) -> "TimerHandle":
        """Tell the agent itself *message* in *seconds*; hops start at zero. The timer ends with the agent."""
        timers = self.interior.agent_timers
        timer: TimerHandle = self._on_loop("after", lambda: timers.after(self.cell, seconds, message))
        return timer

    def every(self, seconds: float, message: Any) -> "TimerHandle":
        """Tell the agent itself *message* every *seconds*, until the timer is cancelled or the agent ends."""
        timers = self.interior.agent_timers
        timer: TimerHandle = self._on_loop("every", lambda: timers.every(self.cell, seconds, message))
        return timer


def blocking_twin(context: Context) -> BlockingContext:
    """Return the same context for use in a thread; the handler waits in whichever it uses."""
    twin = BlockingContext(context.interior, context.cell, context.envelope, _original=context)
    if context.waits is None:
        context.waits = []
    twin.waits = context.waits
    return twin
