"""On asyncio a handler may run its first steps on its asker's stack: faster, and otherwise as if the loop had run it.

Every test asks twice before it looks: a task that has never asked has to wait for the loop.
"""

import asyncio
import contextvars
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Any

import anyio
import pytest

from ceylon import Agent, AskTimeoutError, Context, DeadlockError, HandlerError, Mesh
from ceylon.core.backends.steps import Steps
from ceylon.core.cell import Cell
from ceylon.core.instruments import Instruments, instruments
from ceylon.core.router import Router
from ceylon.messages import ASK, Envelope
from support.leftovers import eventually, tidy_mesh

pytestmark = pytest.mark.parametrize("anyio_backend", ["asyncio"])

Deed = Callable[[Context], Awaitable[Any]]

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nobody's")


class Doer(Agent):
    """Does what it is asked to."""

    async def on_message(self, deed: Deed, context: Context) -> Any:
        return await deed(context)


@pytest.fixture
async def mesh(anyio_backend: str) -> AsyncIterator[Mesh]:
    """A mesh with two agents, of whose workers enough are parked, and an asker that has asked before."""
    del anyio_backend
    async with tidy_mesh() as made:
        made.add(Doer("doer"))
        made.add(Doer("other"))
        for _ in range(3):
            await made.ask("doer", lambda context: context.ask("other", _nothing))
        yield made


async def _nothing(_: Context) -> None:
    pass


async def has_turned(act: Callable[[], Awaitable[Any]]) -> bool:
    """Say whether the loop ran anything else while *act* did."""
    turned: list[None] = []
    asyncio.get_running_loop().call_soon(turned.append, None)
    await act()
    return bool(turned)


async def test_an_idle_agent_answers_without_a_turn_of_the_loop(mesh: Mesh) -> None:
    assert not await has_turned(lambda: mesh.ask("doer", _nothing))
    assert not await has_turned(lambda: mesh.ask("doer", lambda context: context.ask("other", _nothing)))


async def test_without_steps_it_takes_one(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Steps, "may_begin", lambda *_: False)

    assert await has_turned(lambda: mesh.ask("doer", _nothing))


async def test_asks_that_never_wait_leave_the_loop_its_turns(mesh: Mesh) -> None:
    async def ask_often() -> None:
        for _ in range(200):
            await mesh.ask("doer", lambda context: context.ask("other", _nothing))

    assert await has_turned(ask_often)


async def test_a_handler_runs_in_its_workers_task_and_variables_wherever_it_runs(mesh: Mesh) -> None:
    variable.set("the asker's")
    asker = asyncio.current_task()

    async def look(_: Context) -> tuple[Any, str]:
        seen = asyncio.current_task(), variable.get()
        variable.set("the handler's")
        return seen

    task, seen = await mesh.ask("doer", look)

    assert task is not asker
    assert seen == "nobody's"
    assert asyncio.current_task() is asker
    assert variable.get() == "the asker's"


async def _turn(_: Context) -> str:
    await asyncio.sleep(0)
    return "turned"


async def _future(_: Context) -> str:
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_result, "from a future")
    return str(await future)


async def _task(_: Context) -> str:
    async def inner() -> str:
        await asyncio.sleep(0)
        return "from a task"

    return await asyncio.create_task(inner())


async def _group(_: Context) -> str:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.sleep, 0)
    return "from a group"


async def _timeout(_: Context) -> str:
    try:
        async with asyncio.timeout(0.001):
            await asyncio.Event().wait()
    except TimeoutError:
        return "from a timeout"
    return "never"


async def _scope(_: Context) -> str:
    with anyio.move_on_after(0.001) as scope:
        await anyio.sleep_forever()
    return "from a scope" if scope.cancelled_caught else "never"


async def _several(context: Context) -> str:
    return " and ".join([await _turn(context), await _future(context), await _scope(context), await _task(context)])


async def _raises(_: Context) -> str:
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_exception, KeyError("late"))
    try:
        await future
    except KeyError:
        return "raised"
    return "never"


@pytest.mark.parametrize("deed", [_turn, _future, _task, _group, _timeout, _scope, _several, _raises])
async def test_a_handler_that_comes_to_wait_goes_on_by_the_loop(mesh: Mesh, deed: Deed) -> None:
    expected = await Mesh.ask(mesh, "other", deed)  # by whichever way

    for _ in range(3):
        assert await mesh.ask("doer", deed) == expected
        assert "never" not in expected
        assert not await has_turned(lambda: mesh.ask("doer", _nothing))


async def test_what_a_handler_awaits_is_cancelled_with_it(mesh: Mesh) -> None:
    begun: list[str] = []
    ended: list[str] = []

    async def child() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("child")
            raise

    async def wait(_: Context) -> None:
        begun.append("handler")
        try:
            await asyncio.create_task(child())
        except asyncio.CancelledError:
            ended.append("handler")
            raise

    while not begun:  # a busy machine may take longer to begin
        with pytest.raises(AskTimeoutError):
            await mesh.ask("doer", wait, timeout=0.01)
    await eventually(lambda: ended == ["child", "handler"])

    assert await mesh.ask("doer", _turn) == "turned"
    assert mesh.statistics().agents["doer"].cancelled == 1


@pytest.mark.parametrize("takes_it_back", [False, True])
@pytest.mark.parametrize("waits", [False, True])
async def test_a_handler_that_cancels_itself_harms_nobody_else(
    mesh: Mesh,
    *,
    waits: bool,
    takes_it_back: bool,
) -> None:
    async def cancel_oneself(_: Context) -> str:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        if takes_it_back:
            task.uncancel()
        if waits:
            await asyncio.sleep(0)
        return "done"

    for _ in range(3):
        if waits:
            with pytest.raises(HandlerError, match="StrayCancellationError"):
                await mesh.ask("doer", cancel_oneself)
        else:
            assert await mesh.ask("doer", cancel_oneself) == "done"
        assert await mesh.ask("doer", _several) == "turned and from a future and from a scope and from a task"
        assert await mesh.ask("other", _turn) == "turned"


async def test_a_handler_that_leaves_a_scope_open_harms_nobody_else(mesh: Mesh) -> None:
    async def leave_open(_: Context) -> None:
        anyio.CancelScope().__enter__()

    for _ in range(3):
        await mesh.ask("doer", leave_open)
        assert await mesh.ask("doer", _scope) == "from a scope"


@types.coroutine
def _yield_nonsense() -> Generator[Any, None, None]:
    yield 42


async def _bad_yield(_: Context) -> None:
    await _yield_nonsense()


async def _foreign_future(_: Context) -> None:
    loop = asyncio.new_event_loop()
    try:
        await loop.create_future()
    finally:
        loop.close()


@pytest.mark.parametrize("deed", [_bad_yield, _foreign_future])
async def test_what_no_task_may_await_is_an_error_there(mesh: Mesh, deed: Deed) -> None:
    for _ in range(3):
        with pytest.raises(HandlerError, match="RuntimeError"):
            await mesh.ask("doer", deed)

    assert await mesh.ask("doer", _turn) == "turned"


async def test_chains_longer_than_the_stack_may_be_are_answered(anyio_backend: str) -> None:
    del anyio_backend
    length = 60
    async with tidy_mesh(max_hops=length + 1) as mesh:

        class Link(Agent):
            async def on_message(self, left: int, context: Context) -> int:
                return 1 + await context.ask(f"link-{left - 1}", left - 1) if left else 0

        for number in range(length + 1):
            mesh.add(Link(f"link-{number}"))
        for _ in range(3):
            assert await mesh.ask(f"link-{length}", length) == length


async def test_a_ring_of_asks_is_found_on_the_stack_too(mesh: Mesh) -> None:
    async def ask_back(context: Context) -> None:
        await context.ask("other", lambda inner: inner.ask("doer", _nothing))

    for _ in range(3):
        with pytest.raises(DeadlockError):
            await mesh.ask("doer", ask_back)


async def test_two_meshes_step_in_each_other(mesh: Mesh) -> None:
    async with Mesh("second") as second:
        second.add(Doer("far"))
        for _ in range(3):
            assert await mesh.ask("doer", lambda _: second.ask("far", _turn)) == "turned"
            await mesh.ask("doer", lambda _: second.ask("far", _nothing))


class _Interrupted(Router):
    """Is interrupted just after it has delivered an ask, as by a signal."""

    def deliver(self, envelope: Envelope) -> Cell | None:
        full = super().deliver(envelope)
        if envelope.kind is ASK and isinstance(envelope.message, str):
            raise InterruptedError(envelope.message)
        return full


async def test_an_ask_that_is_interrupted_leaves_nobody_unseen(anyio_backend: str) -> None:
    del anyio_backend
    token = instruments.set(Instruments(router=_Interrupted))
    try:
        mesh = Mesh("interrupted")
    finally:
        instruments.reset(token)
    seen: list[object] = []

    class Keeper(Agent):
        async def on_message(self, message: object, context: Context) -> None:
            seen.append(message)

    async with mesh:
        mesh.add(Keeper("keeper"))
        await mesh.ask("keeper", 1)
        with pytest.raises(InterruptedError):
            await mesh.ask("keeper", "two")
        await mesh.drain()

    assert seen == [1, "two"]
