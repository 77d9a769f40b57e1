"""Time at its edges: ten thousand deadlines at once, a reply at the very moment of one, clocks that jump."""

import itertools
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import anyio
import msgspec
import pytest

from ceylon import Agent, AskTimeoutError, BlockingContext, Context, HandlerError, Mesh, Message, action, on
from ceylon.core.ids import new_id
from ceylon.settings import DEFAULTS
from ceylon.testing import Simulation, run_simulation
from support.core_agents import Held, Keeper
from support.law import lawful_mesh
from support.leftovers import eventually, tasks_left
from support.scripts import Script, assert_quiet
from support.virtual_time import run_virtually

both_backends: Final = pytest.mark.parametrize("backend", ["asyncio", "trio"])
VIRTUAL: Final = msgspec.structs.replace(DEFAULTS, block_warning=None)  # the watchdog's thread lives in real time


def few_and_many(few: int, many: int) -> pytest.MarkDecorator:
    """Run a test with the seeds below *few*, and in the slow part with those up to *many*."""
    parts = [pytest.param(range(few), id=f"{few} seeds"), pytest.param(range(few, many), id="many", marks=slow)]
    return pytest.mark.parametrize("seeds", parts)


slow = (pytest.mark.slow, pytest.mark.timeout(600))


# -- ten thousand deadlines --------------------------------------------------------------------------------------------


@pytest.mark.big
@both_backends
@pytest.mark.parametrize("capacity", [1_000, 10_000], ids=["most before a full mailbox", "all in the mailbox"])
def test_ten_thousand_asks_that_nobody_answers_all_end_in_time(backend: str, capacity: int) -> None:
    class Wide(Held):
        mailbox_capacity = capacity

    async def main() -> list[float]:
        before, waited = tasks_left(), list[float]()
        async with lawful_mesh(settings=VIRTUAL) as mesh:
            ref = mesh.add(Wide("held"))

            async def ask(number: int) -> None:
                began = anyio.current_time()
                with pytest.raises(AskTimeoutError):
                    await ref.ask(number, timeout=1)
                waited.append(anyio.current_time() - began)

            async with anyio.create_task_group() as askers:
                for number in range(10_000):
                    askers.start_soon(ask, number)
            await mesh.drain()
            statistics = mesh.statistics()
            assert (statistics.pending_asks, statistics.timers, mesh.ledger().open) == (0, 0, [])
        await eventually(lambda: not tasks_left() - before)
        return waited

    waited = run_virtually(backend, main)

    assert len(waited) == 10_000
    assert 1.0 <= min(waited) <= max(waited) <= 1.05


# -- a reply at the moment of the deadline -----------------------------------------------------------------------------

TICKS: Final = (-1e-3, -1e-6, -1e-9, 0.0, 1e-9, 1e-6, 1e-3)


class Punctual(Agent):
    """Answers at the deadline of its asker, or a tick before or after it."""

    concurrency = 8

    def __init__(self, name: str, chance: random.Random) -> None:
        super().__init__(name)
        self.chance = chance
        self.ended = 0

    @on
    async def answer(self, number: int, context: Context) -> int:
        await self._wait(context)
        return number

    @on(shielded=True)
    async def answer_in_any_case(self, number: float, context: Context) -> float:
        await self._wait(context)
        self.ended += 1
        return number

    async def _wait(self, context: Context) -> None:
        assert context.remaining is not None
        await anyio.sleep(max(context.remaining + self.chance.choice(TICKS), 0.0))


@few_and_many(150, 5_000)
def test_an_ask_whose_reply_races_its_deadline_has_exactly_one_outcome(seeds: range) -> None:
    outcomes: Counter[str] = Counter()

    async def race(simulation: Simulation) -> None:
        async with simulation.mesh() as mesh:
            punctual = Punctual("punctual", simulation.random)
            ref = mesh.add(punctual)
            ended: list[str] = []

            async def ask(message: float) -> None:
                try:
                    assert await ref.ask(message, timeout=simulation.random.choice([0.01, 0.02])) == message
                    ended.append("reply")
                except AskTimeoutError:
                    ended.append("timeout")

            async with anyio.create_task_group() as askers:
                for number in range(8):
                    askers.start_soon(ask, number if number % 2 else float(number))
            await mesh.drain()

            statistics = mesh.statistics()
            agent = statistics.agents["punctual"]
            replies, late = ended.count("reply"), statistics.late_replies
            assert len(ended) == 8
            assert agent.completed == replies + late
            assert agent.cancelled + agent.expired == 8 - agent.completed
            assert (statistics.pending_asks, statistics.timers) == (0, 0)
            outcomes.update({"reply": replies, "timeout": 8 - replies, "late": late})

    for seed in seeds:
        outcome = run_simulation(race, seed=seed)
        assert outcome.error is None, f"seed {seed}: {outcome.error!r}"

    assert min(outcomes.values()) > len(seeds) // 2  # or it was no race


# -- an asker that leaves ----------------------------------------------------------------------------------------------


class Asking(Agent):
    """Asks, and is gone before the reply: it crashes, it hears no more of it, or it ends by itself."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.received = 0

    async def on_message(self, leave_after: float, context: Context) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._crash, leave_after)
            await context.ask("answering", 7)
            self.received += 1
            tasks.cancel_scope.cancel()

    async def _crash(self, leave_after: float) -> None:
        await anyio.sleep(leave_after)
        if leave_after > 0.005:
            raise ValueError(leave_after)


class Answering(Agent):
    """Takes its time; half of its answers cannot be stopped."""

    concurrency = 4

    def __init__(self, name: str, chance: random.Random) -> None:
        super().__init__(name)
        self.chance = chance

    @on
    async def answer(self, number: int) -> int:
        await anyio.sleep(self.chance.choice([0.0, 0.002, 0.005, 0.01]))
        return number

    @on(shielded=True)
    async def answer_in_any_case(self, number: float) -> float:
        await anyio.sleep(self.chance.choice([0.0, 0.002, 0.005, 0.01]))
        return number


@few_and_many(500, 2_000)
def test_the_reply_to_an_asker_that_has_left_is_dropped_and_counted(seeds: range) -> None:
    late: list[int] = []

    async def leave(simulation: Simulation) -> None:
        async with simulation.mesh() as mesh:
            asking = [Asking(f"asking-{number}") for number in range(3)]
            mesh.add(Answering("answering", simulation.random))
            refs = [mesh.add(agent) for agent in asking]
            received = [0]

            async def ask(way: int) -> None:
                seconds = simulation.random.choice([0.0, 0.002, 0.005, 0.01])
                with anyio.move_on_after(seconds if way % 2 else 60):
                    try:
                        if way < 2:
                            await mesh.ask("answering", 1.5, timeout=60 if way else max(seconds, 1e-9))
                        else:
                            await refs[way % 3].ask(seconds)
                    except AskTimeoutError:
                        return
                    except HandlerError:
                        pass
                    received[0] += 1

            async with anyio.create_task_group() as askers:
                for way in range(8):
                    askers.start_soon(ask, way)
            await mesh.drain()

            statistics = mesh.statistics()
            taken = received[0] + sum(agent.received for agent in asking)
            assert (statistics.pending_asks, statistics.timers, mesh.ledger().open) == (0, 0, [])
            replies = sum(agent.completed + agent.failed for agent in statistics.agents.values())
            assert replies >= taken + statistics.late_replies  # one may come as its asker is just being cancelled
            late.append(statistics.late_replies)

    for seed in seeds:
        outcome = run_simulation(leave, seed=seed)
        assert outcome.error is None, f"seed {seed}: {outcome.error!r}"

    assert sum(late) > len(seeds) // 20


# -- the wall clock jumps ----------------------------------------------------------------------------------------------

HOUR: Final = 3_600.0
DAY: Final = 24 * HOUR


class Ticking(Keeper):
    """Sets timers of every kind for itself."""

    async def on_start(self, context: Context) -> None:
        context.after(1.0, "after")
        context.every(0.5, "every")

    async def on_message(self, message: Any) -> int:
        self.kept.append((message, anyio.current_time()))
        return len(self.kept)


@pytest.fixture
def jump(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A function that sets the wall clock of this process."""
    real, offset = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: real() + offset[0])
    monkeypatch.setattr(time, "time_ns", lambda: int((real() + offset[0]) * 1e9))

    def jump_by(seconds: float) -> None:
        offset[0] += seconds

    return jump_by


@both_backends
@pytest.mark.parametrize("seconds", [-HOUR, DAY, -1.0, 1.0])
def test_timers_and_deadlines_know_nothing_of_the_wall_clock(
    backend: str, seconds: float, jump: Callable[[float], None]
) -> None:
    async def main() -> None:
        async with lawful_mesh(settings=VIRTUAL) as mesh:
            began, ticking = anyio.current_time(), Ticking("ticking")
            mesh.add(ticking)
            held, waited = mesh.add(Held("held")), list[float]()

            async def ask(timeout: float) -> None:
                with pytest.raises(AskTimeoutError):
                    await held.ask(timeout, timeout=timeout)
                waited.append(anyio.current_time() - began - timeout)

            async with anyio.create_task_group() as askers:
                for tenths in range(1, 20):
                    askers.start_soon(ask, tenths / 10)
                for _ in range(20):
                    await anyio.sleep(0.1)
                    jump(seconds)
            ticks = [(message, at - began) for message, at in ticking.kept]

        assert all(0 <= late < 0.05 for late in waited)
        assert len(waited) == 19
        for number, (_, at) in enumerate(it for it in ticks if it[0] == "every"):
            assert (number + 1) * 0.5 <= at + 1e-9 < (number + 1) * 0.5 + 0.05
        (after,) = [at for message, at in ticks if message == "after"]
        assert 1.0 <= after + 1e-9 < 1.05

    run_virtually(backend, main)


async def test_ids_stay_unique_while_the_wall_clock_jumps(jump: Callable[[float], None], anyio_backend: object) -> None:
    class Naming(Agent):
        async def on_message(self, message: Any, context: Context) -> str:
            return context.message_id

    ids: list[str] = []
    for seconds in (0.0, -HOUR, HOUR, DAY, -DAY, -1.0, 1.0, 0.0):
        jump(seconds)
        async with lawful_mesh() as mesh:
            ref = mesh.add(Naming("naming"))
            for _ in range(100):
                ids.append(await ref.ask("who am I?"))
                jump(seconds / 100)
                jump(-seconds / 100)
        ids += [new_id() for _ in range(1_000)]

    assert len(set(ids)) == len(ids) == 8 * 1_100


@pytest.mark.process
@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="nothing stops a process here")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_process_that_was_stopped_for_a_second_fires_its_timers_once_and_goes_on(
    backend: str, tmp_path: Path
) -> None:
    script = Script(
        f"""
        import time

        class Ticking(Agent):
            def __init__(self, name):
                super().__init__(name)
                self.began = time.monotonic()
                self.heard = []

            async def on_start(self, context):
                for tenths in range(1, 12):
                    context.after(tenths / 10, tenths)

            async def on_message(self, tenths, context):
                self.heard.append((tenths, time.monotonic() - self.began, context.message_id))

        class Silent(Agent):
            async def on_message(self, message):
                await anyio.sleep_forever()

        async def main():
            async with Mesh(settings=QUICK) as mesh:
                ticking, silent, echo = Ticking("ticking"), mesh.add(Silent("silent")), mesh.add(Shop("shop"))
                mesh.add(ticking)

                async def give_up():
                    began = time.monotonic()
                    try:
                        await silent.ask("tea", timeout=0.5)
                    except AskTimeoutError:
                        say("early" if time.monotonic() - began < 0.5 else "timeout")

                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(give_up)
                    await anyio.sleep(0.05)
                    say("ready")
                    await anyio.sleep(1.5)
                while len(ticking.heard) < 11:
                    await anyio.sleep(0.01)  # all are due, and handled one after the other
                for _ in range(3):
                    say(await echo.ask("tea", timeout=5.0))
                ids = {{message_id for _, _, message_id in ticking.heard}}
                say(len(ids) == len(ticking.heard))
                say(sorted(tenths for tenths, _, _ in ticking.heard) == list(range(1, 12)))
                say(all(at >= tenths / 10 for tenths, at, _ in ticking.heard))
                say(mesh.statistics().pending_asks)

        anyio.run(main, backend={backend!r})
        """,
        tmp_path,
    )
    script.wait_for("ready")

    script.send(signal.SIGSTOP)
    script.sleep(1.0)
    script.send(signal.SIGCONT)

    said, errors = script.end()
    assert said == ["timeout", "tea", "tea", "tea", "True", "True", "True", "0", "on_stop"]
    assert_quiet(errors)


# -- deadlines over hops -----------------------------------------------------------------------------------------------


class Hop(Message[Any]):
    """Go on along *way*: who is next, by which verb, with how much time (0: whatever is left)."""

    way: tuple[tuple[str, str, float], ...]


class Hopper(Agent):
    """Passes a hop on and notes its deadline."""

    concurrency = 4

    def __init__(self, name: str, deadlines: list[float | None]) -> None:
        super().__init__(name)
        self.deadlines = deadlines

    @on
    async def hop(self, hop: Hop, context: Context) -> None:
        await self._go_on(hop.way, context)

    @action
    async def call_on(self, way: list[list[Any]], context: Context) -> None:
        """Do the same as an action."""
        await self._go_on(tuple((to, verb, seconds) for to, verb, seconds in way), context)

    async def _go_on(self, way: tuple[tuple[str, str, float], ...], context: Context) -> None:
        self.deadlines.append(context.deadline)
        if not way:
            return
        (to, verb, seconds), *rest = way
        ref = context.ref(to).using(timeout=seconds or None)
        if verb == "stream":
            await ref.stream(Hop(tuple(rest))).result()
        elif verb == "call":
            await ref.call("call_on", way=[list(step) for step in rest])
        else:
            await ref.ask(Hop(tuple(rest)))


class StreamHopper(Hopper):
    """Does so while it answers by parts."""

    @on
    async def hop(self, hop: Hop, context: Context) -> AsyncIterator[int]:  # type: ignore[override]
        yield 1
        await self._go_on(hop.way, context)
        yield 2


class ThreadHopper(Hopper):
    """Does so in a thread."""

    @on
    def hop(self, hop: Hop, context: BlockingContext) -> None:  # type: ignore[override]
        self._block_on(hop.way, context)

    @action
    def call_on(self, way: list[list[Any]], context: BlockingContext) -> None:  # type: ignore[override]
        """Do the same as an action."""
        self._block_on(tuple((to, verb, seconds) for to, verb, seconds in way), context)

    def _block_on(self, way: tuple[tuple[str, str, float], ...], context: BlockingContext) -> None:
        self.deadlines.append(context.deadline)
        if not way:
            return
        (to, verb, seconds), *rest = way
        if verb == "stream":
            context.stream(to, Hop(tuple(rest)), timeout=seconds or None).result()
        elif verb == "call":
            context.call(to, "call_on", way=[list(step) for step in rest])
        else:
            context.ask(to, Hop(tuple(rest)), timeout=seconds or None)


KINDS: Final = (Hopper, StreamHopper, ThreadHopper)
HOPS: Final = 5


@pytest.mark.parametrize("part", range(5))
async def test_a_deadline_never_grows_over_five_hops(mesh: Mesh, part: int) -> None:
    deadlines: list[float | None] = []
    for hop, kind in itertools.product(range(HOPS + 1), KINDS):
        mesh.add(kind(f"{kind.__name__}-{hop}", deadlines))
    shrunk = 0

    for seed in range(100 * part, 100 * part + 100):
        chance = random.Random(seed)  # noqa: S311 – repeatable is the point
        names = [f"{chance.choice(KINDS).__name__}-{hop}" for hop in range(HOPS + 1)]
        verbs = [chance.choice(["ask", "stream", "call"]) for _ in names]
        seconds = [chance.choice([0.0, chance.uniform(5, 60)]) for _ in names]
        way = tuple(zip(names, verbs, seconds, strict=True))
        deadlines.clear()

        await mesh.ask(names[0], Hop(way[1:]), timeout=chance.uniform(20, 60))

        assert len(deadlines) == HOPS + 1, f"seed {seed}"
        for parent, child in itertools.pairwise(deadlines):
            assert parent is not None, f"seed {seed}"
            assert child is not None, f"seed {seed}"
            assert child <= parent, f"seed {seed}"
            shrunk += child < parent

    assert shrunk > 50  # or nothing was tried
