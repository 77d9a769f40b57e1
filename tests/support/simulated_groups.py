"""Programs for simulations: keyed agents that come and go, and a pool that changes its size, under messages."""

import random
from collections import Counter, defaultdict
from typing import Any, Final

import anyio

from ceylon import Agent, CeylonError, Context, InMemorySnapshots, Message
from ceylon.testing import Simulation

__all__ = ["KEYS", "run_keyed", "run_pool"]

KEYS: Final = ("a", "b", "c", "d")
_CLIENTS: Final = 3
_MESSAGES: Final = 12
_LIMIT: Final = 3


class Note(Message[int], tag="simulated_groups.Note"):
    """Something to write down: the *number*-th message of *client* for *key*."""

    client: int
    key: str
    number: int


class World:
    """What the agents of one run do, seen from outside; the state itself has to survive by being saved."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.alive: Counter[str] = Counter()
        self.busy: Counter[str] = Counter()
        self.done: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        self.wrong: list[str] = []

    async def pause(self) -> None:
        """Wait for no time or some."""
        await anyio.sleep(self.chance.choice((0.0, 0.0, 0.01, 0.2)))

    def enter(self, counter: "Counter[str]", key: str, what: str) -> None:
        """Take note that one more is there for *key*, of which there may be one."""
        counter[key] += 1
        if counter[key] > 1:
            self.wrong.append(f"two {what} of {key!r} at one time")


class Room(Agent):
    """Writes notes down; has nothing but its snapshot between its lives."""

    def __init__(self, name: str, world: World) -> None:
        super().__init__(name)
        self.world = world
        self.notes: list[tuple[int, int]] = []

    async def load(self, state: Any) -> None:
        await self.world.pause()
        self.notes = state

    async def save(self) -> Any:
        await self.world.pause()
        return self.notes

    async def on_start(self) -> None:
        self.world.enter(self.world.alive, self.key, "activations")
        if self.world.alive.total() > _LIMIT:
            self.world.wrong.append(f"{self.world.alive.total()} are in memory, {_LIMIT} may be")
        await self.world.pause()

    async def on_stop(self) -> None:
        await self.world.pause()
        self.world.alive[self.key] -= 1

    async def on_message(self, note: Note, context: Context) -> int:
        self.notes.append((note.client, note.number))
        self.world.done[self.key].append((note.client, note.number))
        await self.world.pause()
        if self.world.chance.random() < 0.05:
            context.start_soon(self.world.pause)
        return len(self.notes)


async def run_keyed(simulation: Simulation, *, bears_faults: bool = False) -> None:
    """Let clients speak to more keys than may be in memory, while agents are idle, stopped, and driven out."""
    world, store = World(simulation.random), InMemorySnapshots()
    sent: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    async with simulation.mesh("house") as mesh:
        family = mesh.register(lambda key: Room(key, world), "room", idle=0.3, limit=_LIMIT, snapshots=store)

        async def speak(client: int) -> None:
            for number in range(_MESSAGES):
                key = simulation.random.choice(KEYS)
                note = Note(client, key, number)
                try:
                    if simulation.random.random() < 0.5:
                        await family.ref(key).tell(note)
                    else:
                        await family.ref(key).ask(note, timeout=1_000)
                except CeylonError as error:
                    if not bears_faults:
                        world.wrong.append(f"lost: {error}")
                    continue
                sent[key].append((client, number))
                await anyio.sleep(simulation.random.choice((0.0, 0.0, 0.1, 0.5)))

        async def end_some() -> None:
            for _ in range(4):
                await anyio.sleep(simulation.random.random())
                await mesh.stop(f"room/{simulation.random.choice(KEYS)}", at_once=False)

        async with anyio.create_task_group() as tasks:
            for client in range(_CLIENTS):
                tasks.start_soon(speak, client)
            tasks.start_soon(end_some)
    assert not world.wrong, "; ".join(world.wrong)
    for key in KEYS:
        _check(key, world.done[key], sent[key], bears_faults=bears_faults)
        kept = await store.load(f"room/{key}") or []
        assert kept == world.done[key], f"the state of {key!r} is {kept}, written down was {world.done[key]}"


def _check(key: str, done: list[tuple[int, int]], sent: list[tuple[int, int]], *, bears_faults: bool) -> None:
    """Compare what was done with what was sent: each once, in each client's order; with faults some may have failed."""
    for client in range(_CLIENTS):
        mine = [number for who, number in done if who == client]
        wanted = [number for who, number in sent if who == client]
        if bears_faults:
            assert mine == sorted(set(mine)), f"of client {client} for {key!r} there is {mine}"
        else:
            assert sorted(mine) == wanted, f"of client {client} for {key!r} there is {mine}, sent was {wanted}: lost"
            assert mine == wanted, f"of client {client} for {key!r} there is {mine}, sent was {wanted}: out of order"


class Worker(Agent):
    """Does one note after the other."""

    def __init__(self, name: str, world: World) -> None:
        super().__init__(name)
        self.world = world

    async def on_message(self, note: Note) -> int:
        self.world.enter(self.world.busy, note.key, "handlers")
        try:
            self.world.done[note.key].append((note.client, note.number))
            await self.world.pause()
        finally:
            self.world.busy[note.key] -= 1
        return note.number


class SmallWorker(Worker):
    """Has so little room that senders wait for it."""

    mailbox_capacity = 2


async def run_pool(simulation: Simulation, *, bears_faults: bool = False) -> None:
    """Let clients give a pool work by key while it grows and shrinks."""
    world = World(simulation.random)
    kind = simulation.random.choice((Worker, SmallWorker))
    sent: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    async with simulation.mesh("works") as mesh:
        pool = mesh.pool(lambda number: kind(number, world), "pool", size=3, routing=lambda note: note.key)

        async def give(client: int) -> None:
            for number in range(_MESSAGES):
                note = Note(client, simulation.random.choice(KEYS), number)
                try:
                    if simulation.random.random() < 0.8:
                        await pool.tell(note)
                    else:
                        await pool.ask(note, timeout=1_000)
                except CeylonError as error:
                    if not bears_faults:
                        world.wrong.append(f"lost: {error}")
                    continue
                sent[note.key].append((client, number))

        async def resize() -> None:
            for _ in range(5):
                await anyio.sleep(simulation.random.choice((0.0, 0.02, 0.3)))
                await pool.resize(simulation.random.randint(1, 6))

        async with anyio.create_task_group() as tasks:
            for client in range(_CLIENTS):
                tasks.start_soon(give, client)
            tasks.start_soon(resize)
        assert len(mesh.agents) == pool.size
    assert not world.wrong, "; ".join(world.wrong)
    for key in KEYS:
        _check(key, world.done[key], sent[key], bears_faults=bears_faults)
