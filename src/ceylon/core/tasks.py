"""Work that runs on the mesh's loop for whoever calls: one result, or a stream of parts.

This is how a verb made of several asks (a batch) is written once and serves tasks of any loop and threads alike.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ceylon.core.calls import Call
from ceylon.core.channel import Channel
from ceylon.core.current import current
from ceylon.core.stream_calls import PullCall
from ceylon.messages import Outcome

if TYPE_CHECKING:
    from ceylon.core.backend import Sink, Task
    from ceylon.core.interior import Interior
    from ceylon.core.origin import Origin

__all__ = ["TaskCall", "TaskStream", "run", "run_stream"]

C = TypeVar("C", bound="TaskCall")


class TaskCall(Call):
    """A task somebody waits for; cancelled when he does not any more."""

    __slots__ = ("task",)

    task: "Task"

    def cancel(self) -> None:
        """Cancel the task: nobody waits any more."""
        if not self.is_settled:
            self.is_settled = True
            self.task.cancel()


class TaskStream(TaskCall):
    """A task that sends parts; it serves pulls as a `StreamCall` does."""

    __slots__ = ("address", "channel", "consumer")

    address: str
    channel: Channel
    consumer: "Origin | None"

    def settle(self, outcome: Outcome) -> bool:
        """End the parts with *outcome*."""
        if self.is_settled:
            return False
        self.is_settled = True
        self.channel.end(outcome)
        return True

    def pull(self, future: "Sink", idle_timeout: float) -> PullCall:
        """Let *future* have the next parts, or an error when none come for *idle_timeout* seconds."""
        return PullCall.begin(self._router, future, self, idle_timeout)


def run(
    interior: "Interior", function: Callable[[], Awaitable[Any]], source: "Origin | None", sink: "Sink"
) -> TaskCall:
    """Run the async *function* on the mesh's loop as part of *source*, and let *sink* have its outcome."""
    call = TaskCall(interior.router, sink)
    return _spawn(interior, call, function, source)


def run_stream(
    interior: "Interior",
    sink: "Sink",
    function: Callable[[Channel], Awaitable[None]],
    source: "Origin | None",
) -> TaskStream:
    """Run ``function(channel)`` on the mesh's loop; what it puts into the channel are the parts."""
    call = TaskStream(interior.router, sink)
    call.address = "$batch"
    call.consumer = None  # what the task waits for is its own affair
    call.channel = channel = Channel(interior.router, interior.settings.stream_credit)
    return _spawn(interior, call, lambda: function(channel), source)


def _spawn(
    interior: "Interior",
    call: C,
    function: Callable[[], Awaitable[Any]],
    source: "Origin | None",
) -> C:
    async def work(task: "Task") -> None:
        current.set(source)
        try:
            with task.life():
                try:
                    outcome = Outcome(await function())
                except Exception as error:  # noqa: BLE001 – carried to whoever waits
                    outcome = Outcome(error=error)
                call.settle(outcome)
        except BaseException as error:  # noqa: BLE001 – cancelled: by the waiter, who has left, or by the mesh's end
            call.settle(Outcome(error=error))
        finally:
            interior.tasks.discard(call)

    call.task = interior.driver.spawn(work, "ceylon call")
    interior.tasks.add(call)
    return call
