"""The code of docs/guides/topics.md: every section runs."""
# ruff: noqa: D101, D102, D103 – a snippet is documented by the page it stands in

import asyncio
from typing import Any

from ceylon import Agent, Context, Mesh, Message, on


class Sale(Message):
    item: str
    total: float


# --8<-- [start:declare]
class Ledger(Agent):
    @on(topic="sales.*")  # receives every sale
    async def sold(self, sale: Sale) -> None:
        print(f"{self.name}: {sale.item}")


class Biller(Agent):
    @on(topic="sales.*", group="billing")  # each sale goes to one of the billers
    async def sold(self, sale: Sale) -> None:
        print(f"{self.name}: {sale.total:.2f}")


# --8<-- [end:declare]


async def declare() -> None:
    # --8<-- [start:publish]
    async with Mesh("market") as mesh:
        for agent in (Ledger("ledger"), Biller("ann"), Biller("bob")):
            mesh.add(agent)
        for item in ("tea", "milk"):
            print(await mesh.publish("sales.lisbon", Sale(item, 2.5)))  # 2: the ledger, and ann or bob
        print(await mesh.publish("weather", "rain"))  # 0: nobody subscribes
        await mesh.drain()
        print(mesh.statistics().unheard)  # 1
    # --8<-- [end:publish]


# --8<-- [start:follow]
class Follow(Message[None]):
    topic: str


class Reporter(Agent):
    async def on_start(self, context: Context) -> None:
        context.subscribe("news.*")

    @on
    async def follow(self, follow: Follow, context: Context) -> None:
        context.subscribe(follow.topic, group="reporters")

    async def on_message(self, message: Any) -> None:
        print(f"{self.name} has heard {message!r}")


# --8<-- [end:follow]


async def follow() -> None:
    # --8<-- [start:subscribe]
    async with Mesh("desk") as mesh:
        reporter = mesh.add(Reporter("reporter"))
        await reporter.ask(Follow("sports.**"))
        subscription = mesh.subscribe("weather", reporter)  # anybody may do it for an agent

        await mesh.publish("news.local", "a bridge")
        await mesh.publish("sports.football.lisbon", "2:1")
        await mesh.publish("weather", "rain")
        subscription.cancel()
        print(await mesh.publish("weather", "sun"))  # 0
    # --8<-- [end:subscribe]


# --8<-- [start:lossy]
class Dashboard(Agent):
    mailbox_capacity = 2

    @on(topic="metrics.*", when_full="refuse")  # nobody ever waits for a dashboard
    async def measured(self, value: float) -> None:
        await asyncio.sleep(0.01)


# --8<-- [end:lossy]


async def lossy() -> None:
    # --8<-- [start:refuse]
    async with Mesh("plant") as mesh:
        mesh.add(Dashboard("dashboard"))
        shown = [await mesh.publish("metrics.speed", float(number)) for number in range(10)]
        print(sum(shown), "of", len(shown))  # those that found room
        print(mesh.statistics().dead_letters)  # the others, counted: {'full': ...}

        await mesh.publish("metrics.speed", 1.0, when_full="refuse")  # a publisher may say so, too
    # --8<-- [end:refuse]


async def main() -> None:
    for show in (declare, follow, lossy):
        await show()


if __name__ == "__main__":
    asyncio.run(main())
