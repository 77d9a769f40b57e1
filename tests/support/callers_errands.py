"""Agents that use each verb of their context when they are asked to: one on the loop, one in a thread."""

import collections
from datetime import UTC, datetime
from typing import Any, Final, Literal

import anyio

from ceylon import Agent, BlockingContext, Context, Message, Terminated, on
from support.callers_agents import PEOPLE, Heard, News, Order

__all__ = ["RUNNERS", "Clerk", "Errand", "Porter", "Ring", "Rung", "Verb"]

Verb = Literal[
    "after",
    "ask",
    "at",
    "broadcast",
    "call",
    "cron",
    "every",
    "publish",
    "ref",
    "reply",
    "spawn",
    "start_soon",
    "stream",
    "subscribe",
    "submit",
    "tell",
    "tell_nowait",
    "unwatch",
    "watch",
]

RUNNERS: Final[dict[Verb, tuple[str, ...]]] = {
    "after": ("porter", "clerk"),
    "ask": ("porter", "clerk"),
    "at": ("porter", "clerk"),
    "broadcast": ("porter", "clerk"),
    "call": ("porter", "clerk"),
    "cron": ("porter", "clerk"),
    "every": ("porter", "clerk"),
    "publish": ("porter", "clerk"),
    "ref": ("porter", "clerk"),
    "reply": ("porter", "clerk"),
    "spawn": ("porter", "clerk"),
    "start_soon": ("porter",),
    "stream": ("porter", "clerk"),
    "subscribe": ("porter", "clerk"),
    "submit": ("porter", "clerk"),
    "tell": ("porter", "clerk"),
    "tell_nowait": ("porter",),
    "unwatch": ("porter", "clerk"),
    "watch": ("porter", "clerk"),
}
"""Who runs an errand: the porter on the loop, the clerk in a thread; some verbs there are only on the loop."""


class Errand(Message[Any]):
    """Use a verb of your context, and say what came of it."""

    verb: Verb
    label: str


class Ring(Message):
    """A timer of the errand with this label has fired."""

    label: str


class Rung(Message[bool]):
    """Say when there have been so many rings."""

    label: str
    times: int = 1


class Child(Agent):
    """Is spawned by an errand, and stays as long as its parent."""

    @on
    async def echo(self, number: int) -> int:
        return number

    @on
    async def ignore(self, news: News) -> None:
        """Take part in broadcasts."""


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
    async def end(self, terminated: Terminated) -> None:
        await self.ring(Ring(terminated.address))

    @on
    async def until_rung(self, question: Rung) -> bool:
        async with self._rung:
            while self._rings[question.label] < question.times:
                await self._rung.wait()
        return True

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

    async def _submit(self, context: Context, label: str) -> Any:
        return await (await context.submit("shop", 7))

    async def _stream(self, context: Context, label: str) -> Any:
        return [part async for part in context.stream("shop", "one two three")]

    async def _call(self, context: Context, label: str) -> Any:
        return await context.call("shop", "stock", sku="assam")

    async def _publish(self, context: Context, label: str) -> Any:
        return [await context.publish("sales.tea", News(label)), await context.ask("listener", Heard(label))]

    async def _subscribe(self, context: Context, label: str) -> Any:
        subscription = context.subscribe(f"errands.{label}")
        received = await context.publish(f"errands.{label}", Ring(label))
        subscription.cancel()
        return [received, await self.until_rung(Rung(label))]

    async def _broadcast(self, context: Context, label: str) -> Any:
        received = await context.broadcast(News(label), exclude=["assistant"])
        return [received >= len(PEOPLE) - 1, await context.ask("listener", Heard(label))]

    async def _reply(self, context: Context, label: str) -> None:
        context.reply("early")

    async def _ref(self, context: Context, label: str) -> Any:
        return await context.ref("shop").ask(7)

    async def _start_soon(self, context: Context, label: str) -> Any:
        context.start_soon(self.ring, Ring(label))
        return await self.until_rung(Rung(label))

    async def _spawn(self, context: Context, label: str) -> Any:
        return await context.spawn(Child(label)).ask(7)

    async def _watch(self, context: Context, label: str) -> Any:
        context.watch(label)  # nobody has been there, which is an end as well
        return await self.until_rung(Rung(label))

    async def _unwatch(self, context: Context, label: str) -> Any:
        child = context.spawn(Child(label))
        context.watch(child)
        context.unwatch(child)
        return await child.ask(7)

    async def _after(self, context: Context, label: str) -> Any:
        context.after(0, Ring(label))
        return await self.until_rung(Rung(label))

    async def _every(self, context: Context, label: str) -> Any:
        timer = context.every(0.001, Ring(label))
        rung = await self.until_rung(Rung(label, times=2))
        timer.cancel()
        return rung

    async def _at(self, context: Context, label: str) -> Any:
        context.at(datetime.now(UTC), Ring(label))
        return await self.until_rung(Rung(label))

    async def _cron(self, context: Context, label: str) -> Any:
        timer = context.cron("0 0 1 1 *", Ring(label))
        is_set = timer.remaining is not None
        timer.cancel()
        return is_set


class Clerk(Agent):
    """Runs errands in a thread, each with one verb of its `BlockingContext`."""

    concurrency = 16

    @on
    async def ring(self, ring: Ring, context: Context) -> None:
        await context.tell("porter", ring)

    @on
    async def end(self, terminated: Terminated, context: Context) -> None:
        await context.tell("porter", Ring(terminated.address))

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

    def _submit(self, context: BlockingContext, label: str) -> Any:
        return context.submit("shop", 7).wait()

    def _stream(self, context: BlockingContext, label: str) -> Any:
        return list(context.stream("shop", "one two three"))

    def _call(self, context: BlockingContext, label: str) -> Any:
        return context.call("shop", "stock", sku="assam")

    def _publish(self, context: BlockingContext, label: str) -> Any:
        return [context.publish("sales.tea", News(label)), context.ask("listener", Heard(label))]

    def _subscribe(self, context: BlockingContext, label: str) -> Any:
        subscription = context.subscribe(f"errands.{label}")
        received = context.publish(f"errands.{label}", Ring(label))
        subscription.cancel()
        return [received, context.ask("porter", Rung(label))]

    def _broadcast(self, context: BlockingContext, label: str) -> Any:
        received = context.broadcast(News(label), exclude=["assistant"])
        return [received >= len(PEOPLE) - 1, context.ask("listener", Heard(label))]

    def _reply(self, context: BlockingContext, label: str) -> None:
        context.reply("early")

    def _ref(self, context: BlockingContext, label: str) -> Any:
        return context.ref("shop").ask(7)

    def _spawn(self, context: BlockingContext, label: str) -> Any:
        return context.spawn(Child(label)).ask(7)

    def _watch(self, context: BlockingContext, label: str) -> Any:
        context.watch(label)
        return context.ask("porter", Rung(label))

    def _unwatch(self, context: BlockingContext, label: str) -> Any:
        child = context.spawn(Child(label))
        context.watch(child)
        context.unwatch(child)
        return child.ask(7)

    def _after(self, context: BlockingContext, label: str) -> Any:
        context.after(0, Ring(label))
        return context.ask("porter", Rung(label))

    def _every(self, context: BlockingContext, label: str) -> Any:
        timer = context.every(0.001, Ring(label))
        rung = context.ask("porter", Rung(label, times=2))
        timer.cancel()
        return rung

    def _at(self, context: BlockingContext, label: str) -> Any:
        context.at(datetime.now(UTC), Ring(label))
        return context.ask("porter", Rung(label))

    def _cron(self, context: BlockingContext, label: str) -> Any:
        timer = context.cron("0 0 1 1 *", Ring(label))
        is_set = timer.remaining is not None
        timer.cancel()
        return is_set
