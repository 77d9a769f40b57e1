"""The code of docs/guides/keyed-agents-and-pools.md, in one program."""

import asyncio
import json
from pathlib import Path
from typing import Any

from ceylon import Agent, FamilyFullError, Mesh, Message


class Order(Message[int]):
    """Buy tea."""

    sku: str
    quantity: int = 1


# --8<-- [start:shop]
class Shop(Agent):
    """Sells tea in one town: `self.key`."""

    def __init__(self, name: str, largest: int = 100) -> None:
        super().__init__(name)
        self.largest = largest
        self.sold: dict[str, int] = {}

    async def on_message(self, order: Order) -> int:
        """Sell, and return how much of that tea the town has bought."""
        self.sold[order.sku] = self.sold.get(order.sku, 0) + min(order.quantity, self.largest)
        return self.sold[order.sku]

    def save(self) -> Any:
        """Return what is worth keeping while the shop is not in memory."""
        return self.sold

    def load(self, state: Any) -> None:
        """Take it back, before anything else happens."""
        self.sold = state


# --8<-- [end:shop]


async def speak() -> None:
    """Speak to shops, which come and go."""
    # --8<-- [start:speak]
    async with Mesh("market") as mesh:
        shops = mesh.register(Shop, idle=600.0, limit=10_000)

        await mesh.ask("shop/lisbon", Order("assam", 2))  # makes the shop of Lisbon
        await mesh.ref(Shop, key="lisbon").tell(Order("assam"))
        await shops.ref("porto").tell(Order("oolong"))
        # --8<-- [end:speak]
        # --8<-- [start:leave]
        await mesh.stop("shop/lisbon")  # what an idle agent does by itself: save, on_stop, out of memory
        print(shops.active)  # ['porto']
        print(await mesh.ask("shop/lisbon", Order("assam")))  # 4: it has come again, with what it knew
        # --8<-- [end:leave]


# --8<-- [start:files]
class JsonFiles:
    """States as files, for those who want them to outlive the process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _path(self, address: str) -> Path:
        return self.folder / f"{address.encode().hex()}.json"

    async def load(self, address: str) -> Any:
        """Return what was saved last, or `None`."""
        path = self._path(address)
        return json.loads(path.read_text()) if path.exists() else None

    async def save(self, address: str, state: Any) -> None:
        """Write *state* over what was there."""
        self._path(address).write_text(json.dumps(state))

    async def delete(self, address: str) -> None:
        """Forget it."""
        self._path(address).unlink(missing_ok=True)


# --8<-- [end:files]


async def keep(folder: Path) -> None:
    """Let one mesh go on where another has ended."""
    # --8<-- [start:function]
    async with Mesh("market") as mesh:
        mesh.register(lambda town: Shop(town, largest=10), "shop", snapshots=JsonFiles(folder))
        # --8<-- [end:function]
        await mesh.ask("shop/lisbon", Order("assam", 2))
    async with Mesh("market") as mesh:
        mesh.register(Shop, snapshots=JsonFiles(folder))
        print(await mesh.ask("shop/lisbon", Order("assam")))  # 3


async def fill() -> None:
    """Ask for more than there is room for."""
    async with Mesh("market") as mesh:
        shops = mesh.register(Shop, limit=1)
        await shops.ref("lisbon").tell(Order("assam"))
        # --8<-- [start:full]
        try:
            shops.ref("porto").tell_nowait(Order("oolong"))
        except FamilyFullError as error:  # Lisbon has mail and does not rest; `await ...tell(...)` would wait
            print(error)
        # --8<-- [end:full]


# --8<-- [start:worker]
class Packer(Agent):
    """Packs orders; `self.key` is its number in the pool."""

    async def on_message(self, order: Order) -> str:
        """Pack *order*."""
        return f"packer {self.key} packed {order.sku}"


# --8<-- [end:worker]


async def pack() -> None:
    """Let a pool work, and change its size."""
    # --8<-- [start:pool]
    async with Mesh("market") as mesh:
        packers = mesh.pool(Packer, size=3, routing="least_loaded")

        print(await packers.ask(Order("assam")))
        await packers.tell(Order("oolong"))
        print(packers.members)  # ('packer/1', 'packer/2', 'packer/3')
        # --8<-- [end:pool]
        # --8<-- [start:resize]
        await packers.resize(8)
        await packers.resize(2)  # returns when the other six have handled what they had, and are gone
        # --8<-- [end:resize]


async def pack_in_order() -> None:
    """Give all of one tea to one packer."""
    # --8<-- [start:key]
    async with Mesh("market") as mesh:
        packers = mesh.pool(Packer, size=3, routing=lambda order: order.sku)

        for quantity in (1, 2, 3):  # one packer has them all, one after the other, in this order
            await packers.tell(Order("assam", quantity))
        # --8<-- [end:key]


async def main(folder: Path) -> None:
    """Run all of it."""
    await speak()
    await keep(folder)
    await fill()
    await pack()
    await pack_in_order()


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as made:
        asyncio.run(main(Path(made)))
