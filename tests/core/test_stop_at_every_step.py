"""A stop between any two steps of a busy mesh: nothing is lost, and everyone who asked has an answer or an error."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import anyio
import pytest

from ceylon import Agent, CeylonError, Context, HandlerError, Mesh, MeshClosedError, on
from ceylon.errors import AgentStoppedError, DeliveryError, LawBrokenError
from ceylon.testing.sabotage import drop_a_message
from support.law import check_end, check_law
from support.leftovers import quick
from support.steps import Steps, run_in_steps

MOST_STEPS = 2_000


class Worker(Agent):
    """Takes a few steps for everything."""

    @on
    async def add(self, number: int) -> int:
        await anyio.lowlevel.checkpoint()
        return number + 1

    @on
    async def count(self, word: str) -> AsyncIterator[int]:
        for number in range(3):
            await anyio.lowlevel.checkpoint()
            yield number

    @on(topic="news")
    async def hear(self, news: bytes) -> None:
        await anyio.lowlevel.checkpoint()


class Front(Agent):
    """Asks a worker, and tells it something."""

    async def on_stop(self, context: Context) -> None:
        await anyio.lowlevel.checkpoint()

    @on
    async def pass_on(self, number: int, context: Context) -> int:
        await context.tell("worker", number)
        return int(await context.ask("worker", number))


def errands(mesh: Mesh) -> list[Any]:
    """Return thirty ways to send something, each a function that returns what to await."""
    return [
        *[lambda number=number: mesh.tell("worker", number) for number in range(8)],
        *[lambda number=number: mesh.ask("worker", number) for number in range(8)],
        *[lambda number=number: mesh.ask("front", number) for number in range(8)],
        *[lambda: mesh.stream("worker", "three").result() for _ in range(3)],
        *[lambda: mesh.publish("news", b"news") for _ in range(3)],
    ]


async def send_all(mesh: Mesh, outcomes: list[BaseException | None]) -> None:
    async def send(errand: Any) -> None:
        awaited: Awaitable[Any] = errand()
        try:
            await awaited
        except CeylonError as error:
            outcomes.append(error)
        else:
            outcomes.append(None)

    async with anyio.create_task_group() as group:
        for errand in errands(mesh):
            group.start_soon(send, errand)


def is_due_to_the_stop(error: BaseException | None) -> bool:
    root = error.root if isinstance(error, HandlerError) else error
    return root is None or isinstance(root, (MeshClosedError, AgentStoppedError, DeliveryError))


def stop_at(backend: str, at: int, *, at_once: bool) -> bool:
    """Run everything with a stop before step *at*; say whether there was such a step."""
    steps = Steps(at)
    outcomes: list[BaseException | None] = []

    async def main() -> None:
        mesh = Mesh("test", settings=quick())
        await mesh.start()
        mesh.add(Worker("worker"))
        mesh.add(Front("front"))

        def stop() -> None:
            check_law(mesh.statistics())
            mesh.begin_stop(at_once=at_once)
            check_law(mesh.statistics())

        steps.arm(stop)
        await send_all(mesh, outcomes)
        steps.disarm()
        await mesh.stop()
        statistics = mesh.statistics()
        check_end(statistics)
        assert statistics.timers == 0

    run_in_steps(backend, main, steps)

    assert len(outcomes) == 30, f"stopped at step {at}: {len(outcomes)} outcomes"
    odd = [error for error in outcomes if not is_due_to_the_stop(error)]
    assert not odd, f"stopped at step {at}: {odd}"
    assert steps.has_acted or outcomes == [None] * 30
    return steps.has_acted


@pytest.mark.parametrize("how", ["drained", "at once"])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_stop_at_any_step_loses_nothing_and_answers_everyone(backend: str, how: str) -> None:
    at = next(at for at in range(1, MOST_STEPS) if not stop_at(backend, at, at_once=how == "at once"))

    assert at > 100


def cancel_everything_at(at: int) -> bool:
    """Run everything, and cancel each task of the mesh before step *at*, as the end of `asyncio.run` does."""
    steps = Steps(at)
    outcomes: list[BaseException | None] = []

    async def main() -> None:
        mesh = Mesh("test", settings=quick())
        await mesh.start()
        mesh.add(Worker("worker"))
        mesh.add(Front("front"))

        def cancel() -> None:
            for task in asyncio.all_tasks():
                if task.get_name().startswith("ceylon"):
                    task.cancel()

        steps.arm(cancel)
        await send_all(mesh, outcomes)
        steps.disarm()
        await mesh.stop()
        check_end(mesh.statistics())
        assert mesh.statistics().timers == 0

    run_in_steps("asyncio", main, steps)

    assert len(outcomes) == 30, f"cancelled at step {at}: {len(outcomes)} outcomes"
    return steps.has_acted


def test_the_end_of_the_loop_at_any_step_loses_nothing_and_answers_everyone() -> None:
    at = next(at for at in range(1, MOST_STEPS) if not cancel_everything_at(at))

    assert at > 100


@pytest.mark.breaks_the_law
def test_a_mesh_that_loses_a_message_is_found_out() -> None:
    with drop_a_message(), pytest.raises((AssertionError, LawBrokenError), match="law"):
        stop_at("asyncio", 50, at_once=False)
