"""Agents that do whatever a test tells them to, in each way a handler runs, and the stage they do it on."""

import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
import pytest

from ceylon import Agent, BlockingContext, CeylonError, Context, Mesh, Message, on
from ceylon.messages import Outcome
from support.hostile_agents import VARIABLE, Bystander, Ping, Wait, release
from support.leftovers import DEADLINE, eventually, tidy_mesh

__all__ = ["KINDS", "VERBS", "Deed", "on_each_kind", "on_each_verb", "rogue_has", "send", "stage"]

TOPIC: Final = "deeds"


class Deed(Message[Any]):
    """Do *act*: a function of the agent and its context."""

    act: Any


class AsyncRogue(Agent):
    """Does it on the loop, in an async handler."""

    @on
    async def do(self, deed: Deed, context: Context) -> Any:
        result = deed.act(self, context)
        return await result if inspect.iscoroutinefunction(deed.act) else result

    @on(topic=TOPIC)
    async def hear(self, deed: Deed, context: Context) -> Any:
        return await self.do(deed, context)

    @on
    async def ping(self, ping: Ping) -> str:
        await anyio.lowlevel.checkpoint()
        return VARIABLE.get()


class ThreadRogue(Agent):
    """Does it in a worker thread."""

    @on
    def do(self, deed: Deed, context: BlockingContext) -> Any:
        return deed.act(self, context)

    @on(topic=TOPIC)
    def hear(self, deed: Deed, context: BlockingContext) -> Any:
        return self.do(deed, context)

    @on
    def ping(self, ping: Ping) -> str:
        return VARIABLE.get()


class InlineRogue(ThreadRogue):
    """Does it on the loop, in a plain function."""

    inline = True


KINDS: Final[dict[str, type[Agent]]] = {"async": AsyncRogue, "thread": ThreadRogue, "inline": InlineRogue}
VERBS: Final = ("tell", "ask", "publish")
on_each_kind = pytest.mark.parametrize("kind", KINDS)
on_each_verb = pytest.mark.parametrize("verb", VERBS)


async def send(mesh: Mesh, verb: str, deed: Any, *, timeout: float = DEADLINE) -> Outcome:
    """Send *deed* to the rogue; return what its sender hears: for an ask the outcome, else nothing."""
    if verb == "ask":
        try:
            return Outcome(await mesh.ask("rogue", deed, timeout=timeout))
        except CeylonError as error:
            return Outcome(error=error)
    if verb == "publish":
        assert await mesh.publish(TOPIC, deed) == 1
    else:
        await mesh.tell("rogue", deed)
    return Outcome()


async def rogue_has(mesh: Mesh, **counts: int) -> None:
    """Wait until the counters of the rogue are so, with nothing under way, and fail if they never are."""

    def is_so() -> bool:
        statistics = mesh.statistics().agents["rogue"]
        return not statistics.pending and all(getattr(statistics, name) == count for name, count in counts.items())

    try:
        await eventually(is_so)
    except AssertionError:
        pytest.fail(f"expected {counts}, found {mesh.statistics().agents['rogue']}")


@asynccontextmanager
async def stage(
    kind: str, *, handler_timeout: float | None = None, is_fit: bool = True, **changes: Any
) -> AsyncIterator[Mesh]:
    """Open a mesh with a rogue, and a bystander in the middle of a message of its own that must never notice.

    At the end the rogue handles another message, if *is_fit*; the law holds and nothing is left behind.
    """
    waits, may_go = anyio.Event(), anyio.Event()
    answers: list[str] = []

    async with tidy_mesh(**changes) as mesh:

        async def stand_by() -> None:
            answers.append(await mesh.ask("bystander", Wait(), timeout=DEADLINE))

        rogue = KINDS[kind]("rogue")
        rogue.handler_timeout = handler_timeout
        mesh.add(rogue)
        mesh.add(Bystander("bystander", waits, may_go))
        async with anyio.create_task_group() as group:
            group.start_soon(stand_by)
            await waits.wait()
            yield mesh
            if is_fit:
                assert await mesh.ask("rogue", Ping(), timeout=DEADLINE) == "untouched"
            may_go.set()
        await release()
    assert answers == ["unharmed"]
