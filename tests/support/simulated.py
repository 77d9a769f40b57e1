"""A program for simulations in which much happens at once."""

import contextvars
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import anyio

from ceylon import Agent, BlockingContext, CeylonError, Context, Message
from ceylon.core.instruments import Instruments, instruments
from ceylon.testing import History, Simulation, What

__all__ = ["CLIENTS", "Order", "instrumented", "order_of", "run_shops"]

CLIENTS: Final = 4
_ORDERS: Final = 3


class Order(Message[int], tag="simulated.Order"):
    """Ask for *number*, doubled."""

    number: int


class Shop(Agent):
    """Async, waits for time, and for an agent in a thread."""

    async def on_message(self, order: Order, context: Context) -> Any:
        await anyio.sleep(0.01)
        return await context.ask("pricer", order)


class Pricer(Agent):
    """Sync: blocks its thread while it asks."""

    def on_message(self, order: Order, context: BlockingContext) -> Any:
        return context.ask("bank", order) * 2


class Bank(Agent):
    """Bears every message twice."""

    idempotent = True

    async def on_message(self, order: Order) -> int:
        return order.number


async def run_shops(simulation: Simulation, *, bears_faults: bool = False) -> None:
    """Let clients ask shops, which ask a pricer in a thread, which asks a bank."""
    async with simulation.mesh("market") as mesh:
        for agent in (Shop("tea"), Shop("coffee"), Pricer("pricer"), Bank("bank")):
            mesh.add(agent)

        async def buy(client: int) -> None:
            for number in range(_ORDERS):
                try:
                    assert await mesh.ask(("tea", "coffee")[client % 2], Order(number)) == 2 * number
                    await mesh.tell("bank", Order(number))
                except CeylonError:
                    if not bears_faults:
                        raise

        async with anyio.create_task_group() as clients:
            for client in range(CLIENTS):
                clients.start_soon(buy, client)


def order_of(history: History) -> tuple[tuple[str, int], ...]:
    """Return in which order handlers began and ended, without times."""
    return tuple((event.what, event.id) for event in history.of(What.ACCEPTED, What.BEGAN, What.ENDED))


@contextmanager
def instrumented(parts: Instruments) -> Iterator[None]:
    """Let meshes be made of *parts*."""
    token: contextvars.Token[Instruments] = instruments.set(parts)
    try:
        yield
    finally:
        instruments.reset(token)
