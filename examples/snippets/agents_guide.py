"""The code of docs/guides/agents.md: every section runs."""
# ruff: noqa: D101, D102, D103 – a snippet is documented by the page it stands in

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Literal

import anyio
import msgspec

from ceylon import (
    ActionArgumentsError,
    Agent,
    AskTimeoutError,
    BlockingContext,
    Context,
    DeadLetter,
    HandlerError,
    Mesh,
    Message,
    UnknownAgentError,
    action,
    on,
)


# --8<-- [start:messages]
class Order(Message["Receipt | SoldOut"]):
    tea: str
    packets: int = 1


class Receipt(Message):
    total: float


class SoldOut(Message):
    left: int


# --8<-- [end:messages]


# --8<-- [start:handlers]
class Shop(Agent):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.packets = {"assam": 10, "sencha": 3}

    @on
    async def order(self, order: Order, context: Context) -> Receipt | SoldOut:
        if self.packets[order.tea] < order.packets:
            return SoldOut(left=self.packets[order.tea])
        price: float = await context.ask("pricer", order.tea)
        self.packets[order.tea] -= order.packets
        return Receipt(total=price * order.packets)

    @on
    def left(self, tea: str) -> int:
        return self.packets.get(tea, 0)

    async def on_message(self, message: object) -> str:
        return f"{self.name} does not know what to do with {message!r}"


# --8<-- [end:handlers]


# --8<-- [start:blocking]
class Pricer(Agent):
    def on_message(self, message: str, context: BlockingContext) -> float:
        rate: float = context.ask("bank", "EUR")  # waits in this thread only
        return {"assam": 2.5, "sencha": 4.0}[message] * rate


# --8<-- [end:blocking]


# --8<-- [start:inline]
class Bank(Agent):
    inline = True

    def on_message(self, message: str) -> float:
        return 1.0


# --8<-- [end:inline]


async def using_handlers() -> None:
    # --8<-- [start:verbs]
    async with Mesh("market") as mesh:
        mesh.add(Bank("bank"))
        mesh.add(Pricer("pricer"))
        shop = mesh.add(Shop("shop"))

        print(await shop.ask(Order("assam", packets=2)))  # one reply
        await shop.tell(Order("assam"))  # none: returns when the message is in the mailbox
        shop.tell_nowait(Order("assam"))  # the same now, or MailboxFullError
        print(await shop.ask("assam"))
        print(await mesh.ask("shop", Order("sencha", packets=9)))  # by address
        print(await shop.using(timeout=2).ask(3.14))
    # --8<-- [end:verbs]


# --8<-- [start:actions]
class Address(msgspec.Struct):
    street: str
    city: str = "Lisbon"


class Courier(Agent):
    @action
    async def deliver(
        self,
        to: Address,
        packets: Annotated[int, msgspec.Meta(ge=1, le=20)] = 1,
        speed: Literal["slow", "fast"] = "slow",
        *,
        context: Context,
    ) -> str:
        """Bring tea to somebody.

        Args:
            to: Where to.
            packets: How many.
            speed: How soon.
            context: Given by the mesh; not part of the schema.
        """
        context.log.info("on_the_road", packets=packets)
        return f"{packets} packets for {to.street}, {to.city}, {speed}"


# --8<-- [end:actions]


async def using_actions() -> None:
    async with Mesh("market") as mesh:
        # --8<-- [start:call]
        courier = mesh.add(Courier("courier"))
        print(await courier.call("deliver", to={"street": "Rua Augusta 1"}, packets=2))
        try:
            await courier.call("deliver", to={"street": "Rua Augusta 1"}, packets=200)
        except ActionArgumentsError as error:
            print(error)
        print(Courier("another").actions["deliver"].schema)
        # --8<-- [end:call]


# --8<-- [start:hooks]
class Library(Agent):
    async def on_start(self, context: Context) -> None:
        self.books = ["On Tea"]

    async def on_restart(self, error: BaseException, context: Context) -> None:
        context.log.warning("began_again", error=str(error))

    def on_stop(self, context: BlockingContext) -> None:
        print(f"{self.name} had {len(self.books)} books")

    async def on_message(self, message: str) -> int:
        self.books.append(message)
        return len(self.books)


# --8<-- [end:hooks]


# --8<-- [start:lifespan]
class Journal(Agent):
    def __init__(self, name: str, path: Path) -> None:
        super().__init__(name)
        self.path = path

    async def lifespan(self, context: Context) -> AsyncIterator[None]:
        async with await anyio.open_file(self.path, "w") as self.file:
            yield  # the agent handles its messages while this waits

    async def on_message(self, line: str) -> int:
        return await self.file.write(f"{line}\n")


# --8<-- [end:lifespan]


async def using_hooks() -> None:
    with tempfile.TemporaryDirectory() as directory:
        async with Mesh("town") as mesh:
            print(await mesh.add(Journal("journal", Path(directory, "journal.txt"))).ask("a day in town"))
            print(await mesh.add(Library("library")).ask("On Time"))


# --8<-- [start:resume]
class Till(Agent):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.total = 0.0

    def on_message(self, amount: float) -> float:
        if amount < 0:
            message = "a payment is positive"
            raise ValueError(message)
        self.total += amount
        return self.total


class CautiousTill(Till):
    on_failure = "restart"


# --8<-- [end:resume]


async def supervision() -> None:
    # --8<-- [start:supervision]
    async with Mesh("bank") as mesh:
        for till in (mesh.add(Till("till")), mesh.add(CautiousTill("cautious"))):
            await till.ask(5.0)
            try:
                await till.ask(-1.0)
            except HandlerError as error:
                print(error.agent, repr(error.root))
            print(await till.ask(1.0))  # 6.0: it went on; 1.0: it began again
    # --8<-- [end:supervision]


# --8<-- [start:topics]
class Ledger(Agent):
    @on(topic="sales.*")
    async def sold(self, receipt: Receipt) -> None:
        print(f"{self.name}: {receipt.total:.2f}")


class Watcher(Agent):
    @on(topic="$dead_letters")
    async def lost(self, letter: DeadLetter) -> None:
        envelope = letter.envelope
        print(f"{envelope.message!r} to {envelope.recipient}: {letter.reason}")


# --8<-- [end:topics]


async def topics() -> None:
    # --8<-- [start:publish]
    async with Mesh("market") as mesh:
        mesh.add(Ledger("ledger"))
        mesh.add(Watcher("watcher"))
        print(await mesh.publish("sales.lisbon", Receipt(total=5.0)), "received it")
        print(await mesh.publish("weather", "rain"), "received it")
        try:
            await mesh.tell("nobody", "hello")
        except UnknownAgentError as error:
            print(error)
        await mesh.drain()
        print([letter.reason.value for letter in mesh.dead_letters()])
    # --8<-- [end:publish]


# --8<-- [start:generators]
class Storyteller(Agent):
    async def on_message(self, words: str) -> AsyncIterator[str]:
        for word in words.split():
            yield word


class Reader(Agent):
    def on_message(self, lines: int) -> Iterator[int]:  # in a worker thread
        yield from range(lines)


# --8<-- [end:generators]


async def streams() -> None:
    # --8<-- [start:streams]
    async with Mesh("library") as mesh:
        teller, reader = mesh.add(Storyteller("teller")), mesh.add(Reader("reader"))
        async for word in teller.stream("once upon a time"):
            print(word)
        print(await reader.stream(3).result())  # the parts as a list
        print(await reader.ask(3))  # the same
        async with reader.stream(1_000_000) as lines:
            async for line in lines:
                if line == 2:
                    break  # leaving the block stops the handler
    # --8<-- [end:streams]


# --8<-- [start:background]
class Clock(Agent):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.ticks = 0

    async def on_start(self, context: Context) -> None:
        context.every(0.01, "tick")
        context.after(0.05, "enough")
        context.start_soon(self.listen)

    async def listen(self) -> None:
        print("a background task of the agent, cancelled when it stops")
        await asyncio.Event().wait()

    async def on_message(self, message: str) -> None:
        self.ticks += message == "tick"


# --8<-- [end:background]


class Slow(Agent):
    async def on_message(self, message: float) -> str:
        await asyncio.sleep(message)
        return "done"


async def deadlines() -> None:
    # --8<-- [start:deadlines]
    async with Mesh("market") as mesh:
        slow = mesh.add(Slow("slow"))
        try:
            await slow.ask(60.0, timeout=0.05)
        except AskTimeoutError as error:
            print(error)
        print(await slow.ask(0.01))  # the agent is free again: its handler was cancelled
    # --8<-- [end:deadlines]


# --8<-- [start:concurrency]
class Waiter(Agent):
    concurrency = 10
    mailbox_capacity = 100
    ask_timeout = 5.0

    async def on_message(self, message: str) -> str:
        await asyncio.sleep(0.05)
        return message


# --8<-- [end:concurrency]


async def counters() -> None:
    async with Mesh("market") as mesh:
        waiter = mesh.add(Waiter("waiter"))
        await asyncio.gather(*[waiter.ask(f"order {number}") for number in range(10)])
        # --8<-- [start:statistics]
        statistics = mesh.statistics()
        served = statistics.agents["waiter"]
        print(served.accepted, served.completed, served.pending)
        print(statistics.is_balanced, statistics.refused, statistics.dead_letters)
        # --8<-- [end:statistics]


async def background() -> None:
    async with Mesh("town") as mesh:
        clock = mesh.add(Clock("clock"))
        await clock.ask("hello")
        await asyncio.sleep(0.1)
        print(mesh.statistics().agents["clock"].completed > 2)


async def main() -> None:
    """Run every section."""
    for section in (using_handlers, using_actions, using_hooks, supervision, topics, streams, deadlines):
        print("---", section.__name__)
        await section()
    for section in (counters, background):
        print("---", section.__name__)
        await section()


if __name__ == "__main__":
    asyncio.run(main())
