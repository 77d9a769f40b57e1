"""Ends that nobody ordered: loops that are closed under a mesh, handlers that will not go, drains that never end."""

import asyncio
import contextlib
import gc
import threading
from typing import Any

import anyio
import pytest

from ceylon import Agent, DeadlockError, Mesh, MeshClosedError
from ceylon.core.ports import OnFailure
from support.core_agents import Held
from support.law import check_end
from support.leftovers import DEADLINE, eventually, quick, tidy_mesh, wait_until


class Draining(Agent):
    def __init__(self, name: str, mesh: Mesh) -> None:
        super().__init__(name)
        self.mesh = mesh

    async def on_message(self, message: Any) -> None:
        await self.mesh.drain()


class DrainingInAThread(Draining):
    def on_message(self, message: Any) -> None:  # type: ignore[override]
        self.mesh.blocking.drain()


@pytest.mark.parametrize("kind", [Draining, DrainingInAThread])
async def test_a_handler_that_drains_the_mesh_would_wait_for_itself(anyio_backend: str, kind: type[Draining]) -> None:
    async with tidy_mesh() as mesh:
        with anyio.fail_after(DEADLINE), pytest.raises(DeadlockError, match="drain"):
            await mesh.add(kind("draining", mesh)).ask("hello")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_loop_that_ends_without_a_stop_is_lawful_and_silent(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    class Waiting(Agent):
        on_failure: OnFailure = "restart"

        async def on_message(self, message: Any) -> None:
            handled.append(message)
            await anyio.sleep_forever()

    mesh, handled = Mesh("test"), list[Any]()

    async def main() -> None:
        await mesh.start()
        refs = [mesh.add(Waiting(f"waiting-{number}")) for number in range(20)]
        for ref in refs:
            await ref.tell("handled")
            await ref.tell("waits")
        await eventually(lambda: len(handled) == 20)

    anyio.run(main, backend=backend)
    gc.collect()
    statistics = mesh.statistics()

    check_end(statistics)
    assert statistics.stopped_agents.failed == 0
    assert statistics.stopped_agents.cancelled == statistics.stopped_agents.dead_lettered == 20
    assert not caplog.records


def test_a_loop_ends_although_a_handler_ignores_its_cancellation() -> None:
    class Stubborn(Agent):
        async def on_message(self, message: Any) -> None:
            while True:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()

    async def main() -> None:
        async with Mesh("test", settings=quick(drain_timeout=0.05, stop_grace=0.05)) as mesh:
            await mesh.add(Stubborn("stubborn")).tell("hello")
        check_end(mesh.statistics())
        ends.append("in order")

    ends: list[str] = []
    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    thread.join(DEADLINE)

    assert not thread.is_alive()
    assert ends == ["in order"]


def test_a_thread_that_waits_hears_that_the_loop_was_closed() -> None:
    mesh, errors = Mesh("test"), list[BaseException]()
    held = Held("held")

    def ask() -> None:
        try:
            mesh.blocking.ask("held", "hello")
        except MeshClosedError as error:
            errors.append(error)

    async def begin() -> None:
        await mesh.start()
        mesh.add(held)
        thread.start()
        await eventually(lambda: mesh.statistics().pending_asks)

    thread = threading.Thread(target=ask, daemon=True)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(begin())
    tasks = asyncio.all_tasks(loop)
    loop.close()

    wait_until(lambda: errors)
    for task in tasks:  # theirs is the pending work of a loop that was closed too early, which asyncio complains of
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001 – it is the test that does so
