"""Programs at random for agents that run errands."""

import random
from typing import Final

import anyio
import msgspec

from ceylon import CeylonError, Mesh
from ceylon.settings import DEFAULTS, Settings
from support.errands import KINDS, PATIENCE, REST, Errand, Log, Options, Step

__all__ = ["Program", "Start", "program_of", "settings_of"]

_NO_LIMIT: Final = 50 * PATIENCE  # of a handler, for the roads that only a limit takes


class Start(msgspec.Struct, frozen=True):
    """What is sent to one agent from outside, when, and whether somebody waits for it."""

    after: float
    to: str
    errand: Errand
    is_ask: bool


class Program(msgspec.Struct, frozen=True):
    """Agents, and what is asked of them from outside."""

    agents: tuple[Options, ...]
    starts: tuple[Start, ...]

    async def run(self, mesh: Mesh, log: Log) -> None:
        """Run to the end of everything."""
        for each in self.agents:
            mesh.add(KINDS[each.in_thread, each.keyed](each, log))
        async with anyio.create_task_group() as tasks:
            for start in self.starts:
                tasks.start_soon(self._begin, mesh, log, start)
        while _is_busy(mesh):  # noqa: ASYNC110 – start hooks are no messages, nor are threads of generators left
            await anyio.sleep(10 * REST)

    async def _begin(self, mesh: Mesh, log: Log, start: Start) -> None:
        await anyio.sleep(start.after)
        try:
            if start.is_ask:
                await mesh.ask(start.to, start.errand, timeout=PATIENCE)
            else:
                await mesh.tell(start.to, start.errand)
        except CeylonError as error:
            log.note(error)


def _is_busy(mesh: Mesh) -> bool:
    inside, threads = mesh.interior, mesh.statistics().threads
    return bool(inside.router.open or inside.router.calls or inside.belongings.alive or threads.running)


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
            Start(chance.choice([0.0, 0.0, 0.1]), self._place(), self._errand(4), chance.random() < 0.7)
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
