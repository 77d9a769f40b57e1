"""A language model that calls: an agent's own actions, a plain function, another agent's actions, another agent.

    python examples/demo_tools.py [--model ollama::gemma3:latest]

The first request of each question says which of them has to be called, so that the road is the same with every model;
what a small model makes of the results is another matter. Calls are found in `reply.turns`, and what became of them
in `agent.calls`. What no example shows is a model that is clever: leave `tool_choice` alone for that, and take a
large one.
"""

import argparse
import sys
from typing import Any, Literal

from ceylon import Agent, BlockingMesh, LlmAgent, ModelError, Reply, action
from ceylon.errors import MaxTurnsError

Sort = Literal["assam", "sencha"]


class Shop(LlmAgent):
    """Sells tea, with the help of a model."""

    def __init__(self, name: str, model: Any, **options: Any) -> None:
        super().__init__(name, model, **options)
        self.left = {"assam": 12, "sencha": 3}

    @action
    def stock(self, sort: Sort) -> int:
        """How many packets of a sort of tea are left."""
        return self.left[sort]

    @action(effect=True)
    async def sell(self, sort: Sort) -> str:
        """Sell one packet; a call of one id is run once, whatever the model says."""
        self.left[sort] -= 1
        return f"sold; {self.left[sort]} left"


class Pricer(Agent):
    """Knows prices, without a model."""

    @action
    def price(self, sort: Sort) -> float:
        """Return what a packet costs."""
        return {"assam": 2.5, "sencha": 4.0}[sort]


def opening_hours(day: Literal["today", "tomorrow"]) -> str:
    """When the shop is open."""
    return "9 to 17" if day == "today" else "closed"


def main(model: Any) -> None:
    """Ask a shop four questions, each of which takes a call."""
    with BlockingMesh("market") as mesh:
        pricer = mesh.add(Pricer("pricer"))
        poet = LlmAgent("poet", model, max_tokens=24, description="Writes one line about tea.")
        mesh.add(poet)
        shop = Shop("shop", model, tools=[opening_hours, pricer, poet], max_tokens=64, max_turns=3)
        mesh.add(shop)
        for question, name in (
            ("How much sencha is left?", "stock"),
            ("Sell me one packet of assam.", "sell"),
            ("When are you open?", "opening_hours"),
            ("What does a packet of sencha cost?", "price"),
            ("A line about tea, please.", "poet"),
        ):
            print(f"\n{question}", flush=True)
            try:
                show(shop.blocking.complete(question, tool_choice=name))
            except MaxTurnsError as error:  # a tiny model may not know when it has called enough
                print(f"  {error}")
        print(f"\ncounted: {shop.calls.called} called, {shop.calls.failed} failed, {shop.calls.invalid} invalid")


def show(reply: Reply[Any]) -> None:
    """Print what was called, what came of it, and the answer."""
    for turn in reply.turns:
        results = {result.id: result for result in turn.results}
        for call in turn.calls:
            print(f"  calls {call.name}({', '.join(f'{key}={value!r}' for key, value in call.arguments.items())})")
        for result in results.values():
            print(f"  result of {result.name}: {one_line(result.text)}")
    print(f"  answer: {one_line(reply.text)} [{reply.requests} requests, {reply.usage.output} tokens]")


def one_line(text: str) -> str:
    """Return *text* as one line."""
    return " ".join(text.split())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A model that calls.")
    parser.add_argument("--model", default="auto", help="provider::model; default: what is there")
    try:
        main(parser.parse_args().model)
    except ModelError as error:  # no model, no key, a wrong name: its sentence says what to do
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:  # Ctrl-C: the mesh has stopped in order
        sys.exit(130)
