"""Agents that wait for each other in every way there is, and a detector that keeps a log of what it refuses."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final, TypeAlias

import anyio
import msgspec

from ceylon import (
    Agent,
    AskTimeoutError,
    BlockingContext,
    CeylonError,
    Context,
    DeadlockError,
    HandlerError,
    MailboxFullError,
    Message,
    StreamTimeoutError,
    on,
)
from ceylon.core.backend import Driver
from ceylon.core.instruments import Instruments
from ceylon.core.interior import Interior
from ceylon.core.origin import Origin
from ceylon.core.router import Router
from ceylon.core.timers import Timers
from ceylon.core.waits import Groups, WaitsGraph
from ceylon.messages import TELL, Envelope

__all__ = ["KINDS", "PATIENCE", "REST", "Errand", "Log", "Options", "Step", "Verdict", "instruments_for"]

Verdict: TypeAlias = Callable[[], bool]
"""Says whether a wait could never end, without looking."""

PATIENCE: Final = 1_000.0
"""Virtual seconds that everything may wait: whatever takes so long, waits for ever."""
REST: Final = 0.05
"""Virtual seconds that a handler rests at least, if it does."""


class Errand(Message[int], tag="errands.Errand"):
    """Do *steps*, one after the other; a refused wait ends the errand if it is `strict`."""

    steps: tuple["Step", ...] = ()
    strict: bool = False


class Flow(Message[int]):
    """Send *parts* numbers, and do the errand's steps after each."""

    parts: int
    errand: Errand


class Step(msgspec.Struct, frozen=True):
    """One thing to do: ``ask`` or ``tell`` or ``stream`` from *to*, ``rest``, or ``together`` with others.

    Of a stream *number* parts are taken, each followed by *steps*.
    """

    kind: str
    to: str = ""
    errand: Errand = Errand()
    steps: tuple["Step", ...] = ()
    number: int = 0
    patience: float = PATIENCE


class Log:
    """What the agents of one run have met; alarms are the detector's, which it may have raised where nobody looks."""

    def __init__(self) -> None:
        self.alarms: list[DeadlockError] = []
        self.left = 0  # waits that were cancelled, because the consumer of a stream had enough
        self.unattended = 0  # waits of threads whose askers had left, which nothing can cancel
        self.timeouts: list[BaseException] = []
        self.others: list[BaseException] = []
        self.origins: list[Origin] = []

    def note(self, error: BaseException) -> None:
        """Keep *error* with its like."""
        if isinstance(error, AskTimeoutError | StreamTimeoutError) or (
            isinstance(error, MailboxFullError) and error.waited
        ):
            self.timeouts.append(error)
        elif not isinstance(error, DeadlockError | HandlerError | MailboxFullError):  # of one's own, at once
            self.others.append(error)


class Detector(WaitsGraph):
    """Looks at every wait and notes what it refuses; with a verdict it does not look."""

    def __init__(self, router: Router, log: Log, verdict: "Verdict | None") -> None:
        super().__init__(router)
        self._log, self._verdict = log, verdict

    def check(self, source: Origin, wanted: Groups[Origin], target: str) -> None:
        """See `WaitsGraph`."""
        try:
            if self._verdict is None:
                super().check(source, wanted, target)
            else:
                self._obey(source, target, is_refused=self._verdict())
        except DeadlockError as error:
            self._log.alarms.append(error)
            raise

    @staticmethod
    def _obey(source: Origin, target: str, *, is_refused: bool) -> None:
        if is_refused:
            raise DeadlockError((source.address, target))


def instruments_for(log: Log, verdict: "Verdict | None" = None) -> Instruments:
    """Return what a mesh is made of whose detector writes *log*, and says *verdict* of every wait if one is given."""

    class Watched(Router):
        """Has such a detector."""

        def __init__(self, interior: Interior, driver: Driver, timers: Timers) -> None:
            super().__init__(interior, driver, timers)
            self.waits = Detector(self, log, verdict)

    return Instruments(router=Watched)


class Options(msgspec.Struct, frozen=True):
    """What an agent of a program is."""

    name: str
    in_thread: bool
    concurrency: int
    capacity: int
    reentrant: bool
    keyed: bool
    start: Errand


class _Runner(Agent):
    """What both kinds share."""

    def __init__(self, options: Options, log: Log) -> None:
        super().__init__(options.name)
        self.log, self.start = log, options.start
        self.concurrency, self.mailbox_capacity = options.concurrency, options.capacity
        self.reentrant = options.reentrant

    def goes_on(self, error: CeylonError, errand: Errand) -> bool:
        self.log.note(error)
        return not errand.strict


class Runner(_Runner):
    """Runs errands on the loop."""

    async def on_start(self, context: Context) -> None:
        await self._do(Errand(self.start.steps), context)

    @on
    async def run(self, errand: Errand, context: Context) -> int:
        return await self._do(errand, context)

    @on
    async def flow(self, flow: Flow, context: Context) -> AsyncIterator[int]:
        for part in range(flow.parts):
            yield part
            await self._do(flow.errand, context)

    async def _do(self, errand: Errand, context: Context) -> int:
        self.log.origins.append(context)
        for step in errand.steps:
            try:
                await self._take(step, context)
            except CeylonError as error:
                if not self.goes_on(error, errand):
                    raise
            except anyio.get_cancelled_exc_class():
                self.log.left += 1
                raise
        return len(errand.steps)

    async def _take(self, step: Step, context: Context) -> None:
        if step.kind == "ask":
            await context.ask(step.to, step.errand, timeout=step.patience)
        elif step.kind == "tell":
            await context.tell(step.to, step.errand)
        elif step.kind == "rest":
            await anyio.sleep(REST * step.number)
        elif step.kind == "leave":
            with anyio.move_on_after(step.patience):
                await context.ask(step.to, step.errand)
        elif step.kind == "stream":
            await self._stream(step, context)
        else:
            async with anyio.create_task_group() as tasks:
                for each in step.steps:
                    tasks.start_soon(self._do, Errand((each,)), context)

    async def _stream(self, step: Step, context: Context) -> None:
        async with context.stream(step.to, Flow(step.number + 2, step.errand)) as parts:
            async for part in parts:
                await self._do(Errand(step.steps), context)
                if part == step.number:
                    break


class ThreadRunner(_Runner):
    """Runs errands in a thread, where nothing can be done together."""

    def on_start(self, context: BlockingContext) -> None:
        self._do(Errand(self.start.steps), context)

    @on
    def run(self, errand: Errand, context: BlockingContext) -> int:
        return self._do(errand, context)

    @on
    def flow(self, flow: Flow, context: BlockingContext) -> Iterator[int]:
        for part in range(flow.parts):
            yield part
            self._do(flow.errand, context)

    def _do(self, errand: Errand, context: BlockingContext) -> int:
        self.log.origins.append(context)
        for step in errand.steps:
            try:
                self._take(step, context)
            except CeylonError as error:
                if not self.goes_on(error, errand):
                    raise
            finally:
                envelope = context.envelope
                self.log.unattended += envelope.kind is not TELL and envelope.id not in context.interior.router.calls
        return len(errand.steps)

    def _take(self, step: Step, context: BlockingContext) -> None:
        if step.kind in {"ask", "leave"}:
            context.ask(step.to, step.errand, timeout=step.patience)
        elif step.kind == "tell":
            context.tell(step.to, step.errand)
        elif step.kind == "stream":
            with context.stream(step.to, Flow(step.number + 2, step.errand)) as parts:
                for part in parts:
                    self._do(Errand(step.steps), context)
                    if part == step.number:
                        break
        else:
            self._do(Errand(step.steps), context)


def _key_of(envelope: Envelope) -> str | None:
    return envelope.recipient.partition("/")[2] or None


class KeyedRunner(Runner):
    """Handles one message of a key at a time."""

    takes_keys = True

    def __ceylon_serial_key__(self, envelope: Envelope) -> str | None:
        return _key_of(envelope)


class KeyedThreadRunner(ThreadRunner):
    """The same in threads."""

    takes_keys = True

    def __ceylon_serial_key__(self, envelope: Envelope) -> str | None:
        return _key_of(envelope)


KINDS: Final = {
    (False, False): Runner,
    (True, False): ThreadRunner,
    (False, True): KeyedRunner,
    (True, True): KeyedThreadRunner,
}
