"""What the plugin's meshes see beside the law: messages that are changed after they were sent."""

import copy
import threading
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from ceylon import Agent, on
from ceylon.testing.fixtures import checked_blocking_mesh, checked_mesh
from support.core_agents import SECONDS, Held, until


class Reader(Agent):
    """Takes lists on the loop and dictionaries in a thread; waits where it is told to."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.gate = threading.Event()

    @on
    def wait(self, seconds: float) -> None:
        assert self.gate.wait(seconds)

    @on
    async def read(self, items: list) -> int:  # type: ignore[type-arg]
        await anyio.lowlevel.checkpoint()
        return len(items)

    @on
    def look_up(self, items: dict) -> int:  # type: ignore[type-arg]
        return len(items)


@pytest.mark.parametrize(
    ("message", "change"), [([1], lambda it: it.append(2)), ({1: 1}, lambda it: it.update({2: 2}))]
)
async def test_a_message_that_is_changed_after_it_was_sent_fails_the_test(message: Any, change: Any) -> None:
    with pytest.raises(AssertionError, match=r"saw that message #.*was changed after it was sent; send a copy"):
        async with checked_mesh() as mesh:
            agent = Reader("reader")
            reader = mesh.add(agent)
            await reader.tell(SECONDS)
            mine = copy.copy(message)
            await reader.tell(mine)
            change(mine)
            agent.gate.set()
            await mesh.drain()


async def test_messages_that_stay_as_they_are_pass() -> None:
    async with checked_mesh() as mesh:
        reader = mesh.add(Reader("reader"))
        assert await reader.ask([1, 2]) == 2
        assert await reader.ask({1: 1}) == 1
        held = Held("held")
        await mesh.add(held).tell([1])
        await until(lambda: held.begun)
        held.begun[0].append(2)  # by its handler: it is the receiver's now
        held.gate.set()


def test_a_blocking_mesh_sees_it_too() -> None:
    message = [1]
    with pytest.raises(AssertionError, match="was changed after it was sent"), checked_blocking_mesh() as mesh:
        agent = Reader("reader")
        reader = mesh.add(agent)
        reader.tell(SECONDS)
        reader.tell(message)
        message.append(2)
        agent.gate.set()
        mesh.drain()
