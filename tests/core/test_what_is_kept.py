"""What has ended keeps nothing alive: no message, no context, no error, no agent that has stopped."""

import contextlib
import gc
import weakref
from collections import deque
from typing import Any

import anyio
import msgspec
import pytest

from ceylon import Agent, AskTimeoutError, BlockingContext, Context, HandlerError, Mesh
from ceylon.settings import DEFAULTS
from support.core_agents import until
from support.law import lawful_mesh


class Parcel:
    """A message that one can look after."""

    def __init__(self, *, fails: bool = False, lasts: bool = False) -> None:
        self.fails, self.lasts = fails, lasts


class OnTheLoop(Agent):
    """Fails, or lasts, on the loop."""

    async def on_message(self, parcel: Parcel, context: Context) -> None:
        if parcel.lasts:
            await anyio.sleep_forever()
        if parcel.fails:
            raise ValueError


class InThreads(Agent):
    """The same in worker threads."""

    def on_message(self, parcel: Parcel, context: BlockingContext) -> None:
        if parcel.fails:
            raise ValueError


async def gone(*references: "weakref.ref[Any]") -> None:
    """Wait until nothing is left of what the references are to; a thread lets go of its last a moment later."""

    def all_gone() -> bool:
        gc.collect()
        return all(reference() is None for reference in references)

    await until(all_gone)


@pytest.mark.parametrize("kind", [OnTheLoop, InThreads])
@pytest.mark.parametrize("fails", [False, True])
async def test_a_message_that_was_asked_about_is_let_go(mesh: Mesh, kind: type[Agent], fails: bool) -> None:  # noqa: FBT001 – a parameter of the test
    ref = mesh.add(kind("agent"))
    parcel = Parcel(fails=fails)
    reference = weakref.ref(parcel)
    with contextlib.suppress(HandlerError):
        await ref.ask(parcel)
    del parcel

    await gone(reference)
    assert mesh.interior.router.endings.find(1) is not None


@pytest.mark.parametrize("kind", [OnTheLoop, InThreads])
async def test_a_message_that_was_told_is_let_go(mesh: Mesh, kind: type[Agent]) -> None:
    ref = mesh.add(kind("agent"))
    parcel = Parcel()
    reference = weakref.ref(parcel)
    await ref.tell(parcel)
    del parcel
    await mesh.drain()

    await gone(reference)


async def test_a_message_that_expired_before_its_handler_began_is_let_go(mesh: Mesh) -> None:
    ref = mesh.add(OnTheLoop("agent"))
    await ref.tell(Parcel(lasts=True))
    parcel = Parcel()
    reference = weakref.ref(parcel)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_ask_for_a_moment, ref, parcel)
        del parcel

    await gone(reference)
    await mesh.stop(at_once=True)


async def _ask_for_a_moment(ref: Any, parcel: Parcel) -> None:
    with pytest.raises(AskTimeoutError):
        await ref.ask(parcel, timeout=0.02)


@pytest.mark.parametrize("kind", [OnTheLoop, InThreads])
@pytest.mark.parametrize("fails", [False, True])
async def test_an_agent_that_was_stopped_is_let_go(mesh: Mesh, kind: type[Agent], fails: bool) -> None:  # noqa: FBT001 – as above
    agent = kind("agent")
    ref, reference = mesh.add(agent), weakref.ref(agent)
    with contextlib.suppress(HandlerError):
        await ref.ask(Parcel(fails=fails))
    await mesh.stop("agent")
    del agent, ref

    await gone(reference)


@pytest.mark.parametrize("kind", [OnTheLoop, InThreads])
async def test_one_agent_of_many_gives_its_empty_mailbox_back(kind: type[Agent]) -> None:
    async with lawful_mesh(settings=msgspec.structs.replace(DEFAULTS, roomy_agents=1)) as mesh:
        first, second = mesh.add(kind("first")), mesh.add(kind("second"))
        for ref in (first, second):
            await ref.tell(Parcel())
            await ref.ask(Parcel())
        await mesh.drain()
        cells = mesh.interior.cells()

        await until(lambda: not isinstance(cells["second"].mail, deque))
        assert isinstance(cells["first"].mail, deque)
        await second.ask(Parcel())
