"""More than a mesh can do, agents that come and go, and nothing to do: what is bounded stays so, and idle is idle."""

import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import anyio
import msgspec
import pytest

from ceylon import Agent, CeylonError, Context, DeadlockError, MailboxFullError, Mesh, on
from ceylon.settings import DEFAULTS
from ceylon.testing import Simulation, run_simulation
from support.core_agents import Echo, Keeper
from support.law import lawful_mesh
from support.leftovers import tidy_mesh
from support.scripts import run
from support.virtual_time import run_virtually

both_backends: Final = pytest.mark.parametrize("backend", ["asyncio", "trio"])
VIRTUAL: Final = msgspec.structs.replace(DEFAULTS, block_warning=None)  # the watchdog's thread lives in real time


# -- a slow receiver ---------------------------------------------------------------------------------------------------


class Slow(Keeper):
    """Handles a hundred messages a second, and now and then takes a longer break."""

    async def on_message(self, message: Any) -> int:
        await anyio.sleep(7.0 if message == "break" else 0.01)
        return await super().on_message(message)


@both_backends
def test_fast_senders_are_slowed_down_and_nothing_is_dropped(backend: str) -> None:
    async def main() -> None:
        async with lawful_mesh(settings=VIRTUAL) as mesh:
            slow, told = Slow("slow"), list[Any]()
            ref = mesh.add(slow)
            end = anyio.current_time() + 60

            async def send(sender: int) -> None:
                number = 0
                while anyio.current_time() < end:
                    await ref.tell((sender, number))
                    told.append((sender, number))
                    number += 1
                    assert mesh.statistics().agents["slow"].pending <= DEFAULTS.mailbox_capacity + 1

            async with anyio.create_task_group() as senders:
                for sender in range(8):
                    senders.start_soon(send, sender)
            await mesh.drain()

            assert sorted(slow.kept) == sorted(told)
            assert len(told) >= 60 * 100
            assert mesh.statistics().refused == 0

    run_virtually(backend, main)


@both_backends
def test_a_sender_hears_of_a_full_mailbox_after_five_seconds_and_not_before(backend: str) -> None:
    async def main() -> None:
        async with lawful_mesh(settings=VIRTUAL) as mesh:
            slow, told, waited = Slow("slow"), list[Any](), list[float]()
            ref = mesh.add(slow)
            await ref.tell("break")

            async def send(sender: int) -> None:
                for number in range(200):
                    began = anyio.current_time()
                    try:
                        await ref.tell((sender, number))
                        told.append((sender, number))
                    except MailboxFullError:
                        waited.append(anyio.current_time() - began)

            async with anyio.create_task_group() as senders:
                for sender in range(8):
                    senders.start_soon(send, sender)
            await mesh.drain()

            assert (
                1 <= len(waited) <= 8
            )  # each that found no room, once: the break is over before five seconds more are
            assert all(DEFAULTS.tell_timeout <= seconds < DEFAULTS.tell_timeout + 0.05 for seconds in waited)
            assert sorted(slow.kept[1:]) == sorted(told)
            assert len(told) == 8 * 200 - len(waited)
            assert mesh.statistics().refused == len(waited)

    run_virtually(backend, main)


class Link(Agent):
    """Tells the next one of a ring, before it takes the next message itself."""

    mailbox_capacity = 2

    def __init__(self, number: int) -> None:
        super().__init__(f"link-{number}")
        self.following = f"link-{(number + 1) % 3}"
        self.refused: list[BaseException] = []

    async def on_message(self, rounds: int, context: Context) -> None:
        await anyio.sleep(0.001)
        for _ in range(2 if rounds else 0):
            try:
                await context.tell(self.following, rounds - 1)
            except (DeadlockError, MailboxFullError) as error:
                self.refused.append(error)


@pytest.mark.parametrize(
    "seeds",
    [range(50), pytest.param(range(50, 1_000), marks=[pytest.mark.slow, pytest.mark.timeout(600)])],
    ids=["50 seeds", "many"],
)
def test_a_ring_of_full_mailboxes_is_no_deadlock(seeds: range) -> None:
    refused = 0

    async def fill(simulation: Simulation) -> None:
        nonlocal refused
        async with simulation.mesh() as mesh:
            links = [Link(number) for number in range(3)]
            refs = [mesh.add(link) for link in links]
            began = anyio.current_time()

            async def send(number: int) -> None:
                for _ in range(4):
                    try:
                        await refs[number].tell(5)
                    except CeylonError as error:
                        links[number].refused.append(error)

            async with anyio.create_task_group() as senders:
                for number in range(3):
                    senders.start_soon(send, number)
            await mesh.drain()

            assert anyio.current_time() - began < 60
            refused += sum(len(link.refused) for link in links)

    for seed in seeds:
        outcome = run_simulation(fill, seed=seed)
        assert outcome.error is None, f"seed {seed}: {outcome.error!r}"

    assert refused >= len(seeds)  # or no ring was full


# -- agents that come and go -------------------------------------------------------------------------------------------


def containers(root: Any) -> dict[str, int]:
    """Return the size of every container that the mesh's own objects hold, by the way to it."""
    sizes: dict[str, int] = {}
    seen: set[int] = set()
    ahead: deque[tuple[str, Any]] = deque([("mesh", root)])
    while ahead:
        way, found = ahead.popleft()
        if id(found) in seen or len(seen) > 10_000:
            continue
        seen.add(id(found))
        if isinstance(found, dict | list | set | deque):
            sizes[way] = len(found)
        if type(found).__module__.startswith("ceylon.core"):
            ahead.extend((f"{way}.{name}", value) for name, value in attributes(found))
            if isinstance(found, dict | list | set | deque):
                sizes[way] = len(found)
    return sizes


def attributes(found: Any) -> Iterator[tuple[str, Any]]:
    """Give what an object holds, with slots or without."""
    yield from getattr(found, "__dict__", {}).items()
    for kind in type(found).__mro__:
        for name in getattr(kind, "__slots__", ()):
            if hasattr(found, name):
                yield name, getattr(found, name)


class Visitor(Agent):
    """Asks and tells while it is there."""

    @on(topic="visits.*")
    async def hear(self, message: str) -> None: ...

    async def on_message(self, message: int, context: Context) -> Any:
        await context.tell("keeper", message)
        context.after(1_000, "much later")
        return await context.ask("echo", message)


async def come_and_go(mesh: Mesh, numbers: range) -> None:
    """Let so many agents live for one message each, twenty at a time."""

    async def live(number: int) -> None:
        ref = mesh.add(Visitor(f"visitor-{number}"))
        assert await ref.ask(number) == number
        if number % 10 == 0:
            await mesh.publish("visits.all", "hello")
        await mesh.stop(ref)
        with pytest.raises(CeylonError):
            await ref.tell(number)

    for first in range(numbers.start, numbers.stop, 20):
        async with anyio.create_task_group() as lives:
            for number in range(first, first + 20):
                lives.start_soon(live, number)


@pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.slow)])
async def test_agents_that_come_and_go_leave_every_table_as_it_was(count: int, anyio_backend: Any) -> None:
    async with tidy_mesh(ledger_ring=100, dead_letter_ring=100, log_kinds=100) as mesh:
        mesh.add(Echo("echo"))
        mesh.add(Forgetful("keeper"))
        await come_and_go(mesh, range(400))
        await mesh.drain()
        before = containers(mesh.interior)

        await come_and_go(mesh, range(400, 400 + count))
        await mesh.drain()

        after = containers(mesh.interior)
        grown = {way: (before.get(way, 0), size) for way, size in after.items() if size > before.get(way, 0) + 40}
        assert grown == {}
        assert len(before) > 20
        assert mesh.statistics().timers == 0
        assert set(mesh.statistics().agents) == {"echo", "keeper"}


class Forgetful(Agent):
    """Takes anything."""

    async def on_message(self, message: Any) -> None: ...


# -- idle --------------------------------------------------------------------------------------------------------------

IDLE: Final = """
async def idle():
    await anyio.sleep(1.2)  # the watchdog looks a second longer
    before = time.process_time()
    await anyio.sleep(1.0)
    return time.process_time() - before
"""
AT_MOST: Final = 0.25
"""Seconds of the processor in a second of idling; a loop that spins needs nearly all of it."""


@pytest.mark.process
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_idle_mesh_needs_no_processor(backend: str, tmp_path: Path) -> None:
    said = run(
        f"""
        import time
        {IDLE.replace(chr(10), chr(10) + "        ")}
        async def main():
            async with Mesh() as mesh:
                refs = [mesh.add(Sync(f"sync-{{number}}")) for number in range(20)]
                refs += [mesh.add(Shop(f"shop-{{number}}")) for number in range(20)]
                assert await refs[0].ask(1) == 2
                assert await refs[-1].ask("tea") == "tea"
                used = await idle()
            print(used)

        anyio.run(main, backend={backend!r})
        """,
        tmp_path,
    )

    assert float(said[-1]) < AT_MOST


@pytest.mark.process
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_storm_of_cancellations_leaves_an_idle_processor(backend: str, tmp_path: Path) -> None:
    said = run(
        f"""
        import random, time
        {IDLE.replace(chr(10), chr(10) + "        ")}
        class Slow(Agent):
            concurrency = 64

            async def on_message(self, seconds):
                await anyio.sleep(seconds)

        async def main():
            async with Mesh() as mesh:
                slow, sync = mesh.add(Slow("slow")), mesh.add(Sync("sync"))

                async def leave(number):
                    with anyio.move_on_after(random.random() * 0.01):
                        if number % 3 == 0:
                            await sync.ask(number)
                        elif number % 3 == 1:
                            await slow.ask(random.random() * 0.01)
                        else:
                            async for part in slow.stream(random.random() * 0.01):
                                pass

                for _ in range(25):
                    async with anyio.create_task_group() as tasks:
                        for number in range(200):
                            tasks.start_soon(leave, number)
                await mesh.drain()
                used = await idle()
                statistics = mesh.statistics()
            print(statistics.agents["slow"].cancelled > 0, statistics.pending_asks, statistics.timers)
            print(used)

        anyio.run(main, backend={backend!r})
        """,
        tmp_path,
    )

    assert said[-2] == "True 0 0"
    assert float(said[-1]) < AT_MOST


# -- another interpreter -----------------------------------------------------------------------------------------------

CORE: Final = ("test_routing.py", "test_verbs.py", "test_cancelling.py", "test_streams.py", "test_lifecycle.py")


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("before", "variables"),
    [("import gc; gc.disable()", {}), ("import gc; gc.freeze()", {}), ("", {"PYTHONASYNCIODEBUG": "1"})],
    ids=["without garbage collection", "frozen", "asyncio's debug mode"],
)
def test_the_core_works_in(before: str, variables: dict[str, str]) -> None:
    folder = Path(__file__).parent
    program = f"import sys, pytest; {before or 'pass'}; sys.exit(pytest.main(sys.argv[1:]))"
    arguments = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", *(str(folder / name) for name in CORE)]

    ended = subprocess.run(  # noqa: S603 – our own program
        [sys.executable, "-X", "dev", "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        cwd=folder.parents[1],
        env={**os.environ, **variables},
    )

    assert ended.returncode == 0, ended.stdout[-5_000:]
