"""The one law, under anything that may happen; and proof that the check sees a broken one."""

from typing import Any, Final

import anyio
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ceylon import Agent, BlockingMesh, CeylonError, Context, LawBrokenError, Mesh, on
from ceylon.core.ledger import AgentStatistics
from ceylon.messages import Envelope
from ceylon.settings import DEFAULTS
from support.core_agents import Counter, Echo, Held, until
from support.law import check_end, check_law, lawful_mesh

# -- sabotage: the check must see a broken law -------------------------------------------------------------------------

BALANCED: Final = AgentStatistics(
    address="a", state="running", accepted=21, completed=6, failed=5, dead_lettered=4, expired=3, cancelled=2,
    pending=1, restarts=0,
)  # fmt: skip


async def test_a_balanced_agent_passes(mesh: Mesh) -> None:
    statistics = msgspec.structs.replace(mesh.statistics(), agents={"a": BALANCED})

    check_law(statistics)

    assert statistics.is_balanced


@pytest.mark.parametrize(
    "counter", ["accepted", "completed", "failed", "dead_lettered", "expired", "cancelled", "pending"]
)
@pytest.mark.parametrize("by", [-1, 1])
async def test_one_envelope_more_or_less_under_any_counter_turns_the_check_red(
    mesh: Mesh, counter: str, by: int
) -> None:
    broken = msgspec.structs.replace(BALANCED, **{counter: getattr(BALANCED, counter) + by})
    statistics = msgspec.structs.replace(mesh.statistics(), agents={"a": broken})

    assert not statistics.is_balanced
    with pytest.raises(AssertionError, match="the law is broken"):
        check_law(statistics)


async def test_a_broken_sum_of_stopped_agents_turns_the_check_red(mesh: Mesh) -> None:
    broken = msgspec.structs.replace(BALANCED, accepted=0)
    statistics = msgspec.structs.replace(mesh.statistics(), stopped_agents=broken)

    with pytest.raises(AssertionError, match="the law is broken"):
        check_law(statistics)


async def test_an_ask_that_never_ended_or_a_message_left_over_turns_the_end_red(mesh: Mesh) -> None:
    statistics = mesh.statistics()

    with pytest.raises(AssertionError, match="1 asks never ended"):
        check_end(msgspec.structs.replace(statistics, pending_asks=1))
    with pytest.raises(AssertionError, match="pending after the end"):
        check_end(msgspec.structs.replace(statistics, agents={"a": BALANCED}))


@pytest.mark.breaks_the_law
async def test_a_mailbox_that_loses_an_envelope_turns_the_check_red() -> None:
    held = Held("held")
    mesh = Mesh("leaky", settings=HURRIED)
    with pytest.raises(LawBrokenError, match=r"never ended: tell .* → held") as broken:
        async with mesh:
            ref = mesh.add(held)
            for number in range(3):
                await ref.tell(number)
            await until(lambda: held.begun)
            check_law(mesh.statistics())

            assert mesh.interior.router.cells["held"].mail.pop().message == 2  # type: ignore[union-attr]

            with pytest.raises(AssertionError, match="the law is broken"):
                check_law(mesh.statistics())
            held.gate.set()
    assert broken.value.agents == ("held",)
    assert broken.value.lost == (f"tell {mesh.interior.message_id(3)} (int, outside → held)",)


@pytest.mark.breaks_the_law
async def test_an_envelope_that_ends_twice_is_named() -> None:
    mesh = Mesh("doubling")
    with pytest.raises(LawBrokenError, match=r"ended twice: ask .*outside → echo") as broken:
        async with mesh:
            await mesh.add(Echo("echo")).ask("tea")
            ending = mesh.interior.router.endings.find(1)
            assert ending is not None

            mesh.interior.router.ended(Envelope(1, "ask", "", "echo", "tea"), "completed")

    assert (broken.value.agents, broken.value.lost) == ((), ())
    assert broken.value.twice == (f"ask {mesh.interior.id}-1 (str, outside → echo)",)


@pytest.mark.breaks_the_law
async def test_a_mailbox_that_handles_an_envelope_twice_turns_the_check_red() -> None:
    with pytest.raises(LawBrokenError, match="wrong counters: echo"):
        async with Mesh("doubling") as mesh:
            ref = mesh.add(Echo("echo"))
            await ref.ask("tea")
            mesh.interior.router.cells["echo"].completed += 1

            with pytest.raises(AssertionError, match="the law is broken"):
                check_law(mesh.statistics())


@pytest.mark.breaks_the_law
async def test_what_a_block_raises_comes_before_a_broken_law(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ZeroDivisionError):
        async with Mesh("doubling") as mesh:
            await mesh.add(Echo("echo")).ask("tea")
            mesh.interior.router.cells["echo"].completed += 1
            raise ZeroDivisionError

    assert "law_broken" in caplog.text


@pytest.mark.breaks_the_law
def test_a_blocking_mesh_says_so_too() -> None:
    with pytest.raises(LawBrokenError, match="wrong counters: echo"), BlockingMesh("doubling") as mesh:
        mesh.add(Echo("echo")).ask("tea")
        mesh.interior.router.cells["echo"].completed += 1


@pytest.mark.breaks_the_law
async def test_the_mesh_of_the_tests_checks_the_law_at_its_end() -> None:
    with pytest.raises(AssertionError, match="the law is broken"):
        async with lawful_mesh() as mesh:
            await mesh.add(Echo("echo")).ask("tea")
            mesh.interior.router.cells["echo"].failed += 1


# -- anything may happen -----------------------------------------------------------------------------------------------


class Anything(Agent):
    """Does with each message what that says."""

    mailbox_capacity: int | None = 4

    @on
    async def on_loop(self, what: str, context: Context) -> Any:
        match what:
            case "fail":
                raise ValueError(what)
            case "wait":
                await anyio.sleep(0.004)
            case "forward":
                await context.tell("other", "answer")
            case "ask":
                return await context.ask("other", "answer", timeout=0.05)
            case "early":
                context.reply(what)
        return what

    @on
    def in_a_thread(self, what: bytes) -> Any:
        if what == b"fail":
            raise ValueError(what)
        return what

    @on
    async def parts(self, most: int) -> Any:
        async def count() -> Any:
            for number in range(most):
                yield number

        return count()


MESSAGES: Final = ["answer", "fail", "wait", "forward", "ask", "early", b"answer", b"fail", 3, 200, 2.5]

step = st.one_of(
    st.tuples(st.just("tell"), st.sampled_from(["any", "other", "nobody"]), st.sampled_from(MESSAGES)),
    st.tuples(st.just("tell_nowait"), st.sampled_from(["any", "other"]), st.sampled_from(MESSAGES)),
    st.tuples(st.just("ask"), st.sampled_from(["any", "other"]), st.sampled_from(MESSAGES)),
    st.tuples(st.just("hurry"), st.sampled_from(["any", "other"]), st.sampled_from(MESSAGES)),
    st.tuples(st.just("leave"), st.sampled_from(["any", "other"]), st.sampled_from(MESSAGES)),
    st.tuples(st.just("stream"), st.sampled_from(["any", "other"]), st.sampled_from(MESSAGES)),
    st.tuples(st.just("break"), st.sampled_from(["any", "other"]), st.sampled_from(MESSAGES)),
    st.tuples(st.just("publish"), st.just("everybody"), st.sampled_from(MESSAGES)),
    st.tuples(st.just("stop"), st.sampled_from(["any", "other"]), st.none()),
    st.tuples(st.just("look"), st.just("everybody"), st.none()),
)


async def take(mesh: Mesh, verb: str, recipient: str, message: Any) -> None:  # noqa: C901 – a table
    """Take one step; errors of the mesh are what may happen."""
    try:
        match verb:
            case "tell":
                await mesh.tell(recipient, message)
            case "tell_nowait":
                mesh.tell_nowait(recipient, message)
            case "ask":
                await mesh.ask(recipient, message, timeout=0.1)
            case "hurry":
                await mesh.ask(recipient, message, timeout=0.001)
            case "leave":
                with anyio.move_on_after(0.001):
                    await mesh.ask(recipient, message)
            case "stream":
                await mesh.stream(recipient, message, timeout=0.1).result()
            case "break":
                async with mesh.stream(recipient, message, timeout=0.1) as stream:
                    await anext(stream, None)
            case "publish":
                await mesh.broadcast(message)
            case "stop":
                await mesh.stop(recipient)
                mesh.add(Anything(recipient))
            case _:
                check_law(mesh.statistics())
    except CeylonError:
        return


ANY: Final = settings(
    max_examples=25, derandomize=True, deadline=None, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
HURRIED: Final = msgspec.structs.replace(DEFAULTS, tell_timeout=0.02, drain_timeout=1.0)


@ANY
@given(steps=st.lists(step, max_size=25))
async def test_the_law_holds_after_any_steps_one_after_the_other(anyio_backend: str, steps: list[Any]) -> None:
    async with lawful_mesh(settings=HURRIED) as mesh:
        for name in ("any", "other"):
            mesh.add(Anything(name))

        for verb, recipient, message in steps:
            await take(mesh, verb, recipient, message)
            check_law(mesh.statistics())


@ANY
@given(steps=st.lists(step, max_size=40))
async def test_the_law_holds_after_any_steps_at_once(anyio_backend: str, steps: list[Any]) -> None:
    async with lawful_mesh(settings=HURRIED) as mesh:
        for name in ("any", "other"):
            mesh.add(Anything(name))

        async with anyio.create_task_group() as tasks:
            for verb, recipient, message in steps:
                tasks.start_soon(take, mesh, verb, recipient, message)
        check_law(mesh.statistics())


@ANY
@given(steps=st.lists(step, max_size=20))
async def test_the_law_holds_when_the_mesh_is_left_in_the_middle(anyio_backend: str, steps: list[Any]) -> None:
    with pytest.raises(ZeroDivisionError):
        async with lawful_mesh(settings=HURRIED) as mesh:
            for name in ("any", "other"):
                mesh.add(Anything(name))
            for each in steps:
                if each[0] in {"tell", "tell_nowait", "publish"}:
                    await take(mesh, *each)
            raise ZeroDivisionError


async def test_the_law_holds_when_ten_agents_send_each_other_a_thousand_messages(mesh: Mesh) -> None:
    class Busy(Agent):
        async def on_message(self, message: int, context: Context) -> None:
            for step in range(2):
                if message > step:
                    await context.tell(f"busy-{(message * 7 + step) % 10}", message - step - 1)

    for number in range(10):
        mesh.add(Busy(f"busy-{number}"))

    for number in range(10):
        await mesh.tell(f"busy-{number}", 10)
        check_law(mesh.statistics())
    await mesh.drain()

    assert sum(agent.completed for agent in mesh.statistics().agents.values()) > 1_000


async def test_the_law_holds_for_streams_left_at_every_part(mesh: Mesh) -> None:
    counter = Counter("counter")
    ref = mesh.add(counter)

    for left_at in range(20):
        async with ref.stream(20) as stream:
            for _ in range(left_at):
                await anext(stream)
        check_law(mesh.statistics())
    await mesh.drain()

    assert mesh.statistics().agents["counter"].pending == 0
