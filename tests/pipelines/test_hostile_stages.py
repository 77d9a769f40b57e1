"""Stages that misbehave: their own run fails, or it does not, and nobody else notices."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Final

import anyio
import pytest

from ceylon import Agent, AskTimeoutError, Context, DeadlockError, HandlerError, Mesh
from ceylon.pipelines import (
    Failed,
    branch,
    each,
    fallback,
    gather,
    loop,
    parallel,
    pipeline,
    race,
    reduce,
    retry,
    timeout,
)
from support.hostile_agents import ASYNC_CRIMES, EITHER_CRIMES, SYNC_CRIMES, VARIABLE, release
from support.leftovers import DEADLINE, eventually, tidy_mesh

HEAVY: Final = frozenset({"recurses for ever", "returns a hundred megabytes"})
CASES: Final = [
    pytest.param(backend, kind, name, id=f"{backend}-{kind}-{name}".replace(" ", "-"))
    for kind, crimes in (("async", ASYNC_CRIMES), ("sync", SYNC_CRIMES))
    for name, crime in crimes.items()
    for backend in crime.backends
]
on_every_case: Final = pytest.mark.parametrize(("anyio_backend", "kind", "crime"), CASES)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Keep what fails on purpose out of the log."""
    caplog.set_level("CRITICAL", "ceylon")


@pytest.fixture
async def mesh(anyio_backend: str) -> AsyncIterator[Mesh]:
    """A mesh that must end tidily; what the stages leaked is released first."""
    async with tidy_mesh() as mesh:
        yield mesh
        await release()


def criminal(kind: str, crime: str) -> Callable[[Any], Any]:
    """Return a stage that commits *crime* for the value 1."""

    def sync(value: int) -> Any:
        return SYNC_CRIMES[crime].act() if value == 1 else value

    async def on_the_loop(value: int) -> Any:
        if value != 1:
            return value
        result = ASYNC_CRIMES[crime].act()
        if isinstance(result, Awaitable) and crime not in EITHER_CRIMES:
            return await result
        return result

    return sync if kind == "sync" else on_the_loop


async def read_variable(value: Any) -> str:
    """Return what the stage before has perhaps left."""
    return VARIABLE.get()


@on_every_case
async def test_a_crime_concerns_nobody_but_its_own_run(kind: str, crime: str, mesh: Mesh) -> None:
    begun, may_go = anyio.Event(), anyio.Event()

    async def stand_by(value: int) -> str:
        if value == 0:
            begun.set()
            await may_go.wait()
        return "unharmed"

    ref = mesh.add(pipeline(parallel(deed=criminal(kind, crime), other=stand_by)))
    keeping = mesh.add(pipeline(parallel(criminal(kind, crime), stand_by, on_failure="keep"), name="kept"))
    answers: list[Any] = []
    failures: list[HandlerError] = []
    kept: Any = None
    after: Any = None

    async def ask() -> None:
        answers.append(await ref.ask(0, timeout=DEADLINE))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await begun.wait()
        try:
            await ref.ask(1, timeout=DEADLINE)
        except HandlerError as error:
            failures.append(error)
        kept = await keeping.ask(1, timeout=DEADLINE)
        after = await ref.ask(2, timeout=DEADLINE)
        may_go.set()

    fails = ASYNC_CRIMES[crime].verdict == "fails"
    assert bool(failures) == fails
    assert (isinstance(kept[0], Failed), kept[1]) == (fails, "unharmed")
    assert after == {"deed": 2, "other": "unharmed"}
    assert answers == [{"deed": 0, "other": "unharmed"}]
    assert (await mesh.ask(mesh.add(pipeline(read_variable, name="reader")), None)) == "untouched"


@pytest.mark.slow
@on_every_case
async def test_a_crime_among_many_items_ends_the_run_and_no_more(kind: str, crime: str, mesh: Mesh) -> None:
    many = 8 if crime in HEAVY else 24
    ref = mesh.add(pipeline(each(criminal(kind, crime), concurrency=4), gather()))
    items = [*range(2, many), 1, *range(2, many)]
    fails = ASYNC_CRIMES[crime].verdict == "fails"

    for _ in range(2):
        try:
            assert len(await ref.ask(items, timeout=DEADLINE)) == len(items)
        except HandlerError:
            assert fails
        else:
            assert not fails
    assert await ref.ask([5, 6], timeout=DEADLINE) == [5, 6]
    await eventually(lambda: mesh.statistics().workers <= 8)
    await eventually(lambda: not mesh.statistics().threads.running)


# -- cancelling --------------------------------------------------------------------------------------------------------


async def test_a_stage_that_will_not_be_cancelled_is_waited_for(mesh: Mesh) -> None:
    ends: list[str] = []

    async def stubborn(value: int) -> int:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                for _ in range(5):
                    await anyio.sleep(0.005)
            ends.append("stubborn")
        return value

    async def fail(value: int) -> int:
        await anyio.sleep(0.001)
        raise ValueError(value)

    ref = mesh.add(pipeline(parallel(stubborn, fail)))
    with pytest.raises(HandlerError) as caught:
        await ref.ask(1, timeout=DEADLINE)

    assert isinstance(caught.value.root, ValueError)
    assert ends == ["stubborn"]


async def test_one_that_swallows_its_cancellation_cannot_undo_it(mesh: Mesh) -> None:
    async def swallow(value: int) -> str:
        with contextlib.suppress(BaseException):
            await anyio.sleep_forever()
        return "swallowed"

    async def win(value: int) -> str:
        await anyio.sleep(0.001)
        return "won"

    async def after(value: Any) -> Any:
        return value

    assert await mesh.add(pipeline(race(swallow, win), after)).ask(1, timeout=DEADLINE) == "won"


async def test_a_stage_without_end_ends_at_the_deadline(mesh: Mesh) -> None:
    async def hang(value: int) -> None:
        await anyio.sleep_forever()

    ref = mesh.add(pipeline(retry(fallback(parallel(hang, each(hang)), hang), times=5)))

    while not mesh.statistics().agents["pipeline"].cancelled:  # on a busy machine it may expire before it has begun
        with pytest.raises(AskTimeoutError):
            await ref.ask([1, 2, 3], timeout=0.05)
        await mesh.drain()

    assert mesh.statistics().agents["pipeline"].cancelled == 1


@pytest.mark.parametrize("policy", ["retry", "fallback", "keep", "race"])
async def test_no_policy_keeps_a_run_alive_that_is_cancelled(policy: str, mesh: Mesh) -> None:
    begun: list[str] = []

    async def hang(value: int) -> None:
        begun.append("hang")
        await anyio.sleep_forever()

    async def other(value: Any) -> str:
        begun.append("other")
        return "other"

    stages = {
        "retry": retry(hang, times=5, on=BaseException, pause=0),
        "fallback": fallback(hang, other, on=BaseException),
        "keep": parallel(hang, on_failure="keep") >> other,
        "race": race(hang, hang) >> other,
    }
    ref = mesh.add(pipeline(stages[policy]))
    hangs = 2 if policy == "race" else 1
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ref.ask, 1)
        await eventually(lambda: len(begun) == hangs)
        tasks.cancel_scope.cancel()
    await mesh.drain()

    assert "other" not in begun
    assert len(begun) == hangs


async def test_a_stage_in_a_thread_that_is_given_up_is_counted(mesh: Mesh) -> None:
    import threading  # noqa: PLC0415 – this test only

    may_go, begun = threading.Event(), threading.Event()

    def block(value: int) -> int:
        begun.set()
        may_go.wait(DEADLINE)
        return value

    ref = mesh.add(pipeline(block))
    while not begun.is_set():  # a busy machine may take longer to begin
        with pytest.raises(AskTimeoutError):
            await ref.ask(1, timeout=0.05)
    may_go.set()
    await eventually(lambda: not mesh.statistics().threads.running)


# -- generators --------------------------------------------------------------------------------------------------------


async def test_a_generator_that_fails_while_it_is_closed_does_not_hide_the_first_failure(mesh: Mesh) -> None:
    async def source(value: int) -> AsyncIterator[int]:
        try:
            for number in range(100):
                yield number
        finally:
            raise KeyError("while closing")

    def source_in_a_thread(value: int) -> Iterator[int]:
        try:
            yield from range(100)
        finally:
            raise KeyError("while closing")

    async def fail(item: int) -> int:
        if item == 3:
            raise ValueError(item)
        return item

    generators: tuple[Any, ...] = (source, source_in_a_thread)
    for number, generator in enumerate(generators):
        ref = mesh.add(pipeline(generator, each(fail, concurrency=1), name=f"closing-{number}"))
        with pytest.raises(HandlerError) as caught:
            await ref.ask(1, timeout=DEADLINE)
        assert isinstance(caught.value.root, ValueError)


async def test_a_generator_that_will_not_be_closed_ends_the_run_all_the_same(mesh: Mesh) -> None:
    async def source(value: int) -> AsyncIterator[int]:
        for number in range(100):
            try:
                yield number
            except GeneratorExit:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(0.001)
                raise

    async def fail(item: int) -> int:
        raise ValueError(item)

    ref = mesh.add(pipeline(source, each(fail)))
    with pytest.raises(HandlerError) as caught:
        await ref.ask(1, timeout=DEADLINE)

    assert isinstance(caught.value.root, ValueError)


async def test_a_source_without_end_is_stopped_by_a_stage_that_has_enough(mesh: Mesh) -> None:
    made: list[int] = []
    ends: list[str] = []

    async def numbers(value: int) -> AsyncIterator[int]:
        try:
            number = 0
            while True:
                made.append(number)
                yield number
                number += 1
        finally:
            ends.append("closed")

    async def first_three(items: AsyncIterator[int]) -> list[int]:
        return [await anext(items) for _ in range(3)]

    assert await mesh.add(pipeline(numbers, first_three)).ask(1, timeout=DEADLINE) == [0, 1, 2]
    assert ends == ["closed"]
    assert len(made) <= 5


async def test_an_iterator_that_fails_ends_the_run(mesh: Mesh) -> None:
    class Broken:
        """Cannot even be iterated."""

        def __iter__(self) -> Iterator[int]:
            raise LookupError("no items")

    async def same(item: Any) -> Any:
        return item

    ref = mesh.add(pipeline(each(same)))
    for value, root in ((Broken(), LookupError), (1, TypeError), (None, TypeError)):
        with pytest.raises(HandlerError) as caught:
            await ref.ask(value, timeout=DEADLINE)
        assert isinstance(caught.value.root, root)


# -- values and errors -------------------------------------------------------------------------------------------------


class Awkward:
    """Refuses to be compared, to be true, to be counted."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise RuntimeError("no truth")

    def __len__(self) -> int:
        raise RuntimeError("no length")


async def test_any_value_goes_through(mesh: Mesh) -> None:
    async def same(value: Any) -> Any:
        return value

    stages = pipeline(same) >> fallback(race(same, same)) >> retry(same) >> timeout(same, 5)
    ref = mesh.add(stages >> loop(same, at_most=2))
    for value in (
        Awkward(),
        None,
        ValueError("a value"),
        Failed("nowhere", ValueError()),
        stages,
        Exception,
        ...,
        NotImplemented,
    ):
        assert await ref.ask(value, timeout=DEADLINE) is value


async def test_one_and_the_same_error_may_be_raised_everywhere(mesh: Mesh) -> None:
    one = ValueError("the same")

    async def fail(value: Any) -> Any:
        raise one

    stages = parallel(
        fail, fail, race(fail, fail), fallback(fail, fail), retry(fail, times=3, pause=0), on_failure="wait"
    )
    ref = mesh.add(pipeline(stages))
    for _ in range(3):
        with pytest.raises(HandlerError) as caught:
            await ref.ask(1, timeout=DEADLINE)
        assert caught.value.root is one
    seen, cause = set[int](), one.__context__
    while cause is not None:
        assert id(cause) not in seen
        seen.add(id(cause))
        cause = cause.__context__


async def test_a_key_that_cannot_be_one_is_an_error_of_the_run(mesh: Mesh) -> None:
    async def key(value: Any) -> Any:
        return [value]

    async def same(value: Any) -> Any:
        return value

    ref = mesh.add(branch(key, {1: same}))
    with pytest.raises(HandlerError):
        await ref.ask(1, timeout=DEADLINE)
    assert mesh.statistics().agents["pipeline"].failed == 1


async def test_a_default_is_not_changed_by_a_run(mesh: Mesh) -> None:
    def collect(items: list[int], item: int) -> list[int]:
        items.append(item)
        return items

    ref = mesh.add(pipeline(reduce(collect, [])))

    for _ in range(3):
        assert await ref.ask([1, 2], timeout=DEADLINE) == [1, 2]


# -- itself ------------------------------------------------------------------------------------------------------------


async def test_a_pipeline_that_asks_itself_is_refused_when_it_could_never_end(mesh: Mesh) -> None:
    async def ask_itself(value: int, context: Context) -> Any:
        return await context.ask("itself", value)

    ref = mesh.add(pipeline(ask_itself).named("itself", concurrency=1))

    with pytest.raises((HandlerError, DeadlockError)) as caught:
        await ref.ask(1, timeout=DEADLINE)
    error = caught.value
    assert isinstance(getattr(error, "root", error), DeadlockError)


class Slow(Agent):
    """Answers one at a time."""

    async def on_message(self, message: Any) -> Any:
        await anyio.sleep(0.001)
        return message


async def test_branches_that_wait_for_one_agent_are_no_deadlock(mesh: Mesh) -> None:
    slow = mesh.add(Slow("slow"))
    ref = mesh.add(parallel(slow, slow, pipeline(slow, slow), each(slow) >> gather()))

    assert await ref.ask([1, 2], timeout=DEADLINE) == [[1, 2]] * 4


# -- size --------------------------------------------------------------------------------------------------------------


async def add_one(item: int) -> int:
    """Add one."""
    return item + 1


async def test_a_sequence_of_five_hundred_stages_runs(mesh: Mesh) -> None:
    long = pipeline(*[add_one] * 500)

    assert await mesh.add(long).ask(0, timeout=DEADLINE) == 500
    assert len(long.describe()["children"]) == 500


async def test_a_hundred_pipelines_inside_one_another_run(mesh: Mesh) -> None:
    nested = pipeline(add_one, name="p0")
    for number in range(1, 100):
        nested = pipeline(nested, add_one, name=f"p{number}")

    assert await mesh.add(nested).ask(0, timeout=DEADLINE) == 100


async def test_five_hundred_branches_run_at_once(mesh: Mesh) -> None:
    inside = 0
    most = 0

    async def count(value: int) -> int:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await anyio.sleep(0.005)
        inside -= 1
        return value

    assert await mesh.add(parallel(*[count] * 500)).ask(1, timeout=DEADLINE) == [1] * 500
    assert most == 500


@pytest.fixture
async def without_debugging(anyio_backend: str) -> None:
    """Let asyncio write down no traceback for each of ten thousand tasks."""
    if anyio_backend == "asyncio":
        asyncio.get_running_loop().set_debug(False)


class Item:
    """Counts how many there are of its kind."""

    alive = most = 0

    def __init__(self) -> None:
        Item.alive += 1
        Item.most = max(Item.most, Item.alive)

    def __del__(self) -> None:
        Item.alive -= 1


async def most_alive(mesh: Mesh, many: int) -> int:
    """Return how many items there are at one time while *many* go through a pipeline; nothing collects garbage."""

    async def items(_: Any) -> AsyncIterator[Item]:
        for _number in range(many):
            yield Item()

    async def look(item: Item) -> Item:
        await anyio.lowlevel.checkpoint()
        return item

    async def count(total: int, item: Item) -> int:
        return total + 1

    Item.alive = Item.most = 0
    ref = mesh.add(pipeline(items) >> each(look) >> each(look, ordered=False) >> reduce(count, 0))
    gc.disable()
    try:
        assert await ref.ask(None, timeout=100) == many
    finally:
        gc.enable()
    return Item.most


@pytest.mark.usefixtures("without_debugging")
async def test_a_thousand_items_are_never_there_at_once(mesh: Mesh) -> None:
    assert await most_alive(mesh, 1_000) < 50


@pytest.mark.slow
@pytest.mark.usefixtures("without_debugging")
async def test_ten_thousand_items_are_never_there_at_once(mesh: Mesh) -> None:
    assert await most_alive(mesh, 10_000) < 50


async def most_tasks(mesh: Mesh, many: int) -> int:
    """Return how many tasks there are at most while *many* items go through a pipeline."""
    most = 0

    async def look(item: int) -> int:
        nonlocal most
        if item % 100 == 0:
            most = max(most, len(anyio.get_running_tasks()))
        await anyio.lowlevel.checkpoint()
        return item

    ref = mesh.add(pipeline(each(look, concurrency=4) >> each(look, concurrency=4)))
    assert await ref.ask(list(range(many)), timeout=100) == list(range(many))
    return most


@pytest.mark.usefixtures("without_debugging")
async def test_a_thousand_items_make_no_thousand_tasks(mesh: Mesh) -> None:
    assert await most_tasks(mesh, 1_000) < 60


@pytest.mark.slow
@pytest.mark.usefixtures("without_debugging")
async def test_ten_thousand_items_make_no_more_tasks(mesh: Mesh) -> None:
    assert await most_tasks(mesh, 10_000) < 60
