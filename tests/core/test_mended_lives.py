"""Hooks and background work that end badly: the agent's life goes on, or ends, and so does the mesh's."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from ceylon import Agent, AgentStartError, Context, Mesh, MeshClosedError
from ceylon.core.ports import OnFailure
from ceylon.errors import CeylonError, UnknownAgentError
from support.core_agents import Echo
from support.leftovers import DEADLINE, eventually, tidy_mesh


@pytest.fixture
async def mesh(anyio_backend: str) -> AsyncIterator[Mesh]:
    """A mesh that must end tidily, and gives an agent one more try."""
    async with tidy_mesh(restarts=1) as mesh:
        yield mesh


class Noting(Agent):
    """Keeps a diary outside of itself, so that every instance writes into the same one."""

    def __init__(self, name: str, diary: list[Any]) -> None:
        super().__init__(name)
        self.diary = diary

    async def on_message(self, message: Any) -> Any:
        return message


# -- starting ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [SystemExit, GeneratorExit, asyncio.CancelledError])
async def test_a_start_hook_may_raise_what_is_no_exception(mesh: Mesh, error: type[BaseException]) -> None:
    class Leaving(Agent):
        async def on_start(self) -> None:
            raise error

        async def on_message(self, message: Any) -> Any:
            return message

    with anyio.fail_after(DEADLINE), pytest.raises((AgentStartError, UnknownAgentError)):
        await mesh.add(Leaving("leaving")).ask("hello")


class Halfway(Noting):
    async def lifespan(self, context: Context) -> AsyncIterator[None]:
        self.diary.append("in")
        try:
            yield
        finally:
            self.diary.append("out")

    async def on_start(self) -> None:
        message = "not today"
        raise ValueError(message)

    async def on_stop(self) -> None:
        self.diary.append("stopped what had not started")


async def test_an_agent_whose_start_fails_leaves_its_lifespan(mesh: Mesh) -> None:
    diary: list[Any] = []

    with pytest.raises((AgentStartError, UnknownAgentError)):
        await mesh.add(Halfway("halfway", diary)).ask("hello")
    await eventually(lambda: "halfway" not in mesh.agents)

    assert diary == ["in", "out", "in", "out"]


# -- stopping ----------------------------------------------------------------------------------------------------------


async def test_a_stop_hook_that_exits_the_process_does_not(
    anyio_backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Leaving(Agent):
        async def on_stop(self) -> None:
            raise SystemExit

    async with tidy_mesh() as mesh:
        mesh.add(Leaving("leaving"))

    assert "agent_stop_failed" in caplog.text


async def test_a_stop_hook_that_asks_while_the_mesh_stops_hears_so(anyio_backend: str) -> None:
    class Asking(Noting):
        async def on_stop(self, context: Context) -> None:
            try:
                await context.ask("echo", "hello")
            except CeylonError as error:
                self.diary.append(error)

    diary: list[Any] = []
    async with tidy_mesh() as mesh:
        mesh.add(Echo("echo"))
        mesh.add(Asking("asking", diary))

    assert [type(error) for error in diary] == [MeshClosedError]


async def test_a_stop_hook_runs_once_an_instance(mesh: Mesh) -> None:
    class Failing(Noting):
        on_failure: OnFailure = "restart"

        async def on_message(self, message: Any) -> Any:
            raise ValueError(message)

        async def on_stop(self) -> None:
            self.diary.append(self)

    diary: list[Any] = []
    ref = mesh.add(Failing("failing", diary))

    with anyio.fail_after(DEADLINE):
        while "failing" in mesh.agents:
            with contextlib.suppress(CeylonError):
                await ref.ask("hello")

    assert len(diary) == len({id(instance) for instance in diary}) == 2


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # nothing on trio ignores its cancellation for long
async def test_a_stop_hook_that_ignores_its_cancellation_is_left_behind(
    anyio_backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    may_end = asyncio.Event()

    class Stubborn(Agent):
        async def on_stop(self) -> None:
            while not may_end.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await may_end.wait()

    with anyio.fail_after(DEADLINE):
        async with tidy_mesh(stop_grace=0.05) as mesh:
            mesh.add(Stubborn("stubborn"))
    may_end.set()
    await anyio.wait_all_tasks_blocked()

    assert "task_abandoned" in caplog.text


# -- lifespans and background work -------------------------------------------------------------------------------------


async def test_a_lifespan_hears_that_its_task_group_broke(mesh: Mesh, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Noting):
        async def lifespan(self, context: Context) -> AsyncIterator[None]:
            try:
                async with anyio.create_task_group() as group:
                    group.start_soon(self.crash)
                    yield
            except BaseException as error:
                self.diary.append(error)
                raise

        async def crash(self) -> None:
            raise ValueError(self.name)

    diary: list[Any] = []
    mesh.add(Broken("broken", diary))

    await eventually(lambda: diary)
    await eventually(lambda: "lifespan_failed" in caplog.text)

    assert isinstance(diary[0], BaseExceptionGroup)


async def test_background_work_that_is_cancelled_before_its_first_step_is_over(mesh: Mesh) -> None:
    ref = mesh.add(Echo("echo"))
    await ref.ask("hello")
    belongings, cell = mesh.interior.belongings, mesh.interior.router.cells["echo"]

    async def work(_: object) -> None:
        await anyio.sleep_forever()

    own = belongings.spawn(cell, work, "background")
    own.cancel()
    with anyio.fail_after(DEADLINE):
        await own.ended.wait()

    assert own.error is None
    assert cell.life is not None
    assert not cell.life.tasks


@pytest.mark.usefixtures("anyio_backend")
async def test_background_work_that_cancels_itself_is_logged(mesh: Mesh, caplog: pytest.LogCaptureFixture) -> None:
    class Self(Agent):
        async def on_message(self, message: Any, context: Context) -> None:
            context.start_soon(self.work)

        async def work(self) -> None:
            raise asyncio.CancelledError

    caplog.set_level(logging.ERROR)
    await mesh.add(Self("self")).ask("hello")

    await eventually(lambda: "background_failed" in caplog.text)
