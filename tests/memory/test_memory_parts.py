"""The parts of memories: the thread of one's own, vectors with and without numpy, notebooks, files."""

import gc
import os
import subprocess
import sys
import threading
from pathlib import Path

import anyio
import pytest

from ceylon.errors import StoreUnavailableError
from ceylon.memory.entries import Note, Query, Where
from ceylon.memory.in_memory import InMemory
from ceylon.memory.own_thread import OwnThread
from ceylon.memory.sqlite import SqliteMemory
from ceylon.memory.vectors import pack, similarities
from ceylon.testing import Simulation, run_simulation
from support.memories import Clock
from support.scripts import run


def a_thread(events: list[str]) -> OwnThread[list[int]]:
    """Return a thread that owns a list and writes down what becomes of it."""

    def opened() -> list[int]:
        events.append(f"opened in {threading.current_thread().name}")
        return []

    return OwnThread("owner", opened, lambda _: events.append("closed"))


async def test_everything_is_done_in_one_thread_in_order() -> None:
    events: list[str] = []
    thread = a_thread(events)

    async def add(number: int) -> str:
        def work(kept: list[int]) -> str:
            kept.append(number)
            return threading.current_thread().name

        return await thread.run(work)

    assert {await add(number) for number in range(10)} == {"owner"}
    assert await thread.run(list) == list(range(10))
    thread.stop()
    assert events == ["opened in owner", "closed"]


async def test_an_error_is_raised_where_it_was_asked_for_and_the_next_job_is_done() -> None:
    thread = a_thread([])

    with pytest.raises(ZeroDivisionError):
        await thread.run(lambda _: 1 / 0)
    assert await thread.run(len) == 0
    thread.stop()


async def test_with_the_last_reference_the_thread_ends() -> None:
    events: list[str] = []
    thread = a_thread(events)
    await thread.run(len)

    del thread
    gc.collect()

    assert events[-1] == "closed"


async def test_what_nobody_waits_for_any_more_is_not_begun() -> None:
    thread, done = a_thread([]), list[str]()
    gate, begun = threading.Event(), threading.Event()

    async def hold() -> None:
        def work(_: list[int]) -> None:
            begun.set()
            gate.wait(10)

        await thread.run(work)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hold)
        await anyio.to_thread.run_sync(begun.wait)
        with anyio.move_on_after(0):
            await thread.run(lambda _: done.append("late"))
        gate.set()
    await thread.run(len)

    assert done == []
    thread.stop()


def test_one_thread_serves_loops_of_both_kinds_one_after_the_other() -> None:
    thread = a_thread([])

    def grow(kept: list[int]) -> int:
        kept.append(1)
        return len(kept)

    async def add() -> int:
        return await thread.run(grow)

    assert [anyio.run(add, backend=backend) for backend in ("asyncio", "trio", "asyncio")] == [1, 2, 3]
    thread.stop()


def test_a_simulated_clock_stands_still_while_a_file_is_read() -> None:
    async def program(simulation: Simulation) -> None:
        async with simulation.mesh(), SqliteMemory(":memory:") as memory:
            with anyio.fail_after(5):  # virtual seconds, which would pass in no time
                for number in range(20):
                    await memory.remember("agent", Note(text=f"tea {number}"))
            assert await memory.count("agent") == 20

    assert [run_simulation(program, seed=seed).error for seed in range(5)] == [None] * 5


@pytest.mark.parametrize("how", ["by hand", "by numpy"])
def test_cosines_are_right_with_numpy_and_without(how: str) -> None:
    wanted = pack((1e200, 0.0))
    vectors = [pack((5.0, 0.0)), pack((1.0, 1.0)), None, pack((0.0, 1e-300)), pack((-2.0, 0.0)), pack((1.0, 0.0, 0.0))]

    found = similarities(wanted, vectors, plainly=how == "by hand")

    assert found[2] is found[5] is None
    assert [round(each, 5) for each in found if each is not None] == [1.0, 0.70711, 0.0, -1.0]
    assert similarities(wanted, [], plainly=how == "by hand") == []


async def test_many_vectors_are_looked_through_beside_the_loop() -> None:
    memory = InMemory()
    await memory.remember("agent", *(Note(text=f"n{n}", vector=(1.0, n / 1000, *[0.0] * 98)) for n in range(600)))

    found = await memory.recall("agent", Query(vector=(1.0, 0.3, *[0.0] * 98), limit=1))

    assert [each.entry.text for each in found] == ["n300"]


class Ticking(Clock):
    """A clock that goes on whenever somebody looks at it."""

    def __call__(self) -> float:
        self.advance(0.001)
        return self.now


def test_the_memory_in_this_process_may_be_used_from_several_threads() -> None:
    clock = Ticking()
    memory = InMemory(now=clock)

    async def work(number: int) -> None:
        for each in range(150):
            await memory.remember("agent", Note(text=f"tea n{number}x{each}", ttl=0.01 if each % 3 else None))
            await memory.recall("agent", Query(text="tea"))

    threads = [threading.Thread(target=lambda n=number: anyio.run(work, n)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    clock.advance(1)
    assert anyio.run(memory.count, "agent") == 4 * 50


async def test_a_notebook_is_a_memory_of_one_owner() -> None:
    memory = InMemory()
    mine = memory.notebook("agent")

    entry = await mine.remember("Assam is strong.", metadata={"kind": "tea"}, source="a book", ttl=60)
    await mine.remember_all([Note(text="Sencha is green.")])

    assert [each.entry.text for each in await mine.recall("strong")] == ["Assam is strong."]
    assert [each.source for each in await mine.entries([Where("kind", "==", "tea")])] == ["a book"]
    assert (await mine.count(), await memory.count("other")) == (2, 0)
    assert await mine.forget(entry.id) == 1


async def test_a_file_outlives_whoever_wrote_it(tmp_path: Path) -> None:
    async with SqliteMemory(tmp_path / "memory.db") as memory:
        await memory.remember("agent", Note(text="Assam is strong.", metadata={"n": 1}, vector=(1.0, 0.0)))

    async with SqliteMemory(tmp_path / "memory.db") as memory:
        query = Query(text="strong", vector=(1.0, 0.0), where=(Where("n", "==", 1),))
        assert [each.entry.text for each in await memory.recall("agent", query)] == ["Assam is strong."]


async def test_many_that_open_a_new_file_at_once_all_get_it(tmp_path: Path) -> None:
    for number in range(10):
        memories = [SqliteMemory(tmp_path / f"{number}.db") for _ in range(8)]
        async with anyio.create_task_group() as tasks:
            for memory in memories:
                tasks.start_soon(memory.remember, "agent", Note(text="tea"))
        assert await memories[0].count("agent") == len(memories)
        for memory in memories:
            await memory.aclose()


async def test_two_memories_share_a_file(tmp_path: Path) -> None:
    async with SqliteMemory(tmp_path / "memory.db") as here, SqliteMemory(tmp_path / "memory.db") as there:
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                memory = here if number % 2 else there
                tasks.start_soon(memory.remember, "agent", Note(text=f"tea {number}"))

        assert await here.count("agent") == await there.count("agent") == 20
        assert len(await here.recall("agent", Query(text="tea", limit=100))) == 20


@pytest.mark.process
def test_a_memory_that_nobody_closes_ends_with_the_process(tmp_path: Path) -> None:
    said = run(
        f"""
        from ceylon.memory.port import Note
        from ceylon.memory.sqlite import SqliteMemory

        memory = SqliteMemory({str(tmp_path / "memory.db")!r})

        async def main():
            await memory.remember("agent", Note(text="tea"))
            say(await memory.count("agent"))

        anyio.run(main)
        """,
        tmp_path,
    )

    assert said == ["1"]


@pytest.mark.process
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_has_a_thread_of_its_own(tmp_path: Path) -> None:
    program = f"""
import os, anyio
from ceylon.memory.port import Note
from ceylon.memory.sqlite import SqliteMemory

memory = SqliteMemory({str(tmp_path / "memory.db")!r})

async def add(text):
    await memory.remember("agent", Note(text=text))
    return await memory.count("agent")

print(anyio.run(add, "one"), flush=True)
child = os.fork()
if child == 0:
    print(anyio.run(add, "two"), flush=True)
else:
    assert os.waitpid(child, 0)[1] == 0
    print(anyio.run(add, "three"), flush=True)
"""
    quiet = "ignore::DeprecationWarning"  # newer Pythons warn of every fork beside threads
    command = [sys.executable, "-W", quiet, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 – this Python

    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["1", "2", "3"], "")


async def test_without_the_client_the_way_to_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from ceylon.memory import redis_server  # noqa: PLC0415 – only here

    monkeypatch.setattr(redis_server, "find_spec", lambda _: None)
    server = redis_server.RedisServer("redis://127.0.0.1:1/0")

    with pytest.raises(
        StoreUnavailableError, match=r"redis-py is not installed\. Install the client, in the clone: pip install"
    ):
        await server.run(len)
    await server.aclose()
