"""What a handler knows of the message it handles, and the verbs it has.

`Context` is for code on the mesh's loop, its verbs are awaited; `BlockingContext` is the same for code in a worker
thread. Both hand everything to the same operations, with themselves as the source: so deadlines, hops and the chain of
askers are inherited.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ceylon.core.ref import AsyncVerbs, BlockingVerbs, Ref
from ceylon.messages import Outcome, attempt

if TYPE_CHECKING:
    import structlog

    from ceylon.core.cell import Cell
    from ceylon.core.interior import Interior
    from ceylon.core.timers import Timer
    from ceylon.messages import Envelope

__all__ = ["BlockingContext", "Context"]


class _Context:
    """What both kinds know."""

    __slots__ = ("cell", "envelope", "has_replied", "interior")

    def __init__(self, interior: "Interior", cell: "Cell", envelope: "Envelope") -> None:
        self.interior = interior
        self.cell = cell
        self.envelope = envelope
        self.has_replied = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.address!r} for message {self.message_id}>"

    @property
    def address(self) -> str:
        """The agent's own address."""
        return self.cell.address

    @property
    def sender(self) -> str:
        """The address of the agent that sent the message; empty when no agent did."""
        return self.envelope.sender

    @property
    def recipient(self) -> str:
        """The address the message was sent to: the agent's own, perhaps with a key."""
        return self.envelope.recipient

    @property
    def message_id(self) -> str:
        """An id that no other message has, in this mesh or another."""
        return f"{self.interior.id}-{self.envelope.id:x}"

    @property
    def deadline(self) -> float | None:
        """When the asker stops waiting, in seconds on the mesh's clock; `None`: nobody waits."""
        return self.envelope.deadline

    @property
    def remaining(self) -> float | None:
        """Seconds until the deadline."""
        return None if self.envelope.deadline is None else self.envelope.deadline - self.interior.driver.now()

    @property
    def budget(self) -> Any:
        """What the whole chain of messages may still spend, if anybody set a limit."""
        return self.envelope.budget

    @property
    def log(self) -> "structlog.stdlib.BoundLogger":
        """A logger that knows the agent and the message."""
        from ceylon.core.log import logger  # noqa: PLC0415 – structlog is loaded by whoever logs

        return logger().bind(agent=self.address, message_id=self.message_id)

    def _source(self) -> "_Context":
        return self

    def _interior(self) -> "Interior":
        return self.interior

    def _reply(self, value: Any) -> None:
        self.has_replied = True
        self.interior.router.reply(self.envelope, Outcome(value))


class Context(_Context, AsyncVerbs):
    """The context of an `async def` handler; its verbs are awaited."""

    __slots__ = ()

    def reply(self, value: Any) -> None:
        """Answer the asker now and go on; what the handler returns afterwards is no second reply."""
        self._reply(value)

    def ref(self, address: str | None = None) -> Ref:
        """Return a ref to *address*, by default to the agent itself."""
        return Ref(self.interior, address or self.address)

    def after(self, seconds: float, message: Any) -> "Timer":
        """Tell the agent itself *message* in *seconds*; hops start at zero. The timer ends with the agent."""
        return self.interior.belongings.after(self.cell, seconds, message)

    def every(self, seconds: float, message: Any) -> "Timer":
        """Tell the agent itself *message* every *seconds*, until the timer is cancelled or the agent ends."""
        return self.interior.belongings.every(self.cell, seconds, message)

    def start_soon(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Run the async *function* in the background; it is the agent's own, and cancelled when that stops."""
        self.interior.belongings.start_soon(self.cell, function, arguments)


class BlockingContext(_Context, BlockingVerbs):
    """The context of a plain `def` handler; its verbs block the worker thread, and no other."""

    __slots__ = ()

    def _on_loop(self, verb: str, function: Callable[[], Any]) -> Any:
        """Run *function* on the mesh's loop and return what it returns."""

        def operation(sink: Any) -> None:
            sink.set_result(attempt(function))

        if self.interior.gateway.is_inside():  # an inline handler: it stands on the loop already
            return function()
        return self.interior.gateway.block(verb, operation).get()

    def reply(self, value: Any) -> None:
        """Answer the asker now and go on; what the handler returns afterwards is no second reply."""
        self._on_loop("reply", lambda: self._reply(value))

    def after(self, seconds: float, message: Any) -> "Timer":
        """Tell the agent itself *message* in *seconds*; hops start at zero. The timer ends with the agent."""
        timer: Timer = self._on_loop("after", lambda: self.interior.belongings.after(self.cell, seconds, message))
        return timer

    def every(self, seconds: float, message: Any) -> "Timer":
        """Tell the agent itself *message* every *seconds*, until the timer is cancelled or the agent ends."""
        timer: Timer = self._on_loop("every", lambda: self.interior.belongings.every(self.cell, seconds, message))
        return timer
