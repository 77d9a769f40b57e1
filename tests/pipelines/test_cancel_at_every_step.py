"""A run cancelled between any two steps of the loop, or left by whoever watches it: everything in it ends."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import anyio
import pytest

from ceylon import Agent, Mesh
from ceylon.pipelines import (
    Pipeline,
    branch,
    each,
    fallback,
    gather,
    loop,
    parallel,
    pipeline,
    race,
    retry,
    tap,
    timeout,
)
from ceylon.testing.fixtures import checked_mesh
from support.steps import Steps, run_in_steps

MOST_STEPS: Final = 2_000
FEW: Final = 12
"""Steps apart are the moments that every run of the tests tries; the slow ones try them all."""


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Keep what fails on purpose out of the log."""
    caplog.set_level("CRITICAL", "ceylon")


class Inside:
    """Counts what has begun and not ended."""

    def __init__(self) -> None:
        self.begun = self.ended = 0

    def __enter__(self) -> None:
        self.begun += 1

    def __exit__(self, *failure: object) -> None:
        self.ended += 1


class Doubler(Agent):
    """Doubles."""

    concurrency = 2

    def __init__(self, name: str, inside: Inside) -> None:
        super().__init__(name)
        self._inside = inside

    async def on_message(self, message: int) -> int:
        with self._inside:
            await anyio.lowlevel.checkpoint()
            return 2 * message


def flow_of(inside: Inside) -> Pipeline:
    """Return a pipeline in which items flow from generators through agents."""

    async def numbers(value: int) -> AsyncIterator[int]:
        with inside:
            for number in range(value):
                await anyio.lowlevel.checkpoint()
                yield number

    def numbers_in_a_thread(items: list[int]) -> Iterator[int]:
        with inside:
            yield from items

    async def pass_on(items: AsyncIterator[int]) -> AsyncIterator[int]:
        with inside:
            async for item in items:
                yield item

    doubler = Doubler("doubler", inside)
    return pipeline(numbers, each(doubler, 2), pass_on, each(doubler, 1), gather(), numbers_in_a_thread, each(doubler))


def policies_of(inside: Inside) -> Pipeline:
    """Return a pipeline of all that runs others."""

    async def same(value: Any) -> Any:
        with inside:
            await anyio.lowlevel.checkpoint()
            return value

    async def fail(value: Any) -> Any:
        with inside:
            await anyio.lowlevel.checkpoint()
            raise ValueError(value)

    def in_a_thread(value: Any) -> Any:
        with inside:
            return value

    agent = Doubler("doubler", inside)
    steps = [
        parallel(same, in_a_thread, pipeline(same, agent)),
        branch(same, {}, default=lambda values: values[0]),
        race(pipeline(same, same), fail, agent),
        loop(same, at_most=2),
        retry(fallback(fail, same), pause=0),
        timeout(same, 100),
        tap(in_a_thread),
    ]
    return pipeline(*steps)


SCENES: Final = {"flow": flow_of, "policies": policies_of}


def cancel_at(backend: str, scene: str, step: int, *, watched: bool) -> bool:
    """Cancel a run at this step, look at what is left, and say whether there was such a step."""
    steps, inside = Steps(step), Inside()

    async def main() -> None:
        async with checked_mesh() as mesh:
            built = SCENES[scene](inside)
            ref = mesh.add(built)
            with anyio.CancelScope() as scope:
                steps.arm(scope.cancel)
                if watched:
                    async with built.stream(3) as stream:
                        await stream.result()
                else:
                    await ref.ask(3)
            steps.disarm()
            await check_rest(mesh, inside)
            assert await ref.ask(3) is not None
            await check_rest(mesh, inside)

    run_in_steps(backend, main, steps)
    return steps.has_acted


async def check_rest(mesh: Mesh, inside: Inside) -> None:
    """Nothing is under way any more: threads may take a moment."""
    await mesh.drain()
    with anyio.fail_after(60):
        while inside.begun != inside.ended or mesh.statistics().threads.running:  # noqa: ASYNC110 – a thread tells nobody
            await anyio.sleep(0.001)
    agents = mesh.statistics().agents
    assert not [name for name, agent in agents.items() if agent.pending]
    assert not mesh.waits()


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_run_can_be_cancelled_at_any_step(backend: str, scene: str, *, watched: bool) -> None:
    step = 1
    while cancel_at(backend, scene, step, watched=watched):
        step += FEW
        assert step < MOST_STEPS
    assert step > 5 * FEW


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_run_can_be_cancelled_at_every_step(backend: str, scene: str, *, watched: bool) -> None:
    step = 1
    while cancel_at(backend, scene, step, watched=watched):
        step += 1
        assert step < MOST_STEPS
