"""The agents of the workload: small, of every kind, and sure of what they may expect."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio

from ceylon import Agent, BlockingContext, Context, Message, on
from ceylon.core.watching import Terminated

__all__ = [
    "Boy",
    "Bulletin",
    "Clan",
    "Counter",
    "Cramped",
    "Crosser",
    "Doer",
    "Doomed",
    "Echo",
    "Family",
    "Known",
    "Pair",
    "Pass",
    "Porter",
    "Relay",
    "Returner",
    "Sibling",
    "Slow",
    "Spool",
    "Typist",
    "Typists",
    "Watcher",
    "World",
    "Worn",
]


class World:
    """What happened in one run, outside of the agents: it outlives their restarts."""

    def __init__(self) -> None:
        self.done: dict[str, list[Any]] = {}  # by agent: effects, in order
        self.instances = 0

    def of(self, name: str) -> list[Any]:
        """Return the effects of the agent *name*."""
        return self.done.setdefault(name, [])


class Known(Agent):
    """Knows the world, and notes there what it does."""

    def __init__(self, name: str, world: World) -> None:
        super().__init__(name)
        self.world = world

    def note(self, effect: Any) -> None:
        self.world.of(self.name).append(effect)


# -- asks --------------------------------------------------------------------------------------------------------------


class Pass(Message[int]):
    """Hand *number* on, *left* times; the asker had until *deadline*."""

    number: int
    left: int
    deadline: float | None = None


class Relay(Known):
    """Hands on, with all the time it has, or asking for more than that."""

    @on
    async def take(self, message: Pass, context: Context) -> int:
        assert context.deadline is not None, "an ask without a deadline"
        assert message.deadline is None or context.deadline <= message.deadline, "more time than the asker has"
        if not message.left:
            return message.number
        following = Pass(message.number, message.left - 1, context.deadline)
        timeout = 300.0 if message.left % 2 else None
        answer: int = await context.ask(f"relay{message.left}", following, timeout=timeout)
        return answer + 1


class Counter(Known):
    """Reads, waits, writes: right only if nobody else does so meanwhile."""

    value = 0

    @on
    async def add(self, number: int, context: Context) -> int:
        value = self.value
        await anyio.sleep(0.01)
        await context.ask("counting", "step")
        self.value = value + 1
        self.note(number)
        return number

    @on
    async def total(self, word: str) -> int:
        return self.value


class Echo(Known):
    """Answers with what it was asked, after a while, whether anybody waits or not."""

    @on(shielded=True)
    async def echo(self, number: int) -> int:
        self.note(number)
        await anyio.sleep(0.3 if number % 3 == 0 else 0.01)
        return number

    @on(shielded=True)
    def step(self, word: str) -> str:
        return word


class Slow(Known):
    """Works for as long as it is asked to; may be cancelled."""

    @on
    async def work(self, number: int) -> int:
        self.note(("began", number))
        await anyio.sleep(0.2)
        self.note(("done", number))
        return number


class Cramped(Slow):
    """Has little room."""

    mailbox_capacity = 1


class Crosser(Known):
    """Asks another one, who may be asking it."""

    @on
    async def ask(self, other: str, context: Context) -> str:
        await anyio.sleep(0.01)
        return "" if not other else str(await context.ask(other, ""))


class Returner(Known):
    """Lets its own chain back in, and nobody else."""

    reentrant = True
    is_busy = False

    @on
    async def begin(self, number: int, context: Context) -> int:
        assert not self.is_busy, "two of them at once"
        self.is_busy = True
        answer: int = await context.ask("returning", Pass(number, 0))
        await anyio.sleep(0.02)
        self.is_busy = False
        return answer

    @on
    async def come_back(self, word: str) -> int:
        assert self.is_busy, "back without having gone"
        return len(word)


class Doer(Known):
    """Asks back whoever asked it."""

    @on
    async def ask_back(self, message: Pass, context: Context) -> int:
        return int(await context.ask("returner", "x" * message.number))


class Pair(Known):
    """Handles two at a time, which wait for each other."""

    concurrency = 2
    other: anyio.Event | None = None

    @on
    async def meet(self, number: int) -> int:
        if self.other is None:
            self.other = met = anyio.Event()
            await met.wait()
        else:
            self.other.set()
            self.other = None
        return number


# -- threads and streams -----------------------------------------------------------------------------------------------


class Typist(Known):
    """Has handlers in threads and on the loop, in any order."""

    mailbox_capacity = 3

    @on
    def write(self, number: int, context: BlockingContext) -> None:
        self.note(number)
        if number % 2:
            context.ask("typing", "step")

    @on
    async def write_more(self, number: float) -> None:
        await anyio.sleep(0.01)
        self.note(int(number))


class Typists(Known):
    """A thread that asks."""

    @on
    def count(self, number: int, context: BlockingContext) -> int:
        self.note(number)
        return len(context.ask("dictating", "step")) + number


class Spool(Known):
    """Sends parts: from the loop, from a thread, and without one."""

    @on
    async def from_loop(self, most: int) -> AsyncIterator[int]:
        try:
            for number in range(most):
                yield number
                if number % 4 == 0:
                    await anyio.sleep(0.01)
        finally:
            self.note("closed")

    @on
    def from_thread(self, most: str) -> Iterator[int]:
        yield from range(int(most))


# -- lives -------------------------------------------------------------------------------------------------------------


class Sibling(Known):
    """Begins again when it fails, as if nothing had happened."""

    on_failure = "restart"

    def __init__(self, name: str, world: World) -> None:
        super().__init__(name, world)
        world.instances += 1
        self.instance = world.instances
        self.is_broken = False
        self.is_ready = False

    async def on_start(self, context: Context) -> None:
        self.note(("started", self.instance))
        await anyio.sleep(0.01)
        self.is_ready = True

    async def on_stop(self, context: Context) -> None:
        self.note(("stopped", self.instance))

    @on
    async def work(self, number: int) -> int:
        self.note(number)
        await anyio.sleep(0.01)
        assert self.is_ready, "a message before the start was over"
        assert not self.is_broken, "a state that should be forgotten"
        if number < 0:
            self.is_broken = True
            raise ValueError(number)
        return number


class Worn(Sibling):
    """May not do that often."""

    max_restarts = 2


class Family(Known):
    """Has children, and ticks."""

    names: tuple[str, ...] = ("first", "second", "third")

    async def on_start(self, context: Context) -> None:
        for name in self.names:
            context.spawn(Sibling(name, self.world))
        context.every(5, "tick")

    @on
    async def tick(self, word: str) -> None:
        self.note(word)


class Clan(Family):
    """Has children who begin again together."""

    strategy = "one_for_all"
    names = ("elder", "younger")


class Doomed(Known):
    """Stops at its first failure; ticks until then."""

    on_failure = "stop"

    @on
    async def fail(self, number: int, context: Context) -> None:
        context.every(5, "tick")
        await anyio.sleep(0.01)
        if number < 0:
            raise ValueError(number)

    @on
    async def tick(self, word: str) -> None:
        """Do nothing."""


class Watcher(Known):
    """Hears of ends."""

    @on
    async def watch(self, name: str, context: Context) -> None:
        context.watch(name)

    @on
    async def hear(self, end: Terminated) -> None:
        self.note((end.address, end.reason))


class Bulletin(Known):
    """Subscribes twice to the same."""

    @on(topic="news.*")
    async def read(self, number: int) -> None:
        self.note(number)

    @on(topic="news.**")
    async def read_all(self, number: int) -> None:
        self.note(number)


class Porter(Known):
    """Has little room, and takes its time."""

    mailbox_capacity = 2

    @on
    async def carry(self, number: int) -> int:
        await anyio.sleep(0.05)
        self.note(number)
        return number


class Boy(Porter):
    """Has even less."""

    mailbox_capacity = 1
