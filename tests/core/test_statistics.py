"""What a mesh says of itself."""

import sys
from collections.abc import Iterator
from typing import Any

import anyio
import msgspec
import pytest

from ceylon import Agent, AgentInUseError, CeylonError, DuplicateNameError, Mesh, MeshClosedError
from ceylon.core.ledger import AgentStatistics, MeshStatistics, ThreadStatistics
from ceylon.errors import DefinitionError, InvalidNameError
from ceylon.settings import DEFAULTS, Settings
from support.core_agents import Echo, Failing, Held, HeldInAThread, Keeper, until
from support.law import check_law, lawful_mesh

# -- snapshots ---------------------------------------------------------------------------------------------------------


async def test_statistics_are_snapshots_that_do_not_change(mesh: Mesh) -> None:
    ref = mesh.add(Echo("echo"))
    before = mesh.statistics()

    await ref.ask("tea")

    assert before.agents["echo"].accepted == 0
    assert mesh.statistics().agents["echo"].accepted == 1
    with pytest.raises(AttributeError):
        before.refused = 5  # type: ignore[misc]
    with pytest.raises(AttributeError):
        before.agents["echo"].accepted = 5  # type: ignore[misc]


async def test_statistics_are_plain_data(mesh: Mesh) -> None:
    mesh.add(Echo("echo"))
    statistics = mesh.statistics()

    assert isinstance(statistics, MeshStatistics)
    assert isinstance(statistics.agents["echo"], AgentStatistics)
    assert isinstance(statistics.threads, ThreadStatistics)
    assert msgspec.json.decode(msgspec.json.encode(statistics), type=MeshStatistics) == statistics


async def test_they_name_the_mesh_and_its_agents(mesh: Mesh) -> None:
    mesh.add(Echo("echo"))
    mesh.add(Keeper("keeper"))

    statistics = mesh.statistics()

    assert statistics.mesh == "test"
    assert list(statistics.agents) == mesh.agents == ["echo", "keeper"]
    assert statistics.agents["echo"].address == "echo"
    assert "mesh='test'" in repr(statistics)
    assert "address='echo'" in repr(statistics.agents["echo"])


async def test_a_new_agent_has_counted_nothing(mesh: Mesh) -> None:
    mesh.add(Echo("echo"))

    assert mesh.statistics().agents["echo"] == AgentStatistics(
        address="echo", state="running", accepted=0, completed=0, failed=0, dead_lettered=0, expired=0, cancelled=0,
        pending=0, restarts=0,
    )  # fmt: skip


async def test_every_end_has_its_counter(mesh: Mesh) -> None:
    ref = mesh.add(Failing("failing"))

    await ref.ask(1)
    await ref.tell(ValueError("no tea"))
    await ref.tell("tea")
    await mesh.drain()

    counted = mesh.statistics().agents["failing"]
    assert (counted.accepted, counted.completed, counted.failed, counted.dead_lettered) == (3, 1, 1, 1)


async def test_pending_counts_mailboxes_and_handlers(mesh: Mesh) -> None:
    held, in_a_thread = Held("held"), HeldInAThread("in-a-thread")
    for agent in (held, in_a_thread):
        ref = mesh.add(agent)
        for number in range(3):
            await ref.tell(number)
    await until(lambda: held.begun and in_a_thread.begun)

    statistics = mesh.statistics()

    assert (statistics.agents["held"].pending, statistics.agents["in-a-thread"].pending) == (3, 3)
    check_law(statistics)
    held.gate.set()
    in_a_thread.gate.set()


async def test_pending_asks_are_those_without_an_answer(mesh: Mesh) -> None:
    held = Held("held")
    ref = mesh.add(held)

    async with anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(ref.ask, number)
        await until(lambda: mesh.statistics().pending_asks == 3)
        assert mesh.statistics().timers == 3
        held.gate.set()

    assert (mesh.statistics().pending_asks, mesh.statistics().timers) == (0, 0)


async def test_agents_that_are_gone_stay_in_the_sum(mesh: Mesh) -> None:
    for name in ("a", "b"):
        await mesh.add(Echo(name)).ask("tea")
        await mesh.stop(name)

    statistics = mesh.statistics()

    assert statistics.agents == {}
    assert (statistics.stopped_agents.accepted, statistics.stopped_agents.completed) == (2, 2)
    assert statistics.stopped_agents.state == "stopped"


async def test_a_name_can_be_used_again_and_begins_with_new_counters(mesh: Mesh) -> None:
    await mesh.add(Echo("echo")).ask("tea")
    await mesh.stop("echo")

    mesh.add(Echo("echo"))

    assert mesh.statistics().agents["echo"].accepted == 0
    assert mesh.statistics().stopped_agents.accepted == 1


async def test_the_sum_is_there_when_the_mesh_is_closed(anyio_backend: str) -> None:
    async with lawful_mesh() as mesh:
        await mesh.add(Echo("echo")).ask("tea")

    statistics = mesh.statistics()
    assert statistics.stopped_agents.completed + sum(agent.completed for agent in statistics.agents.values()) == 1


async def test_threads_are_counted_by_what_they_do(mesh: Mesh) -> None:
    held = HeldInAThread("held")
    ref = mesh.add(held)
    assert mesh.statistics().threads == ThreadStatistics(running=0, blocked=0, idle=0, abandoned=0)

    await ref.tell("tea")
    await until(lambda: held.begun)
    assert mesh.statistics().threads.running == 1
    held.gate.set()
    await mesh.drain()

    await until(lambda: mesh.statistics().threads.idle == 1)
    assert mesh.statistics().threads.running == 0


async def test_workers_are_counted_and_do_not_grow_with_messages(mesh: Mesh) -> None:
    ref = mesh.add(Echo("echo"))

    for number in range(500):
        await ref.ask(number)

    assert 1 <= mesh.statistics().workers <= 3


async def test_workers_end_after_a_burst_of_waiting_handlers(mesh: Mesh) -> None:
    held = [Held(f"held-{number}") for number in range(DEFAULTS.idle_workers + 70)]
    for agent in held:
        await mesh.add(agent).tell("tea")
    await until(lambda: all(agent.begun for agent in held))
    assert mesh.statistics().workers >= len(held)

    for agent in held:
        agent.gate.set()
    await mesh.drain()

    await until(lambda: mesh.statistics().workers <= DEFAULTS.idle_workers + 1)


async def test_statistics_can_be_read_from_a_thread(mesh: Mesh) -> None:
    await mesh.add(Echo("echo")).ask("tea")

    statistics = await anyio.to_thread.run_sync(mesh.blocking.statistics)

    assert statistics.agents["echo"].completed == 1


async def test_statistics_of_a_mesh_that_was_never_opened_are_those_of_one_with_nothing_to_do() -> None:
    mesh = Mesh("test")
    mesh.add(Echo("echo"))

    statistics = mesh.statistics()

    assert list(statistics.agents) == ["echo"]
    assert statistics.is_balanced


@pytest.fixture
def hectic_threads() -> Iterator[None]:
    """Threads take turns as often as the interpreter lets them, so that what can go wrong between two of them does."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("slots", [1, 3])
async def test_the_law_holds_at_any_moment_while_threads_work(mesh: Mesh, hectic_threads: None, slots: int) -> None:
    class Clerk(Agent):
        concurrency = slots

        def on_message(self, message: Any) -> None: ...

    ref = mesh.add(Clerk("clerk"))
    seen: list[AgentStatistics] = []

    with anyio.move_on_after(0.3):
        while True:
            for number in range(300):
                ref.tell_nowait(number)
            while mesh.statistics().agents["clerk"].pending:
                seen += [mesh.statistics().agents["clerk"] for _ in range(20)]
                await anyio.lowlevel.checkpoint()
    await mesh.drain()

    assert [each for each in seen if not each.is_balanced] == []


# -- a mesh shows itself -----------------------------------------------------------------------------------------------


async def test_a_mesh_says_what_it_is_and_how_full() -> None:
    mesh = Mesh("market")
    mesh.add(Echo("echo"))
    assert repr(mesh) == "<Mesh 'market' closed 1 agents>"

    async with mesh:
        assert repr(mesh) == "<Mesh 'market' open 1 agents>"
        assert repr(mesh.blocking) == "<BlockingMesh 'market' open 1 agents>"

    assert repr(mesh).startswith("<Mesh 'market' closed")


async def test_an_agent_says_what_it_is() -> None:
    assert repr(Echo("echo")) == "<Echo 'echo'>"


# -- adding ------------------------------------------------------------------------------------------------------------


async def test_a_name_can_be_added_once(mesh: Mesh) -> None:
    ref = mesh.add(Echo("echo"))

    with pytest.raises(DuplicateNameError, match="mesh 'test' already has an agent 'echo'") as caught:
        mesh.add(Keeper("echo"))

    assert isinstance(caught.value, ValueError)
    assert await ref.ask("tea") == "tea"


async def test_an_agent_whose_name_was_taken_can_be_added_elsewhere(mesh: Mesh) -> None:
    mesh.add(Echo("echo"))
    refused = Echo("echo")
    with pytest.raises(DuplicateNameError):
        mesh.add(refused)

    async with Mesh("other") as other:
        assert await other.add(refused).ask("tea") == "tea"


async def test_an_agent_is_in_one_mesh_at_a_time(mesh: Mesh) -> None:
    agent = Echo("echo")
    mesh.add(agent)

    async with Mesh("other") as other:
        with pytest.raises(AgentInUseError, match="agent 'echo' is in mesh 'test'"):
            other.add(agent)


async def test_an_agent_may_join_another_mesh_when_its_own_has_closed(mesh: Mesh) -> None:
    agent = Echo("echo")
    async with Mesh("other") as other:
        other.add(agent)

    assert await mesh.add(agent).ask("tea") == "tea"


async def test_an_agent_may_join_another_mesh_when_it_was_stopped(mesh: Mesh) -> None:
    agent = Echo("echo")
    mesh.add(agent)
    await mesh.stop("echo")

    assert await mesh.add(agent).ask("tea") == "tea"


@pytest.mark.parametrize("wrong", [Echo, object(), "echo", None, 5, Agent])
async def test_only_agents_can_be_added_and_instances_not_classes(mesh: Mesh, wrong: Any) -> None:
    with pytest.raises(DefinitionError):
        mesh.add(wrong)

    assert mesh.agents == []


def test_an_agent_that_does_not_call_its_base_is_refused_when_it_is_made() -> None:
    class Forgetful(Agent):
        def __init__(self, name: str) -> None: ...

    with pytest.raises(DefinitionError, match=r"Forgetful\.__init__ must call super\(\)\.__init__\(name\)"):
        Forgetful("forgetful")


async def test_agents_added_before_the_mesh_is_opened_are_there_when_it_is(anyio_backend: str) -> None:
    mesh = Mesh("test")
    ref = mesh.add(Echo("echo"))
    with pytest.raises(DuplicateNameError):
        mesh.add(Echo("echo"))

    async with mesh:
        assert await ref.ask("tea") == "tea"


async def test_an_agent_added_by_a_thread_is_there(mesh: Mesh) -> None:
    ref = await anyio.to_thread.run_sync(mesh.add, Echo("echo"))

    assert await ref.ask("tea") == "tea"


async def test_an_agent_may_add_others(mesh: Mesh) -> None:
    class Parent(Agent):
        async def on_message(self, message: str) -> Any:
            return await mesh.add(Echo(message)).ask("hello")

    assert await mesh.add(Parent("parent")).ask("child") == "hello"
    assert mesh.agents == ["parent", "child"]


async def test_the_agent_behind_a_name_can_be_had(mesh: Mesh) -> None:
    agent = Echo("echo")
    mesh.add(agent)

    assert mesh.agent("echo") is agent
    with pytest.raises(CeylonError, match="no agent at 'ech'"):
        mesh.agent("ech")


async def test_a_mesh_is_opened_once(anyio_backend: str) -> None:
    mesh = Mesh("test")
    async with mesh:
        with pytest.raises(MeshClosedError, match="opened once"):
            await mesh.start()

    with pytest.raises(MeshClosedError, match="opened once"):
        await mesh.start()


@pytest.mark.parametrize("name", ["", "no spaces", "$mine", 5])
def test_a_mesh_has_a_name_as_agents_have(name: Any) -> None:
    with pytest.raises(InvalidNameError):
        Mesh(name)


# -- settings ----------------------------------------------------------------------------------------------------------


def test_settings_cannot_be_changed_in_place() -> None:
    with pytest.raises(AttributeError):
        DEFAULTS.ask_timeout = 5.0  # type: ignore[misc]


def test_settings_are_replaced_and_the_defaults_stay() -> None:
    changed = msgspec.structs.replace(DEFAULTS, ask_timeout=5.0)

    assert (changed.ask_timeout, DEFAULTS.ask_timeout) == (5.0, 30.0)


@pytest.mark.parametrize(
    ("name", "promised"),
    [
        ("mailbox_capacity", 1_000),
        ("tell_timeout", 5.0),
        ("ask_timeout", 30.0),
        ("stream_idle_timeout", 60.0),
        ("max_hops", 64),
        ("dead_letter_ring", 10_000),
        ("threads", 32),
        ("threads_per_agent", 4),
        ("thread_cap", 256),
        ("restarts", 5),
        ("restart_period", 30.0),
        ("drain_timeout", 10.0),
        ("stop_grace", 5.0),
        ("model_timeout", 600.0),
        ("model_first_part_timeout", 300.0),
        ("conversations", 10_000),
        ("conversation_turns", 200),
    ],
)
def test_the_defaults_are_those_that_were_promised(name: str, promised: float) -> None:
    assert getattr(Settings(), name) == promised


async def test_a_mesh_runs_by_its_own_settings(anyio_backend: str) -> None:
    hurried = msgspec.structs.replace(DEFAULTS, ask_timeout=0.05)
    async with lawful_mesh(settings=hurried) as mesh, lawful_mesh("other") as other:
        for each in (mesh, other):
            each.add(Held("held"))

        with pytest.raises(TimeoutError):
            await mesh.ask("held", "tea")
        with anyio.move_on_after(0.1) as scope:
            await other.ask("held", "tea")

        assert scope.cancelled_caught
