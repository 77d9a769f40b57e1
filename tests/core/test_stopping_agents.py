"""Agents that are stopped, by others and by themselves, wherever they are: nobody waits for himself, hooks run once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from ceylon import BlockingContext, BlockingMesh, Context, Mesh, UnknownAgentError, on
from ceylon.errors import AgentStoppedError
from ceylon.settings import Settings
from support.core_agents import Echo, Held, HeldInAThread
from support.law import lawful_mesh
from support.leftovers import DEADLINE, eventually, quick, tidy_mesh
from support.virtual_time import run_virtually


@pytest.fixture
async def mesh(anyio_backend: str) -> AsyncIterator[Mesh]:
    """A mesh that must end tidily, whose drains would take longer than these tests may."""
    async with tidy_mesh(drain_timeout=3 * DEADLINE, restarts=1) as mesh:
        yield mesh


class Noting(Echo):
    """Notes its life in a diary that outlives it, and knows its mesh."""

    def __init__(self, name: str, diary: list[Any], mesh: Mesh) -> None:
        super().__init__(name)
        self.diary, self.mesh = diary, mesh

    async def on_stop(self) -> None:
        self.diary.append(f"-{self.name}")


async def gone(mesh: Mesh, name: str) -> None:
    """Wait until the agent is gone, for it stops by itself."""
    with anyio.fail_after(DEADLINE):
        await eventually(lambda: name not in mesh.agents)


# -- at once -----------------------------------------------------------------------------------------------------------


async def test_a_stop_at_once_cancels_what_runs(mesh: Mesh) -> None:
    held = mesh.add(Held("held"))
    with anyio.fail_after(DEADLINE):
        async with anyio.create_task_group() as group:
            group.start_soon(_expect_stop, held)
            await eventually(lambda: mesh.agent("held").begun)  # type: ignore[attr-defined]
            await held.tell("behind")
            await mesh.stop(held, at_once=True)

    statistics = mesh.statistics()
    assert (statistics.stopped_agents.cancelled, statistics.dead_letters) == (1, {"stopped": 1})


async def _expect_stop(ref: Any) -> None:
    with pytest.raises(AgentStoppedError):
        await ref.ask("hello")


async def test_a_stop_at_once_hurries_one_that_drains(mesh: Mesh) -> None:
    held = mesh.add(Held("held"))
    await held.tell("hello")
    await eventually(lambda: mesh.agent("held").begun)  # type: ignore[attr-defined]

    with anyio.fail_after(DEADLINE):
        async with anyio.create_task_group() as group:
            group.start_soon(mesh.stop, held)
            await eventually(lambda: mesh.statistics().agents["held"].state == "stopping")
            await mesh.stop(held, at_once=True)

    assert mesh.statistics().stopped_agents.cancelled == 1


@pytest.mark.parametrize("hurried", [False, True])
@pytest.mark.parametrize("names", [("parent", "child0", "child1", "child2"), ("child0", "child1", "child2")])
async def test_a_stop_at_once_is_one_for_the_children_too(names: tuple[str, ...], hurried: bool, mesh: Mesh) -> None:  # noqa: FBT001
    class Parent(Held):
        async def on_start(self, context: Context) -> None:
            for number in range(3):
                context.spawn(Held(f"child{number}"))

    parent = mesh.add(Parent("parent"))
    await eventually(lambda: set(mesh.agents) >= set(names))
    for name in names:
        await mesh.tell(name, "hello")
    await eventually(lambda: all(mesh.agent(name).begun for name in names))  # type: ignore[attr-defined]

    with anyio.fail_after(DEADLINE):
        async with anyio.create_task_group() as group:
            if hurried:
                group.start_soon(mesh.stop, parent)
                await eventually(
                    lambda: mesh.statistics().agents[names[-1 if len(names) == 3 else 0]].state == "stopping"
                )
            await mesh.stop(parent, at_once=True)

    assert mesh.statistics().stopped_agents.cancelled == len(names)


async def test_a_stop_at_once_hurries_a_restart_that_waits_for_a_handler(anyio_backend: str) -> None:
    class Pair(Held):
        concurrency = 2
        on_failure = "restart"

        @on
        async def fail(self, error: BaseException) -> None:
            raise error

    async with tidy_mesh(stop_grace=3 * DEADLINE) as mesh:
        held = Pair("held")
        ref = mesh.add(held)
        await ref.tell("hello")
        await eventually(lambda: held.begun)
        await ref.tell(ValueError("boom"))
        await eventually(lambda: mesh.statistics().agents["held"].state == "restarting")

        with anyio.fail_after(DEADLINE):
            await mesh.stop(ref, at_once=True)

    assert mesh.statistics().stopped_agents.cancelled == 1


async def test_a_stop_at_once_leaves_on_stop_its_time(mesh: Mesh) -> None:
    class Closing(Noting):
        async def on_stop(self) -> None:
            await anyio.sleep(0.01)
            await super().on_stop()

    diary: list[Any] = []
    closing = mesh.add(Closing("closing", diary, mesh))

    await mesh.stop(closing, at_once=True)

    assert diary == ["-closing"]


async def test_a_stop_at_once_leaves_threads_behind() -> None:
    async with tidy_mesh(drain_timeout=3 * DEADLINE, stop_grace=0.3) as mesh:
        held = HeldInAThread("held")
        await mesh.add(held).tell("hello")
        await eventually(lambda: held.begun)

        with anyio.fail_after(DEADLINE):
            await mesh.stop("held", at_once=True)
        held.gate.set()

        assert mesh.statistics().threads.abandoned == 1
        await eventually(lambda: held.ended)


def test_a_blocking_mesh_stops_an_agent_at_once() -> None:
    with BlockingMesh("test", settings=quick(drain_timeout=3 * DEADLINE)) as mesh:
        held = Held("held")
        ref = mesh.add(held)
        ref.tell("hello")
        while not held.begun:
            pass

        mesh.stop(ref, at_once=True)

        assert mesh.statistics().stopped_agents.cancelled == 1
        with pytest.raises(UnknownAgentError):
            ref.tell("hello")


async def test_a_stop_overtakes_what_is_in_the_mailbox(mesh: Mesh) -> None:
    held = mesh.add(Held("held"))
    for number in range(500):
        held.tell_nowait(number)
    await eventually(lambda: mesh.agent("held").begun)  # type: ignore[attr-defined]

    with anyio.fail_after(DEADLINE):
        await mesh.stop(held, at_once=True)

    assert mesh.statistics().dead_letters == {"stopped": 499}


# -- by itself ---------------------------------------------------------------------------------------------------------


class InStart(Noting):
    async def on_start(self) -> None:
        await self.mesh.stop(self.name)
        self.diary.append("went on")


class InStop(Noting):
    async def on_stop(self) -> None:
        await self.mesh.stop(self.name)
        await super().on_stop()


class InHandler(Noting):
    async def on_message(self, message: Any) -> None:
        await self.mesh.stop(self.name)
        self.diary.append("went on")


class InBackground(Noting):
    async def on_start(self, context: Context) -> None:
        context.start_soon(self.mesh.stop, self.name)


async def test_an_agent_may_stop_itself_in_on_start(mesh: Mesh) -> None:
    diary: list[Any] = []
    mesh.add(InStart("self", diary, mesh))
    await gone(mesh, "self")

    assert diary in (["-self"], ["went on", "-self"])


async def test_an_agent_may_stop_itself_in_on_stop(mesh: Mesh) -> None:
    diary: list[Any] = []
    mesh.add(InStop("self", diary, mesh))
    with anyio.fail_after(DEADLINE):
        await mesh.stop("self")

    assert diary == ["-self"]


async def test_an_agent_may_stop_itself_in_a_handler(mesh: Mesh) -> None:
    diary: list[Any] = []
    await mesh.add(InHandler("self", diary, mesh)).tell("hello")
    await gone(mesh, "self")

    assert diary == ["went on", "-self"]


async def test_an_agent_may_stop_itself_in_the_background(mesh: Mesh) -> None:
    diary: list[Any] = []
    mesh.add(InBackground("self", diary, mesh))
    await gone(mesh, "self")

    assert diary == ["-self"]


async def test_a_thread_may_stop_its_own_agent(mesh: Mesh) -> None:
    class InThread(Noting):
        def on_message(self, message: Any, context: BlockingContext) -> None:  # type: ignore[override]
            self.mesh.blocking.stop(self.name)
            self.diary.append("went on")

    diary: list[Any] = []
    await mesh.add(InThread("self", diary, mesh)).tell("hello")
    await gone(mesh, "self")

    assert diary == ["went on", "-self"]


# -- by relatives ------------------------------------------------------------------------------------------------------


class Stopping(Noting):
    """Stops the agent it is told, from a handler."""

    @on
    async def stop_it(self, name: str) -> str:
        await self.mesh.stop(name)
        self.diary.append("went on")
        return "done"


class Grandparent(Noting):
    def __init__(self, name: str, diary: list[Any], mesh: Mesh, levels: int = 2) -> None:
        super().__init__(name, diary, mesh)
        self.levels = levels

    async def on_start(self, context: Context) -> None:
        below = self.levels - 1
        child = Grandparent(f"level{below}", self.diary, self.mesh, below) if below else None
        context.spawn(child if child is not None else Stopping("level0", self.diary, self.mesh))


@pytest.mark.parametrize("name", ["level0", "level1", "level2"])
async def test_a_child_may_stop_those_above_it(name: str, mesh: Mesh) -> None:
    diary: list[Any] = []
    mesh.add(Grandparent("level2", diary, mesh))
    await eventually(lambda: len(mesh.agents) == 3)

    await mesh.tell("level0", name)
    await gone(mesh, name)

    assert diary == ["went on", *[f"-level{level}" for level in range(int(name[-1]) + 1)]]


async def test_a_child_may_stop_its_parent_in_on_stop(mesh: Mesh) -> None:
    class Vengeful(Noting):
        async def on_stop(self) -> None:
            await self.mesh.stop("parent")
            await super().on_stop()

    class Parent(Noting):
        async def on_start(self, context: Context) -> None:
            context.spawn(Vengeful("child", self.diary, self.mesh))

    diary: list[Any] = []
    mesh.add(Parent("parent", diary, mesh))
    await eventually(lambda: "child" in mesh.agents)
    with anyio.fail_after(DEADLINE):
        await mesh.stop("child")
    await gone(mesh, "parent")

    assert diary == ["-child", "-parent"]


async def test_who_is_asked_may_stop_who_asks(mesh: Mesh) -> None:
    class Asking(Noting):
        async def on_message(self, message: Any, context: Context) -> None:  # type: ignore[override]
            self.diary.append(await context.ask("stopping", self.name))

    diary: list[Any] = []
    mesh.add(Stopping("stopping", diary, mesh))
    await mesh.add(Asking("asking", diary, mesh)).tell("hello")
    await gone(mesh, "asking")

    assert diary == ["went on", "done", "-asking"]


async def test_who_is_asked_may_stop_a_parent_of_who_asks(mesh: Mesh) -> None:
    class Asking(Noting):
        async def on_message(self, message: Any, context: Context) -> None:  # type: ignore[override]
            self.diary.append(await context.ask("stopping", "parent"))

    class Parent(Noting):
        async def on_start(self, context: Context) -> None:
            context.spawn(Asking("asking", self.diary, self.mesh)).tell_nowait("hello")

    diary: list[Any] = []
    mesh.add(Stopping("stopping", diary, mesh))
    mesh.add(Parent("parent", diary, mesh))
    await gone(mesh, "parent")

    assert diary == ["went on", "done", "-asking", "-parent"]


async def test_a_handler_waits_for_the_end_of_a_stranger(mesh: Mesh) -> None:
    class Slow(Noting):
        async def on_stop(self) -> None:
            await anyio.sleep(0.02)
            await super().on_stop()

    diary: list[Any] = []
    mesh.add(Slow("slow", diary, mesh))

    assert await mesh.add(Stopping("stopping", diary, mesh)).ask("slow") == "done"

    assert diary == ["-slow", "went on"]


# -- hooks that raise --------------------------------------------------------------------------------------------------


class Raising(Noting):
    """Raises in one of its hooks; its handler fails, so that it begins again."""

    on_failure = "restart"

    def __init__(self, name: str, diary: list[Any], mesh: Mesh, where: str, error: type[BaseException]) -> None:
        super().__init__(name, diary, mesh)
        self.where, self.error = where, error

    def _come_to(self, where: str) -> None:
        if where == self.where:
            self.diary.append("raising")
            raise self.error

    async def on_start(self) -> None:
        self._come_to("on_start")

    async def on_stop(self) -> None:
        self._come_to("on_stop")

    async def on_restart(self) -> None:
        self._come_to("on_restart")

    async def on_message(self, message: Any) -> None:
        raise ValueError(message)


@pytest.mark.parametrize("error", [ValueError, SystemExit, GeneratorExit, asyncio.CancelledError, RecursionError])
@pytest.mark.parametrize("where", ["on_start", "on_stop", "on_restart"])
async def test_a_hook_that_raises_hangs_nobody(where: str, error: type[BaseException], mesh: Mesh) -> None:
    diary: list[Any] = []
    raising = mesh.add(Raising("raising", diary, mesh, where, error))
    with anyio.fail_after(DEADLINE):
        if where != "on_start":
            await raising.tell("hello")
        await eventually(lambda: "raising" in diary)
        with contextlib.suppress(UnknownAgentError):  # it may have been given up by then
            await mesh.stop("raising")
        await gone(mesh, "raising")


async def test_a_stop_returns_only_after_on_stop_has_ended(mesh: Mesh) -> None:
    gate = anyio.Event()

    class Slow(Noting):
        async def on_stop(self) -> None:
            await gate.wait()
            await super().on_stop()

    diary: list[Any] = []
    mesh.add(Slow("slow", diary, mesh))
    seen: list[list[Any]] = []

    async def stop() -> None:
        await mesh.stop("slow")
        seen.append(list(diary))

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(stop)
        await anyio.wait_all_tasks_blocked()
        gate.set()

    assert seen == [["-slow"]] * 3


# -- one time for all hooks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("at_once", [False, True])
def test_many_hanging_hooks_do_not_add_up(at_once: bool, backend: str) -> None:  # noqa: FBT001
    class Hanging(Echo):
        async def on_message(self, message: Any) -> None:
            await anyio.sleep_forever()

        async def on_stop(self) -> None:
            await anyio.sleep_forever()

    class Quick(Echo):
        async def on_stop(self) -> None:
            await anyio.sleep(0.001)
            closed.append(self.name)

    closed: list[str] = []

    async def main() -> float:
        async with lawful_mesh(settings=Settings()) as mesh:
            for number in range(20):
                mesh.add(Quick(f"quick{number}"))
                mesh.add(Hanging(f"hanging{number}")).tell_nowait("hello")
            await anyio.sleep(1)
            began = anyio.current_time()
            await mesh.stop(at_once=at_once)
            return anyio.current_time() - began

    took = run_virtually(backend, main)

    assert took <= (6 if at_once else 16)
    assert len(closed) == 20
