"""Programs at random in which agents wait for each other in every way there is."""

import random
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
    Mesh,
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
from ceylon.messages import Envelope
from ceylon.settings import DEFAULTS, Settings

__all__ = ["PATIENCE", "Errand", "Log", "Program", "Step", "Verdict", "instruments_for", "program_of", "settings_of"]

Verdict: TypeAlias = Callable[[], bool]
"""Says whether a wait could never end, without looking."""

PATIENCE: Final = 1_000.0
"""Virtual seconds that everything may wait: whatever takes so long, waits for ever."""
_REST: Final = 0.05
_NO_LIMIT: Final = 50 * PATIENCE  # of a handler, for the roads that only a limit takes


class Errand(Message[int]):
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
            elif self._verdict():
                raise DeadlockError((source.address, target))
        except DeadlockError as error:
            self._log.alarms.append(error)
            raise


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
            await anyio.sleep(_REST * step.number)
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


_KINDS: Final = {
    (False, False): Runner,
    (True, False): ThreadRunner,
    (False, True): KeyedRunner,
    (True, True): KeyedThreadRunner,
}


class Program(msgspec.Struct, frozen=True):
    """Agents, and what is asked of them from outside: when, of whom, what, and whether somebody waits for it."""

    agents: tuple[Options, ...]
    starts: tuple[tuple[float, str, Errand, bool], ...]

    async def run(self, mesh: Mesh, log: Log) -> None:
        """Run to the end of everything."""
        for each in self.agents:
            mesh.add(_KINDS[each.in_thread, each.keyed](each, log))
        async with anyio.create_task_group() as tasks:
            for start in self.starts:
                tasks.start_soon(self._begin, mesh, log, *start)
        inside = mesh.interior
        while inside.router.open or inside.router.calls or inside.belongings.alive:
            await anyio.sleep(10 * _REST)  # start hooks are no messages, nor are threads whose generators were left

    async def _begin(self, mesh: Mesh, log: Log, after: float, to: str, errand: Errand, is_ask: bool) -> None:  # noqa: FBT001 – a start's columns
        await anyio.sleep(after)
        try:
            if is_ask:
                await mesh.ask(to, errand, timeout=PATIENCE)
            else:
                await mesh.tell(to, errand)
        except CeylonError as error:
            log.note(error)


class _Maker:
    """Makes programs."""

    def __init__(self, chance: random.Random, *, impatient: bool) -> None:
        self._chance = chance
        self._impatient = impatient
        self._left = chance.choice([10, 20, 40])  # steps of the whole program
        self._names = [f"agent{number}" for number in range(chance.randrange(2, 8))]
        self._keyed = {name for name in self._names if chance.random() < 0.25}
        self._streams = chance.random() < 0.5
        self._tells = chance.choice([0.0, 0.2, 0.5])

    def program(self) -> Program:
        """Make one."""
        chance = self._chance
        agents = tuple(self._agent(name) for name in self._names)
        starts = tuple(
            (chance.choice([0.0, 0.0, 0.1]), self._place(), self._errand(4), chance.random() < 0.7)
            for _ in range(chance.randrange(1, 6))
        )
        return Program(agents, starts)

    def _agent(self, name: str) -> Options:
        chance = self._chance
        return Options(
            name=name,
            in_thread=chance.random() < 0.4,
            concurrency=chance.choice([1, 1, 2, 3]),
            capacity=chance.choice([1, 2, 1_000]),
            reentrant=name not in self._keyed and chance.random() < 0.25,
            keyed=name in self._keyed,
            start=self._errand(2) if chance.random() < 0.15 else Errand(),
        )

    def _place(self) -> str:
        name = self._chance.choice(self._names)
        return f"{name}/{self._chance.choice('ab')}" if name in self._keyed and self._chance.random() < 0.8 else name

    def _errand(self, depth: int) -> Errand:
        return Errand(self._steps(depth), self._chance.random() < 0.3)

    def _steps(self, depth: int) -> tuple[Step, ...]:
        if not depth:
            return ()
        return tuple(self._step(depth) for _ in range(self._chance.randrange(0, 4)))

    def _step(self, depth: int) -> Step:
        chance = self._chance
        self._left -= 1
        if self._left < 0 or chance.random() < 0.1:
            return Step("rest", number=chance.randrange(3))
        patience = chance.choice([0.02, 0.1, PATIENCE]) if self._impatient else PATIENCE
        if chance.random() < self._tells:
            return Step("tell", self._place(), self._errand(depth - 1))
        if self._streams and chance.random() < 0.4:
            return self._stream(depth)
        if chance.random() < 0.2:
            together = tuple(self._ask(depth, patience) for _ in range(chance.randrange(2, 4)))
            return Step("together", steps=together)
        return self._ask(depth, patience)

    def _ask(self, depth: int, patience: float) -> Step:
        kind = "leave" if self._impatient and self._chance.random() < 0.3 else "ask"
        return Step(kind, self._place(), self._errand(depth - 1), patience=patience)

    def _stream(self, depth: int) -> Step:
        number = self._chance.randrange(6)
        errand = self._errand(depth - 1) if self._chance.random() < 0.5 else Errand()
        return Step("stream", self._place(), errand, self._steps(depth - 1)[:1], number)


def program_of(seed: int, *, impatient: bool = False) -> Program:
    """Return the program of *seed*; `impatient` ones give up some of their waits early."""
    return _Maker(random.Random(f"{seed} errands"), impatient=impatient).program()  # noqa: S311 – no secret


def settings_of(seed: int) -> Settings:
    """Return settings in which nothing ends by its time but what waits for ever, with a handler's limit and without."""
    return msgspec.structs.replace(
        DEFAULTS,
        ask_timeout=PATIENCE,
        tell_timeout=PATIENCE,
        stream_idle_timeout=PATIENCE,
        stream_credit=2,
        handler_timeout=_NO_LIMIT if seed % 2 else None,
    )
