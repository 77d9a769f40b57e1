"""What docs/tutorial/quickstart.md builds, in its order."""
# ruff: noqa: D101, D102, D103 – a snippet is documented by the page it stands in

# --8<-- [start:imports]
import asyncio

from ceylon import Agent, BlockingMesh, Context, LlmAgent, Mesh, Message, action, on
from ceylon.errors import HandlerError

# --8<-- [end:imports]

# --8<-- [start:model]
tutor = LlmAgent("tutor", "auto", max_tokens=32)
print(tutor.send_message("What is tea?"))
# --8<-- [end:model]


# --8<-- [start:agent]
class Shop(Agent):
    """Sells tea."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.packets = {"assam": 10, "sencha": 10}

    def on_message(self, message: str) -> str:
        return f"Welcome to the {self.name}: {', '.join(self.packets)}."


with BlockingMesh("market") as market:
    shop = market.add(Shop("shop"))
    print(shop.ask("hello"))
# --8<-- [end:agent]


# --8<-- [start:messages]
class Order(Message["Receipt"]):
    tea: str
    packets: int = 1


class Receipt(Message):
    total: float


class TeaShop(Shop):
    @on
    async def order(self, order: Order, context: Context) -> Receipt:
        price: float = await context.ask("pricer", order.tea)
        self.packets[order.tea] -= order.packets
        return Receipt(total=price * order.packets)

    @action
    def stock(self, tea: str) -> int:
        """How many packets of a tea are left."""
        return self.packets[tea]


class Pricer(Agent):
    def on_message(self, message: str) -> float:
        return {"assam": 2.5, "sencha": 4.0}[message]


# --8<-- [end:messages]

# --8<-- [start:ask]
with BlockingMesh("market") as market:
    market.add(Pricer("pricer"))
    shop = market.add(TeaShop("shop"))

    receipt = shop.ask(Order("assam", packets=2))
    print(receipt.total)
    print(shop.call("stock", tea="assam"))
    print(shop.ask("hello"))
    # --8<-- [end:ask]

    # --8<-- [start:failure]
    try:
        shop.ask(Order("earl grey"))
    except HandlerError as error:
        print(error)
        print(error.path, repr(error.root))
    print(shop.call("stock", tea="assam"))
    # --8<-- [end:failure]


# --8<-- [start:async]
async def main() -> None:
    async with Mesh("market") as mesh:
        mesh.add(Pricer("pricer"))
        shop = mesh.add(TeaShop("shop"))
        receipts = await asyncio.gather(*[shop.ask(Order("sencha")) for _ in range(3)])
        print(sum(receipt.total for receipt in receipts))


asyncio.run(main())
# --8<-- [end:async]


# --8<-- [start:together]
class Clerk(Agent):
    """Answers customers, with the help of two other agents."""

    async def on_message(self, message: str, context: Context) -> str:
        price: float = await context.ask("pricer", message)
        words: str = await context.ask("writer", f"Describe {message} tea.")
        return f"{words} A packet is {price:.2f}."


with BlockingMesh("market") as market:
    market.add(Pricer("pricer"))
    market.add(LlmAgent("writer", "auto", system_prompt="Be concise.", max_tokens=32))
    print(market.add(Clerk("clerk")).ask("assam"))
# --8<-- [end:together]
