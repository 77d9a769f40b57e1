"""A person says yes or no before anything is paid: on the terminal, or, so that this runs by itself, by a rule.

    python examples/demo_approval.py [--model ollama::gemma3:latest] [--ask]

The action names the agent that is asked. It is shown the exact arguments, and what runs is what it was shown, once.
With `--ask` that agent asks you on the terminal. While somebody thinks, no deadline runs; after ten minutes without
an answer it is a no. Requests that are to wait for a web page or a chat go to an `ApprovalDesk`; the guide to tools
shows one.
"""

import argparse
import sys
from typing import Annotated, Any, Literal

import msgspec

from ceylon import (
    Agent,
    ApprovalRequest,
    Approved,
    BlockingMesh,
    BlockingRef,
    Denied,
    LlmAgent,
    ModelError,
    TerminalApprover,
    action,
    on,
)
from ceylon.errors import ApprovalDeniedError, MaxTurnsError

MOST = 100


class Treasurer(LlmAgent):
    """Pays, if the operator says so."""

    def __init__(self, name: str, model: Any, **options: Any) -> None:
        super().__init__(name, model, **options)
        self.paid: list[int] = []

    @action(effect=True, approve="operator")
    def pay(self, to: Literal["grower", "carrier"], amount: Annotated[int, msgspec.Meta(ge=1, le=999)]) -> str:
        """Pay somebody an amount."""
        self.paid.append(amount)
        return f"{to} has got {amount}"


class Rule(Agent):
    """Allows small amounts; any agent that answers an `ApprovalRequest` will do."""

    @on
    def decide(self, request: ApprovalRequest) -> Approved | Denied:
        """Say yes or no."""
        print(f"  {self.name}: may {request.agent} run {request.action} with {request.arguments}?")
        return Approved() if request.arguments["amount"] <= MOST else Denied(f"more than {MOST}")


def main(model: Any, *, asks: bool = False) -> None:
    """Let a program pay, and a model."""
    with BlockingMesh("treasury") as mesh:
        mesh.add(TerminalApprover("operator") if asks else Rule("operator"))
        treasurer = Treasurer("treasurer", model, max_tokens=64, max_turns=3)
        ref = mesh.add(treasurer)

        print("A program pays", flush=True)
        pay(ref, 20)
        pay(ref, 500)

        print("\nA model pays")
        try:
            reply = treasurer.blocking.complete("Pay the grower 30.", tool_choice="pay")
            for text in (result.text for turn in reply.turns for result in turn.results):
                print(f"  {text}")
        except MaxTurnsError as error:  # a tiny model may not know when it has called enough
            print(f"  {error}")

        calls = treasurer.calls
        print(f"\n{len(treasurer.paid)} paid; the model's calls: {calls.called} called, {calls.denied} denied")


def pay(treasurer: BlockingRef, amount: int) -> None:
    """Pay the carrier, if that is allowed."""
    try:
        print(f"  {treasurer.call('pay', to='carrier', amount=amount)}")
    except ApprovalDeniedError as error:
        print(f"  {error}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Ask before anything is paid.")
    parser.add_argument("--model", default="auto", help="provider::model; default: what is there")
    parser.add_argument("--ask", action="store_true", help="ask on the terminal")
    given = parser.parse_args()
    try:
        main(given.model, asks=given.ask)
    except ModelError as error:  # no model, no key, a wrong name: its sentence says what to do
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:  # Ctrl-C: the mesh has stopped in order
        sys.exit(130)
