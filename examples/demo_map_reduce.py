"""Map and reduce over the files of a folder: words counted in threads, four files at a time, and one sentence on top.

    python examples/demo_map_reduce.py [--model ollama::gemma3:latest] [--folder docs]

Files are found while others are already counted, and no more of them wait than are worked on. A file that cannot be
read does not end the run: it stands among the results as what it is. On a terminal the run shows how far it is.
"""

import argparse
import asyncio
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ceylon import HandlerError, LlmAgent, Mesh
from ceylon.pipelines import Failed, Pipeline, each, parallel, pipeline, reduce

DOCS = Path(__file__).parents[1] / "docs"
LONG = 6


def files(folder: Path) -> Iterator[Path]:
    """Yield the pages of a folder, in their order, and one that is not there."""
    yield from sorted(folder.rglob("*.md"))
    yield folder / "no-such-page.md"


def count(page: Path) -> Counter[str]:
    """Return how often each long word is in a page; it reads a file, so it runs in a thread."""
    words = re.findall(r"[a-z]+", page.read_text(encoding="utf-8").lower())
    return Counter(word for word in words if len(word) >= LONG)


def add(sum_of: dict[str, Any], counted: Any) -> dict[str, Any]:
    """Return the sum with one more page."""
    if isinstance(counted, Failed):
        return {**sum_of, "failed": sum_of["failed"] + 1}
    return {**sum_of, "pages": sum_of["pages"] + 1, "words": sum_of["words"] + counted}


def top(sum_of: dict[str, Any]) -> list[str]:
    """Return the words that are there most often."""
    return [word for word, _ in sum_of["words"].most_common(5)]


def numbers(sum_of: dict[str, Any]) -> str:
    """Return the sum in words."""
    return f"{sum_of['pages']} pages, {sum_of['failed']} not read, {sum_of['words'].total()} long words"


def question(words: list[str]) -> str:
    """Return what the writer is asked."""
    return f"Which software has these words in its manual: {', '.join(words)}? Answer in one short sentence."


def overview(writer: Any) -> Pipeline:
    """Return map and reduce, and the two things made of it side by side."""
    nothing: dict[str, Any] = {"pages": 0, "failed": 0, "words": Counter()}
    counted = pipeline(files, each(count, concurrency=4, ordered=False, on_failure="keep"), reduce(add, nothing))
    return pipeline(counted, parallel(numbers=numbers, top=top, about=pipeline(top, question, writer)), name="overview")


async def look(model: Any, folder: Path) -> None:
    """Say what is in a folder."""
    async with Mesh("library") as mesh:
        writer = LlmAgent("writer", model, max_tokens=32)
        view = overview(writer)
        mesh.add(view)

        print("Overview", flush=True)
        found = await view.run(folder)
        print(f"  {found['numbers']}")
        print(f"  most often: {', '.join(found['top'])}")
        print(f"  it may be about: {' '.join(found['about'].split())}")


def main(model: Any, folder: Path = DOCS) -> None:
    """Look at a folder."""
    asyncio.run(look(model, folder))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Map and reduce over files.")
    parser.add_argument("--model", default="auto", help="provider::model; default: what is there")
    parser.add_argument("--folder", type=Path, default=DOCS, help="pages in Markdown")
    given = parser.parse_args()
    try:
        main(given.model, given.folder)
    except HandlerError as error:  # an agent's; no model, no key, a wrong name: the root's sentence says what to do
        sys.exit(f"error: {error.root}")
    except KeyboardInterrupt:  # Ctrl-C: the mesh has stopped in order
        sys.exit(130)
