"""The code of docs/guides/drawing.md: every section runs."""
# ruff: noqa: D101, D102, D103 – a snippet is documented by the page it stands in

import asyncio
from typing import Final

import anyio

from ceylon import Agent, Mesh, on
from ceylon.pipelines import Pipeline, branch, each, fallback, gather, loop, parallel, pipeline, retry


async def wires(topic: str) -> list[str]:
    await anyio.sleep(0.1)
    return [f"{topic}, story {number}" for number in range(1, 7)]


async def archive(topic: str) -> list[str]:
    await anyio.sleep(0.4)
    return [f"{topic}, years ago"]


def merge(found: dict[str, list[str]]) -> list[str]:
    return [*found["wires"], *found["archive"]]


async def summarise(story: str) -> str:
    await anyio.sleep(len(story) / 500)
    if "story 4" in story:
        message = "the page cannot be read"
        raise ValueError(message)
    return story.rpartition(", ")[2]


def give_up(story: str) -> str:
    return f"(no summary of {story})"


def length(lines: list[str]) -> str:
    return "long" if len(lines) > 4 else "short"


async def page(lines: list[str]) -> str:
    await anyio.sleep(0.1)
    return "\n".join(lines)


def note(lines: list[str]) -> str:
    return lines[0]


async def improve(text: str) -> str:
    await anyio.sleep(0.2)
    return text.replace("story", "report")


def is_good(text: str) -> bool:
    return "story" not in text


# --8<-- [start:pipeline]
newsroom = pipeline(
    parallel(wires=wires, archive=archive),
    merge,
    each(fallback(retry(summarise, times=2, pause=0.05), give_up), concurrency=3),
    gather(),
    branch(length, {"long": page, "short": note}),
    loop(improve, until=is_good, at_most=3),
).named("newsroom")
# --8<-- [end:pipeline]

PICTURES: Final[dict[str, tuple[Pipeline, str]]] = {"newsroom": (newsroom, "tea")}
"""What scripts/pictures draws, and the value each is run with."""


def draw() -> None:
    # --8<-- [start:draw]
    print(newsroom.draw())  # Mermaid text
    print(newsroom.draw(direction="right"))
    # --8<-- [end:draw]


async def run() -> None:
    # --8<-- [start:run]
    async with newsroom.stream("tea") as running:
        events = [event async for event in running]
    print(newsroom.draw(events))
    # --8<-- [end:run]


def svg() -> None:
    # --8<-- [start:svg]
    picture = newsroom.svg()
    print(picture[:4])  # <svg
    # --8<-- [end:svg]


class Clerk(Agent):
    @on
    async def write(self, line: str) -> str:
        return line.upper()


async def mesh() -> None:
    # --8<-- [start:mesh]
    async with Mesh("office") as mesh:
        clerk = mesh.add(Clerk("clerk"))
        await clerk.ask("a line")
        print(mesh.draw())
    # --8<-- [end:mesh]


async def progress() -> None:
    # --8<-- [start:progress]
    await newsroom.run("tea")  # shown where stderr is a terminal
    await newsroom.run("tea", progress=False)  # never
    await newsroom.run("tea", progress=lambda event: print(event.what, event.label))
    # --8<-- [end:progress]


if __name__ == "__main__":
    draw()
    svg()
    for section in (run, mesh, progress):
        asyncio.run(section())
