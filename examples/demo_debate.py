"""A debate: two sides speak at the same time, round by round, each hearing the other; then a judge decides.

    python examples/demo_debate.py [--model ollama::gemma3:latest] [--rounds 2]

A round is two agents side by side and a function that writes down what they said; a loop repeats it. The judge's
answer is a value, not a text: the model is held to the schema of `Verdict`. The whole is an agent like any other: it
is added to a mesh and asked, with one deadline and one budget for everybody in it.
"""

import argparse
import asyncio
import sys
from typing import Any, Literal

import msgspec

from ceylon import Budget, HandlerError, LlmAgent, Mesh, Message
from ceylon.errors import OutputError
from ceylon.pipelines import Pipeline, fallback, loop, parallel, pipeline

PLENTY = Budget(calls=20, tokens=20_000, seconds=240)


class Debate(Message, tag="demo_debate.debate"):
    """What has been said so far."""

    motion: str
    said: tuple[str, ...] = ()


class Verdict(msgspec.Struct):
    """Who has won."""

    winner: Literal["for", "against"]
    points: Literal[1, 2, 3]


def speech(side: str) -> Any:
    """Return what puts together the question for one side."""

    def ask(debate: Debate) -> str:
        return f"The motion is: {debate.motion} Said so far: {' '.join(debate.said)} Speak {side} it, in one sentence."

    ask.__name__ = f"question_{side}"  # what pictures and errors call the stage
    return ask


def as_it_is(debate: Debate) -> Debate:
    """Return the debate before the round."""
    return debate


def write_down(heard: dict[str, Any]) -> Debate:
    """Return the debate after the round."""
    before: Debate = heard["before"]
    lines = [f"{side}: {' '.join(heard[side].split())}" for side in ("for", "against")]
    return msgspec.structs.replace(before, said=(*before.said, *lines))


def case(debate: Debate) -> str:
    """Return what the judge is told."""
    return f"The motion is: {debate.motion} {' '.join(debate.said)} Who has won?"


def undecided(debate: Debate) -> None:
    """Stand in for a judge who cannot say it as it has to be said; a tiny model may not."""


def debate_of(model: Any, rounds: int) -> Pipeline:
    """Return the debate, with agents of its own: they come with it into a mesh, and leave with it."""
    sides: dict[str, Any] = {
        side: pipeline(speech(side), LlmAgent(f"speaker-{side}", model, max_tokens=32)) for side in ("for", "against")
    }
    judge = LlmAgent("judge", model, output=Verdict, max_tokens=64)
    one_round = pipeline(parallel(before=as_it_is, **sides), write_down)
    hearing = fallback(pipeline(case, judge), undecided, on=OutputError)
    return pipeline(loop(one_round, at_most=rounds), parallel(debate=as_it_is, verdict=hearing), name="debate")


async def hold(model: Any, rounds: int) -> None:
    """Hold the debate."""
    async with Mesh("hall") as mesh:
        hall = mesh.add(debate_of(model, rounds))
        print("The debate", flush=True)

        ended = await hall.using(budget=PLENTY).ask(Debate("Tea is better than coffee."))

        for line in ended["debate"].said:
            print(f"  {line[:100]}")
        verdict = ended["verdict"]
        decision = "nothing" if verdict is None else f"{verdict.winner}, by {verdict.points}"
        print(f"In the hall: {', '.join(sorted(mesh.agents))}")
        print(f"The judge says: {decision}")
        spent = mesh.statistics().spending.total
        print(f"{spent.requests} requests, {spent.input + spent.output} tokens")


def main(model: Any, rounds: int = 2) -> None:
    """Hold the debate."""
    asyncio.run(hold(model, rounds))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A debate with a judge.")
    parser.add_argument("--model", default="auto", help="provider::model; default: what is there")
    parser.add_argument("--rounds", type=int, default=2, help="how often both sides speak")
    given = parser.parse_args()
    try:
        main(given.model, given.rounds)
    except HandlerError as error:  # an agent's; no model, no key, a wrong name: the root's sentence says what to do
        sys.exit(f"error: {error.root}")
    except KeyboardInterrupt:  # Ctrl-C: the mesh has stopped in order
        sys.exit(130)
