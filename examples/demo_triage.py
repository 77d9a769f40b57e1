"""Support tickets: sorted by a rule, or by a model where the rule has no answer, then handled; a person allows refunds.

    python examples/demo_triage.py [--model ollama::gemma3:latest] [--ask]

A branch sends every ticket one way. The refund is an action that asks the agent `operator` first; here that is a
rule, with `--ask` it is you, on the terminal, and while you think no deadline runs. What is denied falls back to a
letter. The tickets go through side by side, and the answers come out in their order.
"""

import argparse
import asyncio
import sys
from typing import Any, Literal

from ceylon import (
    Agent,
    ApprovalRequest,
    Approved,
    Denied,
    HandlerError,
    LlmAgent,
    Mesh,
    Message,
    TerminalApprover,
    action,
    on,
)
from ceylon.errors import ApprovalDeniedError, OutputError
from ceylon.pipelines import Pipeline, branch, each, fallback, pipeline

Kind = Literal["refund", "technical", "other"]
MOST = 100


class Ticket(Message, tag="demo_triage.ticket"):
    """What a customer has written."""

    number: int
    text: str
    amount: int = 0


TICKETS = [
    Ticket(1, "I want my money back, the tea was stale.", 20),
    Ticket(2, "The web shop shows an error when I log in."),
    Ticket(3, "Refund the whole year!", 900),
    Ticket(4, "Do you have a shop in Lisbon?"),
]
WORDS = {"money": "refund", "refund": "refund", "error": "technical"}


class Cashier(Agent):
    """Pays back, if the operator says so."""

    @action(effect=True, approve="operator")
    def refund(self, number: int, amount: int) -> str:
        """Pay *amount* back for a ticket."""
        return f"{number}: {amount} paid back"


class Rule(Agent):
    """Allows small amounts."""

    @on
    def decide(self, request: ApprovalRequest) -> Approved | Denied:
        """Say yes or no."""
        return Approved() if request.arguments["amount"] <= MOST else Denied(f"more than {MOST}")


def by_words(ticket: Ticket) -> str:
    """Return the kind that a word of the ticket gives away; `LookupError` if none does."""
    found = [WORDS[word] for word in ticket.text.lower().split() if word in WORDS]
    return found[0]


def question(ticket: Ticket) -> str:
    """Return what the clerk is asked."""
    return f"A customer writes: {ticket.text} Is this about a refund, technical, or other?"


def unsorted(ticket: Ticket) -> str:  # noqa: ARG001 – a stage gets the value, whether it needs it or not
    """Return the kind of what nobody can name; a tiny model may not answer as it has to."""
    return "other"


def problem(ticket: Ticket) -> str:
    """Return what the technician is asked."""
    return f"A customer writes: {ticket.text} Answer in one short sentence."


def claim(ticket: Ticket) -> dict[str, int]:
    """Return the arguments of the refund."""
    return {"number": ticket.number, "amount": ticket.amount}


def letter(ticket: Ticket) -> str:
    """Return what is answered to a claim that was denied."""
    return f"{ticket.number}: a letter says that we are sorry"


def forward(ticket: Ticket) -> str:
    """Leave the ticket to the office."""
    return f"{ticket.number}: forwarded to the office"


def tidy(answer: str) -> str:
    """Return an answer on one line."""
    return f"answered: {' '.join(answer.split())[:60]}"


def triage(clerk: Any, technician: Any, cashier: Cashier) -> Pipeline:
    """Return the way of a ticket."""
    kind = fallback(by_words, pipeline(question, clerk), unsorted, on=(LookupError, OutputError))
    ways = {
        "refund": fallback(pipeline(claim, cashier.refund), letter, on=ApprovalDeniedError),
        "technical": pipeline(problem, technician, tidy),
    }
    return pipeline(each(branch(kind, ways, default=forward), concurrency=4), name="triage")


async def answer(model: Any, *, asks: bool) -> None:
    """Handle the tickets of the day."""
    async with Mesh("support") as mesh:
        mesh.add(TerminalApprover("operator") if asks else Rule("operator"))
        clerk = LlmAgent("clerk", model, output=Kind, max_tokens=64)
        technician = LlmAgent("technician", model, max_tokens=32)
        ways = triage(clerk, technician, Cashier("cashier"))
        mesh.add(ways)

        print("Answers", flush=True)
        for line in await ways.run(TICKETS):
            print(f"  {line}")

        print("\nThe picture")
        print(ways.draw())


def main(model: Any, *, asks: bool = False) -> None:
    """Handle the tickets of the day."""
    asyncio.run(answer(model, asks=asks))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Support tickets, sorted and answered.")
    parser.add_argument("--model", default="auto", help="provider::model; default: what is there")
    parser.add_argument("--ask", action="store_true", help="allow refunds yourself, on the terminal")
    given = parser.parse_args()
    try:
        main(given.model, asks=given.ask)
    except HandlerError as error:  # an agent's; no model, no key, a wrong name: the root's sentence says what to do
        sys.exit(f"error: {error.root}")
    except KeyboardInterrupt:  # Ctrl-C: the mesh has stopped in order
        sys.exit(130)
