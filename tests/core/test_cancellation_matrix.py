"""Every way for an asker to leave, with every kind of handler: what becomes of it, and that nobody else notices."""

import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
import pytest

from ceylon import Agent, AskTimeoutError, Mesh, Ref, on
from support.core_agents import SECONDS, Echo
from support.leftovers import DEADLINE, eventually, tidy_mesh


class Busy(Agent):
    """Begins, waits until it is let go, and ends: on the loop, on the loop and shielded, or in a thread."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.diary: list[str] = []
        self.gate = anyio.Event()
        self.thread_gate = threading.Event()

    def let_go(self) -> None:
        """Open both gates."""
        self.gate.set()
        self.thread_gate.set()

    async def _wait(self) -> None:
        self.diary.append("begun")
        try:
            await self.gate.wait()
        except BaseException:
            self.diary.append("cancelled")
            raise
        self.diary.append("ended")

    def _block(self) -> None:
        self.diary.append("begun")
        assert self.thread_gate.wait(SECONDS)
        self.diary.append("ended")

    @on
    async def on_loop(self, message: str) -> str:
        await self._wait()
        return message

    @on(shielded=True)
    async def shielded(self, message: int) -> int:
        await self._wait()
        return message

    @on
    def in_thread(self, message: bytes) -> bytes:
        self._block()
        return message


class BusyTeller(Busy):
    """The same after a first part."""

    @on
    async def on_loop(self, message: str) -> AsyncIterator[str]:  # type: ignore[override]
        yield message
        await self._wait()

    @on(shielded=True)
    async def shielded(self, message: int) -> AsyncIterator[int]:  # type: ignore[override]
        yield message
        await self._wait()

    @on
    def in_thread(self, message: bytes) -> Iterator[bytes]:  # type: ignore[override]
        yield message
        self._block()


Verb = Callable[[Ref, Any], Coroutine[Any, Any, Any]]


async def asks(ref: Ref, message: Any) -> Any:
    """Wait for the one reply."""
    return await ref.ask(message)


async def streams(ref: Ref, message: Any) -> Any:
    """Wait for all parts."""
    return await ref.stream(message).result()


async def by_cancelling(verb: Verb, ref: Ref, message: Any, begun: Callable[[], bool]) -> None:
    """Cancel the scope around the verb."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(verb, ref, message)
        await eventually(begun)
        tasks.cancel_scope.cancel()


async def by_a_group_that_fails(verb: Verb, ref: Ref, message: Any, begun: Callable[[], bool]) -> None:
    """Let a sibling of the asker fail."""
    with pytest.RaisesGroup(ValueError):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(verb, ref, message)
            await eventually(begun)
            raise ValueError("a sibling failed")


async def by_timing_out(verb: Verb, ref: Ref, message: Any, begun: Callable[[], bool]) -> None:
    """Let the verb's own time pass."""
    while not begun():  # a busy machine may take longer to begin
        with pytest.raises(AskTimeoutError):
            await verb(ref.using(timeout=0.1), message)


async def by_leaving_the_block(verb: Verb, ref: Ref, message: Any, begun: Callable[[], bool]) -> None:
    """Take one part and leave."""
    async with ref.stream(message) as stream:
        assert await anext(stream) == message
        await eventually(begun)


async def by_break(verb: Verb, ref: Ref, message: Any, begun: Callable[[], bool]) -> None:
    """Take one part and drop the stream."""
    async for part in ref.stream(message):
        assert part == message
        await eventually(begun)
        break


WAYS: Final = [
    *[(Busy, verb, leave) for verb in (asks, streams) for leave in (by_cancelling, by_timing_out)],
    (Busy, asks, by_a_group_that_fails),
    *[(BusyTeller, asks, leave) for leave in (by_cancelling, by_timing_out)],
    *[(BusyTeller, streams, leave) for leave in (by_cancelling, by_a_group_that_fails, by_timing_out)],
    *[(BusyTeller, streams, leave) for leave in (by_leaving_the_block, by_break)],
]
HANDLERS: Final = {"on the loop": "tea", "shielded": 7, "in a thread": b"tea"}

every_way = pytest.mark.parametrize(
    ("kind", "verb", "leave"), WAYS, ids=[f"{kind.__name__}-{verb.__name__}-{how.__name__}" for kind, verb, how in WAYS]
)
every_handler = pytest.mark.parametrize("handler", HANDLERS)


@asynccontextmanager
async def asked_all_the_time(mesh: Mesh) -> AsyncIterator[None]:
    """Let another agent be asked while the block runs; every one of these asks must be answered."""
    echo, stop = mesh.add(Echo("bystander")), anyio.Event()
    answered = 0

    async def ask() -> None:
        nonlocal answered
        while not stop.is_set():
            assert await echo.ask(answered) == answered
            answered += 1
            await anyio.sleep(0.001)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        yield
        before = answered
        await eventually(lambda: answered > before)
        stop.set()


@every_handler
@every_way
async def test_an_asker_that_leaves_ends_what_nobody_else_needs_and_nothing_else(
    kind: type[Busy], verb: Verb, leave: Any, handler: str, anyio_backend: Any
) -> None:
    async with tidy_mesh() as mesh, asked_all_the_time(mesh):
        busy = kind("busy")
        ref = mesh.add(busy)

        with anyio.fail_after(DEADLINE):
            await leave(verb, ref, HANDLERS[handler], lambda: "begun" in busy.diary)
            await ref.tell(HANDLERS[handler])  # must not begin before the first has ended
            if handler == "on the loop":
                await eventually(lambda: busy.diary[:2] == ["begun", "cancelled"])
            else:
                await anyio.sleep(0.02)  # time enough for a cancellation that must not come
                assert busy.diary == ["begun"]
                ours = [each for each in mesh.ledger().open if each.recipient == "busy"]
                assert [each.unattended for each in ours] == [True, False]
            busy.let_go()
            await eventually(lambda: not mesh.statistics().agents["busy"].pending)

        statistics = mesh.statistics()
        agent = statistics.agents["busy"]
        is_cancelled = handler == "on the loop" or (handler == "in a thread" and kind is BusyTeller)
        assert busy.diary == ["begun", "cancelled" if handler == "on the loop" else "ended", "begun", "ended"]
        assert (agent.accepted - agent.expired, agent.completed, agent.restarts) == (2, 1 if is_cancelled else 2, 0)
        assert agent.cancelled == is_cancelled  # a generator in a thread ends before its next part
        assert statistics.late_replies == (not is_cancelled)


@every_handler
@pytest.mark.parametrize("verb", [asks, streams], ids=lambda verb: verb.__name__)
async def test_a_mesh_that_is_left_by_an_error_ends_every_handler_and_asker(
    verb: Verb, handler: str, anyio_backend: Any
) -> None:
    busy = Busy("busy")
    mesh_then: list[Mesh] = []
    with pytest.raises(ValueError, match="enough"):
        async with tidy_mesh(stop_grace=0.1) as mesh:
            mesh_then.append(mesh)
            ref = mesh.add(busy)
            failed: list[BaseException] = []

            async def ask() -> None:
                try:
                    await verb(ref, HANDLERS[handler])
                except Exception as error:  # noqa: BLE001 – whatever it is
                    failed.append(error)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask)
                await eventually(lambda: "begun" in busy.diary)
                with anyio.fail_after(DEADLINE):
                    await mesh.stop(at_once=True)
            assert [type(error).__name__ for error in failed] == ["MeshClosedError"]
            raise ValueError("enough")

    statistics = mesh_then[0].statistics()
    agent = statistics.stopped_agents
    assert (agent.cancelled, agent.pending) == (1, 0)
    assert statistics.threads.abandoned == (1 if handler == "in a thread" else 0)
    assert busy.diary == (["begun"] if handler == "in a thread" else ["begun", "cancelled"])
    busy.let_go()


async def test_many_cancellations_at_any_moment_leave_nothing_behind(anyio_backend: Any) -> None:
    async with tidy_mesh() as mesh, asked_all_the_time(mesh):

        class Slow(Agent):
            concurrency = 16

            async def on_message(self, message: float) -> float:
                await anyio.sleep(message)
                return message

        ref = mesh.add(Slow("slow"))

        async def ask(number: int) -> None:
            with anyio.move_on_after(0.0005 * (number % 7)):
                await ref.ask(0.0005 * (number % 5))

        for _ in range(20):
            async with anyio.create_task_group() as tasks:
                for number in range(100):
                    tasks.start_soon(ask, number)
        await eventually(lambda: not mesh.statistics().agents["slow"].pending)

        agent = mesh.statistics().agents["slow"]
        assert agent.completed + agent.cancelled == agent.accepted
        assert agent.cancelled > 0
        assert agent.failed == 0
