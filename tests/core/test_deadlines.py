"""How long an ask waits, who inherits what is left, and what becomes of a message whose time is over."""

from contextlib import suppress
from typing import Any

import anyio
import msgspec
import pytest

from ceylon import Agent, AskTimeoutError, BlockingContext, Context, HandlerError, Mesh, Message, on
from ceylon.settings import DEFAULTS
from support.core_agents import Ask, Echo, Held, HeldInAThread, Keeper, Relay, ThreadRelay, until
from support.law import lawful_mesh

# -- where a deadline comes from ---------------------------------------------------------------------------------------


async def deadline_of(ref: Any, relay: Relay, seconds: float) -> bool:
    """Say whether what *relay* is asked has so many *seconds* from the ask on, on the loop's own clock."""
    earliest = anyio.current_time() + seconds
    await ref.ask("tea")
    latest = anyio.current_time() + seconds
    deadline = relay.contexts[0].deadline
    assert relay.contexts[0].remaining is not None
    return deadline is not None and earliest <= deadline <= latest


async def test_an_ask_has_a_deadline_though_nobody_gave_one(mesh: Mesh) -> None:
    relay = Relay("relay")

    assert await deadline_of(mesh.add(relay), relay, DEFAULTS.ask_timeout)


async def test_the_class_of_the_receiver_may_set_the_default(mesh: Mesh) -> None:
    class Slow(Relay):
        ask_timeout: float | None = 90.0

    relay = Slow("relay")

    assert await deadline_of(mesh.add(relay), relay, 90.0)


async def test_the_settings_of_the_mesh_may_set_the_default(anyio_backend: str) -> None:
    async with lawful_mesh(settings=msgspec.structs.replace(DEFAULTS, ask_timeout=70.0)) as mesh:
        relay = Relay("relay")

        assert await deadline_of(mesh.add(relay), relay, 70.0)


async def test_what_is_left_of_the_askers_own_time_comes_before_the_class_of_the_receiver(mesh: Mesh) -> None:
    class Slow(Relay):
        ask_timeout: float | None = 90.0

    last = Slow("last")
    mesh.add(last)

    await mesh.add(Relay("first")).ask(Ask(("last",), "tea"), timeout=60)

    assert last.contexts[0].remaining is not None
    assert last.contexts[0].remaining <= 60


@pytest.mark.parametrize("kind", [Relay, ThreadRelay])
async def test_a_deadline_is_inherited_over_hops_and_never_grows(
    mesh: Mesh, kind: type[Relay] | type[ThreadRelay]
) -> None:
    relays = [kind(name) for name in ("a", "b", "c", "d")]
    for relay in relays:
        mesh.add(relay)

    await mesh.ask("a", Ask(("b", "c", "d"), "tea", timeout=240.0), timeout=60)

    deadlines = [relay.contexts[0].deadline for relay in relays]
    assert len(set(deadlines)) == 1
    assert deadlines[0] is not None


async def test_a_shorter_time_given_on_the_way_holds_from_there_on(mesh: Mesh) -> None:
    relays = [Relay(name) for name in ("a", "b", "c")]
    for relay in relays:
        mesh.add(relay)

    await mesh.ask("a", Ask(("b", "c"), "tea", timeout=60.0), timeout=240)

    first, second, third = (relay.contexts[0].deadline for relay in relays)
    assert first is not None
    assert second is not None
    assert second < first
    assert third == second


async def test_what_an_ask_tells_inherits_no_deadline(mesh: Mesh) -> None:
    class Clerk(Agent):
        async def on_message(self, message: Any, context: Context) -> None:
            await context.tell("relay", message)
            await context.publish("tea", message)

    class Listener(Relay):
        @on(topic="tea")
        async def hear(self, message: str, context: Context) -> None:
            self.contexts.append(context)

    relay, listener = Relay("relay"), Listener("listener")
    mesh.add(relay)
    mesh.add(listener)

    await mesh.add(Clerk("clerk")).ask("tea", timeout=60)
    await mesh.drain()

    assert [context.deadline for context in relay.contexts + listener.contexts] == [None, None]


async def test_a_handler_of_a_tell_asks_with_the_default_and_not_for_ever(mesh: Mesh) -> None:
    last = Relay("last")
    mesh.add(last)

    await mesh.add(Relay("first")).tell(Ask(("last",), "tea"))
    await mesh.drain()

    assert last.contexts[0].remaining is not None


async def test_a_stream_has_no_deadline_of_its_own(mesh: Mesh) -> None:
    relay = Relay("relay")
    await mesh.add(relay).stream("tea").result()

    assert relay.contexts[0].deadline is None


async def test_a_stream_takes_over_the_deadline_of_the_ask_it_is_part_of(mesh: Mesh) -> None:
    class Clerk(Agent):
        async def on_message(self, message: Any, context: Context) -> list[Any]:
            return list(await context.stream("relay", message).result())

    relay = Relay("relay")
    mesh.add(relay)

    await mesh.add(Clerk("clerk")).ask("tea", timeout=60)

    assert relay.contexts[0].remaining is not None


# -- when it passes ----------------------------------------------------------------------------------------------------


async def test_an_ask_that_gets_no_reply_in_time_says_who_did_not_answer(mesh: Mesh) -> None:
    ref = mesh.add(Held("held"))

    with pytest.raises(AskTimeoutError, match=r"'held' did not reply within 0\.05 s") as caught:
        await ref.ask("tea", timeout=0.05)

    assert isinstance(caught.value, TimeoutError)
    assert (caught.value.address, caught.value.timeout) == ("held", 0.05)


async def test_an_async_handler_is_cancelled_at_the_deadline_and_counted_so(mesh: Mesh) -> None:
    held = Held("held")
    ref = mesh.add(held)

    while not held.begun:  # a busy machine may take longer to begin
        with pytest.raises(AskTimeoutError):
            await ref.ask("tea", timeout=0.2)
    await until(lambda: held.cancelled == ["tea"])
    await mesh.drain()

    statistics = mesh.statistics().agents["held"]
    assert (statistics.cancelled, statistics.failed, statistics.completed) == (1, 0, 0)


async def test_the_next_message_is_handled_after_one_was_cancelled(mesh: Mesh) -> None:
    held = Held("held")
    ref = mesh.add(held)

    while not held.begun:  # a busy machine may take longer to begin
        with pytest.raises(AskTimeoutError):
            await ref.ask("tea", timeout=0.2)
    held.gate.set()

    assert await ref.ask("coffee", timeout=60) == "coffee"
    assert held.ended == ["coffee"]


async def test_what_expires_in_the_mailbox_is_never_handled(mesh: Mesh) -> None:
    held = Held("held")
    ref = mesh.add(held)
    await ref.tell("first")

    with pytest.raises(AskTimeoutError):
        await ref.ask("late", timeout=0.2)
    held.gate.set()
    await mesh.drain()

    assert held.begun == ["first"]
    assert mesh.statistics().agents["held"].expired == 1


async def test_what_expires_before_a_busy_thread_is_never_handled(mesh: Mesh) -> None:
    held = HeldInAThread("held")
    ref = mesh.add(held)
    await ref.tell("first")
    await until(lambda: held.begun)

    with pytest.raises(AskTimeoutError):
        await ref.ask("late", timeout=0.2)
    held.gate.set()
    await mesh.drain()

    assert held.begun == ["first"]
    assert mesh.statistics().agents["held"].expired == 1


async def test_messages_behind_an_expired_one_are_handled_in_order(mesh: Mesh) -> None:
    held = Held("held")
    ref = mesh.add(held)
    await ref.tell(1)
    async with anyio.create_task_group() as tasks:

        async def ask() -> None:
            with pytest.raises(AskTimeoutError):
                await ref.ask(2, timeout=0.2)

        tasks.start_soon(ask)
        await until(lambda: mesh.statistics().agents["held"].pending == 2)
        await ref.tell(3)
        await ref.tell(4)
    held.gate.set()
    await mesh.drain()

    assert held.ended == [1, 3, 4]


@pytest.mark.parametrize("timeout", [0, 0.0])
async def test_no_time_at_all_is_over_at_once_and_hurts_nobody(mesh: Mesh, timeout: float) -> None:
    keeper = Keeper("keeper")
    ref = mesh.add(keeper)

    with anyio.fail_after(20), pytest.raises(AskTimeoutError):
        await ref.ask("tea", timeout=timeout)
    await mesh.drain()

    assert keeper.kept == []
    assert mesh.statistics().agents["keeper"].expired == 1


async def test_a_shielded_handler_runs_to_its_end(mesh: Mesh) -> None:
    class Careful(Held):
        @on(shielded=True)
        async def effect(self, message: str) -> Any:
            return await self.on_message(message)

    careful = Careful("careful")
    ref = mesh.add(careful)

    while not careful.begun:  # a busy machine may take longer to begin
        with pytest.raises(AskTimeoutError):
            await ref.ask("tea", timeout=0.2)
    assert careful.cancelled == []
    careful.gate.set()
    await mesh.drain()

    statistics = mesh.statistics()
    assert careful.ended == ["tea"]
    assert (statistics.agents["careful"].completed, statistics.agents["careful"].cancelled) == (1, 0)
    assert statistics.late_replies == 1


async def test_a_plain_handler_runs_to_its_end_in_its_thread(mesh: Mesh) -> None:
    held = HeldInAThread("held")
    ref = mesh.add(held)

    while not held.begun:  # a busy machine may take longer to begin
        with pytest.raises(AskTimeoutError):
            await ref.ask("tea", timeout=0.2)
    held.gate.set()
    await mesh.drain()

    assert held.ended == ["tea"]
    assert mesh.statistics().agents["held"].completed == 1


async def test_a_late_reply_is_dropped_and_counted(mesh: Mesh) -> None:
    held = HeldInAThread("held")
    ref = mesh.add(held)

    while not held.begun:  # a busy machine may take longer to begin
        with pytest.raises(AskTimeoutError):
            await ref.ask("tea", timeout=0.2)
    held.gate.set()
    await mesh.drain()

    assert mesh.statistics().late_replies == 1


async def test_a_timeout_further_in_passes_through_unwrapped(mesh: Mesh) -> None:
    mesh.add(Held("held"))
    mesh.add(Relay("second"))

    with pytest.raises(AskTimeoutError) as caught:
        await mesh.add(Relay("first")).ask(Ask(("second", "held"), "tea", timeout=0.2))

    assert caught.value.address in {"second", "held"}


async def test_every_handler_of_a_chain_is_cancelled_when_the_outermost_asker_gives_up(mesh: Mesh) -> None:
    held = Held("held")
    mesh.add(held)
    mesh.add(Relay("second"))

    first = mesh.add(Relay("first"))
    while not held.begun:  # a busy machine may take longer to come so far
        with pytest.raises(AskTimeoutError):
            await first.ask(Ask(("second", "held"), "tea"), timeout=0.2)
    await mesh.drain()

    agents = mesh.statistics().agents
    assert held.cancelled == ["tea"]
    assert agents["held"].cancelled == 1
    assert agents["first"].completed == agents["second"].completed == 0


async def test_a_handler_may_take_another_way_when_an_ask_of_its_own_times_out(mesh: Mesh) -> None:
    class Patient(Agent):
        async def on_message(self, message: Any, context: Context) -> Any:
            try:
                return await context.ask("held", message, timeout=0.2)
            except AskTimeoutError:
                return await context.ask("echo", "instead")

    mesh.add(Held("held"))
    mesh.add(Echo("echo"))

    assert await mesh.add(Patient("patient")).ask("tea") == "instead"


async def test_a_blocking_ask_times_out_too(mesh: Mesh) -> None:
    class Patient(Agent):
        def on_message(self, message: Any, context: BlockingContext) -> Any:
            try:
                return context.ask("held", message, timeout=0.2)
            except AskTimeoutError:
                return "gave up"

    mesh.add(Held("held"))

    assert await mesh.add(Patient("patient")).ask("tea") == "gave up"


async def test_a_given_timeout_ends_a_stream_that_still_flows(mesh: Mesh) -> None:
    class Endless(Agent):
        async def on_message(self, message: Any) -> Any:
            async def parts() -> Any:
                while True:
                    yield message
                    await anyio.sleep(0.005)

            return parts()

    ref = mesh.add(Endless("endless"))
    taken: list[Any] = []

    while not taken:  # a busy machine may take longer to begin
        with pytest.raises(AskTimeoutError):
            async for part in ref.stream("tea", timeout=0.2):
                taken.append(part)  # noqa: PERF401 – the parts before the error are the point

    await mesh.drain()
    statistics = mesh.statistics().agents["endless"]
    assert statistics.cancelled >= 1
    assert statistics.completed == statistics.failed == 0


class Nap(Message[str]):
    """Ignore the cancellation for a moment."""


async def test_a_handler_that_answers_its_cancellation_with_a_value_is_late(mesh: Mesh) -> None:
    class Stubborn(Agent):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.has_begun = False

        @on
        async def nap(self, nap: Nap) -> str:
            self.has_begun = True
            with suppress(BaseException):  # the point of the test
                await anyio.sleep_forever()
            return "never mind"

    stubborn = Stubborn("stubborn")
    ref = mesh.add(stubborn)

    while not stubborn.has_begun:  # a busy machine may take longer to begin
        with pytest.raises(AskTimeoutError):
            await ref.ask(Nap(), timeout=0.2)
    await mesh.drain()

    statistics = mesh.statistics()
    assert statistics.agents["stubborn"].completed + statistics.agents["stubborn"].cancelled == 1


async def test_a_handlers_error_after_the_deadline_is_counted_and_does_not_reach_anybody(mesh: Mesh) -> None:
    class Clumsy(HeldInAThread):
        def on_message(self, message: Any) -> Any:
            super().on_message(message)
            raise ValueError(message)

    clumsy = Clumsy("clumsy")
    ref = mesh.add(clumsy)

    while not clumsy.begun:  # a busy machine may take longer to begin
        with pytest.raises(AskTimeoutError):
            await ref.ask("tea", timeout=0.2)
    clumsy.gate.set()
    await mesh.drain()

    assert mesh.statistics().agents["clumsy"].failed == 1
    assert mesh.statistics().late_replies == 1


async def test_a_reply_in_time_leaves_no_timer_behind(mesh: Mesh) -> None:
    ref = mesh.add(Echo("echo"))
    before = mesh.statistics().timers

    await ref.ask("tea")

    assert mesh.statistics().timers == before


async def test_a_failure_in_time_is_a_handler_error_and_no_timeout(mesh: Mesh) -> None:
    class Clumsy(Agent):
        async def on_message(self, message: Any) -> None:
            raise TimeoutError("of its own")

    with pytest.raises(HandlerError) as caught:
        await mesh.add(Clumsy("clumsy")).ask("tea")

    assert isinstance(caught.value.root, TimeoutError)
