"""An asker that leaves: what waits is taken back, what runs is cancelled, and both are counted."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from ceylon import Agent, Context, Mesh, Ref, action, on
from ceylon.core.ports import OnFailure
from support.core_agents import Ask, Echo, Held, HeldInAThread, Relay, until


async def cancelled_once(begun: Callable[[], object], verb: Callable[[], Awaitable[Any]]) -> None:
    """Await ``verb()`` until *begun* holds, then cancel that."""

    async def use() -> None:
        await verb()
        pytest.fail("the verb ended although it was cancelled")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(use)
        await until(begun)
        tasks.cancel_scope.cancel()


async def test_a_queued_message_is_taken_back_and_counted(mesh: Mesh) -> None:
    held = Held("held")
    ref = mesh.add(held)
    await ref.tell("first")

    await cancelled_once(lambda: mesh.statistics().agents["held"].pending == 2, lambda: ref.ask("second"))

    statistics = mesh.statistics().agents["held"]
    assert (statistics.cancelled, statistics.pending) == (1, 1)
    held.gate.set()
    await mesh.drain()
    assert held.begun == ["first"]


async def test_a_running_handler_is_cancelled_and_counted(mesh: Mesh) -> None:
    held = Held("held")
    ref = mesh.add(held)

    await cancelled_once(lambda: held.begun, lambda: ref.ask("tea"))
    await mesh.drain()

    assert held.cancelled == ["tea"]
    assert mesh.statistics().agents["held"].cancelled == 1
    assert mesh.statistics().pending_asks == 0


async def test_the_next_message_is_handled(mesh: Mesh) -> None:
    held = Held("held")
    ref = mesh.add(held)

    await cancelled_once(lambda: held.begun, lambda: ref.ask("tea"))
    held.gate.set()

    assert await ref.ask("coffee") == "coffee"


async def test_an_asker_that_times_out_by_its_own_scope_cancels_the_handler(mesh: Mesh) -> None:
    held = Held("held")
    ref = mesh.add(held)

    while not held.begun:  # a busy machine may take longer to begin
        with anyio.move_on_after(0.2) as scope:
            await ref.ask("tea")
        assert scope.cancelled_caught
    await mesh.drain()

    assert held.cancelled == ["tea"]


async def test_a_handler_in_a_thread_runs_to_its_end(mesh: Mesh) -> None:
    held = HeldInAThread("held")
    ref = mesh.add(held)

    await cancelled_once(lambda: held.begun, lambda: ref.ask("tea"))
    held.gate.set()
    await mesh.drain()

    assert held.ended == ["tea"]
    assert mesh.statistics().agents["held"].completed == 1


async def test_a_shielded_handler_runs_to_its_end(mesh: Mesh) -> None:
    class Careful(Held):
        @on(shielded=True)
        async def effect(self, message: str) -> Any:
            return await self.on_message(message)

    careful = Careful("careful")
    ref = mesh.add(careful)

    await cancelled_once(lambda: careful.begun, lambda: ref.ask("tea"))
    careful.gate.set()
    await mesh.drain()

    assert (careful.ended, careful.cancelled) == (["tea"], [])
    assert mesh.statistics().agents["careful"].completed == 1


async def test_only_the_handler_of_the_asker_that_left_is_cancelled(mesh: Mesh) -> None:
    class Two(Held):
        concurrency = 2

    held = Two("held")
    ref = mesh.add(held)
    await ref.tell("other")
    await until(lambda: held.begun == ["other"])

    await cancelled_once(lambda: len(held.begun) == 2, lambda: ref.ask("tea"))
    await until(lambda: held.cancelled == ["tea"])
    held.gate.set()
    await mesh.drain()

    assert held.ended == ["other"]


async def test_a_tell_is_nobodys_and_runs_on_when_its_sender_is_cancelled(mesh: Mesh) -> None:
    held = Held("held")
    ref = mesh.add(held)

    async def send() -> None:
        await ref.tell("tea")
        await anyio.sleep_forever()

    await cancelled_once(lambda: held.begun, send)
    held.gate.set()
    await mesh.drain()

    assert held.ended == ["tea"]


async def test_a_cancelled_asker_takes_the_whole_chain_with_it(mesh: Mesh) -> None:
    held = Held("held")
    mesh.add(held)
    mesh.add(Relay("second"))
    first = mesh.add(Relay("first"))

    await cancelled_once(lambda: held.begun, lambda: first.ask(Ask(("second", "held"), "tea")))
    await mesh.drain()

    assert held.cancelled == ["tea"]
    assert [mesh.statistics().agents[name].cancelled for name in ("first", "second", "held")] == [1, 1, 1]


async def test_a_cancelled_handler_may_clean_up_with_messages_of_its_own(mesh: Mesh) -> None:
    class Tidy(Held):
        async def on_message(self, message: Any, context: Context | None = None) -> Any:
            try:
                return await super().on_message(message)
            finally:
                assert context is not None
                with anyio.CancelScope(shield=True):
                    assert await context.ref("echo").ask("clean", timeout=60) == "clean"
                self.ended.append("clean")

    tidy = Tidy("tidy")
    ref = mesh.add(tidy)
    mesh.add(Echo("echo"))

    await cancelled_once(lambda: tidy.begun, lambda: ref.ask("tea"))
    await mesh.drain()

    assert tidy.ended == ["clean"]
    assert mesh.statistics().agents["tidy"].cancelled == 1


async def test_a_cancellation_leaves_the_state_and_the_supervisor_alone(mesh: Mesh) -> None:
    class Stopping(Held):
        on_failure: OnFailure = "stop"

    held = Stopping("held")
    ref = mesh.add(held)

    await cancelled_once(lambda: held.begun, lambda: ref.ask("tea"))
    held.gate.set()

    assert await ref.ask("coffee") == "coffee"
    assert mesh.statistics().agents["held"].failed == 0


async def test_a_generator_that_is_cancelled_comes_to_its_finally(mesh: Mesh) -> None:
    class Teller(Agent):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.at = ""

        async def on_message(self, message: Any) -> Any:
            async def parts() -> Any:
                try:
                    self.at = "first"
                    yield 1
                    await anyio.sleep_forever()
                finally:
                    self.at = "finally"

            return parts()

    teller = Teller("teller")
    ref = mesh.add(teller)

    await cancelled_once(lambda: teller.at == "first", lambda: ref.ask("tea"))
    await until(lambda: teller.at == "finally")


async def test_an_asker_on_another_loop_that_leaves_cancels_the_handler(mesh: Mesh) -> None:
    held = Held("held")
    ref = mesh.add(held)

    async def ask() -> None:
        while not held.begun:  # as above
            with anyio.move_on_after(0.2):
                await ref.ask("tea")

    await anyio.to_thread.run_sync(lambda: anyio.run(ask))
    await mesh.drain()

    assert held.cancelled == ["tea"]


async def test_a_hundred_askers_that_leave_at_once_leave_nothing_behind(mesh: Mesh) -> None:
    held = Held("held")
    ref = mesh.add(held)

    async with anyio.create_task_group() as tasks:
        for number in range(100):
            tasks.start_soon(ref.ask, number)
        await until(lambda: mesh.statistics().agents["held"].pending == 100)
        tasks.cancel_scope.cancel()
    await mesh.drain()

    statistics = mesh.statistics()
    assert statistics.agents["held"].cancelled == 100
    assert (statistics.pending_asks, statistics.timers) == (0, 0)


def verbs_of(ref: Ref) -> list[Callable[[], Awaitable[Any]]]:
    return [lambda: ref.ask("tea"), lambda: ref.call("wait"), lambda: ref.stream("tea").result()]


@pytest.mark.parametrize("verb", [0, 1, 2], ids=["ask", "call", "stream"])
async def test_every_verb_that_waits_for_a_handler_cancels_it(mesh: Mesh, verb: int) -> None:
    class Clerk(Held):
        @action
        async def wait(self) -> Any:
            return await self.on_message("wait")

    clerk = Clerk("clerk")
    ref = mesh.add(clerk)

    await cancelled_once(lambda: clerk.begun, verbs_of(ref)[verb])
    await until(lambda: clerk.cancelled)
    await mesh.drain()

    assert mesh.statistics().agents["clerk"].cancelled == 1
