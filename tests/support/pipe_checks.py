"""Run pipelines at random under simulation and compare what happens when with what should happen."""

from typing import Any

import anyio
import pytest

from ceylon import AskTimeoutError
from ceylon.testing import Simulation
from support.pipe_building import Kit, Span
from support.pipe_meaning import Errors
from support.pipe_running import as_ran, differences, mistake, outcome_of
from support.pipe_shapes import Shape
from support.pipe_times import GIVEN, Ran, cut, timed

__all__ = ["check_end", "check_mesh_end", "check_several", "check_times"]


async def check_times(simulation: Simulation, shape: Shape) -> None:
    """Run *shape* and compare what happens when with what should."""
    spans: list[Span] = []
    expected = timed(shape, GIVEN)
    async with simulation.mesh() as mesh:
        kit = Kit(mesh, lambda number: Span(number, spans), threads=False)
        ref = mesh.add(kit.build(shape))
        start = anyio.current_time()
        outcome = await outcome_of(ref.ask(GIVEN, timeout=10_000))
        took = anyio.current_time() - start

    found = mistake(shape, expected.value, outcome)
    assert found is None, found
    assert took == pytest.approx(expected.end, abs=1e-5)
    differing = differences(expected.ran, as_ran(spans, start))
    assert not differing, differing


async def check_several(simulation: Simulation, shape: Shape) -> None:
    """Run *shape* several times, each begun at a moment of its own: each is as if it were alone."""
    spans: list[Span] = []
    expected: list[Ran] = []
    mistakes: list[str] = []
    async with simulation.mesh() as mesh:
        ref = mesh.add(Kit(mesh, lambda number: Span(number, spans), threads=False).build(shape))
        start = anyio.current_time()

        async def ask(after: float, value: int) -> None:
            trace = timed(shape, value)
            await anyio.sleep(after)
            found = mistake(shape, trace.value, await outcome_of(ref.ask(value, timeout=10_000)))
            took = anyio.current_time() - start - after
            expected.extend(ran._replace(began=ran.began + after, ended=ran.ended + after) for ran in trace.ran)
            mistakes.extend([] if found is None else [found])
            mistakes.extend([] if abs(took - trace.end) < 1e-5 else [f"{value} took {took}, not {trace.end}"])

        async with anyio.create_task_group() as tasks:
            for value in range(simulation.times(3)):
                tasks.start_soon(ask, simulation.random.random(), GIVEN + value)

    assert not mistakes, mistakes
    differing = differences(expected, as_ran(spans, start))
    assert not differing, differing


async def check_end(simulation: Simulation, shape: Shape, *, by_deadline: bool) -> None:
    """End a run of *shape* at a moment that the seed decides: everything in it is over at that moment."""
    spans: list[Span] = []
    expected = timed(shape, GIVEN)
    after = expected.end * simulation.random.uniform(0.02, 0.98)
    async with simulation.mesh() as mesh:
        kit = Kit(mesh, lambda number: Span(number, spans), threads=False)
        ref = mesh.add(kit.build(shape))
        start = anyio.current_time()
        if by_deadline:
            with pytest.raises(AskTimeoutError):
                await ref.ask(GIVEN, timeout=after)
        else:
            with anyio.move_on_after(after):
                await ref.ask(GIVEN, timeout=10_000)
        assert anyio.current_time() - start == pytest.approx(after, abs=1e-5)
        await mesh.drain()
        assert anyio.current_time() - start == pytest.approx(after, abs=1e-5)

    still = [span for span in spans if span.how == "runs"]
    assert not still, still
    differing = differences(cut(expected.ran, after), as_ran(spans, start))
    assert not differing, differing


async def check_mesh_end(simulation: Simulation, shape: Shape) -> None:
    """Stop the mesh, or the pipeline alone, at a moment that the seed decides."""
    spans: list[Span] = []
    expected = timed(shape, GIVEN)
    after = expected.end * simulation.random.uniform(0.02, 0.98)
    whole = simulation.random.random() < 0.5
    outcomes: list[Any] = []
    async with simulation.mesh() as mesh, anyio.create_task_group() as tasks:
        kit = Kit(mesh, lambda number: Span(number, spans), threads=False)
        ref = mesh.add(kit.build(shape))

        async def ask() -> None:
            outcomes.append(await outcome_of(ref.ask(GIVEN, timeout=10_000)))

        tasks.start_soon(ask)
        await anyio.sleep(after)
        await (mesh.stop(at_once=True) if whole else mesh.stop(ref.address, at_once=True))

    assert len(outcomes) == 1
    assert isinstance(outcomes[0], Errors)
    still = [span for span in spans if span.how == "runs"]
    assert not still, still
