"""The parts of a stream on their way, with credit: a producer is never more than a few ahead of its consumer."""

import math
from typing import TYPE_CHECKING, Any

import anyio
import msgspec

from ceylon.core.signals import Signal
from ceylon.messages import Outcome

if TYPE_CHECKING:
    from ceylon.core.router import Router
    from ceylon.core.stream_calls import PullCall, StreamCall

__all__ = ["Channel", "Pulled"]


class Pulled(msgspec.Struct, frozen=True):
    """What a pull brought: parts in order, and whether there will be more."""

    parts: list[Any]
    is_last: bool = False
    error: BaseException | None = None


class Channel:
    """The parts on their way from one producer to one consumer."""

    __slots__ = ("_call", "_credit", "_end", "_parts", "_pull", "_room", "_router", "rests", "went_on")

    def __init__(self, router: "Router", credit: int, call: "StreamCall | None" = None) -> None:
        self._router = router
        self._credit = credit
        self._call = call  # what an agent's handler answers; none for a task
        self._parts: list[Any] = []
        self._pull: PullCall | None = None
        self._room: Signal | None = None  # several producers may wait for it
        self._end: Outcome | None = None
        self.rests = False  # the producer waits for a person, and the consumer has patience
        self.went_on = -math.inf  # when it last ceased to

    def rest(self) -> None:
        """Let the consumer's patience have no end for a while."""
        self.rests = True

    def go_on(self) -> None:
        """Let it have one again: all of it from now on."""
        self.rests = False
        self.went_on = self._router.driver.now()
        if self._pull is not None:
            self._pull.begin_again()

    def room(self) -> int:
        """Count the parts that may still be sent before the consumer has to take some."""
        return self._credit - len(self._parts)

    def put_nowait(self, part: Any) -> None:
        """Send *part*; the caller has asked for room. What is sent after the end goes nowhere."""
        if self._end is None:
            self._parts.append(part)
            self._push()

    def offer(self, part: Any) -> bool:
        """Send *part* if that needs no waiting; say no if `put` has to."""
        if self._end is not None or len(self._parts) >= self._credit:
            return False
        self._parts.append(part)
        if self._pull is not None:
            self._push()
        return True

    async def wait_for_room(self) -> None:
        """Wait until the consumer has taken something, if it must."""
        while self.room() <= 0 and self._end is None:
            await self._wait_for_consumer()

    async def wait_for_pull(self) -> bool:
        """Wait until the consumer has taken everything and asks for more; say no if it has left."""
        while self._pull is None and self._end is None:
            await self._wait_for_consumer()
        return self._end is None

    @property
    def is_empty(self) -> bool:
        """Whether a consumer would have to wait."""
        return not self._parts and self._end is None

    @property
    def is_pulled(self) -> bool:
        """Whether a consumer waits."""
        return self._pull is not None

    @property
    def is_waiting_for_consumer(self) -> bool:
        """Whether the producer waits."""
        return self._room is not None

    async def _wait_for_consumer(self) -> None:
        if self._room is None:
            if self._call is not None:
                self._router.waits.check_credit(self._call)
            self._room = Signal(self._router.driver)
        await self._room.wait()

    async def put(self, part: Any) -> None:
        """Send *part*, waiting for room first."""
        if self._end is not None:
            await anyio.lowlevel.checkpoint()  # or a producer that never waits would never learn that it is cancelled
            return
        if self.room() <= 0:
            await self.wait_for_room()
        self.put_nowait(part)

    def end(self, outcome: Outcome) -> None:
        """Send nothing any more."""
        if self._end is None:
            self._end = outcome
            self._wake_producer()
            self._push()

    def pull(self, call: "PullCall") -> None:
        """Give *call* what is there, now or as soon as there is something."""
        self._pull = call
        if self._parts or self._end is not None:
            self._push()
        if self._room is not None:
            self._wake_producer()

    def forget(self) -> None:
        """Nobody pulls any more."""
        self._pull = None

    def take(self) -> Pulled | None:
        """Return what is there; nothing if a consumer would have to wait."""
        end = self._end
        if not self._parts and end is None:
            return None
        parts, self._parts = self._parts, []
        if self._room is not None:
            self._wake_producer()
        return Pulled(parts) if end is None else Pulled(parts, is_last=True, error=end.error)

    def _push(self) -> None:
        call = self._pull
        if call is not None and (pulled := self.take()) is not None:
            self._pull = None
            call.settle(Outcome(pulled))

    def _wake_producer(self) -> None:
        room, self._room = self._room, None
        if room is not None:
            room.set()
