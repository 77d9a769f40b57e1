"""Handlers that interrupt the program, reply twice or too late, leave things behind, or never stop sending.

Rows B6, B12, B13, B14 and B15; B1, B5, B7, B8, B9 and B11 are the crimes of `test_hostile_handlers.py`. Every row is
tried with a tell, an ask and a publication, and in each way a handler runs, but where there is no such thing:

    row                            verb or way       why there is no test
    B12 replies twice              tell, publish     nobody waits: any reply is counted as late, as the first is
    B12 replies after the timeout  tell, publish     likewise
    B12 replies after the timeout  inline            the deadline cannot pass while the loop is held
    B12 mutates a message          all but ask       whether the sender sees it does not depend on the verb
    B13 leaves tasks behind        thread, inline    a blocking context has no `start_soon`
    B14 leaves a scope open        thread            scopes belong to tasks of a loop; a thread has none
    B14 leaves a scope open        inline            as for async, which runs in the very same task
    B15 tells itself for ever      –                 all there
"""

import threading
import time
from typing import Any

import anyio
import pytest

from ceylon import Agent, BlockingContext, Context, HandlerError, HopLimitError, Mesh, Ref, on
from ceylon.errors import AskTimeoutError
from support.law import lawful_mesh
from support.leftovers import DEADLINE, eventually, quick
from support.rogues import KINDS, TOPIC, Deed, on_each_kind, on_each_verb, rogue_has, send, stage

MOST_HOPS = 8

# -- B6: interrupts the program ----------------------------------------------------------------------------------------


def _interrupt(agent: Agent, context: Any) -> None:
    raise KeyboardInterrupt


@on_each_kind
@on_each_verb
async def test_a_handler_that_raises_keyboard_interrupt_stops_the_mesh_in_order(kind: str, verb: str) -> None:
    stopped: list[str] = []
    outcomes: list[Any] = []

    class Orderly(Agent):
        async def on_stop(self) -> None:
            stopped.append(self.name)

    mesh = Mesh("test", settings=quick())
    with anyio.fail_after(DEADLINE), pytest.raises(KeyboardInterrupt):
        async with mesh:
            mesh.add(KINDS[kind]("rogue"))
            mesh.add(Orderly("orderly"))
            outcomes.append(await send(mesh, verb, Deed(_interrupt)))
            await mesh.wait()

    assert stopped == ["orderly"]
    statistics = mesh.statistics()
    assert statistics.is_balanced
    assert (statistics.stopped_agents.failed, statistics.pending_asks) == (1, 0)
    assert isinstance(outcomes[0].error, HandlerError) == (verb == "ask")


# -- B12: replies as it likes ------------------------------------------------------------------------------------------


def _reply_twice(agent: Agent, context: Any) -> str:
    context.reply("first")
    context.reply("second")
    return "third"


@on_each_kind
async def test_a_second_reply_goes_nowhere_and_is_counted(kind: str) -> None:
    async with stage(kind) as mesh:
        outcome = await send(mesh, "ask", Deed(_reply_twice))

        await rogue_has(mesh, completed=1)
        assert outcome.value == "first"
        assert mesh.statistics().late_replies == 1


@on_each_kind
async def test_a_handler_that_fails_after_its_reply_has_replied(kind: str) -> None:
    def reply_and_fail(agent: Agent, context: Any) -> None:
        context.reply("first")
        raise ValueError("and then this")

    async with stage(kind) as mesh:
        outcome = await send(mesh, "ask", Deed(reply_and_fail))

        await rogue_has(mesh, failed=1)
        assert (outcome.value, outcome.error) == ("first", None)
        assert mesh.statistics().late_replies == 0


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_a_reply_after_the_timeout_goes_nowhere_and_is_counted(kind: str) -> None:
    has_begun, gate, event = threading.Event(), threading.Event(), anyio.Event()

    class Late(Agent):
        @on(shielded=True)
        async def wait(self, seconds: float) -> str:
            has_begun.set()
            await event.wait()
            return "late"

        @on
        def wait_in_a_thread(self, seconds: str) -> str:
            has_begun.set()
            gate.wait(DEADLINE)
            return "late"

    async with stage(kind) as mesh:
        late = mesh.add(Late("late"))
        while not has_begun.is_set():  # a busy machine may take longer to begin
            with pytest.raises(AskTimeoutError):
                await late.ask("1" if kind == "thread" else 1.0, timeout=0.05)
        gate.set()
        event.set()

        await eventually(lambda: mesh.statistics().agents["late"].completed == 1)
        assert mesh.statistics().late_replies == 1


@on_each_kind
async def test_a_message_changed_by_its_handler_is_changed_for_its_sender_too(kind: str) -> None:
    """A mutable message travels by reference in memory; that it must not be changed is for the simulator to find."""

    class Scribbling(Deed):
        """A message that can be changed, as none should."""

        page: list[str]

    def scribble(agent: Agent, context: Any) -> None:
        context.envelope.message.page.append("scribbled")

    message = Scribbling(scribble, [])
    async with stage(kind) as mesh:
        await send(mesh, "ask", message)

        assert message.page == ["scribbled"]


# -- B13: leaves tasks behind ------------------------------------------------------------------------------------------


@on_each_verb
async def test_tasks_a_handler_leaves_behind_are_its_agents_and_end_with_it(verb: str) -> None:
    log: list[str] = []

    async def linger() -> None:
        log.append("began")
        try:
            await anyio.sleep_forever()
        finally:
            log.append("cancelled")

    async def leave_three(agent: Agent, context: Context) -> None:
        for _ in range(3):
            context.start_soon(linger)

    async with stage("async") as mesh:
        await send(mesh, verb, Deed(leave_three))

        await rogue_has(mesh, completed=1)
        await eventually(lambda: log == ["began"] * 3)

    assert log == ["began"] * 3 + ["cancelled"] * 3


async def until_the_loop_rests() -> None:
    """Fail if the loop spins: then it does so at every look, while garbage is collected but now and then."""
    for _ in range(20):
        began, used = time.monotonic(), time.thread_time()
        await anyio.sleep(0.05)
        if time.thread_time() - used < 0.5 * (time.monotonic() - began):
            return
    pytest.fail("the loop spins")


# -- B14: opens a scope in one message and leaves it in another --------------------------------------------------------


@on_each_verb
async def test_a_scope_carried_from_one_message_to_another_spoils_neither_the_agent_nor_the_loop(verb: str) -> None:
    scopes: list[anyio.CancelScope] = []

    async def enter(agent: Agent, context: Any) -> None:
        scopes.append(anyio.move_on_after(0.01))
        scopes[0].__enter__()

    async def leave(agent: Agent, context: Any) -> None:
        scopes[0].__exit__(None, None, None)

    async with stage("async") as mesh:
        await send(mesh, verb, Deed(enter))
        await send(mesh, verb, Deed(leave))

        await eventually(lambda: not mesh.statistics().agents["rogue"].pending)
        await until_the_loop_rests()


# -- B15: sends without end --------------------------------------------------------------------------------------------


def _next(agent: Agent, way: str) -> tuple[str, str]:
    """Return whom to tell next, and what."""
    if way == "itself":
        return agent.name, way
    return ("other" if agent.name == "rogue" else "rogue"), way


class AsyncLoop(Agent):
    """Sends on what it gets: to itself, to the other one, or to the topic that it hears itself."""

    def __init__(self, name: str, refused: list[Exception]) -> None:
        super().__init__(name)
        self.refused = refused

    @on
    async def go_on(self, way: str, context: Context) -> None:
        try:
            if way == "the topic":
                await context.publish(TOPIC, way)
            else:
                await context.tell(*_next(self, way))
        except HopLimitError as error:
            self.refused.append(error)

    @on(topic=TOPIC)
    async def hear(self, way: str, context: Context) -> None:
        await self.go_on(way, context)


class ThreadLoop(Agent):
    """The same in a worker thread."""

    def __init__(self, name: str, refused: list[Exception]) -> None:
        super().__init__(name)
        self.refused = refused

    @on
    def go_on(self, way: str, context: BlockingContext) -> None:
        try:
            if way == "the topic":
                context.publish(TOPIC, way)
            else:
                context.tell(*_next(self, way))
        except HopLimitError as error:
            self.refused.append(error)

    @on(topic=TOPIC)
    def hear(self, way: str, context: BlockingContext) -> None:
        self.go_on(way, context)


class InlineLoop(Agent):
    """The same in a plain function on the loop, which has only the verbs that do not wait."""

    inline = True

    def __init__(self, name: str, refused: list[Exception]) -> None:
        super().__init__(name)
        self.refused = refused

    @on
    def go_on(self, way: str, context: BlockingContext) -> None:
        try:
            recipient, message = _next(self, "itself" if way == "the topic" else way)
            Ref(context.interior, recipient).tell_nowait(message)
        except HopLimitError as error:
            self.refused.append(error)

    @on(topic=TOPIC)
    def hear(self, way: str, context: BlockingContext) -> None:
        self.go_on(way, context)


LOOPS = {"async": AsyncLoop, "thread": ThreadLoop, "inline": InlineLoop}


@pytest.mark.parametrize("way", ["itself", "the other", "the topic"])
@on_each_kind
@on_each_verb
async def test_agents_that_never_stop_sending_are_stopped_by_the_hop_limit(kind: str, verb: str, way: str) -> None:
    refused: list[Exception] = []
    async with lawful_mesh("test", settings=quick(), max_hops=MOST_HOPS) as mesh:
        mesh.add(LOOPS[kind]("rogue", refused))
        if way == "the other":
            mesh.add(LOOPS[kind]("other", refused))
        if verb == "ask":
            await mesh.ask("rogue", way, timeout=DEADLINE)
        elif verb == "tell":
            await mesh.tell("rogue", way)
        else:
            await mesh.publish(TOPIC, way)

        await mesh.drain()

        dead = mesh.statistics().dead_letters
        assert dead.keys() == {"hops"}
        assert dead["hops"] >= 1
        # A publication ends with a subscriber that refuses; it is counted and raises nothing.
        assert len(refused) == (0 if way == "the topic" and kind != "inline" else dead["hops"])
        await until_the_loop_rests()
