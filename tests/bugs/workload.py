"""A program for finding bugs of the core: a few activities at once, each of which knows what must come of it.

Nothing in here knows of any bug. Whatever an activity relies on is promised by the mesh, also when messages are late,
overtake those of others, and handlers take their time.
"""

import functools
import random
from collections import Counter as Tally
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import anyio
import msgspec

from bugs.agents import (
    Boy,
    Bulletin,
    Counter,
    Crosser,
    Doer,
    Doomed,
    Echo,
    Family,
    Known,
    Pair,
    Pass,
    Porter,
    Relay,
    Returner,
    Sibling,
    Slow,
    Spool,
    Typist,
    Typists,
    Watcher,
    World,
    Worn,
)
from ceylon import (
    AgentStoppedError,
    AskTimeoutError,
    DeadlockError,
    HandlerError,
    MailboxFullError,
    Mesh,
    UnknownAgentError,
)
from ceylon.settings import DEFAULTS
from ceylon.testing import Faults, Simulation, What

__all__ = ["FAULTS", "run_workload"]

FAULTS: Final = Faults(crash=0.0, model=0.0)
"""No crashes: what a crashed handler has done is not known, and the agents fail by themselves."""
_SETTINGS: Final = msgspec.structs.replace(
    DEFAULTS, stream_credit=3, threads=2, threads_per_agent=1, handler_timeout=300.0, ask_timeout=60.0
)
_MOST: Final = 3
"""Activities of one seed: few, so that what was found is soon about one thing."""


class Scene:
    """Where an activity takes place; its randomness is its own, so that leaving out another changes nothing."""

    def __init__(self, mesh: Mesh, simulation: Simulation, name: str) -> None:
        self.mesh, self.simulation = mesh, simulation
        self.random = random.Random(f"{simulation.seed} {name}")  # noqa: S311 – repeatable is the point
        self.world = World()

    def add(self, **kinds: type[Known]) -> None:
        """Add agents by name."""
        for name, kind in kinds.items():
            self.mesh.add(kind(name, self.world))

    def times(self, most: int) -> range:
        """Count how often to do something."""
        return range(self.simulation.times(most))

    @property
    def clients(self) -> range:
        """Number the clients, of which there are two."""
        return range(1, 1 + self.simulation.times(2))

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so, for a minute at most."""
        with anyio.move_on_after(60):
            while not is_so():  # noqa: ASYNC110 – what is waited for raises no event
                await anyio.sleep(0.2)

    def pause(self) -> Awaitable[None]:
        """Wait for no time or some."""
        return anyio.sleep(self.random.choice((0.0, 0.005, 0.02)))


async def together(*functions: Callable[[], Awaitable[Any]]) -> None:
    """Run all of these at once."""
    async with anyio.create_task_group() as tasks:
        for function in functions:
            tasks.start_soon(function)


def once_each(effects: Iterable[Any], expected: Iterable[Any], what: str) -> None:
    """Fail unless *effects* are those *expected*, each once."""
    happened, wanted = Tally(effects), Tally(expected)
    assert happened == wanted, f"{what}: too often {happened - wanted}, not often enough {wanted - happened}"


# -- asks --------------------------------------------------------------------------------------------------------------


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
    scene.add(slow=Slow)

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


# -- threads, streams, topics ------------------------------------------------------------------------------------------


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

    async def read_some() -> None:
        async with scene.mesh.stream("spool", 50) as parts:
            async for part in parts:
                if part == 5:
                    break

    await together(functools.partial(read, 8, 8), functools.partial(read, "8", 8), read_some)
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


# -- lives -------------------------------------------------------------------------------------------------------------


async def failing(scene: Scene) -> None:
    """A poison message: it is gone, what is behind it is handled, by an instance that knows nothing of it."""
    scene.add(sibling=Sibling)
    for number in (1, -2, 3):
        await scene.mesh.tell("sibling", number)
    try:
        await scene.mesh.ask("sibling", -5)
    except HandlerError as error:
        assert "-5" in str(error)  # noqa: PT017 – it need not fail
    assert await scene.mesh.ask("sibling", 6) == 6
    await scene.mesh.drain()
    worked = [effect for effect in scene.world.of("sibling") if isinstance(effect, int)]
    once_each(worked, (1, -2, 3, -5, 6), "worked on")
    assert scene.mesh.statistics().agents["sibling"].restarts == 2
    await scene.mesh.stop("sibling")
    lives = [effect for effect in scene.world.of("sibling") if not isinstance(effect, int)]
    assert [what for what, _ in lives] == ["started", "stopped"] * 3, f"the lives of an agent: {lives}"


async def wearing_out(scene: Scene) -> None:
    """Fail more often than is allowed: the agent is gone, and so is what it still had."""
    scene.add(worn=Worn, watcher=Watcher)
    await scene.mesh.ask("watcher", ["worn", "nobody"])
    for number in (-1, -2, -3, 4):
        await scene.mesh.tell("worn", number)
    await scene.until(lambda: "worn" not in scene.mesh.agents)
    assert "worn" not in scene.mesh.agents, "failed three times, and may do so twice"
    await scene.mesh.drain()
    once_each(scene.world.of("watcher"), (("worn", "failed"), ("nobody", "unknown")), "heard of ends")
    letters = [each.envelope.message for each in scene.mesh.dead_letters() if each.envelope.recipient == "worn"]
    once_each(letters, (-1, -2, -3, 4), "letters nobody could handle")


async def ending(scene: Scene) -> None:
    """Agents stop and fail, watched by two."""
    scene.add(doomed=Doomed, leaver=Slow, observer=Watcher, other=Watcher)
    for watcher in ("observer", "other"):
        await scene.mesh.ask(watcher, ["doomed", "leaver"])
    await scene.mesh.tell("doomed", -1)
    told = list[int]()

    async def tell() -> None:
        for number in scene.times(4):
            try:
                if number % 2:
                    await scene.mesh.ask("leaver", number)
                else:
                    await scene.mesh.tell("leaver", number)
                    told.append(number)
            except (UnknownAgentError, AgentStoppedError):
                return

    async def stop() -> None:
        await anyio.sleep(scene.random.choice((0.1, 0.3)))
        await scene.mesh.stop("leaver", at_once=scene.random.random() < 0.5)

    await together(tell, stop)
    await scene.until(lambda: "doomed" not in scene.mesh.agents)
    await scene.mesh.drain()
    for watcher in ("observer", "other"):
        once_each(scene.world.of(watcher), (("doomed", "failed"), ("leaver", "stopped")), f"{watcher} heard of ends")
    begun = {event.id for event in scene.simulation.history.of(What.BEGAN) if event.recipient == "leaver"}
    kept = {each.envelope.id for each in scene.mesh.dead_letters() if each.envelope.recipient == "leaver"}
    assert not begun & kept, f"begun, and kept as dead letters: {begun & kept}"
    assert len(told) <= len(begun | kept), f"told {len(told)}; begun {begun}, kept as dead letters {kept}"


async def parting(scene: Scene) -> None:
    """A family ends, the youngest first."""
    scene.add(family=Family)
    await scene.mesh.ask("family", "tick")  # its children are there, once it answers
    for child in ("first", "second", "third"):
        assert await scene.mesh.ask(child, 1) == 1
    await scene.mesh.stop("family")
    family = {"first", "second", "third", "family"}
    assert not family & set(scene.mesh.agents), f"left behind: {family & set(scene.mesh.agents)}"
    stopped = [event.recipient for event in scene.simulation.history.of(What.STOPPED) if event.recipient in family]
    assert stopped == ["third", "second", "first", "family"], f"a family stopped in this order: {stopped}"
    for child in ("first", "second", "third"):
        what = [each if isinstance(each, int) else each[0] for each in scene.world.of(child)]
        assert what == ["started", 1, "stopped"], f"the life of a child: {what}"


ACTIVITIES: Final = (
    relaying,
    counting_up,
    being_impatient,
    leaving,
    crossing,
    returning,
    meeting,
    typing,
    dictating,
    streaming,
    publishing,
    carrying,
    closing,
    failing,
    wearing_out,
    ending,
    parting,
)


async def run_workload(simulation: Simulation) -> None:
    """Do some of it, at once."""
    async with simulation.mesh(settings=_SETTINGS) as mesh:
        chosen = simulation.some_of(ACTIVITIES, _MOST)
        scenes = [functools.partial(each, Scene(mesh, simulation, each.__name__)) for each in chosen]
        await together(*scenes)
