"""The code of docs/guides/testing.md: a bank that loses money, and how a simulation finds it."""
# ruff: noqa: D101, D102, D103, S101 – a snippet is documented by the page it stands in, and a test asserts

import anyio

from ceylon import Agent, CeylonError, Context, Message, on
from ceylon.testing import Faults, Simulation, run_simulation, simulate


# --8<-- [start:bank]
class Balance(Message[int]):
    """Say what is in the account."""


class Set(Message[None]):
    """Let *amount* be in the account."""

    amount: int


class Account(Agent):
    def __init__(self, name: str, amount: int = 0) -> None:
        super().__init__(name)
        self.amount = amount

    @on
    async def balance(self, message: Balance) -> int:
        return self.amount

    @on
    async def set(self, message: Set) -> None:
        self.amount = message.amount


class Teller(Agent):
    @on
    async def pay_in(self, amount: int, context: Context) -> None:
        balance = await context.ask("account", Balance())
        await context.ask("account", Set(balance + amount))


# --8<-- [end:bank]


# --8<-- [start:test]
@simulate(seeds=100)
async def test_nothing_is_lost(simulation: Simulation) -> None:
    async with simulation.mesh("bank") as mesh:
        account = mesh.add(Account("account"))
        for name in ("anna", "bert"):
            mesh.add(Teller(name))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(mesh.ask, "anna", 10)
            tasks.start_soon(mesh.ask, "bert", 5)
        assert await account.ask(Balance()) == 15


# --8<-- [end:test]


# --8<-- [start:mended]
class PayIn(Message[int]):
    """Add *amount*, and say what is in the account then."""

    amount: int


class SafeAccount(Account):
    @on
    async def pay_in(self, message: PayIn) -> int:
        self.amount += message.amount
        return self.amount


# --8<-- [end:mended]


# --8<-- [start:faults]
@simulate(seeds=100, faults=Faults(crash=0.2, delay=0.2))
async def test_what_is_answered_is_in_the_account(simulation: Simulation) -> None:
    answered = 0
    async with simulation.mesh("bank") as mesh:
        account = mesh.add(SafeAccount("account"))
        for amount in range(1, 10):
            try:
                await account.ask(PayIn(amount))
                answered += amount
            except CeylonError as error:
                simulation.note(f"{amount} was not paid in: {error}")
        simulation.stop_faults()
        assert await account.ask(Balance()) == answered


# --8<-- [end:faults]


# --8<-- [start:hour]
class Alarm(Agent):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.rings = 0

    async def on_start(self, context: Context) -> None:
        context.every(60, "ring")

    async def on_message(self, message: str) -> None:
        self.rings += 1


async def an_hour(simulation: Simulation) -> None:
    alarm = Alarm("alarm")
    async with simulation.mesh() as mesh:
        mesh.add(alarm)
        await anyio.sleep(3601)
    assert alarm.rings == 60


# --8<-- [end:hour]


def main() -> None:
    """Run the tests as pytest would."""
    try:
        test_nothing_is_lost()
    except AssertionError as error:
        print(error)
    test_what_is_answered_is_in_the_account()
    # --8<-- [start:engine]
    outcome = run_simulation(an_hour, seed=7)
    print(outcome.error, outcome.virtual_seconds, len(outcome.history))
    # --8<-- [end:engine]


if __name__ == "__main__":
    main()
