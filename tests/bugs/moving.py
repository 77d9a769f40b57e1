"""Activities about messages on the move: threads, streams, topics, mailboxes without room."""

import functools
from typing import Any

import anyio

from bugs.agents import Boy, Bulletin, Echo, Porter, Spool, Typist, Typists
from bugs.scene import Scene, once_each, together
from ceylon import AgentStoppedError, MailboxFullError, UnknownAgentError

__all__ = ["carrying", "closing", "dictating", "publishing", "streaming", "typing"]


async def typing(scene: Scene) -> None:
    scene.add(typist=Typist, typing=Echo)

    def numbers(client: int) -> list[int]:
        return [10 * client + each for each in scene.times(4)]

    async def tell(client: int) -> None:
        for number in numbers(client):
            await scene.mesh.tell("typist", number if scene.random.random() < 0.6 else float(number))
            await scene.pause()

    await together(*(functools.partial(tell, client) for client in scene.clients))
    await scene.mesh.drain()
    written = scene.world.of("typist")
    for client in scene.clients:
        mine = [number for number in written if number // 10 == client]
        assert mine == numbers(client), f"client {client} told in order, written was {mine}"


async def dictating(scene: Scene) -> None:
    """More threads ask than may run."""
    names = ("alice", "bob", "carol")
    scene.add(**dict.fromkeys(names, Typists), dictating=Echo)

    async def ask(name: str) -> None:
        for number in scene.times(2):
            assert await scene.mesh.ask(name, number) == number + len("step")

    await together(*(functools.partial(ask, name) for name in names))
    for name in names:
        once_each(scene.world.of(name), scene.times(2), f"{name} has counted")


async def streaming(scene: Scene) -> None:
    scene.add(spool=Spool)

    async def read(what: Any, most: int) -> None:
        parts: list[int] = []
        async for part in scene.mesh.stream("spool", what):
            parts.append(part)
            await scene.pause()
        assert parts == list(range(most)), f"{most} parts were sent, {parts} came"

    async def read_some(what: Any) -> None:
        async with scene.mesh.stream("spool", what) as parts:
            async for part in parts:
                if part == 5:
                    break

    await together(
        functools.partial(read, 8, 8),
        functools.partial(read, "8", 8),
        functools.partial(read_some, 50),
        functools.partial(read_some, "50"),
    )
    await scene.mesh.drain()
    once_each(scene.world.of("spool"), ("closed", "closed"), "streams came to their ends")


async def publishing(scene: Scene) -> None:
    scene.add(bulletin=Bulletin, board=Bulletin)

    async def publish(client: int) -> None:
        for number in (10 * client + each for each in scene.times(3)):
            assert await scene.mesh.publish("news.local", number) == 2

    await together(*(functools.partial(publish, client) for client in scene.clients))
    await scene.mesh.drain()
    for name in ("bulletin", "board"):
        expected = [10 * client + number for client in scene.clients for number in scene.times(3)]
        once_each(scene.world.of(name), expected, f"{name} has read")


async def carrying(scene: Scene) -> None:
    """Tell more than there is room for: what was taken is done, what was refused is not, and is kept."""
    scene.add(porter=scene.random.choice((Porter, Boy)))
    taken, refused = list[int](), list[int]()

    async def tell(client: int) -> None:
        for number in (10 * client + each for each in scene.times(3)):
            try:
                if client == 1:
                    scene.mesh.tell_nowait("porter", number)
                elif client == 2:
                    assert await scene.mesh.ask("porter", number) == number
                else:
                    await scene.mesh.tell("porter", number)
                taken.append(number)
            except MailboxFullError:
                refused.append(number)

    await together(*(functools.partial(tell, client) for client in (1, 2, 3, 4)))
    await scene.mesh.drain()
    once_each(scene.world.of("porter"), taken, "carried")
    kept = [each.envelope.message for each in scene.mesh.dead_letters() if each.envelope.recipient == "porter"]
    once_each(kept, refused, "kept of what was refused")


async def closing(scene: Scene) -> None:
    """Stop an agent before which others wait for room: they hear so."""
    scene.add(closed=Boy)

    async def send(number: int) -> None:
        try:
            if number % 2:
                await scene.mesh.tell("closed", number)
            else:
                assert await scene.mesh.ask("closed", number) == number
        except (UnknownAgentError, AgentStoppedError):
            scene.simulation.note(f"{number} was not taken")

    async def stop() -> None:
        await anyio.sleep(0.02)
        await scene.mesh.stop("closed")

    await together(*(functools.partial(send, number) for number in scene.times(5)), stop)
