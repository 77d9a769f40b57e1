"""One agent, asked from a script, a thread, asyncio, trio and five event loops at once, in one process.

    python examples/demo_everywhere.py [--model ollama::gemma3:latest]

The agent lives on the loop of its mesh, here the process's own; callers post to it and are answered wherever they wait.
So nothing is bound to a loop that is gone. Trio is left out where it is not installed (`pip install -e ".[trio]"`).

How web handlers, notebooks and forked processes do it stands in ASYNC_STATUS.md.
"""

import argparse
import asyncio
import importlib.util
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from ceylon import LlmAgent, ModelError

QUESTION = "Name a fruit."


def main(model: str) -> None:
    """Ask the same agent from everywhere."""
    agent = LlmAgent("tutor", model, max_tokens=16)

    show("script", agent.send_message(QUESTION))
    show("thread", in_a_thread(lambda: agent.send_message(QUESTION)))
    show("asyncio", asyncio.run(agent.send_message_async(QUESTION)))
    show("asyncio, another loop", asyncio.run(agent.send_message_async(QUESTION)))
    show("thread with its own loop", in_a_thread(lambda: asyncio.run(agent.send_message_async(QUESTION))))
    if importlib.util.find_spec("trio") is None:
        show("trio", "(not installed)")
    else:
        show("trio", in_trio(agent))
    show("five loops at once", in_five_loops(agent))
    show("script, again", agent.send_message(QUESTION))
    print("threads of the mesh:", ", ".join(sorted(t.name for t in threading.enumerate() if "ceylon" in t.name)))


def in_a_thread(function: Callable[[], str]) -> str:
    """Return what *function* returns in a thread of its own."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(function).result()


def in_trio(agent: LlmAgent) -> str:
    """Return the answer that arrives on a trio loop."""
    import trio  # noqa: PLC0415 – an extra

    return trio.run(agent.send_message_async, QUESTION)


def in_five_loops(agent: LlmAgent) -> str:
    """Ask from five loops in five threads at the same time."""
    with ThreadPoolExecutor(5) as threads:
        waiting = [threads.submit(lambda: asyncio.run(agent.send_message_async(QUESTION))) for _ in range(5)]
        answers = [each.result() for each in waiting]
    return f"{len(answers)} answers, the first: {answers[0]}"


def show(caller: str, answer: str) -> None:
    """Print who asked and what it was told."""
    print(f"{caller:25} {' '.join(answer.split())}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="One agent, asked from everywhere.")
    parser.add_argument("--model", default="auto", help="provider::model; default: what is there")
    try:
        main(parser.parse_args().model)
    except ModelError as error:  # no model, no key, a wrong name: its sentence says what to do
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:  # Ctrl-C: the mesh has stopped in order
        sys.exit(130)
