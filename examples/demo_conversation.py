"""Conversations from a plain synchronous script: the agent keeps a history under every key.

    python examples/demo_conversation.py [--model ollama::gemma3:latest]

Two conversations with one agent do not see each other. Turns of one conversation are answered one after the other,
different conversations at the same time. Histories live in memory: they end with the mesh the agent is in.
"""

import argparse
import sys

from ceylon import LlmAgent, ModelError


def main(model: str) -> None:
    """Hold two conversations with one agent."""
    tutor = LlmAgent("tutor", model, system_prompt="You are a friendly tutor. Be brief.", max_tokens=32)
    alice = tutor.blocking.conversation("alice")
    bob = tutor.blocking.conversation("bob")

    print("Alice")
    for text in ("Hello, my name is Alice.", "What is my name?"):
        print(f"  > {text}\n  {' '.join(alice.send(text).split())}")

    print("\nBob")
    print("  > What is my name?")
    for delta in bob.stream("What is my name?"):
        print(delta.replace("\n", " "), end="", flush=True)
    print()

    print("\nWhat the agent keeps")
    for conversation in (alice, bob):
        turns = conversation.history()
        print(f"  {conversation.key}: {len(turns)} turns, {sum(len(turn.text) for turn in turns)} characters")
    alice.clear()
    print(f"  alice, cleared: {len(alice.history())} turns")

    print("\nA turn that fails leaves the history as it was")
    try:
        bob.send("")
    except ValueError as error:
        print(f"  {type(error).__name__}: {error}")
    print(f"  bob: {len(bob.history())} turns")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Two conversations with one agent.")
    parser.add_argument("--model", default="auto", help="provider::model; default: what is there")
    try:
        main(parser.parse_args().model)
    except ModelError as error:  # no model, no key, a wrong name: its sentence says what to do
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:  # Ctrl-C: the mesh has stopped in order
        sys.exit(130)
