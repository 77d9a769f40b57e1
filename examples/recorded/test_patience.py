"""A test of timers and deadlines around a language model, which takes no time: for docs/guides/record-and-replay.md.

pytest examples/recorded/test_patience.py                     # replays the cassette beside it, under three seeds
CEYLON_RECORD=1 pytest examples/recorded/test_patience.py     # asks the model again, and writes the cassette anew
"""

# ruff: noqa: D102, D103, S101 – tests are sentences that assert

from pathlib import Path

from ceylon import Agent, AskTimeoutError, Context, LlmAgent, on
from ceylon.testing import Simulation, record, simulate

CASSETTE = Path(__file__).with_name("cassettes") / "patience.cassette"


# --8<-- [start:simulated]
class Host(Agent):
    """Says something while the kitchen thinks, and does not wait for ever."""

    concurrency = 2

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.said: list[str] = []

    @on
    async def order(self, patience: float, context: Context) -> list[str]:
        context.after("50ms", "One moment, please.")
        try:
            self.said.append(await context.ask("kitchen", "Name one tea.", timeout=patience))
        except AskTimeoutError:
            self.said.append("We are closing.")
        return self.said

    @on
    async def say(self, what: str) -> None:
        self.said.append(what)


@simulate(seeds=3)
async def test_a_guest_is_told_to_wait(simulation: Simulation) -> None:
    with record(CASSETTE):
        async with simulation.mesh("inn") as mesh:
            mesh.add(LlmAgent("kitchen", "local::smollm2", max_tokens=60, seed=1))
            said = await mesh.add(Host("host")).ask(60.0, timeout=120)

    assert said[0] == "One moment, please."  # the model took longer: in the cassette, not here
    assert len(said) == 2


# --8<-- [end:simulated]
