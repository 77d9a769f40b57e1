"""The agents of the soak: each enters every message into a book before anything else can happen to it."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, ClassVar, Final

from ceylon import Agent, BlockingContext, Context, Message, action, on

__all__ = ["AGENTS", "PARTS", "Book", "Bookkeeper", "Work"]

PARTS: Final = 5
Book = defaultdict[str, list[int]]
"""Per agent: how many messages, and the sum of their numbers."""


class Work(Message[int]):
    """Have an effect, and raise if you are told to; the reply is the number."""

    number: int
    raises: bool = False


class Bookkeeper(Agent):
    """Enters every message it is given into the book; a sabotage lets it keep something of each for ever."""

    hoard: ClassVar[list[bytes] | None] = None

    def __init__(self, name: str, book: Book) -> None:
        super().__init__(name)
        self.book = book

    def enter(self, work: Work) -> int:
        """Do what there is to do."""
        entry = self.book[self.name]
        entry[0] += 1
        entry[1] += work.number
        if self.hoard is not None:
            self.hoard.append(bytes(2048))
        if work.raises:
            raise ValueError(work.number)
        return work.number


class Clerk(Bookkeeper):
    """On the loop."""

    async def on_message(self, work: Work) -> int:
        return self.enter(work)

    @action
    async def book_in(self, number: int) -> int:
        """Do the same as an action."""
        return self.enter(Work(number))


class ThreadClerk(Bookkeeper):
    """In a thread."""

    def on_message(self, work: Work) -> int:
        return self.enter(work)


class InlineClerk(ThreadClerk):
    """A plain function on the loop."""

    inline = True


class FrailClerk(Clerk):
    """Is made anew by every failure."""

    on_failure = "restart"
    max_restarts = 1_000_000


class Relay(Bookkeeper):
    """Asks a clerk."""

    async def on_message(self, work: Work, context: Context) -> Any:
        self.enter(work)
        return await context.ask(f"clerk-{work.number % 8}", work)


class ThreadRelay(Bookkeeper):
    """Blocks a thread while it asks a clerk in a thread."""

    def on_message(self, work: Work, context: BlockingContext) -> Any:
        self.enter(work)
        return context.ask(f"thread-{work.number % 4}", work)


class Teller(Bookkeeper):
    """Answers by parts."""

    async def on_message(self, work: Work) -> AsyncIterator[int]:
        self.enter(work)
        for number in range(PARTS):
            yield work.number + number


class ThreadTeller(Bookkeeper):
    """The same in a thread."""

    def on_message(self, work: Work) -> Iterator[int]:
        self.enter(work)
        for number in range(PARTS):
            yield work.number + number


class Listener(Bookkeeper):
    """Hears what is published."""

    @on(topic="news.*")
    async def hear(self, work: Work) -> None:
        self.enter(work)


class ThreadListener(Bookkeeper):
    """The same in a thread."""

    @on(topic="news.*")
    def hear(self, work: Work) -> None:
        self.enter(work)


class Sluggard(Agent):
    """Never answers."""

    async def on_message(self, work: Work) -> None:
        await asyncio.Event().wait()


AGENTS: Final[dict[str, tuple[Callable[..., Agent], int]]] = {
    "clerk": (Clerk, 14),
    "thread": (ThreadClerk, 8),
    "inline": (InlineClerk, 6),
    "frail": (FrailClerk, 4),
    "relay": (Relay, 4),
    "blocking": (ThreadRelay, 2),
    "teller": (Teller, 3),
    "reader": (ThreadTeller, 2),
    "listener": (Listener, 3),
    "hearer": (ThreadListener, 1),
    "sluggard": (Sluggard, 2),
    "probed": (Clerk, 1),
}
