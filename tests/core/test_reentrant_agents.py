"""An agent marked `reentrant` takes the asks of its own chain while its handler waits for them, and no others."""

from typing import Any

import anyio
import pytest

from ceylon import Agent, AskTimeoutError, BlockingContext, Context, DeadlockError, Mesh, on
from support.core_agents import SECONDS, Ask, Relay, ThreadRelay, until


class Reentrant(Relay):
    """Lets its own chain back in, and says what it handled in which order."""

    reentrant = True

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.order: list[Any] = []
        self.inside = self.at_most = 0

    @on
    async def pass_on(self, ask: Ask, context: Context) -> Any:
        self.order.append(ask.way)
        self.inside += 1
        self.at_most = max(self.at_most, self.inside)
        try:
            return await super().pass_on(ask, context)
        finally:
            self.inside -= 1

    async def on_message(self, message: Any, context: Context) -> Any:
        self.order.append(message)
        return message


class ReentrantInAThread(ThreadRelay):
    """The same in worker threads."""

    reentrant = True

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.order: list[Any] = []

    def on_message(self, message: Any, context: BlockingContext) -> Any:
        self.order.append(message)
        return message


class Gate(Agent):
    """Asks back, once it is opened."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.opened = anyio.Event()

    async def on_message(self, message: Any, context: Context) -> Any:
        await self.opened.wait()
        return await context.ask("self", "from the chain")


@pytest.mark.parametrize("kind", [Reentrant, ReentrantInAThread])
@pytest.mark.parametrize("way", [("self",), ("other", "self"), ("other", "self", "other2", "self"), ("self",) * 5])
async def test_its_own_chain_comes_back_in(mesh: Mesh, kind: type[Agent], way: tuple[str, ...]) -> None:
    mesh.add(kind("self"))
    for name in ("other", "other2"):
        mesh.add(Relay(name))

    with anyio.fail_after(SECONDS):
        assert await mesh.ask("self", Ask(way, "tea"), timeout=SECONDS) == "tea"


@pytest.mark.parametrize("kind", [Reentrant, ReentrantInAThread])
async def test_other_messages_wait_until_the_whole_chain_is_done(mesh: Mesh, kind: type[Any]) -> None:
    agent = kind("self")
    ref = mesh.add(agent)
    gate = Gate("gate")
    mesh.add(gate)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ref.ask, Ask(("gate",), "tea"))
        await until(lambda: mesh.statistics().agents["gate"].pending)
        for number in range(3):
            await ref.tell(number)
        gate.opened.set()
    await mesh.drain()

    assert [each for each in agent.order if not isinstance(each, tuple)] == ["from the chain", 0, 1, 2]
    assert mesh.interior.router.cells["self"].slots == 1


async def test_the_chain_comes_in_although_the_mailbox_is_full(mesh: Mesh) -> None:
    class Small(Reentrant):
        mailbox_capacity = 1

    agent = Small("self")
    ref = mesh.add(agent)
    gate = Gate("gate")
    mesh.add(gate)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ref.ask, Ask(("gate",), "tea"))
        await until(lambda: mesh.statistics().agents["gate"].pending)
        await ref.tell("waits")
        gate.opened.set()
    await mesh.drain()

    assert agent.order[1:] == ["from the chain", "waits"]


async def test_two_asks_of_one_chain_keep_their_order(mesh: Mesh) -> None:
    class Twice(Agent):
        async def on_message(self, message: Any, context: Context) -> Any:
            answers: list[Any] = []

            async def ask(number: int) -> None:
                answers.append(await context.ask("self", number))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask, 1)
                await anyio.lowlevel.checkpoint()
                tasks.start_soon(ask, 2)
            return answers

    agent = Reentrant("self")
    mesh.add(agent)
    mesh.add(Twice("twice"))

    assert sorted(await mesh.ask("self", Ask(("twice",), "go"))) == [1, 2]
    assert sorted(agent.order[1:]) == [1, 2]


async def test_a_chain_that_gives_up_leaves_the_slots_as_they_were(mesh: Mesh) -> None:
    class Impatient(Agent):
        async def on_message(self, message: Any, context: Context) -> Any:
            with pytest.raises(AskTimeoutError):
                await context.ask("self", Ask(("never",), "x"), timeout=0.01)
            return "gave up"

    class Never(Agent):
        async def on_message(self, message: Any) -> None:
            await anyio.sleep_forever()

    mesh.add(Reentrant("self"))
    mesh.add(Impatient("impatient"))
    mesh.add(Never("never"))

    assert await mesh.ask("self", Ask(("impatient",), "tea")) == "gave up"
    assert mesh.interior.router.cells["self"].slots == 1
    assert await mesh.ask("self", "still there") == "still there"


async def test_a_chain_of_others_is_refused_as_ever(mesh: Mesh) -> None:
    gates = [anyio.Event(), anyio.Event()]

    class Crossing(Relay):
        def __init__(self, name: str, mine: int) -> None:
            super().__init__(name)
            self.mine = mine

        @on
        async def pass_on(self, ask: Ask, context: Context) -> Any:
            gates[self.mine].set()
            await gates[1 - self.mine].wait()
            return await super().pass_on(ask, context)

    class ReentrantCrossing(Crossing):
        reentrant = True

    mesh.add(ReentrantCrossing("a", 0))
    mesh.add(ReentrantCrossing("b", 1))
    outcomes: list[Any] = []

    async def ask(first: str, second: str) -> None:
        try:
            outcomes.append(await mesh.ask(first, Ask((second,), "tea"), timeout=SECONDS))
        except DeadlockError as error:
            outcomes.append(error.path)

    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, "a", "b")
            tasks.start_soon(ask, "b", "a")

    assert "tea" in outcomes
    assert [len(outcome) for outcome in outcomes if isinstance(outcome, tuple)] == [3]
