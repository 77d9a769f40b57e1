"""Sync handlers in a simulation: real threads, in lock step with the loop, so that they too are decided by the seed."""

import threading
import time
from typing import Any, Final

import anyio
import msgspec
import pytest

from ceylon import Agent, AskTimeoutError, BlockingContext, Context
from ceylon.settings import DEFAULTS
from ceylon.testing import Simulation, What, run_simulation
from support.simulated import order_of

SEEDS: Final = 50


class Chain(Agent):
    """Asks the next of its kind, in a thread."""

    def on_message(self, links: int, context: BlockingContext) -> int:
        return context.ask(f"link{links}", links - 1) + 1 if links else 0


async def run_chain(simulation: Simulation) -> None:
    """Let several chains of blocking asks run at once."""
    async with simulation.mesh() as mesh:
        for link in range(6):
            mesh.add(Chain(f"link{link}"))

        async def ask(name: str, links: int) -> None:
            assert await mesh.ask(name, links) == links

        async with anyio.create_task_group() as tasks:
            for links in (2, 3, 4):
                tasks.start_soon(ask, "link5", links)
                tasks.start_soon(ask, "link0", links)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_blocking_asks_in_threads_are_decided_by_the_seed(backend: str) -> None:
    orders = set()
    for seed in range(SEEDS):
        first = run_simulation(run_chain, seed=seed, backend=backend)
        second = run_simulation(run_chain, seed=seed, backend=backend)
        orders.add(order_of(first.history))

        assert first.error is None, f"seed {seed}: {first.error!r}"
        assert first.history.encoded() == second.history.encoded(), f"seed {seed}"
        assert {event.detail for event in first.history.of(What.BEGAN)} == {"threaded"}

    assert len(orders) >= 0.9 * SEEDS


def test_threads_wait_for_a_permit_in_step_too() -> None:
    settings = msgspec.structs.replace(DEFAULTS, threads=1, threads_per_agent=2)

    async def run(simulation: Simulation) -> None:
        async with simulation.mesh(settings=settings) as mesh:
            for link in range(6):
                mesh.add(Chain(f"link{link}"))
            async with anyio.create_task_group() as tasks:
                for links in (1, 2, 3, 4):
                    tasks.start_soon(mesh.ask, "link5", links)

    for seed in range(SEEDS):
        first, second = (run_simulation(run, seed=seed) for _ in range(2))

        assert first.error is None, f"seed {seed}: {first.error!r}"
        assert first.history.encoded() == second.history.encoded(), f"seed {seed}"


def test_one_thread_or_the_loop_runs_never_two() -> None:
    running: list[str] = []
    at_once: list[tuple[str, ...]] = []

    class Busy(Agent):
        concurrency = 3

        def on_message(self, _: int, context: BlockingContext) -> None:
            for _again in range(3):
                running.append(self.name)
                at_once.append(tuple(running))
                time.sleep(0.0001)
                running.remove(self.name)
                context.tell("other", 0)

    class Other(Agent):
        async def on_message(self, _: int) -> None:
            running.append("loop")
            at_once.append(tuple(running))
            running.remove("loop")

    async def run(simulation: Simulation) -> None:
        async with simulation.mesh() as mesh:
            for name in ("a", "b", "c"):
                mesh.add(Busy(name))
                for number in range(3):
                    await mesh.tell(name, number)
            mesh.add(Other("other"))

    assert run_simulation(run, seed=3).error is None
    assert {len(names) for names in at_once} == {1}


def test_no_time_passes_while_a_sync_handler_computes() -> None:
    class Slow(Agent):
        def on_message(self, _: str) -> float:
            time.sleep(0.05)
            return 1.0

    async def run(simulation: Simulation) -> None:
        async with simulation.mesh() as mesh:
            mesh.add(Slow("slow"))
            await mesh.ask("slow", "x", timeout=0.01)
            assert anyio.current_time() == 0

    assert run_simulation(run, seed=1).error is None


def test_an_ask_in_a_thread_times_out_in_virtual_time() -> None:
    class Deaf(Agent):
        async def on_message(self, _: str) -> None:
            await anyio.Event().wait()

    class Asker(Agent):
        def on_message(self, _: str, context: BlockingContext) -> str:
            try:
                context.ask("deaf", "x", timeout=100)
            except AskTimeoutError:
                return "nobody"
            return "somebody"

    async def run(simulation: Simulation) -> None:
        async with simulation.mesh() as mesh:
            mesh.add(Deaf("deaf"))
            mesh.add(Asker("asker"))
            assert await mesh.ask("asker", "x", timeout=200) == "nobody"
            assert anyio.current_time() == 100

    assert run_simulation(run, seed=1).error is None


def test_sync_generators_and_hooks_run_in_step() -> None:
    class Counter(Agent):
        def on_start(self, context: BlockingContext) -> None:
            self.started = context.ask("echo", 7)

        def on_message(self, most: int) -> Any:
            yield from range(most)

    class Echo(Agent):
        async def on_message(self, message: Any, context: Context) -> Any:
            return message

    async def run(simulation: Simulation) -> None:
        async with simulation.mesh() as mesh:
            mesh.add(Echo("echo"))
            mesh.add(Counter("counter"))
            assert [part async for part in mesh.stream("counter", 100)] == list(range(100))
            assert await mesh.ask("counter", 3) == [0, 1, 2]
            assert mesh.agent("counter").started == 7  # type: ignore[attr-defined]

    for seed in range(SEEDS):
        first, second = (run_simulation(run, seed=seed) for _ in range(2))

        assert first.error is None, f"seed {seed}: {first.error!r}"
        assert first.history.encoded() == second.history.encoded(), f"seed {seed}"


def test_a_thread_that_waits_for_something_else_does_not_stop_the_loop() -> None:
    gate = threading.Event()

    class Waiting(Agent):
        def on_message(self, _: str) -> str:
            assert gate.wait(10)
            return "open"

    class Opener(Agent):
        async def on_message(self, _: str) -> None:
            await anyio.sleep(0.1)
            gate.set()

    async def run(simulation: Simulation) -> None:
        async with simulation.mesh() as mesh:
            mesh.add(Waiting("waiting"))
            mesh.add(Opener("opener"))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(mesh.tell, "opener", "x")
                assert await mesh.ask("waiting", "x", timeout=100) == "open"
            assert anyio.current_time() < 50

    assert run_simulation(run, seed=1).error is None
