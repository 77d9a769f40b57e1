"""Tell whoever watches a run what happens in it. Where nobody does, none of this exists."""

import itertools
from typing import TYPE_CHECKING, Any, Protocol

import anyio
import anyio.lowlevel

from ceylon.core.limits import limit_of
from ceylon.errors import describe
from ceylon.pipelines.events import StageEvent

if TYPE_CHECKING:
    from ceylon.core.channel import Channel
    from ceylon.core.context import Context
    from ceylon.pipelines.events import Happening

__all__ = ["Execution", "Watched", "Watcher"]


class Watched(Protocol):
    """A node of a run, as events name it."""

    @property
    def place(self) -> str:
        """Where it stands in the tree."""
        ...

    @property
    def label(self) -> str:
        """What it is called."""
        ...


class Watcher:
    """Sends the events of one run to its consumer, who may let it wait."""

    def __init__(self, context: "Context", channel: "Channel") -> None:
        self._context, self._channel = context, channel
        self._numbers = itertools.count(1)
        self._now = context.interior.driver.now
        self._began = self._now()

    def number(self) -> int:
        """Return an id that no execution of the run has yet."""
        return next(self._numbers)

    async def begin(self, node: Watched, parent: int, index: int | None) -> "Execution":
        """Begin an execution of *node*."""
        execution = Execution(self, node, parent, index)
        try:
            await execution.tell("started")
        except BaseException:
            execution.drop()
            raise
        return execution

    async def skip(self, node: Watched, parent: int) -> None:
        """Tell that *node* was not chosen."""
        await self.send(StageEvent(self.number(), parent, node.place, node.label, "skipped", at=self.at()))

    def at(self) -> float:
        """Return the seconds since the run began."""
        return self._now() - self._began

    async def send(self, event: StageEvent, *, may_drop: bool = False) -> None:
        """Send *event*, waiting for the consumer; cancelled meanwhile, send it all the same unless it *may_drop*."""
        if self._channel.offer(event):
            return
        limit, is_cancelled = limit_of(self._context), True
        with self._context.interior.pauses.rest(self._context):
            if limit is not None:
                limit.stop()
            try:
                await self._channel.wait_for_room()
                is_cancelled = False
            finally:
                if limit is not None:
                    limit.go_on()
                if not (is_cancelled and may_drop):
                    self._channel.put_nowait(event)
        await anyio.lowlevel.checkpoint()  # or a run without a consumer would never learn that it is cancelled

    def send_now(self, event: StageEvent) -> None:
        """Send *event* without waiting: a task that is cancelled cannot."""
        self._channel.put_nowait(event)


class Execution:
    """One execution of one node, from ``started`` to its end."""

    def __init__(self, watcher: Watcher, node: Watched, parent: int, index: int | None) -> None:
        self._watcher, self._node = watcher, node
        self.parent, self._index = parent, index
        self.id = watcher.number()
        self._has_ended = False

    async def tell(self, what: "Happening", **facts: Any) -> None:
        """Tell that something has happened."""
        await self._watcher.send(self._event(what, **facts), may_drop=what == "part")

    async def end(self, value: Any) -> None:
        """Tell that it has ended, and what came of it."""
        self._has_ended = True
        await self.tell("ended", value=value)

    async def fail(self, error: BaseException, *, is_cancelled: bool) -> None:
        """Tell that it has ended otherwise."""
        if self._has_ended:  # it was cancelled while it told of its end
            return
        if is_cancelled:
            self.drop()
        else:
            self._has_ended = True
            await self.tell("failed", error=describe(error))

    def drop(self) -> None:
        """Tell that it was cancelled."""
        if not self._has_ended:
            self._has_ended = True
            self._watcher.send_now(self._event("cancelled"))

    def _event(self, what: "Happening", **facts: Any) -> StageEvent:
        facts = {"index": self._index, "at": self._watcher.at(), **facts}
        return StageEvent(self.id, self.parent, self._node.place, self._node.label, what, **facts)
