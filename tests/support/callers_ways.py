"""Ways to be a caller without leaving the process: threads and event loops of every kind."""

import asyncio
import warnings
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeAlias

import trio
import uvloop

from ceylon import BlockingMesh, Mesh
from support.callers_awaited import AWAITED
from support.callers_blocking import BLOCKING
from support.callers_stage import Stage, blocking_stage, hosted_stage, stage

__all__ = ["DEADLINE", "WAYS", "Way"]

DEADLINE: Final = 60.0
"""Seconds a caller may take on a busy machine before it counts as hanging."""

Way: TypeAlias = Callable[[str, str], Any]
"""Uses a verb, by its name, with a model at a URL; returns what came of it."""

Loop: TypeAlias = Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]

LOOPS: Final[dict[str, Loop]] = {
    "asyncio": lambda function: asyncio.run(function()),
    "trio": trio.run,
    "uvloop": lambda function: uvloop.run(function()),
}

AWAITED_ONLY: Final = frozenset({"agent.send_message_async", "agent.send_messages_async"})


def _in_thread(function: Callable[[], Any]) -> Any:
    """Run *function* in a new thread."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(function).result(DEADLINE)


async def _use(verb: str, found: Stage[Mesh]) -> Any:
    return await AWAITED[verb](found)


# -- the ways ----------------------------------------------------------------------------------------------------------


def thread(verb: str, url: str) -> Any:
    """Block in a thread, beside a mesh that runs on another thread's loop."""
    with hosted_stage(url) as found:
        blocking = Stage[BlockingMesh](found.mesh.blocking, found.tutor)
        return _in_thread(lambda: BLOCKING[verb](blocking))


def thread_with_a_loop(verb: str, url: str) -> Any:
    """Await in a thread that runs a loop of its own, and the mesh on it."""
    return _in_thread(lambda: _on_own_loop("asyncio", verb, url))


def _on_own_loop(loop: str, verb: str, url: str) -> Any:
    async def main() -> Any:
        async with stage(url) as found:
            return await _use(verb, found)

    return LOOPS[loop](main)


def _on_foreign_loop(loop: str, verb: str, found: Stage[Mesh]) -> Any:
    async def main() -> Any:
        return await _use(verb, found)

    return LOOPS[loop](main)


def own_loop(loop: str) -> Way:
    """Return the way of a program whose mesh is on its own loop."""
    return lambda verb, url: _on_own_loop(loop, verb, url)


def foreign_loop(loop: str) -> Way:
    """Return the way of a program that awaits what lives on another thread's loop."""

    def way(verb: str, url: str) -> Any:
        with hosted_stage(url) as found:
            return _in_thread(lambda: _on_foreign_loop(loop, verb, found))

    return way


def asyncio_run_twice(verb: str, url: str) -> Any:
    """Call `asyncio.run` twice with the same agents."""
    with hosted_stage(url) as found:
        first, second = (_on_foreign_loop("asyncio", verb, found) for _ in range(2))
    assert first == second
    return second


def five_loops(verb: str, url: str) -> Any:
    """Use the same agents from five loops of three kinds, all at once."""
    loops = ("asyncio", "trio", "uvloop", "asyncio", "trio")
    with hosted_stage(url) as found, ThreadPoolExecutor(len(loops)) as executor:
        uses = [executor.submit(_on_foreign_loop, loop, verb, found) for loop in loops]
        first, *others = [use.result(DEADLINE) for use in uses]
    assert others == [first] * len(others)
    return first


def running_loop(loop: str) -> Way:
    """Return the way of a program that blocks inside a running loop, not the mesh's: it holds that up, and works."""

    def way(verb: str, url: str) -> Any:
        async def main() -> Any:
            if verb in AWAITED_ONLY:
                return await AWAITED[verb](Stage(Mesh(), found.tutor))
            return BLOCKING[verb](found)

        with blocking_stage(url) as found, warnings.catch_warnings():
            warnings.filterwarnings("ignore", "the blocking .* holds up the event loop", RuntimeWarning)
            return LOOPS[loop](main)

    return way


WAYS: Final[dict[str, Way]] = {
    "thread": thread,
    "thread_with_a_loop": thread_with_a_loop,
    "asyncio": own_loop("asyncio"),
    "asyncio_run_twice": asyncio_run_twice,
    "trio": own_loop("trio"),
    "trio_beside_the_mesh": foreign_loop("trio"),
    "uvloop": own_loop("uvloop"),
    "uvloop_beside_the_mesh": foreign_loop("uvloop"),
    "running_loop": running_loop("asyncio"),
    "running_trio_loop": running_loop("trio"),
    "five_loops": five_loops,
}
