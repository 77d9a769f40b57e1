"""Agents with sync and async handlers and actions, on one mesh: what ends in "no running event loop" elsewhere.

    python examples/demo_async_agent.py [--model ollama::gemma3:latest]

Handlers and actions are `async def` where they await and plain `def` where they block; whoever calls them need not
know. A plain `def` runs in a worker thread, and its context has the same verbs, blocking. The mesh lives on the loop
that `asyncio.run` makes here; `trio.run` would do as well.

It does not show what happens to an agent that fails (docs/guides/agents.md does), nor how a mesh is used from outside
its loop (demo_everywhere.py does).
"""

import argparse
import asyncio
import sys
import time

from ceylon import Agent, BlockingContext, Context, HandlerError, LlmAgent, Mesh, Message, ModelError, action, on


class Order(Message["Receipt"]):
    """Buy *packets* of a *tea*; answered by a `Receipt`."""

    tea: str
    packets: int = 1


class Receipt(Message):
    """What an order costs."""

    total: float


class Greeter(Agent):
    """Takes any message, and awaits while it handles it."""

    async def on_message(self, message: object, context: Context) -> str:
        """Answer after a short wait; other agents go on meanwhile."""
        await asyncio.sleep(0.05)
        return f"{self.name} greets {message}"


class Pricer(Agent):
    """Takes any message, and blocks while it handles it: a plain `def` runs in a worker thread."""

    def on_message(self, message: object, context: BlockingContext) -> float:
        """Look up a price as slowly as some libraries do."""
        time.sleep(0.05)
        return {"assam": 2.5, "sencha": 4.0}.get(str(message), 3.0)


class Accountant(Agent):
    """Asks another agent from a worker thread: the verbs of a `BlockingContext` block, and need no loop there."""

    def on_message(self, message: object, context: BlockingContext) -> str:
        """Say what a packet costs with tax."""
        price: float = context.ask("pricer", message)
        return f"{price * 1.2:.2f} with tax"


class Shop(Agent):
    """Sells tea: a typed message, and actions that others call by name."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.packets = {"assam": 10, "sencha": 10}

    @on
    async def order(self, order: Order, context: Context) -> Receipt:
        """Sell what the order says. It is routed here by the annotation of `order`."""
        price: float = await context.ask("pricer", order.tea)
        self.packets[order.tea] -= order.packets
        return Receipt(total=price * order.packets)

    @action
    async def restock(self, tea: str, packets: int) -> int:
        """Add *packets* to the shelf; return how many there are."""
        await asyncio.sleep(0.05)
        self.packets[tea] = self.packets.get(tea, 0) + packets
        return self.packets[tea]

    @action
    async def quote(self, tea: str, packets: int, context: Context) -> float:
        """Return the price of *packets* of a tea; an action that asks another agent over the mesh."""
        price: float = await context.ask("pricer", tea)
        return price * packets

    @action
    def stock(self, tea: str, context: BlockingContext) -> str:
        """Say what is left and what it is worth; a plain `def` asks as well."""
        price: float = context.ask("pricer", tea)
        return f"{self.packets[tea]} packets, {self.packets[tea] * price:.2f} together"

    @action
    async def advertise(self, tea: str, context: Context) -> str:
        """Let a language model describe a tea."""
        words: str = await context.ask("writer", f"What is {tea} tea?")
        return words


async def main(model: str) -> None:
    """Put five agents on a mesh and talk to them."""
    async with Mesh("market") as mesh:
        greeter, shop = mesh.add(Greeter("greeter")), mesh.add(Shop("shop"))
        pricer, accountant = mesh.add(Pricer("pricer")), mesh.add(Accountant("accountant"))
        mesh.add(LlmAgent("writer", model, system_prompt="Answer in one short sentence.", max_tokens=32))

        heading("An async on_message")
        print(await greeter.ask("Ada"))

        heading("A sync on_message, and one that asks another agent from its thread")
        print(await pricer.ask("assam"))
        print(await accountant.ask("sencha"))

        heading("Ten agents at once, sync and async")
        refs = [mesh.add(kind(f"{kind.__name__}-{number}")) for kind in (Greeter, Pricer) for number in range(5)]
        started = time.perf_counter()
        replies = await asyncio.gather(*[ref.ask("assam") for ref in refs])
        took = 1000 * (time.perf_counter() - started)
        print(f"{len(replies)} handlers that wait 50 ms each took {took:.0f} ms together")

        heading("Typed messages")
        receipt = await shop.ask(Order("assam", packets=2))
        print(f"two packets of assam cost {receipt.total:.2f}")  # a type checker knows: receipt is a Receipt

        heading("Actions: async, sync, and asking other agents")
        print(await shop.call("restock", tea="assam", packets=5), "packets after restocking")
        print(await shop.call("quote", tea="sencha", packets=3), "for three packets of sencha")
        print(await shop.call("stock", tea="assam"))
        print(await shop.call("advertise", tea="assam"))

        heading("Counted")
        for address, counters in mesh.statistics().agents.items():
            if "-" not in address:
                print(f"{address}: {counters.completed} of {counters.accepted} messages completed")


def heading(text: str) -> None:
    """Print *text* as the beginning of a section."""
    print(f"\n{text}\n{'-' * len(text)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Agents with sync and async handlers and actions, on one mesh.")
    parser.add_argument("--model", default="auto", help="provider::model; default: what is there")
    try:
        asyncio.run(main(parser.parse_args().model))
    except HandlerError as error:  # an agent failed; here that is the one with the model
        sys.exit(f"error: {error.root if isinstance(error.root, ModelError) else error}")
    except KeyboardInterrupt:  # Ctrl-C: the mesh has stopped in order
        sys.exit(130)
