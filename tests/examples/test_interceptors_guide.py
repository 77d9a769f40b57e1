"""The interceptors that docs/guides/interceptors.md shows do what it says of them."""

import importlib.util
from types import ModuleType
from typing import Any, Final

import anyio
import pytest

from ceylon import Agent, Context, HandlerError, Mesh, Message, RejectedError
from ceylon.testing import Simulation, run_simulation
from support.examples import EXAMPLES
from support.law import lawful_mesh

PATH: Final = EXAMPLES / "snippets" / "interceptors_guide.py"


@pytest.fixture(scope="module")
def guide() -> Any:
    """The snippet, as a module under a name that no other has."""
    specification = importlib.util.spec_from_file_location("interceptors_guide_under_test", PATH)
    assert specification is not None
    assert specification.loader is not None
    module: ModuleType = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


class Kept(Message[int], tag="test_interceptors_guide.Kept"):
    """Counted by whoever gets it."""

    request_id: str = ""


class Counting(Agent):
    """Answers how often it was asked; fails at first if it is told to."""

    def __init__(self, name: str, *, fails: int = 0) -> None:
        super().__init__(name)
        self.count, self.fails = 0, fails

    async def on_message(self, message: Any) -> int:
        self.count += 1
        if self.count <= self.fails:
            raise ValueError(message)
        return self.count


class Forwarding(Agent):
    """Asks "counting" in its asker's place."""

    async def on_message(self, message: Any, context: Context) -> Any:
        return await context.ask("counting", message)


# -- auth --------------------------------------------------------------------------------------------------------------


async def test_permissions_let_pass_what_a_rule_allows_and_nothing_else(guide: Any) -> None:
    permissions = guide.Permissions(("", "front*", Kept), ("front*", "counting", Kept), ("", "*", str))
    async with lawful_mesh(interceptors=[permissions]) as mesh:
        counting, front = mesh.add(Counting("counting")), mesh.add(Forwarding("front-1"))

        assert await front.ask(Kept()) == 1
        await counting.tell("anything")
        for send in (counting.ask, counting.tell):
            with pytest.raises(RejectedError, match="code outside may not send Kept to counting"):
                await send(Kept())
        with pytest.raises(HandlerError, match="front-1 may not send str to counting"):
            await front.ask("anything")

        assert mesh.statistics().dead_letters == {"rejected": 3}


# -- rate limit --------------------------------------------------------------------------------------------------------


def test_a_rate_limit_lets_a_burst_pass_and_then_so_many_a_second(guide: Any) -> None:
    async def run(simulation: Simulation) -> None:
        limit = guide.RateLimit(per_second=2, burst=3)
        async with simulation.mesh(interceptors=[limit]) as mesh:
            mesh.add(Counting("counting"))

            assert [await _passes(mesh) for _ in range(5)] == [True, True, True, False, False]
            await anyio.sleep(0.6)
            assert [await _passes(mesh) for _ in range(2)] == [True, False]
            await anyio.sleep(100)
            assert [await _passes(mesh) for _ in range(4)] == [True, True, True, False]

    outcome = run_simulation(run, seed=2)

    assert outcome.error is None, repr(outcome.error)


async def test_each_sender_has_a_bucket_of_its_own_and_there_are_so_many_at_most(guide: Any) -> None:
    limit = guide.RateLimit(per_second=0.001, burst=2, most_senders=2)
    async with lawful_mesh(interceptors=[limit]) as mesh:
        mesh.add(Counting("counting"))
        for name in ("a", "b"):
            mesh.add(Forwarding(name))

        assert [await _passes(mesh, "a"), await _passes(mesh, "b")] == [True, True]
        assert not await _passes(mesh, "a")  # the third from outside; none of them was b's
        assert len(limit._buckets) == 2  # noqa: SLF001 – what must not grow


async def _passes(mesh: Mesh, name: str = "counting") -> bool:
    try:
        await mesh.ask(name, Kept())
    except RejectedError:
        return False
    return True


# -- tracing -----------------------------------------------------------------------------------------------------------


async def test_a_tracer_keeps_what_follows_from_what_in_one_trace(guide: Any) -> None:
    tracer = guide.Tracer()
    async with lawful_mesh(interceptors=[tracer.deliver, tracer.handle]) as mesh:
        front = mesh.add(Forwarding("front"))
        mesh.add(Counting("counting", fails=1))
        for _ in range(2):
            try:
                await front.ask(Kept())
            except HandlerError:
                assert len(tracer.spans) == 2

    first, second = sorted({span.trace for span in tracer.spans}, key=lambda it: int(it.rpartition("-")[2]))
    assert tracer.lines() == [
        f"Kept in front failed ({first})",
        f"  Kept in counting failed ({first})",
        f"Kept in front ({second})",
        f"  Kept in counting ({second})",
    ]
    assert all(span.seconds >= 0 for span in tracer.spans)


# -- once --------------------------------------------------------------------------------------------------------------


async def test_what_was_handled_is_answered_again_and_not_handled_again(guide: Any) -> None:
    async with lawful_mesh(interceptors=[guide.Once("request_id", most=2)]) as mesh:
        counting = mesh.add(Counting("counting"))

        assert [await counting.ask(Kept(name)) for name in ("a", "a", "b", "a")] == [1, 1, 2, 1]
        assert [await counting.ask(Kept()) for _ in range(2)] == [3, 4]
        assert [await counting.ask(message) for message in ("x", "x")] == [5, 6]
        assert await counting.ask(Kept("c")) == 7
        assert await counting.ask(Kept("a")) == 8  # forgotten: two are kept
        assert mesh.statistics().agents["counting"].completed == 10


async def test_what_has_failed_is_tried_again(guide: Any) -> None:
    async with lawful_mesh(interceptors=[guide.Once("request_id")]) as mesh:
        counting = mesh.add(Counting("counting", fails=1))

        with pytest.raises(HandlerError):
            await counting.ask(Kept("a"))
        assert await counting.ask(Kept("a")) == 2
        assert await counting.ask(Kept("a")) == 2


# -- variables ---------------------------------------------------------------------------------------------------------


async def test_a_handler_in_a_thread_has_the_tenant_of_its_own_message(guide: Any) -> None:
    async with lawful_mesh(interceptors=[guide.for_tenant]) as mesh:
        clerk = mesh.add(guide.Clerk("clerk"))

        assert [await clerk.ask(guide.Pay(1, request_id=name)) for name in ("lisbon", "", "porto")] == [
            "1 for lisbon",
            "1 for nobody",
            "1 for porto",
        ]
