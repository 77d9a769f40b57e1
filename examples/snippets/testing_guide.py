"""Tests of agents, from the first to the simulated one: the code of docs/guides/testing.md.

python examples/snippets/testing_guide.py      # runs them, then shows what a failing simulation prints
pytest examples/snippets/testing_guide.py      # runs them
"""

# ruff: noqa: D102, D103, S101, S603 – tests are sentences that assert, and the page says the rest

import subprocess
import sys

import anyio
import pytest

from ceylon import Agent, Context, LlmAgent, Mesh, Message, on
from ceylon.testing import Faults, Probe, ScriptedModel, Simulation, simulate


# --8<-- [start:agents]
class Level(Message[int]):
    """How many packets are left?"""


class Take(Message[bool]):
    """Take one packet; the answer says whether there was one."""


class Stock(Agent):
    """Knows how much tea is left."""

    def __init__(self, name: str, left: int) -> None:
        super().__init__(name)
        self.left = left

    @on
    async def level(self, level: Level) -> int:
        return self.left

    @on
    async def take(self, take: Take) -> bool:
        self.left -= 1
        return self.left >= 0


class Shop(Agent):
    """Sells what the stock has."""

    async def on_message(self, message: str, context: Context) -> str:
        if not await context.ask("stock", Level()):
            return "sold out"
        await context.ask("stock", Take())
        return "sold"


# --8<-- [end:agents]


# --8<-- [start:first]
@pytest.mark.anyio
async def test_a_shop_sells_until_nothing_is_left(mesh: Mesh) -> None:
    mesh.add(Stock("stock", left=1))
    shop = mesh.add(Shop("shop"))

    assert await shop.ask("tea, please") == "sold"
    assert await shop.ask("tea, please") == "sold out"


# --8<-- [end:first]


# --8<-- [start:probe]
@pytest.mark.anyio
async def test_a_shop_asks_the_stock_before_it_takes(mesh: Mesh) -> None:
    stock = Probe("stock")
    stock.reply_with(lambda message: 7 if isinstance(message, Level) else True)
    mesh.add(stock)

    await mesh.add(Shop("shop")).ask("tea, please")

    assert [type(message) for message in stock.received] == [Level, Take]


# --8<-- [end:probe]


# --8<-- [start:model]
@pytest.mark.anyio
async def test_a_language_model_is_asked_with_the_system_prompt(mesh: Mesh) -> None:
    model = ScriptedModel(["Assam is strong."])
    tutor = mesh.add(LlmAgent("tutor", model, system_prompt="Be brief."))

    assert await tutor.ask("What is Assam?") == "Assam is strong."
    system, question = model.requests[0].turns
    assert (system.text, question.text) == ("Be brief.", "What is Assam?")


# --8<-- [end:model]


# --8<-- [start:race]
async def sell_the_last_packet(simulation: Simulation, kind: type[Agent]) -> None:
    """Let two shops sell from one stock at the same time."""
    async with simulation.mesh() as mesh:
        stock = mesh.add(Stock("stock", left=1))
        shops = [mesh.add(kind("lisbon")), mesh.add(kind("porto"))]
        answers: list[str] = []

        async def buy(number: int) -> None:
            answers.append(await shops[number].ask("tea, please"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(buy, 0)
            tasks.start_soon(buy, 1)
        assert answers.count("sold") == 1, f"both say: {answers}"
        assert await stock.ask(Level()) <= 0


@simulate(seeds=100)
async def two_hasty_shops(simulation: Simulation) -> None:
    """Fail; a test would be called `test_…`."""
    await sell_the_last_packet(simulation, Shop)


# --8<-- [end:race]


# --8<-- [start:fixed]
class CarefulShop(Agent):
    """Lets the stock decide, in one message."""

    async def on_message(self, message: str, context: Context) -> str:
        return "sold" if await context.ask("stock", Take()) else "sold out"


@simulate(seeds=100)
async def test_two_shops_never_sell_the_same_packet(simulation: Simulation) -> None:
    await sell_the_last_packet(simulation, CarefulShop)


# --8<-- [end:fixed]


# --8<-- [start:faults]
@simulate(seeds=100, faults=Faults(crash=0.2, delay=0.3))
async def test_what_customers_hear_is_true_when_handlers_crash(simulation: Simulation) -> None:
    async with simulation.mesh() as mesh:
        stock = Stock("stock", left=3)
        mesh.add(stock)
        shop = mesh.add(CarefulShop("shop"))
        sold = 0
        for _ in range(5):
            try:
                sold += await shop.ask("tea, please", timeout=100) == "sold"
            except Exception as error:  # noqa: BLE001 – a crash is an answer too
                simulation.note(f"the customer hears {type(error).__name__}")
        assert sold <= 3
        assert sold <= 3 - stock.left


# --8<-- [end:faults]


# --8<-- [start:virtual]
@simulate(seeds=3)
async def test_a_stock_that_counts_every_hour_does_so_for_half_a_day(simulation: Simulation) -> None:
    class Counting(Stock):
        hours = 0

        async def on_start(self, context: Context) -> None:
            context.every(3600, "count")

        async def on_message(self, message: str) -> None:
            self.hours += 1

    async with simulation.mesh() as mesh:
        counting = Counting("stock", left=1)
        mesh.add(counting)
        await anyio.sleep(12 * 3600 + 1)  # virtual: it takes no time

        assert counting.hours == 12


# --8<-- [end:virtual]


def main() -> int:
    """Run the tests, then show what a simulation that fails has to say."""
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    status = subprocess.run(tests, check=False).returncode
    try:
        two_hasty_shops()
    except AssertionError as error:
        print(error)
    return status


if __name__ == "__main__":
    sys.exit(main())
