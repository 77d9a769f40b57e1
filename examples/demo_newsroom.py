"""A newsroom: stories from the wire are checked and written side by side, edited until they are short, and printed.

    python examples/demo_newsroom.py [--model ollama::gemma3:latest]

Nothing waits for more than it needs: while one story is edited, the next one is still being written, and the page is
made up as they come. Every line printed is an event of the run, from whatever depth it comes. At the end the picture
of the pipeline, with what this run did drawn over it, as Mermaid text: GitHub and notebooks show that as a picture.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterator
from typing import Any

from ceylon import HandlerError, LlmAgent, Mesh
from ceylon.pipelines import Pipeline, StageEvent, each, loop, parallel, pipeline, reduce

WIRE = {
    "tea": "Ceylon tea sold for 1,200 rupees a kilo at Tuesday's auction, the most in six years.",
    "rain": "The monsoon reached the south-west coast on Monday, nine days early.",
    "rail": "The train from Kandy to Ella runs again after the landslide of last month.",
}
ARCHIVE = {"tea": "2020: tea sold for 1,100 rupees.", "rail": "A landslide closed the line in October."}
MOST_WORDS = 25


def wire(desk: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the stories as they come in."""
    yield from desk.items()


def look_up(story: tuple[str, str]) -> str:
    """Return what the archive has on a story; it may read a disk, a plain function runs in a thread."""
    return ARCHIVE.get(story[0], "nothing")


def brief(story: tuple[str, str]) -> str:
    """Return what the reporter is told."""
    return f"Write one short sentence for a newspaper: {story[1]}"


def put_together(found: dict[str, Any]) -> str:
    """Return the draft, behind what was known before."""
    return f"(Archive: {found['archive']}) {' '.join(found['draft'].split())}"


def shorten(draft: str) -> str:
    """Return the draft without its last words; an editor at the end of a long day."""
    return " ".join(draft.split()[:-5])


def is_short(draft: str) -> bool:
    """Say whether a draft fits."""
    return len(draft.split()) <= MOST_WORDS


def set_column(page: str, story: str) -> str:
    """Return the page with one more story."""
    return f"{page}* {story}\n"


def newsroom(reporter: Any) -> Pipeline:
    """Return the newsroom; a pipeline is a value, and nothing runs yet."""
    story = pipeline(parallel(draft=pipeline(brief, reporter), archive=look_up), put_together)
    edit = loop(shorten, until=is_short, at_most=50)
    return pipeline(wire, each(story, concurrency=2), each(edit), reduce(set_column, ""), name="newsroom")


async def print_page(model: Any) -> None:
    """Make the page of the day, and say what happens meanwhile."""
    async with Mesh("paper") as mesh:
        reporter = LlmAgent("reporter", model, max_tokens=40, concurrency=2)
        room = newsroom(reporter)
        mesh.add(room)

        print("The run", flush=True)
        events: list[StageEvent] = []
        run = room.stream(WIRE)
        async for event in run:
            events.append(event)
            if event.what in {"started", "ended", "failed"} and event.label in {"reporter", "look_up", "shorten"}:
                print(f"  {event.label} {event.what}")

        print("\nThe page")
        print(await run.result())
        print("The picture")
        print(room.draw(events))


def main(model: Any) -> None:
    """Print the page of the day."""
    asyncio.run(print_page(model))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A newsroom as a pipeline.")
    parser.add_argument("--model", default="auto", help="provider::model; default: what is there")
    try:
        main(parser.parse_args().model)
    except HandlerError as error:  # an agent's; no model, no key, a wrong name: the root's sentence says what to do
        sys.exit(f"error: {error.root}")
    except KeyboardInterrupt:  # Ctrl-C: the mesh has stopped in order
        sys.exit(130)
