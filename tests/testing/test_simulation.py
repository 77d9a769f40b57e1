"""A seed decides everything: the same one gives the same history, another one another order, and time costs nothing."""

import functools
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread
import pytest

from ceylon import Agent, ArgumentError, BlockingMesh, Context, DefinitionError, Mesh, default_mesh
from ceylon.core.router import Router
from ceylon.testing import Faults, Simulation, What, run_simulation, simulate
from support.simulated import order_of, run_shops
from support.simulated_family import run_family
from support.simulated_newsroom import run_newsroom

SEEDS: Final = 200
_TESTS: Final = Path(__file__).parents[1]
_DIGESTS: Final = """
import functools, hashlib, logging
from ceylon.testing import Faults, run_simulation
from support.simulated import run_shops
from support.simulated_family import run_family
from support.simulated_newsroom import run_newsroom
logging.getLogger("ceylon").disabled = True
test = functools.partial(run_shops, bears_faults=True)
digests = [
    run_simulation(program, seed=seed, faults=Faults(), backend=backend).history.digest()
    for program in (test, run_newsroom, run_family)
    for backend in ("asyncio", "trio")
    for seed in range(25)
]
print(hashlib.sha256("".join(digests).encode()).hexdigest())
"""

bearing = functools.partial(run_shops, bears_faults=True)


@pytest.mark.parametrize(("program", "seeds"), [(bearing, SEEDS), (run_newsroom, 50), (run_family, 50)])
@pytest.mark.parametrize("faults", [None, Faults()])
def test_the_same_seed_gives_the_same_history_byte_for_byte(
    program: Callable[[Simulation], Awaitable[None]], seeds: int, faults: Faults | None
) -> None:
    for seed in range(seeds):
        first = run_simulation(program, seed=seed, faults=faults)
        second = run_simulation(program, seed=seed, faults=faults)

        assert first.history.encoded() == second.history.encoded(), f"seed {seed}"
        assert first.error is None, f"seed {seed}: {first.error!r}"


@pytest.mark.process
def test_another_process_with_other_hashes_gives_the_same_histories() -> None:
    said = {_digest_in_a_process(seed) for seed in ("0", "1", "random")}

    assert len(said) == 1


def _digest_in_a_process(hash_seed: str) -> str:
    path = os.pathsep.join([str(_TESTS), *sys.path])
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": path}
    ran = subprocess.run(  # noqa: S603 – our own interpreter and words
        [sys.executable, "-c", _DIGESTS], capture_output=True, text=True, check=True, timeout=100, env=environment
    )
    return ran.stdout.strip()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_nine_seeds_of_ten_give_orders_of_their_own(backend: str) -> None:
    orders = {order_of(run_simulation(run_shops, seed=seed, backend=backend).history) for seed in range(SEEDS)}

    assert len(orders) >= 0.9 * SEEDS


@pytest.mark.parametrize("program", [bearing, run_newsroom, run_family])
def test_trio_gives_the_same_history_for_the_same_seed_too(program: Callable[[Simulation], Awaitable[None]]) -> None:
    for seed in range(SEEDS // 4):
        first = run_simulation(program, seed=seed, faults=Faults(), backend="trio")
        second = run_simulation(program, seed=seed, faults=Faults(), backend="trio")

        assert first.history.encoded() == second.history.encoded(), f"seed {seed}"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_virtual_hour_takes_next_to_no_time(backend: str) -> None:
    class Ticking(Agent):
        ticks = 0

        async def on_start(self, context: Context) -> None:
            context.every(1, "tick")

        async def on_message(self, _: str) -> None:
            self.ticks += 1

    ticking = Ticking("ticking")

    async def wait(simulation: Simulation) -> None:
        async with simulation.mesh() as mesh:
            mesh.add(ticking)
            await anyio.sleep(3600.5)

    began = time.process_time()
    outcome = run_simulation(wait, seed=1, backend=backend)
    real = time.process_time() - began

    assert outcome.error is None
    assert ticking.ticks == 3600
    assert outcome.virtual_seconds >= 3600
    assert outcome.virtual_seconds / real > 100


def test_the_clock_is_held_while_a_thread_is_at_work() -> None:
    async def wait(_: Simulation) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep, 1000)
            await anyio.to_thread.run_sync(time.sleep, 0.1)
            assert 0.05 < anyio.current_time() < 100
            tasks.cancel_scope.cancel()

    assert run_simulation(wait, seed=1).error is None


def test_the_clock_is_held_while_a_socket_is_open() -> None:
    async def talk(_: Simulation) -> None:
        async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
            port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 – not Django's

            async def answer(stream: Any) -> None:
                async with stream:
                    await stream.send(await stream.receive())

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(listener.serve, answer)
                with anyio.fail_after(60):
                    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
                        await stream.send(b"tea")
                        assert await stream.receive() == b"tea"
                tasks.cancel_scope.cancel()
        assert anyio.current_time() < 30

    assert run_simulation(talk, seed=1).error is None


def test_a_test_that_can_never_end_fails_and_says_what_waits() -> None:
    class Deaf(Agent):
        handler_timeout = 1_000_000.0

        async def on_message(self, _: str) -> None:
            await anyio.Event().wait()

    async def wait(simulation: Simulation) -> None:
        async with simulation.mesh() as mesh:
            mesh.add(Deaf("deaf"))
            await mesh.tell("deaf", "are you there?")
            await anyio.Event().wait()

    outcome = run_simulation(wait, seed=1)

    assert "nothing can ever happen again" in str(outcome.error)
    assert "'deaf'" in str(outcome.error)
    assert "task 'the test' at" in str(outcome.error)


def test_any_mesh_opened_inside_is_simulated() -> None:
    async def run(simulation: Simulation) -> None:
        class Echo(Agent):
            async def on_message(self, message: str) -> str:
                return message

        async with Mesh("one") as one, Mesh("two") as two:
            one.add(Echo("echo"))
            two.add(Echo("echo"))
            await one.ask("echo", "x")
            simulation.note("between")
            await two.ask("echo", "y")

    outcome = run_simulation(run, seed=1)

    assert outcome.error is None
    assert [event.recipient for event in outcome.history.of(What.BEGAN)] == ["echo", "two:echo"]
    assert [event.detail for event in outcome.history.of(What.NOTE)] == ["between"]


def test_a_mesh_with_a_loop_of_its_own_is_refused_and_the_default_mesh_left_alone() -> None:
    async def run(_: Simulation) -> None:
        assert type(default_mesh().interior.router) is Router
        with pytest.raises(DefinitionError, match="has a loop of its own"):
            BlockingMesh("apart").start()

    assert run_simulation(run, seed=1).error is None


def test_a_mesh_left_open_is_a_failure() -> None:
    async def run(_: Simulation) -> None:
        await Mesh("forgotten").start()

    outcome = run_simulation(run, seed=1)

    assert outcome.violations == ["mesh 'forgotten' was left open"]


@pytest.mark.parametrize("seeds", [0, -1, [], "3"])
def test_a_simulation_that_would_run_nothing_is_refused(seeds: Any) -> None:
    with pytest.raises(ArgumentError, match=r"seeds=.* cannot be; it takes a number from 1"):
        simulate(seeds=seeds)


def test_mistakes_in_the_decorator_say_what_to_write_instead() -> None:
    async def test(simulation: Simulation) -> None:
        await run_shops(simulation)

    with pytest.raises(DefinitionError, match="write `@simulate\\(\\)`, not `@simulate`"):
        simulate(test)  # type: ignore[arg-type]
    with pytest.raises(DefinitionError, match="`async def` test that takes `simulation`"):
        simulate()(lambda simulation: None)  # type: ignore[arg-type, return-value]
    with pytest.raises(ArgumentError, match="backend='uvloop' cannot be; it is one of asyncio, trio"):
        simulate(backend="uvloop")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="crash=5 cannot be; it takes a rate between 0"):
        Faults(crash=5)


@simulate(seeds=5)
async def test_the_decorator_makes_a_plain_test_with_fixtures(simulation: Simulation, tmp_path: Path) -> None:
    assert tmp_path.name
    assert simulation.seed in range(5)
    assert simulation.random.random() == simulation.random.__class__(f"{simulation.seed} test").random()
    await run_shops(simulation)
