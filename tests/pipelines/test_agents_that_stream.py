"""An agent whose handler is a generator is a flow: what follows begins with its first part, not after its last."""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final

import anyio
import msgspec
import pytest

from ceylon import (
    Agent,
    AskTimeoutError,
    Budget,
    Context,
    DeadlockError,
    HandlerError,
    LlmAgent,
    Mesh,
    Message,
    StreamTimeoutError,
    action,
    on,
)
from ceylon.pipelines import Failed, StageEvent, branch, each, gather, parallel, pipeline, reduce, retry, tap
from ceylon.settings import DEFAULTS
from ceylon.testing import ScriptedModel, Simulation, simulate
from support.pipe_events import broken_rules

CREDIT: Final = 4
NARROW: Final = msgspec.structs.replace(DEFAULTS, stream_credit=CREDIT)

Step = Callable[[Any], Any]


class Count(Message, tag="test_agents_that_stream.Count"):
    """Count from 0 to below *most*, a number each *pause* seconds."""

    most: int
    pause: float = 0.0
    fails_at: int = -1


class Pieces(Agent):
    """Counts in parts."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.made = 0
        self.ends: list[str] = []

    @on
    async def count(self, count: Count) -> AsyncIterator[int]:
        try:
            for number in range(count.most):
                await anyio.sleep(count.pause)
                if number == count.fails_at:
                    raise ValueError(number)  # noqa: TRY301 – a generator has no better place
                self.made += 1
                yield number
        except BaseException as error:
            self.ends.append(type(error).__name__)
            raise
        self.ends.append("whole")

    @on
    async def whole(self, text: str) -> str:
        return text.upper()

    @action
    def doubled(self, number: int) -> int:
        """Double it."""
        return 2 * number


class PlainPieces(Agent):
    """Counts in parts, in threads."""

    @on
    def count(self, count: Count) -> Iterator[int]:
        yield from range(count.most)


async def same(value: Any) -> Any:
    return value


class Watch:
    """Notes when a step begins with what."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.began: list[tuple[int, float]] = []
        self._seconds, self._start = seconds, anyio.current_time()

    async def step(self, item: int) -> int:
        self.began.append((item, round(anyio.current_time() - self._start, 6)))
        await anyio.sleep(self._seconds)
        return item


def sources(mesh: Mesh) -> dict[str, Any]:
    """Return stages that are asked and answer by the same generator."""
    mesh.register(Pieces, "family")
    mesh.pool(Pieces, "pool", size=3)
    ref = mesh.add(Pieces("ref"))
    return {
        "agent": Pieces("agent"),
        "ref": ref,
        "ref by name": mesh.ref("ref"),
        "keyed": mesh.ref("family", key="lisbon"),
        "pool": mesh.ref("pool"),
        "nested": pipeline(same, mesh.add(Pieces("nested")), name="inner"),
        "chosen": branch(type, {Count: mesh.add(Pieces("chosen"))}),
    }


# -- no barrier --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_next_stage_begins_with_each_part_when_it_is_there(backend: Any) -> None:
    @simulate(seeds=2, backend=backend)
    async def run(simulation: Simulation) -> None:
        async with simulation.mesh() as mesh:
            for number, (name, source) in enumerate(sources(mesh).items()):
                watch = Watch(0.5)
                stages = mesh.add(pipeline(source, each(watch.step), name=f"stages-{number}"))
                start = anyio.current_time()
                assert await stages.ask(Count(3, pause=1.0)) == [0, 1, 2], name
                assert watch.began == [(0, 1.0), (1, 2.0), (2, 3.0)], name
                assert anyio.current_time() - start == pytest.approx(3.5), name

    run()


@simulate(seeds=3)
async def test_whatever_takes_items_takes_them_as_they_come(simulation: Simulation) -> None:
    seen: list[tuple[str, float]] = []

    def note(name: str) -> None:
        seen.append((name, round(anyio.current_time() - start, 6)))

    async def add(total: int, item: int) -> int:
        note("reduce")
        return total + item

    async def take(items: AsyncIterator[int]) -> int:
        total = 0
        async for item in items:
            note("take")
            total += item
        return total

    async def pass_on(items: AsyncIterator[int]) -> AsyncIterator[int]:
        async for item in items:
            note("pass on")
            yield item

    async with simulation.mesh() as mesh:
        ref = mesh.add(Pieces("ref"))
        start = anyio.current_time()
        assert await mesh.add((ref >> reduce(add, 0)).named("a")).ask(Count(2, 1.0)) == 1
        assert await mesh.add((ref >> take).named("b")).ask(Count(2, 1.0)) == 1
        assert await mesh.add((ref >> pass_on >> take).named("c")).ask(Count(2, 1.0)) == 1

    reduced, taken = [("reduce", 1.0), ("reduce", 2.0)], [("take", 3.0), ("take", 4.0)]
    both = [(name, at) for at in (5.0, 6.0) for name in ("pass on", "take")]
    assert seen == [*reduced, *taken, *both]


async def test_what_takes_a_value_gets_the_list_of_the_parts(mesh: Mesh) -> None:
    ref, model = mesh.add(Pieces("ref")), LlmAgent("writer", ScriptedModel(["a story"]))

    async def show(value: Any) -> str:
        return repr(value)

    assert await mesh.add((ref >> show).named("a")).ask(Count(3)) == "[0, 1, 2]"
    assert await mesh.add(pipeline(ref, name="b")).ask(Count(3)) == [0, 1, 2]
    assert await mesh.add((ref >> gather() >> show).named("c")).ask(Count(3)) == "[0, 1, 2]"
    assert await mesh.add((tap(ref) >> show).named("d")).ask(Count(1)) == repr(Count(1))
    assert await mesh.add((retry(ref) >> show).named("e")).ask(Count(2)) == "[0, 1]"
    assert await mesh.add((ref >> show).named("f")).ask("tea") == "'TEA'"  # another handler, which returns
    assert await mesh.add((model >> show).named("g")).ask("write") == "'a story'"
    assert await mesh.add((PlainPieces("threads") >> each(same) >> show).named("h")).ask(Count(200)) == repr(
        [*range(200)]
    )


async def test_a_ref_may_name_an_agent_that_comes_later(mesh: Mesh) -> None:
    stages = mesh.add(mesh.ref("later") >> each(same))
    with pytest.raises(HandlerError, match="later"):
        await stages.ask(Count(2))
    mesh.add(Pieces("later"))

    assert await stages.ask(Count(2)) == [0, 1]


# -- back-pressure -----------------------------------------------------------------------------------------------------


@simulate(seeds=6)
async def test_an_agent_is_no_further_ahead_than_a_streams_credit(simulation: Simulation) -> None:
    pieces, width = Pieces("pieces"), simulation.random.randint(1, 5)
    ahead: list[int] = []
    begun = 0

    async def step(item: int) -> int:
        nonlocal begun
        begun += 1
        await anyio.sleep(simulation.random.random())
        ahead.append(pieces.made - begun)
        return item

    async with simulation.mesh(settings=NARROW) as mesh:
        stages = mesh.add(pipeline(pieces, each(step, width)))
        assert await stages.ask(Count(60), timeout=1_000) == [*range(60)]

    # What was sent and not taken, what was taken together with the part before, the part that waits for room in `each`.
    assert max(ahead) <= 2 * CREDIT + 1
    assert max(ahead) >= CREDIT  # it uses what it has


# -- ends --------------------------------------------------------------------------------------------------------------


@simulate(seeds=6)
async def test_leaving_ends_the_generator_at_the_agent(simulation: Simulation) -> None:
    pieces = Pieces("pieces")
    async with simulation.mesh() as mesh:
        stages = mesh.add(pipeline(pieces, each(same)))
        with anyio.move_on_after(3.5):
            await stages.ask(Count(1_000, pause=1.0))
        left = anyio.current_time()
        await mesh.drain()
        assert anyio.current_time() - left < 1e-5
        assert mesh.statistics().agents["pieces"].cancelled == 1

    assert pieces.made == 3
    assert len(pieces.ends) == 1
    assert pieces.ends != ["whole"]


@simulate(seeds=6)
async def test_a_failure_behind_it_ends_the_generator_too(simulation: Simulation) -> None:
    pieces = Pieces("pieces")

    async def fail(item: int) -> int:
        if item == 2:
            raise ValueError(item)
        return item

    async with simulation.mesh() as mesh:
        with pytest.raises(HandlerError, match="ValueError"):
            await mesh.add(pipeline(pieces, each(fail))).ask(Count(1_000, pause=1.0))
        await mesh.drain()
        assert mesh.statistics().agents["pieces"].cancelled == 1

    assert pieces.made == 3


@simulate(seeds=6)
async def test_what_came_before_a_failure_in_the_middle_is_through(simulation: Simulation) -> None:
    watch = Watch(0.25)
    async with simulation.mesh() as mesh:
        stages = pipeline(Pieces("pieces"), each(watch.step), name="stages")
        with pytest.raises(HandlerError) as caught:
            await mesh.add(stages).ask(Count(9, pause=1.0, fails_at=3))
        assert isinstance(caught.value.root, ValueError)
        assert caught.value.path == ("stages", "pieces")
        assert any("in stage 'pieces' (at 0)" in note for note in caught.value.__notes__)
        kept = mesh.add(pipeline(parallel(stages, same, on_failure="keep"), name="kept"))
        failed, given = await kept.ask(Count(9, pause=1.0, fails_at=3))

    assert watch.began[:3] == [(0, 1.0), (1, 2.0), (2, 3.0)]
    assert isinstance(failed, Failed)
    assert given == Count(9, pause=1.0, fails_at=3)


@simulate(seeds=3)
async def test_a_stream_has_the_time_of_the_run(simulation: Simulation) -> None:
    async with simulation.mesh(settings=DEFAULTS) as mesh:
        pieces, watch = Pieces("pieces"), Watch()
        stages = mesh.add(pipeline(pieces, each(watch.step)))
        assert await stages.ask(Count(2, pause=100.0)) == [0, 1]  # longer than the parts of a stream may be apart
        began = anyio.current_time()
        with pytest.raises(AskTimeoutError):
            await stages.ask(Count(9, pause=1.0), timeout=3.5)
        assert anyio.current_time() - began == pytest.approx(3.5)
        events = stages.stream(Count(2, pause=100.0))  # nobody has said how long it may take
        with pytest.raises((HandlerError, StreamTimeoutError), match="60"):
            await events.result()


async def test_deadline_budget_and_chain_go_along(mesh: Mesh) -> None:
    class Look(Agent):
        async def on_message(self, _: Any, context: Context) -> AsyncIterator[Any]:
            yield context.budget, context.remaining, context.envelope.chain

    ((budget, remaining, chain),) = await (mesh.add(Look("look")) >> each(same)).run(
        1, budget=Budget(calls=3, depth=5), timeout=9
    )

    assert budget is not None
    assert budget.calls == 3
    assert 0 < remaining <= 9
    assert len(chain) == 1


# -- events ------------------------------------------------------------------------------------------------------------


@simulate(seeds=3)
async def test_its_parts_are_events_of_its_stage(simulation: Simulation) -> None:
    async with simulation.mesh() as mesh:
        stages = pipeline(Pieces("pieces"), each(same), name="stages")
        mesh.add(stages)
        events: list[StageEvent] = [event async for event in stages.stream(Count(3, pause=1.0))]

    assert not broken_rules(events)
    begun = {event.label: event.id for event in events if event.what == "started" and event.label in {"pieces", "each"}}
    parts = [event for event in events if event.what == "part" and event.label == "pieces"]
    assert [(event.id, event.parent, event.value, event.index, event.at) for event in parts] == [
        (begun["pieces"], 1, number, number, number + 1.0) for number in range(3)
    ]
    items = [event for event in events if event.what == "started" and event.label == "same"]
    assert [(event.parent, event.index, event.at) for event in items] == [(begun["each"], n, n + 1.0) for n in range(3)]
    ends = {event.label: event.value for event in events if event.what == "ended" and event.label != "same"}
    assert ends == {"pieces": [0, 1, 2], "each": [0, 1, 2], "stages": [0, 1, 2]}


# -- who waits for whom ------------------------------------------------------------------------------------------------


def slow(chance: Any) -> Step:
    async def step(item: int) -> int:
        await anyio.sleep(chance.random())
        return item

    return step


class Slow(Agent):
    """Takes its time."""

    async def on_message(self, message: Any) -> Any:
        await anyio.sleep(0.01)
        return message


async def check_two_of_one(simulation: Simulation) -> None:
    """Take two streams of one agent, which has one slot, side by side: the second waits for the end of the first."""
    async with simulation.mesh(settings=NARROW) as mesh:
        ref, slowly = mesh.add(Pieces("pieces")), mesh.add(Slow("slow"))
        both = mesh.add(parallel(ref >> each(slowly), ref >> each(slow(simulation.random)), ref >> each(slowly, 1)))
        assert await both.ask(Count(40), timeout=1_000) == [[*range(40)]] * 3


@simulate(seeds=6)
async def test_two_streams_of_one_agent_wait_for_each_other_and_no_longer(simulation: Simulation) -> None:
    await check_two_of_one(simulation)


def test_without_strands_that_is_taken_for_a_deadlock(monkeypatch: pytest.MonkeyPatch) -> None:
    def whole(self: Any, _: Any) -> Any:
        return self

    monkeypatch.setattr("ceylon.pipelines.running.Run.taking", whole)
    monkeypatch.setattr("ceylon.pipelines.parts.strand_of", lambda context: context)

    with pytest.raises(AssertionError, match="DeadlockError"):
        simulate(seeds=6)(check_two_of_one)()


@pytest.mark.parametrize("way", ["ask", "context", "thread"])
def test_a_stage_that_asks_the_agent_whose_parts_it_takes_is_a_deadlock(way: str) -> None:
    async def by_context(item: int, context: Context) -> Any:
        return await context.ask("pieces", str(item))

    def in_a_thread(item: int, context: Any) -> Any:
        return context.ask("pieces", str(item))

    @simulate(seeds=3)
    async def run(simulation: Simulation) -> None:
        async with simulation.mesh(settings=NARROW) as mesh:
            ref = mesh.add(Pieces("pieces"))
            steps: dict[str, Any] = {"ask": pipeline(str, ref), "context": by_context, "thread": in_a_thread}
            stages = mesh.add((ref >> each(steps[way], 2)).named("stages"))
            assert await stages.ask(Count(CREDIT)) == [str(number) for number in range(CREDIT)]  # it has ended by then
            began = anyio.current_time()
            with pytest.raises(DeadlockError) as caught:
                await stages.ask(Count(50), timeout=1_000)
            assert anyio.current_time() - began < 1.0
            assert set(caught.value.path) == {"pieces", "stages"}
            assert all(one != other for one, other in zip(caught.value.path, caught.value.path[1:], strict=False))

    run()


@simulate(seeds=2)
async def test_who_waits_can_be_asked(simulation: Simulation) -> None:
    async with simulation.mesh(settings=NARROW) as mesh, anyio.create_task_group() as tasks:
        hour = mesh.add(Hour("hour"))
        stages = mesh.add((mesh.add(Pieces("pieces")) >> each(hour, 1)).named("stages"))
        tasks.start_soon(ask_for_long, stages)
        await anyio.sleep(1.0)
        waits = {(wait.kind, wait.waiter, wait.on) for wait in mesh.waits()}
        assert {("credit", "pieces", "stages"), ("reply", "stages", "hour")} <= waits
        whole = next(each for each in mesh.ledger().open if each.recipient == "stages")
        why = mesh.why(whole.message_id)
        assert [(wait.kind, wait.on) for wait in why.waits_for] == [("reply", "hour")]
        assert why.blocked_by == ("hour",)
        produced = next(each for each in mesh.ledger().open if each.recipient == "pieces")
        assert mesh.why(produced.message_id).blocked_by == ("stages", "hour")


class Hour(Agent):
    """Takes an hour."""

    async def on_message(self, message: Any) -> Any:
        await anyio.sleep(3_600)
        return message


async def ask_for_long(stages: Any) -> None:
    with contextlib.suppress(AskTimeoutError):
        await stages.ask(Count(50), timeout=10.0)


async def test_a_reply_given_by_a_stage_is_the_runs(mesh: Mesh) -> None:
    async def reply(item: int, context: Context) -> None:
        context.reply(item)

    assert await mesh.add(mesh.add(Pieces("pieces")) >> each(reply, 1)).ask(Count(1)) == 0
