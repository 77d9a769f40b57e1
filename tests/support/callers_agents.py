"""A small market: the agents that every caller of the matrix talks to."""

import collections
from collections.abc import AsyncIterator

from ceylon import Agent, BlockingContext, Context, Message, action, on

__all__ = ["PEOPLE", "Heard", "Listener", "News", "Order", "Pricer", "Receipt", "Shop"]

PEOPLE = ["clerk", "listener", "porter", "pricer", "shop"]


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
