"""A small market: the agents that every caller of the matrix talks to."""

import collections
import threading
from collections.abc import AsyncIterator
from typing import Any, Final, Literal

import anyio

from ceylon import Agent, BlockingContext, Context, Message, action, on

__all__ = [
    "PEOPLE",
    "RUNNERS",
    "Clerk",
    "Errand",
    "Heard",
    "Listener",
    "News",
    "Order",
    "Porter",
    "Pricer",
    "Receipt",
    "Shop",
    "Verb",
]

PEOPLE = ["clerk", "listener", "porter", "pricer", "shop"]
DEADLINE = 30.0

Verb = Literal[
    "after", "ask", "broadcast", "call", "every", "publish", "ref", "reply", "start_soon", "stream", "tell", "tell_nowait"
]

RUNNERS: Final[dict[Verb, tuple[str, ...]]] = {
    **dict.fromkeys(("after", "ask", "broadcast", "call", "every", "publish", "reply", "stream", "tell"), ("porter", "clerk")),
    **dict.fromkeys(("ref", "start_soon", "tell_nowait"), ("porter",)),
}
"""Who runs an errand: the porter on the loop, the clerk in a thread; some verbs there are only on the loop."""


class Order(Message["Receipt"]):
    """Buy some tea."""

    sku: str
    quantity: int = 1


class Receipt(Message):
    """What it cost."""

    total: float


class News(Message):
    """Something worth telling; *label* says whose news it is."""

    label: str


class Heard(Message[int]):
    """How often was the news of *label* heard?"""

    label: str


class Errand(Message[Any]):
    """Use a verb of your context, and say what came of it."""

    verb: Verb
    label: str


class Ring(Message):
    """A timer of the errand with this label has fired."""

    label: str


class Pricer(Agent):
    """Answers in a thread: a plain handler may block, also on another agent."""

    @on
    def price(self, sku: str, context: BlockingContext) -> float:
        return 2.5 + context.ask("listener", Heard(sku))

    @on
    def ignore(self, news: News) -> None:
        """Take part in broadcasts."""


class Shop(Agent):
    """Answers on the loop, and asks the pricer meanwhile."""

    @on
    async def order(self, order: Order, context: Context) -> Receipt:
        price = await context.ask("pricer", order.sku)
        return Receipt(total=price * order.quantity)

    @on
    async def echo(self, number: int) -> int:
        return number

    @on
    async def tell_a_story(self, words: str) -> AsyncIterator[str]:
        for word in words.split():
            yield word

    @on
    async def ignore(self, news: News) -> None:
        """Take part in broadcasts."""

    @action
    def stock(self, sku: str) -> int:
        """How many packets of a tea are left."""
        return len(sku)


class Listener(Agent):
    """Counts the news it hears."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._heard = collections.Counter[str]()

    @on
    async def listen(self, news: News) -> None:
        self._heard[news.label] += 1

    @on(topic="sales.*")
    async def subscribe(self, news: News) -> None:
        self._heard[news.label] += 1

    @on
    async def heard(self, question: Heard) -> int:
        return self._heard[question.label]


class Porter(Agent):
    """Runs errands on the loop, each with one verb of its `Context`."""

    concurrency = 16  # an errand may wait for another message to this very agent

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._rings = collections.Counter[str]()
        self._rung = anyio.Condition()

    @on
    async def ring(self, ring: Ring) -> None:
        async with self._rung:
            self._rings[ring.label] += 1
            self._rung.notify_all()

    @on
    async def ignore(self, news: News) -> None:
        """Take part in broadcasts."""

    @on
    async def run(self, errand: Errand, context: Context) -> Any:
        return await getattr(self, f"_{errand.verb}")(context, errand.label)

    async def _tell(self, context: Context, label: str) -> Any:
        await context.tell("listener", News(label))
        return await context.ask("listener", Heard(label))

    async def _tell_nowait(self, context: Context, label: str) -> Any:
        context.tell_nowait("listener", News(label))
        return await context.ask("listener", Heard(label))

    async def _ask(self, context: Context, label: str) -> Any:
        return (await context.ask("shop", Order("assam", 2))).total

    async def _stream(self, context: Context, label: str) -> Any:
        return [part async for part in context.stream("shop", "one two three")]

    async def _call(self, context: Context, label: str) -> Any:
        return await context.call("shop", "stock", sku="assam")

    async def _publish(self, context: Context, label: str) -> Any:
        return [await context.publish("sales.tea", News(label)), await context.ask("listener", Heard(label))]

    async def _broadcast(self, context: Context, label: str) -> Any:
        received = await context.broadcast(News(label), exclude=["assistant"])
        return [received >= len(PEOPLE) - 1, await context.ask("listener", Heard(label))]

    async def _reply(self, context: Context, label: str) -> None:
        context.reply("early")

    async def _ref(self, context: Context, label: str) -> Any:
        return await context.ref("shop").ask(7)

    async def _start_soon(self, context: Context, label: str) -> Any:
        context.start_soon(self.ring, Ring(label))
        return await self._until_rung(label, 1)

    async def _after(self, context: Context, label: str) -> Any:
        context.after(0, Ring(label))
        return await self._until_rung(label, 1)

    async def _every(self, context: Context, label: str) -> Any:
        timer = context.every(0.001, Ring(label))
        rung = await self._until_rung(label, 2)
        timer.cancel()
        return rung

    async def _until_rung(self, label: str, times: int) -> bool:
        with anyio.fail_after(DEADLINE):
            async with self._rung:
                while self._rings[label] < times:
                    await self._rung.wait()
        return True


class Clerk(Agent):
    """Runs errands in a thread, each with one verb of its `BlockingContext`."""

    concurrency = 16

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._rings = collections.Counter[str]()
        self._rung = threading.Condition()

    @on(inline=True)
    def ring(self, ring: Ring) -> None:
        with self._rung:
            self._rings[ring.label] += 1
            self._rung.notify_all()

    @on(inline=True)
    def ignore(self, news: News) -> None:
        """Take part in broadcasts."""

    @on
    def run(self, errand: Errand, context: BlockingContext) -> Any:
        return getattr(self, f"_{errand.verb}")(context, errand.label)

    def _tell(self, context: BlockingContext, label: str) -> Any:
        context.tell("listener", News(label))
        return context.ask("listener", Heard(label))

    def _ask(self, context: BlockingContext, label: str) -> Any:
        return context.ask("shop", Order("assam", 2)).total

    def _stream(self, context: BlockingContext, label: str) -> Any:
        return list(context.stream("shop", "one two three"))

    def _call(self, context: BlockingContext, label: str) -> Any:
        return context.call("shop", "stock", sku="assam")

    def _publish(self, context: BlockingContext, label: str) -> Any:
        return [context.publish("sales.tea", News(label)), context.ask("listener", Heard(label))]

    def _broadcast(self, context: BlockingContext, label: str) -> Any:
        received = context.broadcast(News(label), exclude=["assistant"])
        return [received >= len(PEOPLE) - 1, context.ask("listener", Heard(label))]

    def _reply(self, context: BlockingContext, label: str) -> None:
        context.reply("early")

    def _after(self, context: BlockingContext, label: str) -> Any:
        context.after(0, Ring(label))
        return self._until_rung(label, 1)

    def _every(self, context: BlockingContext, label: str) -> Any:
        timer = context.every(0.001, Ring(label))
        rung = self._until_rung(label, 2)
        timer.cancel()
        return rung

    def _until_rung(self, label: str, times: int) -> bool:
        with self._rung:
            return self._rung.wait_for(lambda: self._rings[label] >= times, DEADLINE)
