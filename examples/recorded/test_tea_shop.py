"""Tests of a shop that asks a language model, which need none: the code of docs/guides/record-and-replay.md.

pytest examples/recorded/test_tea_shop.py                     # replays the cassette beside it: no key, no network
CEYLON_RECORD=1 pytest examples/recorded/test_tea_shop.py     # asks the model again, and writes the cassette anew
"""

# ruff: noqa: ARG001, D102, D103, S101 – tests are sentences that assert

# --8<-- [start:shop]
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ceylon import Agent, Context, LlmAgent, Mesh
from ceylon.testing import Recording, record


class Shop(Agent):
    """Greets whoever comes in, with the tea of the hour and a lucky number."""

    async def on_message(self, name: str, context: Context) -> str:
        hour = datetime.fromtimestamp(context.now, UTC).hour
        tea = "Assam" if hour < 12 else "Darjeeling"
        number = context.random.randint(1, 100)
        words = await context.ask("keeper", f"What is {tea}, the tea? Answer in one short sentence.")
        return f"Welcome, {name}! {words} Your lucky number is {number}."


def open_shop(mesh: Mesh) -> None:
    mesh.add(LlmAgent("keeper", "local::smollm2", system_prompt="You keep a tea shop.", max_tokens=40, seed=1))
    mesh.add(Shop("shop"))


# --8<-- [end:shop]

CASSETTES = Path(__file__).with_name("cassettes")


# --8<-- [start:fixture]
@pytest.mark.anyio
async def test_a_guest_is_greeted(cassette: Recording, mesh: Mesh) -> None:
    open_shop(mesh)

    greeting = await mesh.ref("shop").ask("Alice")

    assert greeting.startswith("Welcome, Alice! ")
    assert "tea" in greeting


# --8<-- [end:fixture]


# --8<-- [start:block]
@pytest.mark.anyio
async def test_two_guests_have_numbers_of_their_own() -> None:
    with record(CASSETTES / "two_guests.cassette"):
        async with Mesh("shops") as mesh:
            open_shop(mesh)
            greetings = [await mesh.ref("shop").ask(name) for name in ("Alice", "Bob")]

    assert len({greeting.rpartition(" is ")[2] for greeting in greetings}) == 2


# --8<-- [end:block]
