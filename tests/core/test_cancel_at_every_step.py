"""An asker, or what runs a receiver, cancelled between any two steps of a scene: no message is lost or doubled."""

import asyncio
import inspect
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, TypeAlias

import anyio
import pytest

from ceylon import Agent, CeylonError, Context, LawBrokenError, Mesh, action, on
from ceylon.core.dispatcher import Dispatcher
from ceylon.core.instruments import Instruments, instruments
from ceylon.testing.sabotage import drop_a_message
from support.law import check_end, check_law
from support.leftovers import DEADLINE, quick
from support.steps import Steps, run_in_steps

MOST_STEPS = 500

Scene: TypeAlias = "Callable[[Mesh, Sender], Awaitable[None]]"


class Receiver(Agent):
    """Keeps every number it handled to the end, and every one it began."""

    mailbox_capacity = 2
    began: Counter[int]
    ended: Counter[int]

    @on
    async def take(self, number: int) -> int:
        self.began[number] += 1
        await anyio.lowlevel.checkpoint()
        self.ended[number] += 1
        return number

    @on
    async def parts(self, word: str) -> AsyncIterator[int]:
        for number in range(4):
            await anyio.lowlevel.checkpoint()
            yield number

    @on(topic="news")
    async def hear(self, number: int) -> None:
        await self.take(number)

    @action
    async def double(self, number: int) -> int:
        """Double it."""
        return 2 * await self.take(number)


class Relay(Agent):
    """Asks the receiver for whoever asks it."""

    async def on_message(self, message: Any, context: Context) -> Any:
        return await context.ask("receiver", message)


class Sender:
    """Sends numbers, each one once, and keeps those that were accepted as far as it knows."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self.sent = 0
        self.accepted: list[int] = []

    def number(self) -> int:
        self.sent += 1
        return self.sent

    async def tell(self) -> None:
        number = self.number()
        await self._mesh.tell("receiver", number)
        self.accepted.append(number)

    async def ask(self, address: str = "receiver") -> None:
        number = self.number()
        assert await self._mesh.ask(address, number, timeout=DEADLINE) == number
        self.accepted.append(number)


async def _tell(mesh: Mesh, sender: Sender) -> None:
    await sender.tell()


async def _tell_a_full_mailbox(mesh: Mesh, sender: Sender) -> None:
    for _ in range(6):
        await sender.tell()


async def _ask(mesh: Mesh, sender: Sender) -> None:
    await sender.ask()


async def _ask_a_full_mailbox(mesh: Mesh, sender: Sender) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(6):
            group.start_soon(sender.ask)


async def _ask_through_another(mesh: Mesh, sender: Sender) -> None:
    await sender.ask("relay")


async def _ask_both_ways(mesh: Mesh, sender: Sender) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(sender.ask)
        group.start_soon(sender.ask, "relay")


async def _tell_then_ask(mesh: Mesh, sender: Sender) -> None:
    await sender.tell()
    await sender.ask()


async def _read_a_stream(mesh: Mesh, sender: Sender) -> None:
    assert await mesh.stream("receiver", "parts").result() == [0, 1, 2, 3]


async def _leave_a_stream(mesh: Mesh, sender: Sender) -> None:
    async with mesh.stream("receiver", "parts") as parts:
        assert await anext(parts) == 0
    await sender.ask()


async def _publish(mesh: Mesh, sender: Sender) -> None:
    number = sender.number()
    assert await mesh.publish("news", number) == 1
    sender.accepted.append(number)


async def _call(mesh: Mesh, sender: Sender) -> None:
    number = sender.number()
    assert await mesh.call("receiver", "double", number=number) == 2 * number
    sender.accepted.append(number)


async def _ask_without_time(mesh: Mesh, sender: Sender) -> None:
    await sender.tell()
    await mesh.ask("receiver", sender.number(), timeout=0.0)


SCENES: Final[dict[str, Scene]] = {
    scene.__name__.strip("_"): scene
    for scene in (
        _tell,
        _tell_a_full_mailbox,
        _ask,
        _ask_a_full_mailbox,
        _ask_through_another,
        _ask_both_ways,
        _tell_then_ask,
        _read_a_stream,
        _leave_a_stream,
        _publish,
        _call,
        _ask_without_time,
    )
}


def cancel_at(backend: str, scene: Scene, at: int, victim: str) -> bool:
    """Play *scene* and cancel *victim* before step *at*; say whether there was such a step."""
    steps = Steps(at)

    async def main() -> None:
        mesh = Mesh("test", settings=quick())
        await mesh.start()
        receiver = Receiver("receiver")
        receiver.began, receiver.ended = Counter(), Counter()
        mesh.add(receiver)
        mesh.add(Relay("relay"))
        sender = Sender(mesh)
        with anyio.CancelScope() as scope:

            def cancel() -> None:
                check_law(mesh.statistics())
                if victim == "asker":
                    scope.cancel()
                elif victim == "workers":
                    _cancel_workers()
                else:
                    mesh.interior.dispatcher.cancel_handlers(mesh.interior.router.cells["receiver"])

            steps.arm(cancel)
            await _play(scene, mesh, sender)
            await mesh.drain()
        steps.disarm()
        await mesh.drain()
        _check(mesh, receiver, sender, victim)
        assert await mesh.ask("receiver", 0, timeout=DEADLINE) == 0
        await mesh.stop()
        check_end(mesh.statistics())
        assert mesh.statistics().timers == 0

    run_in_steps(backend, main, steps)
    return steps.has_acted


def _cancel_workers() -> None:
    """Cancel the mesh's own tasks behind its back, as code can that once ran in one of them."""
    for task in asyncio.all_tasks():
        coroutine: Any = task.get_coro()
        if task.get_name() == "ceylon worker" and inspect.getcoroutinestate(coroutine) != inspect.CORO_CREATED:
            task.cancel()


async def _play(scene: Scene, mesh: Mesh, sender: Sender) -> None:
    """Play *scene*; that its messages may end `cancelled` is the point of it."""
    try:
        await scene(mesh, sender)
    except CeylonError:
        return
    except ExceptionGroup as group:
        _, others = group.split(CeylonError)
        assert others is None


def _check(mesh: Mesh, receiver: Receiver, sender: Sender, victim: str) -> None:
    """Fail if a message was handled twice, or one that was accepted neither handled nor counted as cancelled."""
    statistics = mesh.statistics()
    check_law(statistics)
    assert not statistics.pending_asks
    assert all(times == 1 for times in receiver.began.values()), receiver.began
    agent = statistics.agents["receiver"]
    assert not agent.pending
    assert not agent.failed or victim == "workers"
    missing = [number for number in sender.accepted if not receiver.ended[number]]
    assert len(missing) <= {"receiver": agent.cancelled, "workers": agent.failed, "asker": 0}[victim], missing


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize(
    ("backend", "victim"),
    [("asyncio", "asker"), ("asyncio", "receiver"), ("asyncio", "workers"), ("trio", "asker"), ("trio", "receiver")],
)
def test_a_cancellation_at_any_step_neither_loses_nor_doubles_a_message(backend: str, scene: str, victim: str) -> None:
    at = next(at for at in range(1, MOST_STEPS) if not cancel_at(backend, SCENES[scene], at, victim))

    assert at > 3


class DoublingDispatcher(Dispatcher):
    """Handles again what was cancelled, as a mesh would that had taken an envelope without owning it."""

    def _cancelled(self, cell: Any, envelope: Any) -> None:
        super()._cancelled(cell, envelope)
        cell.put(envelope)
        self._router.accepted(cell, envelope)


def test_a_mesh_that_doubles_a_message_is_found_out() -> None:
    token = instruments.set(Instruments(dispatcher=DoublingDispatcher))
    try:
        with pytest.raises((AssertionError, LawBrokenError)):
            for at in range(1, MOST_STEPS):
                cancel_at("asyncio", _ask, at, "receiver")
    finally:
        instruments.reset(token)


@pytest.mark.breaks_the_law
def test_a_mesh_that_loses_a_message_is_found_out() -> None:
    with (
        drop_a_message(),
        pytest.raises((AssertionError, LawBrokenError), match=r"is broken|broke its own law"),
    ):
        cancel_at("asyncio", _tell, 1, "asker")
