"""The worker pool: no cap that could deadlock, no task for an idle agent, no agent that starves another."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from ceylon import Agent, Context, Mesh, on
from ceylon.settings import DEFAULTS
from support.leftovers import DEADLINE, eventually, tasks_left, tidy_mesh


@pytest.fixture
async def mesh(anyio_backend: str) -> AsyncIterator[Mesh]:
    """A mesh that must end tidily."""
    async with tidy_mesh() as mesh:
        yield mesh


class Link(Agent):
    """Asks the next one in the chain."""

    def __init__(self, name: str, following: str) -> None:
        super().__init__(name)
        self.following = following

    @on
    async def pass_on(self, number: int, context: Context) -> int:
        if not self.following:
            return number
        answer: int = await context.ask(self.following, number + 1)
        return answer


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_a_thousand_agents_that_wait_for_each_other_all_get_their_answers(concurrency: int) -> None:
    async with tidy_mesh(max_hops=2_000) as mesh:
        for number in range(1_000):
            link = Link(f"link-{number}", f"link-{number + 1}" if number < 999 else "")
            link.concurrency = concurrency
            mesh.add(link)

        assert await mesh.ask("link-0", 0, timeout=DEADLINE) == 999

        assert mesh.statistics().workers <= DEFAULTS.idle_workers + 1
        assert mesh.statistics().pending_asks == 0


class Waiting(Agent):
    """Waits inside until it may go, and notes how many it was at once."""

    def __init__(self, name: str, may_go: anyio.Event, concurrency: int = 1) -> None:
        super().__init__(name)
        self.may_go, self.concurrency = may_go, concurrency
        self.inside = self.most = 0

    async def on_message(self, message: Any) -> Any:
        self.inside += 1
        self.most = max(self.most, self.inside)
        await self.may_go.wait()
        await anyio.lowlevel.checkpoint()
        self.inside -= 1
        return message


async def test_handlers_that_wait_have_a_worker_each_and_the_pool_shrinks_again(mesh: Mesh) -> None:
    may_go = anyio.Event()
    count = DEFAULTS.idle_workers + 70
    for number in range(count):
        mesh.add(Waiting(f"agent-{number}", may_go)).tell_nowait("wait")
    await eventually(lambda: mesh.statistics().workers >= count)

    during = mesh.statistics()
    may_go.set()
    await mesh.drain()
    await eventually(lambda: mesh.statistics().workers <= DEFAULTS.idle_workers + 1)

    assert during.workers <= count + 2
    assert all(agent.pending == 1 for agent in during.agents.values())


async def test_idle_workers_are_kept_as_far_as_the_settings_say() -> None:
    async with tidy_mesh(idle_workers=3) as mesh:
        may_go = anyio.Event()
        for number in range(20):
            mesh.add(Waiting(f"agent-{number}", may_go)).tell_nowait("wait")
        await eventually(lambda: mesh.statistics().workers >= 20)

        may_go.set()
        await mesh.drain()

        await eventually(lambda: mesh.statistics().workers <= 4)


async def test_idle_agents_have_no_task(mesh: Mesh) -> None:
    may_go = anyio.Event()
    may_go.set()
    before = len(tasks_left())

    for number in range(1_000):
        await mesh.add(Waiting(f"agent-{number}", may_go)).ask(number)

    assert len(tasks_left()) <= before + 8


@pytest.mark.parametrize("concurrency", [1, 2, 5])
async def test_an_agent_handles_as_many_messages_at_once_as_it_says(concurrency: int, mesh: Mesh) -> None:
    may_go = anyio.Event()
    agent = Waiting("agent", may_go, concurrency)
    ref = mesh.add(agent)
    for number in range(20):
        ref.tell_nowait(number)

    await eventually(lambda: agent.inside == concurrency)
    await anyio.wait_all_tasks_blocked()
    inside = agent.inside
    may_go.set()
    await mesh.drain()

    assert inside == agent.most == concurrency
    assert mesh.statistics().agents["agent"].completed == 20


class Flooded(Agent):
    """Is told more than anybody can bear, and never waits."""

    def __init__(self, name: str, log: list[str]) -> None:
        super().__init__(name)
        self.log = log

    async def on_message(self, message: Any) -> None:
        self.log.append(self.name)


async def test_a_flooded_agent_starves_no_other() -> None:
    async with tidy_mesh(mailbox_capacity=20_000) as mesh:
        log: list[str] = []
        flood = mesh.add(Flooded("flood", log))
        quiet = mesh.add(Flooded("quiet", log))
        for number in range(10_000):
            flood.tell_nowait(number)
        quiet.tell_nowait("one word")

        await mesh.drain()

        assert len(log) == 10_001
        assert log.index("quiet") <= 200


async def test_a_flood_leaves_the_loop_to_others_now_and_then() -> None:
    async with tidy_mesh(mailbox_capacity=20_000) as mesh:
        flood = mesh.add(Flooded("flood", []))
        turns = 0

        async def take_turns() -> None:
            nonlocal turns
            while mesh.statistics().agents["flood"].pending:
                turns += 1
                await anyio.lowlevel.checkpoint()

        for number in range(10_000):
            flood.tell_nowait(number)
        await take_turns()

        assert turns >= 20


class Echo(Agent):
    """Keeps what it was told, with a wait in between."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.log: list[Any] = []

    async def on_message(self, message: Any) -> Any:
        if message % 7 == 0:
            await anyio.lowlevel.checkpoint()
        self.log.append(message)
        return message


async def test_messages_are_handled_in_the_order_they_were_sent(mesh: Mesh) -> None:
    echo = Echo("echo")
    ref = mesh.add(echo)

    for number in range(999):
        ref.tell_nowait(number)
    await ref.ask(999)

    assert echo.log == list(range(1_000))


class Incrementing(Agent):
    """Would lose counts if two of its handlers ran at once."""

    def __init__(self, name: str, concurrency: int) -> None:
        super().__init__(name)
        self.concurrency = concurrency
        self.count = 0

    async def on_message(self, message: Any) -> int:
        count = self.count
        await anyio.lowlevel.checkpoint()
        self.count = count + 1
        return self.count


@pytest.mark.parametrize(("concurrency", "count"), [(1, range(100, 101)), (2, range(100))])
async def test_one_message_at_a_time_and_the_check_would_notice_two(concurrency: int, count: range, mesh: Mesh) -> None:
    agent = Incrementing("agent", concurrency)
    ref = mesh.add(agent)

    for number in range(100):
        ref.tell_nowait(number)
    await mesh.drain()

    assert agent.count in count


class Pair(Agent):
    """Bounces a ball to its partner until the mesh says it has gone far enough."""

    def __init__(self, name: str, partner: str) -> None:
        super().__init__(name)
        self.partner = partner

    async def on_message(self, message: int, context: Context) -> None:
        await context.tell(self.partner, message + 1)


@pytest.mark.parametrize("partners", [("ping", "pong"), ("pong", "ping"), ("ping", "ping")])
async def test_a_message_that_goes_round_for_ever_ends_at_the_hop_limit(partners: tuple[str, str], mesh: Mesh) -> None:
    first, second = partners
    mesh.add(Pair(first, second))
    if second != first:
        mesh.add(Pair(second, first))

    await mesh.tell(first, 0)
    await mesh.drain()

    letters = mesh.dead_letters()
    assert [letter.envelope.message for letter in letters if letter.reason == "hops"] == [65]
    assert mesh.statistics().dead_letters == {"hops": 1, "handler_failed": 1}


async def test_asks_from_a_thousand_tasks_at_once_are_all_answered(mesh: Mesh) -> None:
    may_go = anyio.Event()
    may_go.set()
    ref = mesh.add(Waiting("agent", may_go, concurrency=10))
    answers: list[int] = []

    async def ask(number: int) -> None:
        answers.append(await ref.ask(number))

    async with anyio.create_task_group() as group:
        for number in range(1_000):
            group.start_soon(ask, number)

    assert sorted(answers) == list(range(1_000))
