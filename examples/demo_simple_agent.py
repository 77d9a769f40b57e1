"""Agents from a plain synchronous script: no `async`, no `await`, no event loop to start.

    python examples/demo_simple_agent.py [--model ollama::gemma3:latest]

`BlockingMesh` runs its loop on a thread of its own; every verb waits for its result. An `LlmAgent` needs no mesh at
all: it joins the process's own.
"""

import argparse
import sys

from ceylon import Agent, BlockingMesh, LlmAgent, ModelError, action


class Counter(Agent):
    """Counts the words it is sent."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.words = 0

    def on_message(self, message: str) -> str:
        """Count the words of *message*."""
        self.words += len(message.split())
        return f"{self.words} words so far"

    @action
    def reset(self, to: int = 0) -> None:
        """Begin again at *to*."""
        self.words = to


def main(model: str) -> None:
    """Talk to an agent in a mesh, then to a language model without one."""
    print("A mesh on its own thread")
    with BlockingMesh("notes") as mesh:
        counter = mesh.add(Counter("counter"))
        print(" ", counter.ask("tea for two"))
        counter.tell("and two for tea")  # no reply is waited for
        print(" ", counter.ask("me for you"))
        counter.call("reset", to=100)
        print(" ", counter.ask("and you for me"))

    print("\nA language model")
    tutor = LlmAgent("tutor", model).with_system_prompt("Answer in one short sentence.").with_max_tokens(32).build()
    for question in ("What is the capital of France?", "What is tea?"):
        print(f"  {question}\n    {tutor.send_message(question)}")
    reply = tutor.blocking.complete("Name a fruit.")
    print(f"  Name a fruit.\n    {reply.text}\n    [{reply.model}: {reply.usage.output} tokens, end: {reply.finish}]")

    print("\nThe answer as it comes")
    for delta in tutor.blocking.stream("Tell me a short story."):
        print(delta, end="", flush=True)
    print()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Agents from a plain synchronous script.")
    parser.add_argument("--model", default="auto", help="provider::model; default: what is there")
    try:
        main(parser.parse_args().model)
    except ModelError as error:  # no model, no key, a wrong name: its sentence says what to do
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:  # Ctrl-C: the mesh has stopped in order
        sys.exit(130)
