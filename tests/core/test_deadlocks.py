"""Waits that could never end are refused at once, in one chain and across several; all others are allowed."""

import random
from typing import Any, Final

import anyio
import pytest

from ceylon import Agent, AskTimeoutError, BlockingContext, Context, DeadlockError, HandlerError, Mesh, Message, on
from ceylon.core.waits import WaitsGraph
from ceylon.settings import DEFAULTS
from support.core_agents import SECONDS, Held, until
from support.law import lawful_mesh
from support.leftovers import quick

PATIENCE: Final = 30.0  # of the asks; far more than a refusal takes


class Visit(Message[list[str]]):
    """Go to every place, one after the other or `together`, with what is to be done there; meet others at a gate."""

    places: tuple[tuple[str, "Visit"], ...] = ()
    together: bool = False
    gate: int = 0


class Gates:
    """Lets callers through when so many have come."""

    def __init__(self, number: int) -> None:
        self._left = number
        self._opened = anyio.Event()

    async def meet(self) -> None:
        self._left -= 1
        if self._left <= 0:
            self._opened.set()
        with anyio.move_on_after(SECONDS):
            await self._opened.wait()


class Visitor(Agent):
    """Makes visits on the loop."""

    def __init__(self, name: str, gates: Gates | None = None) -> None:
        super().__init__(name)
        self.gates = gates
        self.at_most = self.at_once = 0

    @on
    async def visit(self, visit: Visit, context: Context) -> list[str]:
        self.at_once += 1
        self.at_most = max(self.at_most, self.at_once)
        try:
            if visit.gate and self.gates is not None:
                await self.gates.meet()
            if visit.together:
                return await self._together(visit, context)
            return [self.name, *[name for place in visit.places for name in await context.ask(*place)]]
        finally:
            self.at_once -= 1

    async def _together(self, visit: Visit, context: Context) -> list[str]:
        found: list[str] = [self.name]

        async def go(place: str, further: Visit) -> None:
            found.extend(await context.ask(place, further))

        async with anyio.create_task_group() as tasks:
            for place in visit.places:
                tasks.start_soon(go, *place)
        return found


class ThreadVisitor(Agent):
    """Makes visits in a thread."""

    @on
    def visit(self, visit: Visit, context: BlockingContext) -> list[str]:
        return [self.name, *[name for place in visit.places for name in context.ask(*place)]]


def way(*names: str) -> Visit:
    """Return a visit that goes from one to the next."""
    visit = Visit()
    for name in reversed(names):
        visit = Visit(((name, visit),))
    return visit


async def refused(mesh: Mesh, first: str, visit: Visit) -> DeadlockError:
    """Ask *first*, and return the deadlock that comes of it, at once."""
    with anyio.fail_after(SECONDS), pytest.raises(DeadlockError) as caught:
        await mesh.ask(first, visit, timeout=PATIENCE)
    return caught.value


# -- one chain ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Visitor, ThreadVisitor])
@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 6])
async def test_a_ring_of_any_length_is_refused_and_named(mesh: Mesh, kind: type[Agent], length: int) -> None:
    names = [f"agent-{number}" for number in range(length)]
    for name in names:
        mesh.add(kind(name))

    error = await refused(mesh, names[0], way(*names[1:], names[0]))

    assert error.path == (*names, names[0])
    assert " → ".join(error.path) in str(error)
    assert await mesh.ask(names[0], way(*names[1:])) == names  # nobody is left waiting


@pytest.mark.parametrize("kind", [Visitor, ThreadVisitor])
async def test_a_ring_that_begins_further_on_names_only_the_ring(mesh: Mesh, kind: type[Agent]) -> None:
    for name in ("a", "b", "c", "d"):
        mesh.add(kind(name))

    error = await refused(mesh, "a", way("b", "c", "d", "c"))

    assert error.path == ("c", "d", "c")


async def test_a_ring_is_no_ring_while_a_slot_is_free(mesh: Mesh) -> None:
    class Roomy(Visitor):
        concurrency = 2

    for name in ("a", "b"):
        mesh.add(Roomy(name))

    assert await mesh.ask("a", way("b", "a", "b")) == ["a", "b", "a", "b"]
    error = await refused(mesh, "a", way("b", "a", "b", "a"))
    assert error.path[0] == error.path[-1]


async def test_an_ask_that_has_been_given_up_waits_for_nobody(mesh: Mesh) -> None:
    class Impatient(Agent):
        @on
        async def visit(self, visit: Visit, context: Context) -> str:
            with pytest.raises(AskTimeoutError):
                await context.ask("slow", visit, timeout=0.01)
            return str(await context.ask("other", visit))

    mesh.add(Impatient("impatient"))
    held = Held("slow")
    mesh.add(held)
    mesh.add(Visitor("other"))

    assert "other" in await mesh.ask("impatient", Visit(), timeout=PATIENCE)
    held.gate.set()


# -- several chains ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [2, 3, 5])
async def test_chains_that_cross_are_refused_too(mesh: Mesh, number: int) -> None:
    gates = Gates(number)
    names = [f"agent-{index}" for index in range(number)]
    for name in names:
        mesh.add(Visitor(name, gates))
    outcomes: list[Any] = []

    async def ask(index: int) -> None:
        further = Visit(((names[(index + 1) % number], Visit()),), gate=1)
        try:
            outcomes.append(await mesh.ask(names[index], further, timeout=PATIENCE))
        except DeadlockError as error:
            outcomes.append(error)

    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            for index in range(number):
                tasks.start_soon(ask, index)

    errors = [outcome for outcome in outcomes if isinstance(outcome, DeadlockError)]
    assert len(errors) == 1  # the wait that would have closed the ring; all others are answered
    assert sorted(errors[0].path[1:]) == names


async def test_crossing_chains_have_to_time_out_where_the_detector_is_off(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WaitsGraph, "check", lambda *_: None)
    gates = Gates(2)
    for name in ("a", "b"):
        mesh.add(Visitor(name, gates))
    errors: list[type[BaseException]] = []

    async def ask(first: str, second: str) -> None:
        try:
            await mesh.ask(first, Visit(((second, Visit()),), gate=1), timeout=0.2)
        except (DeadlockError, AskTimeoutError) as error:
            errors.append(type(error))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, "a", "b")
        tasks.start_soon(ask, "b", "a")

    assert AskTimeoutError in errors
    assert DeadlockError not in errors


async def test_slots_that_all_wait_for_the_asker_are_a_deadlock_and_one_that_does_not_is_none(mesh: Mesh) -> None:
    class Two(Visitor):
        concurrency = 2

    gates = Gates(3)
    mesh.add(Two("two", gates))
    mesh.add(Visitor("one", gates))
    held = Held("held")
    mesh.add(held)
    outcomes: dict[str, Any] = {}

    async def ask(key: str, first: str, second: str) -> None:
        try:
            outcomes[key] = await mesh.ask(first, Visit(((second, Visit()),), gate=1), timeout=PATIENCE)
        except (DeadlockError, HandlerError) as error:
            outcomes[key] = error

    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, "to one", "two", "one")
            tasks.start_soon(ask, "to held", "two", "held")
            tasks.start_soon(ask, "to two", "one", "two")
            await until(lambda: held.begun)
            assert not outcomes  # "one" waits for a slot that "held" will free
            held.gate.set()

    assert not [outcome for key, outcome in outcomes.items() if isinstance(outcome, DeadlockError)], outcomes


# -- other waits -------------------------------------------------------------------------------------------------------


async def test_a_start_hook_that_asks_for_itself_is_refused(mesh: Mesh) -> None:
    errors: list[DeadlockError] = []

    class Starting(Visitor):
        async def on_start(self, context: Context) -> None:
            try:
                await context.ask("helper", way("starting"), timeout=PATIENCE)
            except DeadlockError as error:
                errors.append(error)

    mesh.add(Visitor("helper"))
    with anyio.fail_after(SECONDS):
        mesh.add(Starting("starting"))
        assert await mesh.ask("starting", Visit()) == ["starting"]

    assert errors[0].path == ("starting", "helper", "starting")


async def test_full_mailboxes_in_a_ring_are_refused_at_once() -> None:
    class Teller(Agent):
        mailbox_capacity = 1

        def __init__(self, name: str, following: str, gates: Gates) -> None:
            super().__init__(name)
            self.following, self.gates = following, gates
            self.errors: list[BaseException] = []

        @on
        async def go(self, visit: Visit, context: Context) -> None:
            await self.gates.meet()
            try:
                for _ in range(3):
                    await context.tell(self.following, "noise")
            except DeadlockError as error:
                self.errors.append(error)

        async def on_message(self, message: str) -> None:
            return

    gates = Gates(3)
    async with lawful_mesh(settings=quick(tell_timeout=PATIENCE)) as mesh:
        tellers = [Teller("a", "b", gates), Teller("b", "c", gates), Teller("c", "a", gates)]
        for teller in tellers:
            mesh.add(teller)
        for teller in tellers:
            await mesh.tell(teller.name, Visit())

        with anyio.fail_after(SECONDS):
            await mesh.drain()

        errors = [error for teller in tellers for error in teller.errors]
        assert len(errors) == 1
        assert sorted(errors[0].path[1:]) == ["a", "b", "c"]  # type: ignore[attr-defined]
        assert mesh.statistics().dead_letters == {"full": 1}


async def test_a_producer_and_a_consumer_that_wait_for_each_other_are_told_apart() -> None:
    class Producer(Agent):
        @on
        async def many(self, number: int) -> Any:
            for part in range(number):
                yield part

        @on
        async def answer(self, question: str) -> str:
            return question

    class Consumer(Agent):
        @on
        async def go(self, number: int, context: Context) -> str:
            async with context.stream("producer", number) as parts:
                await anext(parts)
                return str(await context.ask("producer", "hello", timeout=PATIENCE))

    async with lawful_mesh(settings=quick()) as mesh:
        mesh.add(Producer("producer"))
        mesh.add(Consumer("consumer"))

        with anyio.fail_after(SECONDS):
            assert await mesh.ask("consumer", 3) == "hello"  # the producer ends, then it answers
            with pytest.raises(DeadlockError) as caught:  # it waits for credit, which the consumer would have to give
                await mesh.ask("consumer", 10 * DEFAULTS.stream_credit)

        assert set(caught.value.path) == {"producer", "consumer"}


async def test_a_ring_through_one_conversation_is_refused_and_through_two_is_none(mesh: Mesh) -> None:
    class Keyed(Visitor):
        takes_keys = True
        concurrency = 4

        def __ceylon_serial_key__(self, envelope: Any) -> str | None:
            return envelope.recipient.partition("/")[2] or None

    gates = Gates(2)
    mesh.add(Keyed("keyed", gates))
    mesh.add(Visitor("plain", gates))
    outcomes: list[Any] = []

    async def ask(first: str, second: str) -> None:
        try:
            outcomes.append(await mesh.ask(first, Visit(((second, Visit()),), gate=1), timeout=PATIENCE))
        except DeadlockError as error:
            outcomes.append(error)

    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, "keyed/alice", "plain")
            tasks.start_soon(ask, "plain", "keyed/alice")
    assert sum(isinstance(outcome, DeadlockError) for outcome in outcomes) == 1

    outcomes.clear()
    gates = Gates(2)
    for agent in (mesh.agent("keyed"), mesh.agent("plain")):
        agent.gates = gates  # type: ignore[attr-defined]
    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, "keyed/alice", "plain")
            tasks.start_soon(ask, "plain", "keyed/bob")  # another conversation: no ring
    assert not [outcome for outcome in outcomes if isinstance(outcome, DeadlockError)]


# -- no false alarms ---------------------------------------------------------------------------------------------------


def _some_visit(chance: random.Random, at: int, size: int, depth: int) -> Visit:
    """Return visits that only ever lead to agents of a higher number."""
    if at >= size - 1 or not depth:
        return Visit()
    number = chance.randrange(0, 4)
    places = [(place, chance.randrange(at + 1, size)) for place in range(number)]
    visits = [(f"agent-{to}", _some_visit(chance, to, size, depth - 1)) for _, to in places]
    return Visit(tuple(visits), together=chance.random() < 0.5)


async def _ask_at_random(seed: int, size: int, asks: int) -> int:
    """Send *asks* random trees of asks through agents that only ask further ones; return how many asks that were."""
    chance = random.Random(seed)  # noqa: S311 – no secret
    async with lawful_mesh(settings=quick()) as mesh:
        for number in range(size):
            agent = Visitor(f"agent-{number}")
            agent.concurrency = chance.choice([1, 1, 2, 3])
            mesh.add(agent)

        async def ask() -> None:
            at = chance.randrange(size)
            await mesh.ask(f"agent-{at}", _some_visit(chance, at, size, 4), timeout=PATIENCE)

        async with anyio.create_task_group() as tasks:
            for _ in range(asks):
                tasks.start_soon(ask)
        return sum(agent.completed for agent in mesh.statistics().agents.values())


@pytest.mark.parametrize("seed", range(5))
async def test_asks_without_a_cycle_raise_no_alarm(seed: int) -> None:
    assert await _ask_at_random(seed, size=50, asks=60) > 60


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.asyncio
async def test_a_million_asks_without_a_cycle_raise_no_alarm(capsys: pytest.CaptureFixture[str]) -> None:
    asked = seeds = 0
    while asked < 1_000_000:
        asked += await _ask_at_random(seeds, size=50, asks=2_000)
        seeds += 1
    with capsys.disabled():
        print(f"\n{asked:,} asks in {seeds} random graphs without a cycle: no alarm")  # noqa: T201 – the figure
