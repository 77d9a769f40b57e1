"""Agents whose handlers break every rule there is, and what must come of it: the message fails, or it does not."""

import asyncio
import contextlib
import contextvars
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, ClassVar, Final, Literal, TypeAlias

import anyio
import msgspec
import sniffio
import trio

from ceylon import Agent, Context, Message, on

__all__ = [
    "ASYNC_CRIMES",
    "LEAKED",
    "SYNC_CRIMES",
    "VARIABLE",
    "Bystander",
    "Commit",
    "Crime",
    "InlineVillain",
    "NoSentenceError",
    "Ping",
    "Stubborn",
    "SyncVillain",
    "UnpicklableError",
    "Villain",
    "Wait",
    "release",
]

Verdict: TypeAlias = Literal["fails", "completes"]


class Commit(Message[Any]):
    """Commit *crime*."""

    crime: str


class Ping(Message[str]):
    """Is anybody there?"""


class Wait(Message[str]):
    """Wait until you are let go."""


class Crime(msgspec.Struct, frozen=True):
    """What a handler does, what becomes of its message, and on which loops it can be done."""

    act: Callable[[], Any]
    verdict: Verdict = "fails"
    backends: tuple[str, ...] = ("asyncio", "trio")


class UnpicklableError(Exception):
    """Carries what cannot be copied, pickled or compared."""

    def __init__(self) -> None:
        super().__init__(lambda: None, sys._getframe())  # noqa: SLF001 – a frame is the least picklable thing there is


class NoSentenceError(Exception):
    """Cannot even say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


class OddError(BaseException):
    """No `Exception` at all."""


VARIABLE: Final[contextvars.ContextVar[str]] = contextvars.ContextVar("hostile_variable", default="untouched")
LEAKED: Final[list[Any]] = []
"""What handlers left behind on purpose: tasks, scopes, nurseries; `release` ends them."""


async def release() -> None:
    """End what hostile handlers left behind."""
    while LEAKED:
        thing = LEAKED.pop()
        if isinstance(thing, trio.Nursery):
            thing.cancel_scope.cancel()
        else:
            thing.cancel()
        if isinstance(thing, asyncio.Task):
            await asyncio.wait([thing])


def _raiser(error: Callable[[], BaseException]) -> Callable[[], Any]:
    def act() -> Any:
        raise error()

    return act


def _recurse() -> int:
    return 1 + _recurse()


def _generate() -> Iterator[int]:
    yield from (1, 2, 3)


def _generate_badly() -> Iterator[int]:
    yield 1
    raise ValueError("in the middle")


async def _coroutine() -> str:
    await anyio.lowlevel.checkpoint()
    return "late"


async def _bad_coroutine() -> str:
    await anyio.lowlevel.checkpoint()
    raise ValueError("late")


async def _async_generate() -> AsyncIterator[int]:
    for part in (1, 2, 3):
        await anyio.lowlevel.checkpoint()
        yield part


def _touch() -> None:
    VARIABLE.set("touched")


EITHER_CRIMES: Final[dict[str, Crime]] = {
    "raises an exception": Crime(_raiser(lambda: ValueError("plain"))),
    "raises a group": Crime(_raiser(lambda: ExceptionGroup("two", [ValueError(1), TypeError(2)]))),
    "raises a base group": Crime(_raiser(lambda: BaseExceptionGroup("odd", [OddError(), ValueError(2)]))),
    "raises what cannot be pickled": Crime(_raiser(UnpicklableError)),
    "raises what cannot be printed": Crime(_raiser(NoSentenceError)),
    "raises no Exception": Crime(_raiser(OddError)),
    "raises SystemExit": Crime(_raiser(lambda: SystemExit(3))),
    "raises GeneratorExit": Crime(_raiser(GeneratorExit)),
    "raises StopIteration": Crime(_raiser(lambda: StopIteration(1))),
    "raises StopAsyncIteration": Crime(_raiser(StopAsyncIteration)),
    "raises MemoryError": Crime(_raiser(MemoryError)),
    "raises asyncio's CancelledError": Crime(_raiser(asyncio.CancelledError)),
    "makes a Cancelled of trio's": Crime(trio.Cancelled),
    "asks for all the memory": Crime(lambda: bytearray(sys.maxsize)),
    "recurses for ever": Crime(_recurse),
    "returns a generator": Crime(_generate, "completes"),
    "returns a generator that fails": Crime(_generate_badly),
    "returns a coroutine": Crime(_coroutine, "completes"),
    "returns a coroutine that fails": Crime(_bad_coroutine),
    "returns an async generator": Crime(_async_generate, "completes"),
    "returns what no codec takes": Crime(lambda: (object(), lambda: None, "\ud800"), "completes"),
    "returns a lone surrogate": Crime(lambda: "\ud800", "completes"),
    "returns a hundred megabytes": Crime(lambda: bytes(100 << 20), "completes"),
    "changes a context variable": Crime(_touch, "completes"),
}
"""What a sync handler can do as well as an async one."""


async def _await_cancelled_future() -> None:
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


async def _await_cancelled_task() -> None:
    task = asyncio.create_task(asyncio.sleep(60))
    task.cancel()
    await task


def _own_task() -> "asyncio.Task[Any]":
    task = asyncio.current_task()
    assert task is not None
    return task


async def _cancel_itself() -> None:
    _own_task().cancel()
    await anyio.sleep_forever()


async def _cancel_itself_and_return() -> str:
    _own_task().cancel()
    return "cancelled, but not yet"


async def _cancel_itself_and_swallow() -> str:
    _own_task().cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await anyio.sleep_forever()
    return "swallowed"


async def _cancel_often() -> None:
    for _ in range(5):
        _own_task().cancel()
    await anyio.sleep_forever()


async def _uncancel() -> None:
    _own_task().uncancel()


async def _cancel_and_uncancel() -> None:
    task = _own_task()
    task.cancel()
    task.uncancel()
    task.uncancel()


async def _cancel_an_own_scope() -> str:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await anyio.sleep_forever()
    return "went on"


async def _leave_a_scope_open() -> None:
    anyio.CancelScope().__enter__()


async def _leave_a_scope_with_a_deadline_open() -> None:
    LEAKED.append(anyio.move_on_after(0.001).__enter__())


async def _leave_a_cancelled_scope_open() -> None:
    anyio.CancelScope().__enter__().cancel()


async def _leave_a_shield_open() -> None:
    anyio.CancelScope(shield=True).__enter__()
    anyio.CancelScope().__enter__()


async def _fail_in_an_open_scope() -> None:
    anyio.move_on_after(0.001).__enter__()
    raise ValueError("and a scope is open")


async def _leave_a_task_behind() -> None:
    LEAKED.append(asyncio.create_task(asyncio.sleep(60)))
    await asyncio.sleep(0)


async def _leave_a_nursery_open() -> None:
    nursery = await trio.open_nursery().__aenter__()
    nursery.start_soon(trio.sleep_forever)
    LEAKED.append(nursery)


async def _fail_in_a_task_group() -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep_forever)
        group.start_soon(_bad_coroutine)


ASYNC_CRIMES: Final[dict[str, Crime]] = {
    **EITHER_CRIMES,
    "awaits a cancelled future": Crime(_await_cancelled_future, backends=("asyncio",)),
    "awaits a cancelled task": Crime(_await_cancelled_task, backends=("asyncio",)),
    "cancels its own task": Crime(_cancel_itself, backends=("asyncio",)),
    "cancels its own task and returns": Crime(_cancel_itself_and_return, "completes", ("asyncio",)),
    "cancels its own task and swallows it": Crime(_cancel_itself_and_swallow, "completes", ("asyncio",)),
    "cancels its own task five times": Crime(_cancel_often, backends=("asyncio",)),
    "uncancels its task": Crime(_uncancel, "completes", ("asyncio",)),
    "cancels and uncancels its task": Crime(_cancel_and_uncancel, "completes", ("asyncio",)),
    "leaves a task behind": Crime(_leave_a_task_behind, "completes", ("asyncio",)),
    "leaves a nursery open": Crime(_leave_a_nursery_open, "completes", ("trio",)),
    "cancels a scope of its own": Crime(_cancel_an_own_scope, "completes"),
    "leaves a scope open": Crime(_leave_a_scope_open, "completes"),
    "leaves a scope with a deadline open": Crime(_leave_a_scope_with_a_deadline_open, "completes"),
    "leaves a cancelled scope open": Crime(_leave_a_cancelled_scope_open, "completes"),
    "leaves a shield open": Crime(_leave_a_shield_open, "completes"),
    "fails in an open scope": Crime(_fail_in_an_open_scope),
    "fails in a task group": Crime(_fail_in_a_task_group),
}
SYNC_CRIMES: Final = EITHER_CRIMES


class Villain(Agent):
    """Commits its crimes on the loop."""

    @on
    async def commit(self, commit: Commit) -> Any:
        result = ASYNC_CRIMES[commit.crime].act()
        if isinstance(result, Awaitable) and commit.crime not in EITHER_CRIMES:
            return await result
        return result

    @on(topic="crimes")
    async def hear(self, commit: Commit) -> Any:
        return await self.commit(commit)

    @on
    async def ping(self, ping: Ping) -> str:
        await anyio.lowlevel.checkpoint()
        return VARIABLE.get()


class SyncVillain(Agent):
    """Commits them in a worker thread."""

    @on
    def commit(self, commit: Commit) -> Any:
        return SYNC_CRIMES[commit.crime].act()

    @on(topic="crimes")
    def hear(self, commit: Commit) -> Any:
        return self.commit(commit)

    @on
    def ping(self, ping: Ping) -> str:
        return VARIABLE.get()


class InlineVillain(SyncVillain):
    """Commits them in a plain function on the loop."""

    inline: ClassVar[bool] = True


class Bystander(Agent):
    """Waits while the others misbehave, and tells whether anybody hurt it."""

    def __init__(self, name: str, waits: anyio.Event, may_go: anyio.Event) -> None:
        super().__init__(name)
        self._waits, self._may_go = waits, may_go

    @on
    async def wait(self, wait: Wait) -> str:
        self._waits.set()
        await self._may_go.wait()
        return "unharmed"

    @on
    async def ping(self, ping: Ping) -> str:
        await anyio.lowlevel.checkpoint()
        return VARIABLE.get()


class Stubborn(Agent):
    """Ignores every cancellation until it is released."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.has_begun, self.is_waiting = anyio.Event(), anyio.Event()
        self.may_end, self.has_ended = anyio.Event(), anyio.Event()

    @on
    async def wait(self, wait: Wait, context: Context) -> str:
        await self.resist()
        return "at last"

    async def resist(self) -> None:
        """Wait for the release, whatever happens."""
        with anyio.CancelScope(shield=True):
            self.is_waiting.set()
            while not self.may_end.is_set():
                try:
                    await self.may_end.wait()
                except asyncio.CancelledError:
                    assert sniffio.current_async_library() == "asyncio"
        self.has_ended.set()
