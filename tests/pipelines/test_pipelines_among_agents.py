"""Pipelines and agents that get in each other's way: shared agents with one slot, faults, restarts, ends."""

import gc
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import anyio
import pytest

from ceylon import Agent, BlockingMesh, Budget, Context, DefinitionError, HandlerError, Mesh
from ceylon.pipelines import each, parallel, pipeline, retry
from ceylon.testing import Faults, Simulation, simulate
from ceylon.testing.fixtures import checked_mesh, settings_for_tests
from support.pipe_building import Kit
from support.pipe_meaning import AmbiguousError, plain_meaning
from support.pipe_random import Maker
from support.pipe_running import mistake, outcome_of
from support.pipe_values import BadError, weight

FEW: Final = 40
MANY: Final = 500
MISFORTUNES: Final = Faults(crash=0, model=0)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Keep what fails on purpose out of the log."""
    caplog.set_level("CRITICAL", "ceylon")


class Bank(Agent):
    """Has one slot, and is in everybody's way."""

    async def on_message(self, number: int) -> int:
        await anyio.sleep(0.001)
        return number + 1


class Clerk(Agent):
    """Has one slot and asks the next clerk, or the bank: never one before it."""

    def __init__(self, name: str, following: str) -> None:
        super().__init__(name)
        self._following = following

    async def on_message(self, number: int, context: Context) -> int:
        answer: int = await context.ask(self._following, number)
        return answer


async def check_crowd(simulation: Simulation) -> None:
    """Run several pipelines that all need the same few agents: nothing is refused, nothing is lost."""
    chance = simulation.random
    async with simulation.mesh() as mesh:
        mesh.add(Bank("bank"))
        clerks = [
            mesh.add(Clerk(f"clerk-{place}", "bank" if place == 0 else f"clerk-{place - 1}")) for place in range(3)
        ]

        def some() -> Any:
            return chance.choice(clerks)

        stages = pipeline(each(pipeline(some(), some()), chance.randint(1, 4), ordered=chance.random() < 0.5))
        built = parallel(stages, pipeline(each(some())), each(parallel(some(), some()) >> min))
        refs = [mesh.add(built.named(f"crowd-{number}", concurrency=chance.choice((1, 64)))) for number in range(2)]
        results: list[Any] = []

        async def ask(number: int) -> None:
            results.append((number, await chance.choice(refs).ask([number, number + 10], timeout=10_000)))

        async with anyio.create_task_group() as tasks:
            for number in range(simulation.times(4)):
                tasks.start_soon(ask, number)

    for number, (two, one, least) in results:
        assert sorted(two) == [number + 2, number + 12], two
        assert one == [number + 1, number + 11], one
        assert least == [number + 1, number + 11], least
    assert len(results) == simulation.times(4)


@simulate(seeds=8, faults=MISFORTUNES)
async def test_a_crowd_at_one_counter_is_served(simulation: Simulation) -> None:
    await check_crowd(simulation)


@pytest.mark.slow
@simulate(seeds=range(8, MANY // 5), faults=MISFORTUNES)
async def test_so_are_many_crowds(simulation: Simulation) -> None:
    await check_crowd(simulation)


async def check_misfortune(simulation: Simulation) -> None:
    """Delay, reorder and slow down what a pipeline at random asks: it means the same."""
    shape = Maker(simulation.random.randrange).shape(2 + simulation.seed % 2)
    try:
        expected = plain_meaning(shape, 17)
    except AmbiguousError:
        return
    async with simulation.mesh() as mesh:
        outcome = await outcome_of(mesh.add(Kit(mesh).build(shape)).ask(17, timeout=10_000))
    found = mistake(shape, expected, outcome)
    assert found is None, found


@simulate(seeds=FEW, faults=MISFORTUNES)
async def test_misfortune_changes_no_meaning(simulation: Simulation) -> None:
    await check_misfortune(simulation)


@pytest.mark.slow
@simulate(seeds=range(FEW, MANY // 2), faults=MISFORTUNES)
async def test_much_misfortune_changes_none_either(simulation: Simulation) -> None:
    await check_misfortune(simulation)


@pytest.mark.slow
@simulate(seeds=MANY // 5, faults=MISFORTUNES, backend="trio")
async def test_misfortune_changes_no_meaning_on_trio(simulation: Simulation) -> None:
    await check_misfortune(simulation)


# -- what goes along ---------------------------------------------------------------------------------------------------


class Notary(Agent):
    """Writes down what came along with a message."""

    concurrency = 8

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.seen: list[Any] = []

    async def on_message(self, message: Any, context: Context) -> Any:
        self.seen.append((context.remaining, context.budget, context.envelope.trace, context.sender))
        return message


async def test_deadline_and_budget_reach_the_agents_inside() -> None:
    notary = Notary("notary")
    async with checked_mesh() as mesh:
        mesh.add(notary)
        ref = mesh.ref("notary")
        inner = pipeline(ref, name="inner")
        built = parallel(ref, retry(ref), each(ref), inner, mesh.add(pipeline(ref, name="far")))
        outer = mesh.add(built.named("outer"))
        await outer.using(timeout=60, budget=Budget(calls=7)).ask([1, 2])
        await built.run([1, 2], timeout=60, budget=Budget(calls=7))

    assert len(notary.seen) == 12
    for remaining, budget, _, sender in notary.seen:
        assert remaining is not None
        assert 0 < remaining <= 60
        assert budget is not None
        assert budget.calls == 7
        assert sender


# -- how many at a time ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_a_pipeline_takes_as_many_runs_at_a_time_as_it_was_told(concurrency: int) -> None:
    inside = most = 0
    full = anyio.Event()

    async def step(value: int) -> int:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        if inside == concurrency:
            full.set()
        await full.wait()
        inside -= 1
        return value

    async with checked_mesh() as mesh:
        ref = mesh.add(pipeline(step).named("narrow", concurrency=concurrency))
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(ref.ask, number)

    assert most == concurrency


# -- failing and beginning again ---------------------------------------------------------------------------------------


class Counting(Agent):
    """Fails at the second message of its life, and begins again."""

    on_failure = "restart"

    def __init__(self, name: str, lives: list[str]) -> None:
        super().__init__(name)
        self._lives, self._count = lives, 0

    async def on_start(self, context: Context) -> None:
        self._lives.append(context.address)

    async def on_message(self, message: Any) -> int:
        self._count += 1
        if self._count == 2:
            raise BadError(0)
        return weight(message)


async def test_an_agent_inside_is_restarted_and_the_pipeline_goes_on() -> None:
    lives: list[str] = []
    async with checked_mesh() as mesh:
        ref = mesh.add(pipeline(Counting("counting", lives), name="with-agent"))
        assert await ref.ask(1) == 1
        with pytest.raises(HandlerError) as caught:
            await ref.ask(2)
        assert isinstance(caught.value.root, BadError)
        assert [await ref.ask(3)] == [3]
        assert mesh.statistics().agents["counting"].parent == "with-agent"
        assert lives == ["counting", "counting"]
        await mesh.stop("with-agent")
        assert "counting" not in mesh.statistics().agents


async def test_a_retry_outlives_the_restart_of_what_it_asks() -> None:
    lives: list[str] = []
    async with checked_mesh() as mesh:
        ref = mesh.add(pipeline(retry(Counting("counting", lives), pause=0.0)))

        assert [await ref.ask(number) for number in range(3)] == list(range(3))
    assert len(lives) == 3


async def test_leaving_a_mesh_normally_lets_runs_end() -> None:
    done: list[int] = []

    async def step(value: int) -> int:
        await anyio.sleep(0.01)
        done.append(value)
        return value

    async with checked_mesh(drain_timeout=60) as mesh:
        ref = mesh.add(pipeline(each(step, concurrency=2), each(step, concurrency=1)))
        await ref.tell([1, 2, 3])

    assert sorted(done) == [1, 1, 2, 2, 3, 3]


async def test_runs_without_a_name_leave_nothing_in_the_mesh() -> None:
    async def same(value: Any) -> Any:
        return value

    async with checked_mesh() as mesh:
        ref = mesh.add(Bank("bank"))
        for number in range(5):
            built = pipeline(same) >> ref
            assert await built.run(number) == number + 1
            assert await built.stream(number).result() == number + 1
            del built
        gc.collect()
        with anyio.fail_after(60):
            while len(mesh.statistics().agents) > 1:  # noqa: ASYNC110 – what is let go leaves in its own time
                await anyio.sleep(0.001)
        assert await mesh.publish("anything", 1) == 0
        assert await mesh.broadcast(1) == 1


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_many_first_runs_at_once_share_one_agent(concurrency: int) -> None:
    inside = most = 0

    async def step(value: int) -> int:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        inside -= 1
        return value

    async with checked_mesh() as mesh:
        built = (pipeline(step) >> mesh.add(Bank("bank"))).named("shared", concurrency=concurrency)
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(built.run, number)

        assert most <= concurrency
        assert len(mesh.statistics().agents) == 2


def test_threads_that_run_a_pipeline_for_the_first_time_share_one_agent() -> None:
    def same(value: int) -> int:
        return value

    with BlockingMesh(settings=settings_for_tests()) as mesh:
        built = pipeline(same) >> mesh.add(Bank("bank"))
        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(built.blocking.run, range(8))) == list(range(1, 9))

        assert len(mesh.statistics().agents) == 2


async def test_names_that_clash_are_refused_when_the_pipeline_is_added() -> None:
    async with checked_mesh() as mesh:
        for built in (pipeline(Bank("one"), Bank("one")), pipeline(Bank("pipeline")), parallel(Bank("a"), Bank("a"))):
            with pytest.raises(DefinitionError, match="is called"):
                mesh.add(built)
        twice = Bank("bank")
        assert await mesh.add(pipeline(twice, twice)).ask(1) == 3
        assert await pipeline(Bank("one"), Bank("one")).run(1) == 3


async def test_a_run_from_within_a_handler_is_part_of_that_handlers() -> None:
    class Asker(Agent):
        async def on_message(self, message: Any, context: Context) -> Any:
            return await inner.run(message)

    class Looker(Agent):
        async def on_message(self, message: Any, context: Context) -> Any:
            return context.remaining

    async with checked_mesh() as mesh:
        inner = pipeline(mesh.add(Looker("looker")))
        remaining = await mesh.add(Asker("asker")).ask(1, timeout=60)

    assert 0 < remaining <= 60


async def test_a_mesh_is_not_kept_by_pipelines_that_ran_in_it() -> None:
    built = pipeline(Bank("bank"))
    for _ in range(2):
        async with checked_mesh() as mesh:
            mesh.add(built)
            assert await built.run(1) == 2
        assert isinstance(mesh, Mesh)
