"""Agents that share the work behind one address: who gets what, who waits, who comes, and who goes."""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from typing import Any

import anyio
import pytest

from ceylon import (
    Agent,
    ArgumentError,
    AskTimeoutError,
    BlockingMesh,
    Context,
    DeadlockError,
    DefinitionError,
    DuplicateNameError,
    HandlerError,
    InvalidNameError,
    LlmAgent,
    MailboxFullError,
    Mesh,
    Message,
    Reply,
    ToolCall,
    UnknownAgentError,
    action,
    on,
)
from ceylon.core.member_cell import MemberCell
from ceylon.core.ports import OnFailure
from ceylon.core.routings import ByKey
from ceylon.testing import ScriptedModel
from support.core_agents import Held, until
from support.law import lawful_mesh


class Job(Message[str], tag="pools.Job"):
    key: str
    number: int = 0


class Worker(Agent):
    """Says its number."""

    async def on_message(self, message: Any) -> str:
        return self.key

    @on
    async def count(self, most: int) -> Any:
        for _ in range(most):
            yield self.key

    @action
    def number(self) -> str:
        """Which member it is."""
        return self.key


class Bench:
    """What held workers share: a gate for each, and what they began."""

    def __init__(self) -> None:
        self.gate = anyio.Event()
        self.begun: list[tuple[str, Any]] = []
        self.made = 0

    def worker(self, number: str) -> "HeldWorker":
        self.made += 1
        return HeldWorker(number, self)


class HeldWorker(Agent):
    """Works until the gate opens."""

    mailbox_capacity = 2

    def __init__(self, name: str, bench: Bench) -> None:
        super().__init__(name)
        self.bench = bench

    async def on_message(self, message: Any) -> str:
        self.bench.begun.append((self.key, message))
        await self.bench.gate.wait()
        return self.key


def by_key(job: Job) -> str:
    return job.key


# -- one address -------------------------------------------------------------------------------------------------------


async def test_a_pool_is_one_address_for_every_verb(mesh: Mesh) -> None:
    pool = mesh.pool(Worker, size=3)

    await pool.tell("hello")
    pool.tell_nowait("hello")
    assert await pool.ask("hello") == "3"
    assert [part async for part in pool.stream(2)] == ["1", "1"]
    assert await pool.call("number") == "2"
    assert await pool.using(timeout=5).ask("hello") == "3"
    assert await mesh.ask("worker", "hello") == "1"
    assert await mesh.ref(Worker).ask("hello") == "2"

    assert (pool.size, pool.members) == (3, ("worker/1", "worker/2", "worker/3"))
    assert mesh.agents == ["worker/1", "worker/2", "worker/3"]
    assert await mesh.ask("worker/2", "hello") == "2"
    assert mesh.ref("worker") == pool


async def test_a_member_is_called_like_the_pool_and_knows_its_number(mesh: Mesh) -> None:
    mesh.pool(lambda number: Worker(f"w{number}"), "workers", size=2)

    assert [mesh.agent(address).name for address in mesh.agents] == ["workers", "workers"]


async def test_a_pool_can_be_a_models_tool(mesh: Mesh) -> None:
    pool = mesh.pool(Worker, size=2)
    calls = tuple(ToolCall(number, "number", {}) for number in "ab")
    model = ScriptedModel([Reply[Any](text="", calls=calls, finish="tool"), "done"])

    await mesh.add(LlmAgent("boss", model, tools=[pool])).ask("go on")

    results = [result.text for turn in model.requests[-1].turns for result in turn.results]
    assert sorted(results) == ["1", "2"]


async def test_what_cannot_be_is_refused_and_leaves_nothing_behind(mesh: Mesh) -> None:
    class Needy(Agent):
        def __init__(self, name: str, database: str) -> None:
            super().__init__(name)

    for size in (0, -1, 1.5, True, "2"):
        with pytest.raises(ArgumentError, match="whole number"):
            mesh.pool(Worker, size=size)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="round_robin"):
        mesh.pool(Worker, size=1, routing="random")  # type: ignore[arg-type]
    with pytest.raises(DefinitionError, match="lambda key: Needy"):
        mesh.pool(Needy, size=1)
    with pytest.raises(DefinitionError, match=r"mesh\.add"):
        mesh.pool(lambda number: LlmAgent("model", "ollama::none"), "model", size=1)
    only = Worker("only")
    with pytest.raises(DefinitionError, match="one agent twice"):
        mesh.pool(lambda number: only, "worker", size=2)
    mesh.add(Worker("worker"))
    with pytest.raises(DuplicateNameError):
        mesh.pool(Worker, size=1)
    mesh.pool(Worker, "pool", size=1)
    with pytest.raises(DuplicateNameError):
        mesh.register(Worker, "pool")
    with pytest.raises(UnknownAgentError):
        await mesh.ask("pool/9", "hello")
    with pytest.raises(InvalidNameError):
        await mesh.ask("pool/", "hello")
    with pytest.raises(UnknownAgentError):
        await mesh.stop("pool/")
    with pytest.raises(UnknownAgentError, match="did you mean 'pool'"):
        await mesh.ask("pol", "hello")
    assert mesh.agents == ["worker", "pool/1"]


async def test_a_key_that_has_moved_is_remembered_by_what_is_open_not_by_what_has_expired(mesh: Mesh) -> None:
    pool = mesh.pool(Held, "pool", size=1, routing=str)
    keys = ["a", "b", "c", "d"]
    for key in keys:
        await pool.tell(key)
    await pool.resize(4)
    pins = mesh.interior.registered["pool"]._strategy._pins  # type: ignore[attr-defined]  # noqa: SLF001 – what must not grow
    moved = next(key for key in keys if repr(key).encode() in pins._pins)  # noqa: SLF001 – likewise

    for _ in range(150):
        with pytest.raises(AskTimeoutError):
            await pool.ask(moved, timeout=0.0005)

    assert len(pins._pins[repr(moved).encode()].waiting) <= 70  # noqa: SLF001 – likewise
    for member in pool.members:
        mesh.agent(member).gate.set()  # type: ignore[attr-defined]


async def test_a_pool_ends_by_its_name(mesh: Mesh) -> None:
    pool = mesh.pool(Worker, size=3)

    await mesh.stop("worker")

    assert mesh.agents == []
    for use in (pool.ask("hello"), pool.resize(2)):
        with pytest.raises(UnknownAgentError):
            await use
    with pytest.raises(UnknownAgentError):
        assert pool.size


async def test_a_pool_can_be_made_before_the_mesh_is_open(anyio_backend: Any) -> None:
    mesh = Mesh("early")
    pool = mesh.pool(Worker, size=2)
    assert mesh.agents == ["worker/1", "worker/2"]
    async with mesh:
        assert [await pool.ask("hello") for _ in range(3)] == ["1", "2", "1"]


def test_pools_are_for_threads_too() -> None:
    with BlockingMesh("threads") as mesh:
        pool = mesh.pool(Worker, size=2)
        assert [pool.ask("hello") for _ in range(3)] == ["1", "2", "1"]
        pool.resize(1)
        assert (pool.size, pool.members) == (1, ("worker/1",))
        assert mesh.ref(Worker).ask("hello") == "1"


# -- routing -----------------------------------------------------------------------------------------------------------


async def test_the_least_loaded_gets_the_next(mesh: Mesh) -> None:
    bench = Bench()
    pool = mesh.pool(bench.worker, "pool", size=3, routing="least_loaded")
    for number in range(2):
        await mesh.tell("pool/1", number)

    for number in range(4):
        await pool.tell(number)

    loads = {address: mesh.statistics().agents[address].pending for address in pool.members}
    assert loads == {"pool/1": 2, "pool/2": 2, "pool/3": 2}
    bench.gate.set()


async def test_a_pool_is_full_when_the_chosen_member_is(mesh: Mesh) -> None:
    bench = Bench()
    robin = mesh.pool(bench.worker, "robin", size=2)
    least = mesh.pool(bench.worker, "least", size=2, routing="least_loaded")
    for pool in (robin, least):
        for number in range(2):
            await pool.tell(number)
    await until(lambda: len(bench.begun) == 4)
    for _ in range(2):
        await mesh.tell("robin/1", "more")
        await mesh.tell("least/1", "more")

    with pytest.raises(MailboxFullError, match="robin/1"):
        robin.tell_nowait("no room")
    for _ in range(2):
        least.tell_nowait("room enough")
    with pytest.raises(MailboxFullError):
        least.tell_nowait("no room")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(least.tell, "waits")
        await until(lambda: any(each.place == "waiting for room" for each in mesh.ledger().open))
        bench.gate.set()


async def test_a_member_may_ask_its_own_pool(mesh: Mesh) -> None:
    class Asking(Agent):
        async def on_message(self, depth: int, context: Context) -> list[str]:
            return [self.key, *(await context.ask("asking", depth - 1) if depth else [])]

    pool = mesh.pool(Asking, size=3)

    assert await pool.ask(2) == ["1", "2", "3"]
    with pytest.raises(DeadlockError):
        await pool.ask(3)
    await pool.resize(1)
    with pytest.raises(DeadlockError):
        await pool.ask(1)


async def test_the_same_key_goes_to_the_same_member_and_all_have_some(mesh: Mesh) -> None:
    pool = mesh.pool(Worker, size=4, routing=by_key)
    keys = [f"key{number}" for number in range(200)]

    first = {key: await pool.ask(Job(key)) for key in keys}
    again = {key: await pool.ask(Job(key)) for key in reversed(keys)}

    assert first == again
    assert min(Counter(first.values()).values()) > 200 / 4 / 2
    assert len(Counter(first.values())) == 4


async def test_a_change_of_size_moves_the_keys_of_the_members_concerned_and_no_others(mesh: Mesh) -> None:
    pool = mesh.pool(Worker, size=4, routing=by_key)
    keys = [f"key{number}" for number in range(400)]

    async def owners() -> dict[str, str]:
        return {key: await pool.ask(Job(key)) for key in keys}

    four = await owners()
    await pool.resize(5)
    five = await owners()
    await pool.resize(3)
    three = await owners()

    assert {five[key] for key in keys if five[key] != four[key]} == {"5"}
    assert 400 / 5 / 2 < sum(five[key] != four[key] for key in keys) < 400 / 5 * 2
    assert all(three[key] == four[key] for key in keys if four[key] in "123")


@pytest.mark.parametrize("key", [None, 1.5, ["a"], object()])
async def test_a_key_that_is_none_is_told_to_the_sender(mesh: Mesh, key: Any) -> None:
    pool = mesh.pool(Worker, size=2, routing=lambda _: key)

    for use in (pool.tell("hello"), pool.ask("hello")):
        with pytest.raises(ArgumentError, match=r"'worker' gave .* for str"):
            await use
    assert mesh.statistics().dead_letters == {"unrouted": 2}


async def test_a_routing_that_fails_is_told_to_the_sender(mesh: Mesh) -> None:
    pool = mesh.pool(Worker, size=2, routing=lambda message: message.key)

    with pytest.raises(ArgumentError, match="no key for str: AttributeError"):
        await pool.ask("hello")
    assert await pool.ask(Job("a")) in {"1", "2"}


@pytest.mark.parametrize("kind", [SystemExit, GeneratorExit, asyncio.CancelledError])
async def test_nor_does_a_routing_leave_by_what_ends_programs_and_tasks(mesh: Mesh, kind: type[BaseException]) -> None:
    def leave(message: Any) -> str:
        raise kind(message)

    with pytest.raises(ArgumentError, match=f"no key for str: {kind.__name__}"):
        await mesh.pool(Worker, size=2, routing=leave).ask("hello")


@pytest.mark.process
def test_another_process_finds_the_same_member_for_a_key() -> None:
    program = (
        "from types import SimpleNamespace as Member\n"
        "from ceylon.core.routings import ByKey, seed_of\n"
        "members = [Member(seed=seed_of(place)) for place in range(7)]\n"
        "by = ByKey(lambda it: it, 'pool')\n"
        "print([members.index(by.owner(members, by.key(key))) for key in ('a', 'b', 1, b'a', 2**80, '茶', '')])"
    )
    said = {
        subprocess.run(  # noqa: S603 – our own interpreter and words
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("0", "1")
    }
    assert len(said) == 1


# -- size --------------------------------------------------------------------------------------------------------------


async def test_a_member_that_is_too_much_leaves_after_what_it_has_accepted(mesh: Mesh) -> None:
    bench = Bench()
    pool = mesh.pool(bench.worker, "pool", size=3)
    for number in range(6):
        await pool.tell(number)
    await until(lambda: len(bench.begun) == 3)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pool.resize, 1)
        await until(lambda: pool.size == 1)
        assert pool.members == ("pool/1",)
        assert mesh.agents == ["pool/1", "pool/2", "pool/3"]
        bench.gate.set()

    assert mesh.agents == ["pool/1"]
    assert Counter(key for key, _ in bench.begun) == {"1": 2, "2": 2, "3": 2}
    statistics = mesh.statistics()
    assert (statistics.stopped_agents.completed, statistics.stopped_agents.dead_lettered) == (4, 0)


async def test_a_member_that_is_idle_leaves_at_once_and_numbers_are_not_used_again(mesh: Mesh) -> None:
    pool = mesh.pool(Worker, size=3)

    await pool.resize(1)
    await pool.resize(3)

    assert pool.members == ("worker/1", "worker/4", "worker/5")
    with pytest.raises(ArgumentError):
        await pool.resize(0)


async def test_a_member_may_make_the_pool_smaller_by_itself(mesh: Mesh) -> None:
    class Shrinking(Agent):
        async def on_message(self, size: int) -> str:
            await pool.resize(size)
            return self.key

    pool = mesh.pool(Shrinking, size=2)
    assert await mesh.ask("shrinking/2", 1) == "2"
    await until(lambda: mesh.agents == ["shrinking/1"])


async def test_who_waits_for_a_resize_may_leave(mesh: Mesh) -> None:
    bench = Bench()
    pool = mesh.pool(bench.worker, "pool", size=2)
    await mesh.tell("pool/2", "hello")
    await until(lambda: bench.begun)

    with anyio.move_on_after(0.01) as scope:
        await pool.resize(1)

    assert scope.cancelled_caught
    assert pool.size == 1
    bench.gate.set()
    await until(lambda: mesh.agents == ["pool/1"])


async def test_a_key_stays_with_its_member_while_that_has_messages_of_it(mesh: Mesh) -> None:
    bench = Bench()
    pool = mesh.pool(bench.worker, "pool", size=1, routing=by_key)
    await pool.tell(Job("a", 1))
    await pool.tell(Job("a", 2))
    await until(lambda: bench.begun)
    grown = 40  # so many that the first member can hardly keep the key

    await pool.resize(grown)
    await pool.tell(Job("a", 3))
    assert mesh.statistics().agents["pool/1"].pending == 3
    bench.gate.set()
    await mesh.drain()

    assert bench.begun == [("1", Job("a", number)) for number in (1, 2, 3)]
    assert await pool.ask(Job("a", 4)) != "1"


# -- failing -----------------------------------------------------------------------------------------------------------


class Failing(Agent):
    """Fails when it is told to, and remembers how often it was asked."""

    on_failure: OnFailure = "restart"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.count = 0

    async def on_message(self, message: Any) -> Any:
        self.count += 1
        if message == "fail":
            raise ValueError(message)
        return self.key, self.count


async def test_a_member_that_fails_begins_again_alone(mesh: Mesh) -> None:
    pool = mesh.pool(Failing, size=2)
    assert await pool.ask("hello") == ("1", 1)
    assert await pool.ask("hello") == ("2", 1)
    with pytest.raises(HandlerError):
        await pool.ask("fail")

    assert await pool.ask("hello") == ("2", 2)
    assert await pool.ask("hello") == ("1", 1)
    assert pool.members == ("failing/1", "failing/2")
    assert mesh.statistics().agents["failing/1"].restarts == 1


class Stopping(Failing):
    on_failure = "stop"


async def test_a_member_that_has_failed_for_good_is_replaced_and_keeps_its_keys(mesh: Mesh) -> None:
    pool = mesh.pool(Stopping, size=3, routing=lambda message: message)
    owner, _ = await pool.ask("fal")
    place = int(owner) - 1
    others = {key: (await pool.ask(key))[0] for key in "abcdefgh"}

    with pytest.raises(HandlerError):
        await mesh.ask(f"stopping/{owner}", "fail")
    assert (await pool.ask("fal"))[0] == "4"

    await until(lambda: pool.members[place] == "stopping/4" and len(mesh.agents) == 3)
    assert {key: (await pool.ask(key))[0] for key in "abcdefgh"} == {
        key: "4" if number == owner else number for key, number in others.items()
    }


class Hasty(Stopping):
    max_restarts = 2


async def test_a_pool_whose_members_fail_too_often_shrinks_and_ends(
    anyio_backend: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with lawful_mesh() as mesh:
        pool = mesh.pool(Hasty, size=2)
        for _ in range(4):
            with pytest.raises(HandlerError):
                await pool.ask("fail")
            await until(lambda: all(each.state == "running" for each in mesh.statistics().agents.values()))

        with pytest.raises(UnknownAgentError):
            await pool.ask("hello")
        assert mesh.agents == []
    assert [line.split()[0] for line in caplog.messages if line.startswith("pool_")].count("pool_shrunk") == 2
    assert any(line.startswith("pool_ended") for line in caplog.messages)


async def test_a_member_that_cannot_be_made_again_leaves_the_pool_smaller(
    mesh: Mesh, caplog: pytest.LogCaptureFixture
) -> None:
    made: list[str] = []

    def make(number: str) -> Stopping:
        made.append(number)
        if len(made) > 2:
            raise KeyError(number)
        return Stopping(number)

    pool = mesh.pool(make, "pool", size=2)
    with pytest.raises(HandlerError):
        await mesh.ask("pool/1", "fail")

    await until(lambda: pool.members == ("pool/2",))
    assert await pool.ask("hello") == ("2", 1)
    assert any(line.startswith("agent_rebuild_failed") for line in caplog.messages)


async def test_a_pool_that_cannot_grow_stays_as_it_is(mesh: Mesh) -> None:
    def make(number: str) -> Worker:
        if number == "3":
            raise KeyError(number)
        return Worker(number)

    pool = mesh.pool(make, "pool", size=1)
    with pytest.raises(KeyError):
        await pool.resize(4)
    with pytest.raises(KeyError):
        mesh.pool(make, "second", size=3)

    assert pool.members == ("pool/1",)
    assert mesh.agents == ["pool/1"]
    mesh.pool(make, "second", size=1)


async def test_what_is_sent_to_a_member_itself_needs_no_key(mesh: Mesh) -> None:
    bench = Bench()
    pool = mesh.pool(bench.worker, "pool", size=2, routing=by_key)
    await mesh.tell("pool/1", "no job")
    await pool.tell(Job("a"))

    await pool.resize(3)

    bench.gate.set()
    await mesh.drain()
    assert len(bench.begun) == 2


async def test_a_member_that_somebody_stops_makes_the_pool_smaller(mesh: Mesh) -> None:
    pool = mesh.pool(Worker, size=2)

    await mesh.stop("worker/1")

    assert pool.members == ("worker/2",)
    assert await pool.ask("hello") == "2"
    await mesh.stop("worker/2")
    with pytest.raises(UnknownAgentError):
        await pool.ask("hello")


# -- keys --------------------------------------------------------------------------------------------------------------


def test_scores_are_spread_evenly() -> None:
    by = ByKey(str, "pool")
    members: list[Any] = [_seeded(place) for place in range(10)]

    shares = Counter(by.owner(members, by.key(number)).number for number in range(5_000))

    assert len(shares) == 10
    assert max(shares.values()) < 1.25 * min(shares.values())


def _seeded(place: int) -> Any:
    from ceylon.core.routings import seed_of  # noqa: PLC0415 – beside its only use

    member = MemberCell.__new__(MemberCell)
    member.number, member.seed = place, seed_of(place)
    return member
