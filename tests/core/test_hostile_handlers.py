"""Handlers that misbehave: their message fails, or it does not, and nobody else notices."""

import asyncio
from collections.abc import AsyncIterator

import anyio
import pytest

from ceylon import Agent, HandlerError, Mesh, Ref
from ceylon.errors import StrayCancellationError
from support.hostile_agents import (
    ASYNC_CRIMES,
    SYNC_CRIMES,
    Bystander,
    Commit,
    InlineVillain,
    NoSentenceError,
    Ping,
    SyncVillain,
    UnpicklableError,
    Villain,
    Wait,
    release,
)
from support.leftovers import DEADLINE, eventually, tidy_mesh

VILLAINS: dict[str, type[Agent]] = {"async": Villain, "sync": SyncVillain, "inline": InlineVillain}
CASES = [
    pytest.param(backend, kind, name, id=f"{backend}-{kind}-{name}".replace(" ", "-"))
    for kind, crimes in (("async", ASYNC_CRIMES), ("sync", SYNC_CRIMES), ("inline", SYNC_CRIMES))
    for name, crime in crimes.items()
    for backend in crime.backends
]
on_every_case = pytest.mark.parametrize(("anyio_backend", "kind", "crime"), CASES)


@pytest.fixture
async def mesh(anyio_backend: str) -> AsyncIterator[Mesh]:
    """A mesh that must end tidily; what the handlers leaked is released first."""
    async with tidy_mesh() as mesh:
        yield mesh
        await release()


async def send(mesh: Mesh, villain: Ref, crime: str, verb: str) -> bool:
    """Send a crime to *villain*; say whether its sender heard of a failure."""
    try:
        if verb == "ask":
            await villain.ask(Commit(crime), timeout=DEADLINE)
        elif verb == "stream":
            await villain.stream(Commit(crime), timeout=DEADLINE).result()
        elif verb == "publish":
            assert await mesh.publish("crimes", Commit(crime)) == 1
        else:
            await villain.tell(Commit(crime))
    except HandlerError:
        return True
    return False


@pytest.mark.parametrize("verb", ["tell", "ask", "stream", "publish"])
@on_every_case
async def test_a_crime_concerns_nobody_but_its_own_message(kind: str, crime: str, verb: str, mesh: Mesh) -> None:
    waits, may_go = anyio.Event(), anyio.Event()
    villain = mesh.add(VILLAINS[kind]("villain"))
    bystander = mesh.add(Bystander("bystander", waits, may_go))
    answers: list[str] = []
    after: list[str] = []
    has_failed = False

    async def stand_by() -> None:
        answers.append(await bystander.ask(Wait(), timeout=DEADLINE))

    async with anyio.create_task_group() as group:
        group.start_soon(stand_by)
        await waits.wait()
        has_failed = await send(mesh, villain, crime, verb)
        after += [await villain.ask(Ping(), timeout=DEADLINE) for _ in range(3)]
        may_go.set()

    assert after == ["untouched"] * 3
    assert answers == ["unharmed"]
    fails = ASYNC_CRIMES[crime].verdict == "fails"
    assert has_failed == (fails and verb in {"ask", "stream"})
    agent = mesh.statistics().agents["villain"]
    assert (agent.failed, agent.completed, agent.pending) == (int(fails), 4 - fails, 0)
    assert mesh.statistics().agents["bystander"].cancelled == 0


@on_every_case
async def test_a_hundred_crimes_in_a_row_leave_a_bounded_pool(kind: str, crime: str, mesh: Mesh) -> None:
    many = 5 if crime in {"recurses for ever", "returns a hundred megabytes"} else 100  # the two slow ones
    villain = mesh.add(VILLAINS[kind]("villain"))

    for _ in range(many):
        villain.tell_nowait(Commit(crime))
    await villain.ask(Ping(), timeout=DEADLINE)
    await mesh.drain()

    agent = mesh.statistics().agents["villain"]
    fails = ASYNC_CRIMES[crime].verdict == "fails"
    assert (agent.failed, agent.pending) == (many * fails, 0)
    await eventually(lambda: mesh.statistics().workers <= 4)
    await eventually(lambda: not mesh.statistics().threads.running)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("kind", ["async", "inline"])
@pytest.mark.parametrize(
    "crime",
    [
        "raises asyncio's CancelledError",
        "awaits a cancelled future",
        "awaits a cancelled task",
        "cancels its own task",
        "cancels its own task five times",
    ],
)
async def test_a_cancellation_from_nowhere_is_named_to_the_asker(kind: str, crime: str, mesh: Mesh) -> None:
    if crime not in SYNC_CRIMES:
        kind = "async"
    villain = mesh.add(VILLAINS[kind]("villain"))

    with pytest.raises(HandlerError) as caught:
        await villain.ask(Commit(crime), timeout=DEADLINE)

    assert isinstance(caught.value.root, StrayCancellationError)
    assert isinstance(caught.value.root.__cause__, asyncio.CancelledError)
    assert "'villain'" in str(caught.value.root)


@pytest.mark.parametrize("kind", VILLAINS)
@pytest.mark.parametrize(
    ("crime", "root"),
    [
        ("raises an exception", ValueError),
        ("raises a group", ExceptionGroup),
        ("raises what cannot be pickled", UnpicklableError),
        ("raises what cannot be printed", NoSentenceError),
        ("raises SystemExit", SystemExit),
        ("raises GeneratorExit", GeneratorExit),
        ("raises MemoryError", MemoryError),
        ("asks for all the memory", MemoryError),
        ("recurses for ever", RecursionError),
        ("returns a generator that fails", ValueError),
        ("returns a coroutine that fails", ValueError),
    ],
    ids=lambda it: it.replace(" ", "-") if isinstance(it, str) else it.__name__,
)
async def test_the_asker_is_told_the_original_exception(
    kind: str, crime: str, root: type[BaseException], mesh: Mesh
) -> None:
    villain = mesh.add(VILLAINS[kind]("villain"))

    with pytest.raises(HandlerError) as caught:
        await villain.ask(Commit(crime), timeout=DEADLINE)

    assert type(caught.value.root) is root
    assert caught.value.__cause__ is caught.value.root
    assert caught.value.path == ("villain",)
    assert "villain" in str(caught.value)


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_results_that_no_codec_takes_travel_by_reference(kind: str, mesh: Mesh) -> None:
    villain = mesh.add(VILLAINS[kind]("villain"))

    thing, function, surrogate = await villain.ask(Commit("returns what no codec takes"))

    assert type(thing) is object
    assert callable(function)
    assert surrogate == "\ud800"


@pytest.mark.parametrize("kind", VILLAINS)
@pytest.mark.parametrize(
    ("crime", "value"),
    [
        ("returns a generator", [1, 2, 3]),
        ("returns an async generator", [1, 2, 3]),
        ("returns a coroutine", "late"),
    ],
)
async def test_what_a_handler_returns_unfinished_is_finished(kind: str, crime: str, value: object, mesh: Mesh) -> None:
    villain = mesh.add(VILLAINS[kind]("villain"))

    answer = await villain.ask(Commit(crime), timeout=DEADLINE)
    parts = await villain.stream(Commit(crime), timeout=DEADLINE).result()

    assert answer == value
    assert parts == (value if isinstance(value, list) else [value])
