"""The code of docs/guides/supervision.md: every section runs."""
# ruff: noqa: ARG001, D101, D102, D103 – a snippet is documented by the page it stands in

import asyncio
import logging
from collections.abc import Callable
from typing import Literal

from ceylon import Agent, Context, Mesh, MeshFailedError, Terminated, on
from ceylon.messages import Envelope


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what is about to happen."""
    while not condition():  # noqa: ASYNC110 – an example has no event for it
        await asyncio.sleep(0.01)


# --8<-- [start:spawn]
class Scraper(Agent):
    on_failure = "restart"

    async def on_message(self, page: str) -> str:
        if page == "broken":
            raise ValueError(page)
        return f"{self.name} has read {page}"


class Desk(Agent):
    strategy = "one_for_one"

    async def on_start(self, context: Context) -> None:
        for number in (1, 2):
            context.spawn(Scraper(f"scraper{number}"))

    async def on_message(self, page: str, context: Context) -> list[str]:
        return [await context.ask(child, page) for child in context.children]


# --8<-- [end:spawn]


async def spawn() -> None:
    # --8<-- [start:spawned]
    async with Mesh("office") as mesh:
        desk = mesh.add(Desk("desk"))
        for line in await desk.ask("the news"):
            print(line)  # scraper1 has read the news, scraper2 has read the news

        await mesh.tell("scraper1", "broken")  # begins again, alone
        print(await mesh.ask("scraper1", "the news"))
        print(mesh.statistics().agents["scraper1"].parent)  # desk

        await mesh.stop(desk)  # scraper2, then scraper1, then desk
        print(mesh.agents)  # []
    # --8<-- [end:spawned]


# --8<-- [start:strategy]
class Feed(Agent):
    on_failure = "restart"

    def __init__(self, name: str, source: str) -> None:
        super().__init__(name)
        self.source = source

    async def on_start(self) -> None:
        print(f"{self.name} reads {self.source}")

    async def on_message(self, line: str) -> None:
        raise ConnectionError(line)


class Pipeline(Agent):
    strategy = "rest_for_one"  # who reads from a feed begins again with it
    max_restarts = 3
    restart_period = 60.0

    async def on_start(self, context: Context) -> None:
        context.spawn(Feed("raw", source="the wire"))
        context.spawn(Feed("clean", source="raw"))


# --8<-- [end:strategy]


async def strategy() -> None:
    async with Mesh("office") as mesh:
        mesh.add(Pipeline("pipeline"))
        await until(lambda: "clean" in mesh.agents)
        await mesh.tell("raw", "cut")
        await until(lambda: mesh.statistics().agents["clean"].restarts == 1)


# --8<-- [start:escalate]
def by_kind(error: BaseException, envelope: Envelope) -> Literal["resume", "escalate"]:
    return "resume" if isinstance(error, ValueError) else "escalate"


class Reader(Agent):
    async def on_message(self, page: str) -> str:
        if page == "broken":
            raise ValueError(page)
        raise ConnectionError(page)


class Library(Agent):
    on_failure = "restart"  # also of what its children escalate

    async def on_start(self, context: Context) -> None:
        reader = Reader("reader")
        reader.on_failure = by_kind
        context.spawn(reader)


# --8<-- [end:escalate]


async def escalate() -> None:
    async with Mesh("office") as mesh:
        mesh.add(Library("library"))
        await until(lambda: "reader" in mesh.agents)
        await mesh.tell("reader", "broken")  # the reader goes on
        await mesh.tell("reader", "no network")  # the library begins again, with a new reader
        await until(lambda: mesh.statistics().agents["library"].restarts == 1)
        print("the library has begun again")


# --8<-- [start:watch]
class Caretaker(Agent):
    async def on_start(self, context: Context) -> None:
        context.watch("desk")

    @on
    async def ended(self, ended: Terminated, context: Context) -> None:
        print(f"{ended.address} is gone: {ended.reason} {ended.error}")  # desk is gone: stopped


# --8<-- [end:watch]


async def watch() -> None:
    async with Mesh("office") as mesh:
        mesh.add(Desk("desk"))
        mesh.add(Caretaker("caretaker"))
        await until(lambda: mesh.statistics().agents["caretaker"].state == "running")
        await mesh.stop("desk")
        await mesh.drain()


# --8<-- [start:critical]
class Database(Agent):
    critical = True
    on_failure = "stop"

    async def on_message(self, query: str) -> str:
        raise ConnectionError(query)


# --8<-- [end:critical]


async def critical() -> None:
    # --8<-- [start:failed]
    try:
        async with Mesh("office") as mesh:
            await mesh.add(Database("database")).tell("SELECT 1")
            await mesh.wait()
    except MeshFailedError as error:
        print(error.agent, repr(error.cause))  # database ConnectionError('SELECT 1')
    # --8<-- [end:failed]


async def main() -> None:
    """Run every section."""
    logging.disable()  # these failures are meant
    for section in (spawn, strategy, escalate, watch, critical):
        print("---", section.__name__)
        await section()


if __name__ == "__main__":
    asyncio.run(main())
