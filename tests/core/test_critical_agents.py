"""Critical agents: when one fails for good the mesh stops at once, and whoever leaves it hears why."""

from collections.abc import Callable
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from ceylon import (
    Agent,
    AskTimeoutError,
    BlockingMesh,
    Context,
    HandlerError,
    Mesh,
    MeshClosedError,
    MeshFailedError,
    Message,
    on,
)
from ceylon.core.ports import Directive, OnFailure
from support.core_agents import Echo, Held
from support.law import check_end
from support.leftovers import DEADLINE, eventually, quick, tidy_mesh


class Explode(Message[None], tag="critical.explode"):
    """Fail."""


class Critical(Agent):
    """Fails when it is told to; the mesh is nothing without it."""

    critical = True

    def __init__(self, name: str, on_failure: OnFailure = "stop") -> None:
        super().__init__(name)
        self.on_failure = on_failure

    @on
    async def explode(self, explode: Explode) -> None:
        raise ValueError("boom")

    async def on_message(self, message: Any) -> Any:
        return message


class Unable(Critical):
    async def on_start(self) -> None:
        raise ValueError("boom")


class Parent(Agent):
    """Has a child, which is made by a function."""

    def __init__(self, name: str, make: Callable[[], Agent], on_failure: OnFailure = "resume") -> None:
        super().__init__(name)
        self.make, self.on_failure = make, on_failure

    async def on_start(self, context: Context) -> None:
        context.spawn(self.make())

    async def on_message(self, message: Any) -> Any:
        return message


SETTINGS = quick(restarts=1, backoff_first=0.0)


def _says_why(caught: "pytest.ExceptionInfo[MeshFailedError]", agent: str = "critical") -> bool:
    error = caught.value
    assert (error.mesh, error.agent, str(error.cause)) == ("test", agent, "boom")
    assert error.__cause__ is error.cause
    return f"its critical agent '{agent}' failed: ValueError: boom" in str(error)


# -- what counts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("directive", ["stop", "escalate", "restart"])
async def test_a_critical_agent_that_fails_for_good_takes_the_mesh_with_it(directive: Directive) -> None:
    with pytest.raises(MeshFailedError) as caught:
        async with tidy_mesh(restarts=0) as mesh:
            critical = mesh.add(Critical("critical", directive))
            await critical.tell(Explode())
            await mesh.wait()

    assert _says_why(caught)


async def test_so_does_one_that_cannot_start() -> None:
    with pytest.raises(MeshFailedError) as caught:
        async with tidy_mesh(restarts=1) as mesh:
            mesh.add(Unable("critical"))
            await mesh.wait()

    assert _says_why(caught)


@pytest.mark.parametrize("answer", ["resume", "stop", "escalate"])
async def test_so_does_one_whose_parent_has_no_better_answer(answer: Directive) -> None:
    with pytest.raises(MeshFailedError) as caught:
        async with tidy_mesh() as mesh:
            await mesh.add(Parent("parent", lambda: Critical("critical", "escalate"), answer)).ask("hello")
            await mesh.tell("critical", Explode())
            await mesh.wait()

    assert _says_why(caught)


async def test_a_critical_parent_that_its_child_brings_down_counts_as_well() -> None:
    class CriticalParent(Parent):
        critical = True

    class Child(Critical):
        critical = False

    with pytest.raises(MeshFailedError) as caught:
        async with tidy_mesh() as mesh:
            await mesh.add(CriticalParent("parent", lambda: Child("child", "escalate"), "stop")).ask("hello")
            await mesh.tell("child", Explode())
            await mesh.wait()

    assert _says_why(caught, "parent")


async def test_a_parent_that_begins_again_brings_its_critical_child_back() -> None:
    async with tidy_mesh(backoff_first=0.0) as mesh:
        await mesh.add(Parent("parent", lambda: Critical("critical", "escalate"), "restart")).ask("hello")
        await mesh.tell("critical", Explode())
        await eventually(lambda: mesh.statistics().agents["parent"].restarts)

        await eventually(lambda: "critical" in mesh.agents)
        assert await mesh.ask("critical", "hello") == "hello"


@pytest.mark.parametrize("directive", ["resume", "restart"])
async def test_what_a_critical_agent_survives_is_no_failure(directive: Directive) -> None:
    async with tidy_mesh(backoff_first=0.0) as mesh:
        critical = mesh.add(Critical("critical", directive))
        await critical.tell(Explode())

        assert await critical.ask("hello") == "hello"


async def test_nor_is_being_stopped() -> None:
    async with tidy_mesh() as mesh:
        mesh.add(Critical("critical"))
        await mesh.stop("critical")
        await mesh.add(Parent("parent", lambda: Critical("critical"))).ask("hello")
        await mesh.stop("parent")

        assert mesh.is_open


async def test_a_critical_agent_may_fail_while_the_mesh_drains() -> None:
    with pytest.raises(MeshFailedError) as caught:
        async with tidy_mesh() as mesh:
            critical = mesh.add(Critical("critical"))
            mesh.add(Held("held"))
            critical.tell_nowait("hello")
            critical.tell_nowait(Explode())

    assert _says_why(caught)


async def test_the_first_failure_is_the_one_that_is_told() -> None:
    with pytest.raises(MeshFailedError) as caught:
        async with tidy_mesh() as mesh:
            for name in ("critical", "other"):
                mesh.add(Critical(name))
            mesh.tell_nowait("critical", Explode())
            mesh.tell_nowait("other", Explode())
            await mesh.wait()

    assert _says_why(caught)


# -- who hears of it ---------------------------------------------------------------------------------------------------


async def _fail(mesh: Mesh) -> None:
    mesh.add(Critical("critical"))
    await mesh.tell("critical", Explode())
    await eventually(lambda: not mesh.is_open)


async def test_every_way_to_leave_says_so_as_often_as_it_is_gone(anyio_backend: str) -> None:
    mesh = await Mesh("test", settings=SETTINGS).start()
    await _fail(mesh)

    for leave in (mesh.stop, mesh.wait, mesh.stop):
        with pytest.raises(MeshFailedError) as caught:
            await leave()
        assert _says_why(caught)


async def test_a_stop_that_is_under_way_hears_of_it(anyio_backend: str) -> None:
    mesh = await Mesh("test", settings=SETTINGS).start()
    mesh.add(Critical("critical"))
    mesh.tell_nowait("critical", Explode())

    with pytest.raises(MeshFailedError) as caught:
        await mesh.stop()

    assert _says_why(caught)


async def test_whoever_still_waits_is_told_which_agent_it_was(anyio_backend: str) -> None:
    mesh = await Mesh("test", settings=SETTINGS).start()
    held = mesh.add(Held("held"))
    errors: list[str] = []

    async def ask(number: int) -> None:
        with pytest.raises(MeshClosedError) as caught:
            await held.ask(number)
        errors.append(str(caught.value))

    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(ask, number)
        await eventually(lambda: mesh.statistics().pending_asks == 3)
        await _fail(mesh)

    with pytest.raises(MeshFailedError):
        await mesh.stop()
    assert len(errors) == 3
    assert all("critical agent 'critical' failed: ValueError: boom" in error for error in errors)
    check_end(mesh.statistics())


async def test_a_block_left_because_the_mesh_closed_says_why_it_did(anyio_backend: str) -> None:
    with pytest.raises(MeshFailedError) as caught:
        async with tidy_mesh() as mesh:
            held = mesh.add(Held("held"))
            mesh.add(Critical("critical")).tell_nowait(Explode())
            await held.ask("hello")

    assert _says_why(caught)


async def test_so_does_one_left_by_a_group_of_such_errors(anyio_backend: str) -> None:
    with pytest.raises(MeshFailedError) as caught:
        async with tidy_mesh() as mesh, anyio.create_task_group() as group:
            held = mesh.add(Held("held"))
            group.start_soon(held.ask, "hello")
            await mesh.add(Critical("critical")).tell(Explode())

    assert _says_why(caught)


@pytest.mark.parametrize("error", [KeyError("mine"), ExceptionGroup("mine", [MeshClosedError("test"), KeyError()])])
async def test_any_other_error_of_the_block_wins(error: Exception, anyio_backend: str) -> None:
    with pytest.raises(type(error), match="mine"):
        async with tidy_mesh() as mesh:
            await _fail(mesh)
            raise error


async def test_another_loop_that_stops_the_mesh_hears_of_it(anyio_backend: str) -> None:
    mesh = await Mesh("test", settings=SETTINGS).start()
    mesh.add(Critical("critical")).tell_nowait(Explode())

    def stop() -> None:
        with pytest.raises(MeshFailedError):
            anyio.run(mesh.stop)
        with pytest.raises(MeshFailedError):
            mesh.blocking.wait()

    await anyio.to_thread.run_sync(stop)


# -- the blocking face -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("leave", ["with", "stop", "wait"])
def test_a_blocking_mesh_says_so_too(leave: str, backend: Any) -> None:
    mesh = BlockingMesh("test", backend=backend, settings=SETTINGS)

    def run() -> None:
        with mesh:
            mesh.add(Critical("critical")).tell(Explode())
            if leave == "wait":
                mesh.wait()
            elif leave == "stop":
                mesh.stop()

    with pytest.raises(MeshFailedError) as caught:
        run()

    assert _says_why(caught)
    with pytest.raises(MeshFailedError):
        mesh.stop()


def test_a_blocking_block_left_because_the_mesh_closed_says_why_it_did() -> None:
    with pytest.raises(MeshFailedError) as caught, BlockingMesh("test", settings=SETTINGS) as mesh:
        held = mesh.add(Held("held"))
        mesh.add(Critical("critical")).tell(Explode())
        held.ask("hello")

    assert _says_why(caught)


def test_any_other_error_of_a_blocking_block_wins() -> None:
    with pytest.raises(KeyError), BlockingMesh("test", settings=SETTINGS) as mesh:
        mesh.add(Critical("critical")).tell(Explode())
        raise KeyError


def test_a_handler_of_a_blocking_mesh_that_fails_is_not_enough() -> None:
    with BlockingMesh("test", settings=SETTINGS) as mesh:
        critical = mesh.add(Critical("critical", "resume"))

        with pytest.raises(HandlerError):
            critical.ask(Explode())


# -- starting ----------------------------------------------------------------------------------------------------------


class Started(Echo):
    """Notes when it starts and stops."""

    def __init__(self, name: str, diary: list[str]) -> None:
        super().__init__(name)
        self.diary = diary

    async def on_start(self) -> None:
        self.diary.append(f"+{self.name}")

    async def on_stop(self) -> None:
        self.diary.append(f"-{self.name}")


class Third(Started):
    critical = True

    async def on_start(self) -> None:
        self.diary.append("?")
        raise ValueError("boom")


async def test_when_the_third_of_five_cannot_start_the_others_stop_in_reverse_order(anyio_backend: str) -> None:
    diary: list[str] = []
    mesh = Mesh("test", settings=quick(restarts=0))
    for number in range(1, 6):
        mesh.add((Third if number == 3 else Started)(f"agent{number}", diary))

    with anyio.fail_after(DEADLINE), pytest.raises(MeshFailedError) as caught:
        async with mesh:
            await mesh.wait()

    assert _says_why(caught, "agent3")
    assert sorted(diary[:5]) == ["+agent1", "+agent2", "+agent4", "+agent5", "?"]
    assert diary[5:] == ["-agent5", "-agent4", "-agent2", "-agent1"]
    check_end(mesh.statistics())


async def test_a_mesh_may_be_stopped_while_its_agents_start(anyio_backend: str) -> None:
    diary: list[str] = []

    class Slow(Started):
        async def on_start(self) -> None:
            await super().on_start()
            await anyio.sleep_forever()

    with anyio.fail_after(DEADLINE):
        async with tidy_mesh(drain_timeout=0.05) as mesh:
            for number in range(5):
                mesh.add((Slow if number == 2 else Started)(f"agent{number}", diary))
            with pytest.raises((AskTimeoutError, MeshClosedError)):
                await mesh.ask("agent2", "hello", timeout=0.05)

    assert diary[5:] == [f"-agent{number}" for number in (4, 3, 2, 1, 0)]
