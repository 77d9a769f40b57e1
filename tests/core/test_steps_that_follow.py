"""Beyond a small depth the steps of a chain of asks follow each other: without the loop, and no deeper in the stack."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from typing import Any

import anyio
import pytest

from ceylon import Agent, Context, HandlerError, Mesh
from ceylon.core.backends.steps import Steps
from support.leftovers import eventually, tidy_mesh

pytestmark = pytest.mark.parametrize("anyio_backend", ["asyncio"])

LENGTH = 80
"""Of the chain; more agents than steps go within each other, and fewer than workers are kept."""

FEW = 3
"""Turns: so many steps one after the other are enough, and the first ask of the next chain has to wait for the loop."""

Deed = Callable[[Context], Awaitable[Any]]


class Link(Agent):
    """Asks the next one; the last one does what it is asked to."""

    at_once: bool = False  # whether it answers before it asks
    cancelled = 0
    task: asyncio.Task[Any] | None = None  # that runs its handler

    async def on_message(self, asked: tuple[int, Deed], context: Context) -> Any:
        left, deed = asked
        if self.at_once:
            context.reply(f"{self.name} is at it")
        self.task = asyncio.current_task()
        try:
            return await context.ask(f"link-{left - 1}", (left - 1, deed)) if left else await deed(context)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


async def _nothing(_: Context) -> None:
    pass


async def _where(context: Context) -> str:
    return context.address


async def _depth(_: Context) -> int:
    return sum(1 for _ in _frames())


def _frames() -> Iterator[Any]:
    frame = sys._getframe()  # noqa: SLF001 – as `inspect` does
    while frame.f_back is not None:
        yield frame
        frame = frame.f_back


@pytest.fixture
async def mesh(anyio_backend: str) -> AsyncIterator[Mesh]:
    """A mesh with a chain of agents, for whose handlers enough workers are parked."""
    del anyio_backend
    async with tidy_mesh(max_hops=LENGTH + 1) as made:
        for number in range(LENGTH + 1):
            made.add(Link(f"link-{number}"))
        for _ in range(2):
            await ask(made, LENGTH, _nothing)
        yield made


async def ask(mesh: Mesh, length: int, deed: Deed) -> Any:
    return await mesh.ask(f"link-{length}", (length, deed))


async def turns_of(act: Callable[[], Awaitable[Any]]) -> int:
    """Count how often the loop had its turn while *act* ran."""
    loop, turns, is_over = asyncio.get_running_loop(), 0, False

    def turn() -> None:
        nonlocal turns
        turns += 1
        if not is_over:
            loop.call_soon(turn)

    loop.call_soon(turn)
    await act()
    is_over = True
    return turns


async def test_a_long_chain_is_answered_without_a_turn_of_the_loop(mesh: Mesh) -> None:
    turns = [await turns_of(lambda: ask(mesh, LENGTH, _nothing)) for _ in range(5)]

    assert max(turns) <= FEW


async def test_without_steps_every_ask_takes_one(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Steps, "may_begin", lambda *_: False)

    assert await turns_of(lambda: ask(mesh, LENGTH, _nothing)) > LENGTH


async def test_a_longer_chain_takes_no_more_of_the_stack(mesh: Mesh) -> None:
    short = [await ask(mesh, 20, _depth) for _ in range(3)]
    long = [await ask(mesh, LENGTH, _depth) for _ in range(3)]

    assert max(long) == max(short)
    assert max(long) < sys.getrecursionlimit() / 4  # what is left is the handler's


async def test_it_would_if_all_steps_were_within_each_other(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Steps, "is_deep", lambda _: False)

    assert max([await ask(mesh, 40, _depth) for _ in range(3)]) > max([await ask(mesh, 20, _depth) for _ in range(3)])


async def test_asks_at_the_end_of_a_chain_leave_the_loop_its_turns(mesh: Mesh) -> None:
    async def ask_often(context: Context) -> None:
        for _ in range(400):
            await context.ask("other", (0, _nothing))

    mesh.add(Link("other"))

    assert await turns_of(lambda: ask(mesh, 30, ask_often))


async def _wait(_: Context) -> str:
    await anyio.sleep(0.001)
    return "waited"


async def _fail(_: Context) -> None:
    raise KeyError


async def test_a_chain_whose_end_waits_goes_on_by_the_loop(mesh: Mesh) -> None:
    for _ in range(3):
        assert await ask(mesh, LENGTH, _wait) == "waited"

    assert await turns_of(lambda: ask(mesh, LENGTH, _nothing)) <= FEW


async def test_a_failure_passes_through_all_of_it(mesh: Mesh) -> None:
    for _ in range(3):
        with pytest.raises(HandlerError) as caught:
            await ask(mesh, 30, _fail)
        assert isinstance(caught.value.root, KeyError)
        assert len(caught.value.path) == 31


async def test_who_answers_before_it_asks_lets_its_asker_go_on(mesh: Mesh) -> None:
    early = mesh.agent("link-20")
    assert isinstance(early, Link)
    early.at_once = True

    for deed in (_nothing, _wait) * 3:
        assert await ask(mesh, 40, deed) == "link-20 is at it"
        await mesh.drain()


async def test_an_asker_that_is_cancelled_from_further_down_is_cancelled_at_once(mesh: Mesh) -> None:
    victim = mesh.agent("link-20")
    assert isinstance(victim, Link)

    async def cancel(_: Context) -> str:
        assert victim.task is not None
        victim.task.cancel()
        return "too late"

    for _ in range(3):
        with pytest.raises(HandlerError, match="StrayCancellationError"):
            await ask(mesh, 40, cancel)
        assert await ask(mesh, LENGTH, _wait) == "waited"
    assert victim.cancelled == 3


class Begun:
    """An ask that is under way and not awaited yet."""

    def __init__(self, asking: Coroutine[Any, Any, Any]) -> None:
        self._asking = asking
        self._awaited = asking.send(None)

    def __await__(self) -> Generator[Any, Any, Any]:
        try:
            while True:
                yield self._awaited
                self._awaited = self._asking.send(None)
        except StopIteration as end:
            return end.value


async def test_a_worker_that_is_cancelled_before_it_follows_loses_no_message(mesh: Mesh) -> None:
    cancelled: list[asyncio.Task[Any]] = []

    async def cancel(context: Context) -> Any:
        begun = Begun(context.ask("other", (0, _where)))
        worker: Any = context.worker
        following = worker.task._steps.following  # noqa: SLF001 – nothing else tells who is about to go on
        if following is not None:
            cancelled.append(following.task)
            following.task.cancel()
        return await begun

    mesh.add(Link("other"))
    for _ in range(3):
        assert await ask(mesh, 30, cancel) == "other"
        assert await ask(mesh, LENGTH, _wait) == "waited"
    assert cancelled
    await eventually(lambda: all(task.done() for task in cancelled))


async def test_of_two_asks_begun_in_one_step_one_follows_and_both_are_answered(mesh: Mesh) -> None:
    async def ask_twice(context: Context) -> list[Any]:
        begun = [Begun(context.ask(name, (0, _where))) for name in ("first", "second")]
        return [await each for each in begun]

    for name in ("first", "second"):
        mesh.add(Link(name))
    for _ in range(3):
        assert await ask(mesh, 30, ask_twice) == ["first", "second"]


async def test_two_meshes_follow_in_each_other(mesh: Mesh) -> None:
    async with Mesh("second", max_hops=LENGTH) as second:
        for number in range(31):
            second.add(Link(f"link-{number}"))

        async def over_there(_: Context) -> Any:
            return await ask(second, 30, back_here)

        async def back_here(_: Context) -> Any:
            return await mesh.ask("other", (0, _wait))

        mesh.add(Link("other"))
        for _ in range(3):
            assert await ask(mesh, 30, over_there) == "waited"
        await eventually(lambda: not second.statistics().pending_asks)
