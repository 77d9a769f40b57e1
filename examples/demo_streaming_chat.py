"""A chat as it comes: text word by word, typed parts, and a message that interrupts the answer.

    python examples/demo_streaming_chat.py [--model ollama::gemma3:latest]

Leaving a stream stops the model's request, and such a turn leaves no trace. A message that interrupts leaves one:
what had been said stays in the history, so that the model knows of it. Histories live in memory here.
"""

import argparse
import asyncio
import sys
from typing import Any

from ceylon import LlmAgent, Mesh, ModelError, ReplyPart, TextPart, UsagePart
from ceylon.errors import InterruptedTurnError


async def chat(model: Any) -> None:
    """Hold one conversation in three ways."""
    async with Mesh("chat") as mesh:
        tutor = LlmAgent("tutor", model, system_prompt="You are a friendly tutor.", max_tokens=48)
        mesh.add(tutor)
        alice = tutor.conversation("alice")

        print("Word by word", flush=True)
        async for delta in alice.stream("Tell me about tea."):
            print(delta.replace("\n", " "), end="", flush=True)

        print("\n\nTyped parts")
        counted: dict[str, int] = {}
        async for part in tutor.parts("What is rain?"):
            counted[type(part).__name__] = counted.get(type(part).__name__, 0) + 1
            if isinstance(part, UsagePart):
                print(f"  the model took {part.usage.output} tokens")
            if isinstance(part, ReplyPart):
                print(f"  it ended by {part.reply.finish!r}")
        print(f"  pieces of text: {counted[TextPart.__name__]}")

        print("\nAn interruption")
        heard: list[str] = []
        speaking, spoken = asyncio.Event(), asyncio.Event()

        async def listen() -> None:
            try:
                async for delta in alice.stream("Count to a thousand, in words."):
                    heard.append(delta)
                    speaking.set()
            except InterruptedTurnError:
                print("  the first answer was broken off")
            finally:
                speaking.set()
                spoken.set()

        listening = asyncio.create_task(listen())
        await speaking.wait()
        answer = await alice.send("Stop. Say goodbye.", when="interrupt")
        await listening
        print(f"  heard before: {len(heard)} pieces; then: {' '.join(answer.split())}")

        history = await alice.history()
        print(f"\nThe history: {', '.join(turn.role for turn in history)}")


def main(model: Any) -> None:
    """Run the chat."""
    asyncio.run(chat(model))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A chat as it comes.")
    parser.add_argument("--model", default="auto", help="provider::model; default: what is there")
    try:
        main(parser.parse_args().model)
    except ModelError as error:  # no model, no key, a wrong name: its sentence says what to do
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:  # Ctrl-C: the mesh has stopped in order
        sys.exit(130)
