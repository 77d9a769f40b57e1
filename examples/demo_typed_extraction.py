"""Answers that are values: a letter becomes a Struct, a review a word, a message the reply that its class names.

    python examples/demo_typed_extraction.py [--model ollama::gemma3:latest]

The type's JSON schema goes to the model, and what comes back is checked; an answer that does not fit is told what is
wrong with it, twice at most, then it is an `OutputError`. With the embedded model the shape holds by grammar; whether
what it puts there is true is a matter of the model, and a tiny one invents. A value is not checked against the text
it came from.
"""

import argparse
import sys
from typing import Annotated, Any, Literal

import msgspec

from ceylon import BlockingMesh, LlmAgent, Message, ModelError
from ceylon.errors import OutputError

LETTER = "Dear shop, I would like three packets of sencha and one of assam by Friday, and I am in a hurry. Ada"
REVIEWS = ("The assam was wonderful, thank you!", "Late, broken, and stale.", "It is tea.")

Sort = Literal["assam", "sencha", "darjeeling"]


class Line(msgspec.Struct):
    """One line of an order."""

    sort: Sort
    packets: Annotated[int, msgspec.Meta(ge=1, le=99)]


class Order(msgspec.Struct):
    """What a customer orders."""

    lines: Annotated[list[Line], msgspec.Meta(min_length=1, max_length=3)]
    is_urgent: bool


class Verdict(Message):
    """How somebody likes something."""

    mood: Literal["good", "bad", "so so"]


class Review(Message["Verdict"]):
    """Judge the text of a review."""

    text: str


def main(model: Any) -> None:
    """Read a letter and judge some reviews."""
    with BlockingMesh("office") as mesh:
        clerk = LlmAgent("clerk", model, system_prompt="Extract what the text says.", max_tokens=160)
        judge = LlmAgent("judge", model, max_tokens=60)
        mesh.add(clerk)
        critics = mesh.add(judge)

        print("A letter", flush=True)
        try:
            reply = clerk.blocking.complete(LETTER, output=Order)
        except OutputError as error:
            print(f"  {error}")
        else:
            for line in reply.output.lines:
                print(f"  {line.packets} x {line.sort}")
            print(f"  urgent: {reply.output.is_urgent} [{reply.requests} requests]")

        print("\nPlain types")
        number = clerk.blocking.complete("How many legs has a horse?", output=int)
        word = clerk.blocking.complete("Is water wet?", output=Literal["yes", "no"])
        print(f"  {number.output} and {word.output}")

        print("\nA message says what it is answered with")
        for text in REVIEWS:
            verdict = critics.ask(Review(text))
            print(f"  {verdict.mood:6} {text}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Answers that are values.")
    parser.add_argument("--model", default="auto", help="provider::model; default: what is there")
    try:
        main(parser.parse_args().model)
    except ModelError as error:  # no model, no key, a wrong name: its sentence says what to do
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:  # Ctrl-C: the mesh has stopped in order
        sys.exit(130)
