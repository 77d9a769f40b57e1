"""Activities about asks: chains, deadlines, cancellation, deadlocks, answers."""

import functools

import anyio

from bugs.agents import Counter, Cramped, Crosser, Doer, Echo, Pair, Pass, Relay, Returner, Slow
from bugs.scene import Scene, once_each, together
from ceylon import AskTimeoutError, DeadlockError

__all__ = ["being_impatient", "counting_up", "crossing", "leaving", "meeting", "relaying", "returning"]


async def relaying(scene: Scene) -> None:
    scene.add(relay=Relay, other_relay=Relay, relay2=Relay, relay1=Relay)

    async def ask(client: int) -> None:
        for number in scene.times(2):
            relay = ("relay", "other_relay")[client % 2]
            assert await scene.mesh.ask(relay, Pass(number, 2), timeout=50) == number + 2

    await together(*(functools.partial(ask, client) for client in scene.clients))


async def counting_up(scene: Scene) -> None:
    scene.add(counter=Counter, counting=Echo)

    async def count(client: int) -> None:
        for number in scene.times(3):
            if scene.random.random() < 0.5:
                assert await scene.mesh.ask("counter", 10 * client + number) == 10 * client + number
            else:
                await scene.mesh.tell("counter", 10 * client + number)

    await together(*(functools.partial(count, client) for client in scene.clients))
    await scene.mesh.drain()
    expected = [10 * client + number for client in scene.clients for number in scene.times(3)]
    once_each(scene.world.of("counter"), expected, "counted when the mesh was drained")
    assert await scene.mesh.ask("counter", "total") == len(expected)


async def being_impatient(scene: Scene) -> None:
    """Ask with too little time: in a mailbox the ask is over, an answer that comes late is nobody's."""
    scene.add(echo=Echo)

    async def ask(client: int) -> None:
        for number in (3 * client + each for each in scene.times(3)):
            try:
                answer = await scene.mesh.ask("echo", number, timeout=scene.random.choice((0.1, 0.2, 1.0)))
            except AskTimeoutError:
                continue
            assert answer == number, f"asked for {number}, answered {answer}"

    await together(*(functools.partial(ask, client) for client in scene.clients))


async def leaving(scene: Scene) -> None:
    """Stop waiting: the handler stops working."""
    scene.add(slow=scene.random.choice((Slow, Cramped)))

    async def ask(number: int) -> None:
        with anyio.move_on_after(scene.random.choice((0.1, 0.15, 0.5))) as scope:
            assert await scene.mesh.ask("slow", number) == number
        if scope.cancelled_caught:
            scene.world.of("slow").append(("left", number))

    await together(*(functools.partial(ask, number) for number in scene.times(3)))
    await scene.mesh.drain()
    await anyio.sleep(1)
    effects = scene.world.of("slow")
    for number in range(3):
        mine = [what for what, whose in effects if whose == number]
        assert "left" not in mine or "done" not in mine[mine.index("left") :], f"{number} was worked on for nobody"


async def crossing(scene: Scene) -> None:
    """Two chains that may cross: one of them hears so at once."""
    scene.add(left=Crosser, right=Crosser)

    async def ask(first: str, second: str) -> None:
        try:
            assert await scene.mesh.ask(first, second) == ""
        except DeadlockError:
            scene.simulation.note("a deadlock was named")

    await together(functools.partial(ask, "left", "right"), functools.partial(ask, "right", "left"))


async def returning(scene: Scene) -> None:
    scene.add(returner=Returner, returning=Doer)

    async def ask(number: int) -> None:
        assert await scene.mesh.ask("returner", number) == number

    await together(*(functools.partial(ask, number) for number in scene.times(3)))


async def meeting(scene: Scene) -> None:
    scene.add(pair=Pair)

    async def ask(number: int) -> None:
        assert await scene.mesh.ask("pair", number) == number

    await together(*(functools.partial(ask, number) for number in range(2 * scene.simulation.times(2))))
