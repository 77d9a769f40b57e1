"""A program for simulations that uses all a mesh has: topics, streams, restarts, timers, hooks, threads, a model."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import anyio

from ceylon import Agent, BlockingContext, CeylonError, Context, LlmAgent, Mesh, on
from ceylon.testing import ScriptedModel, Simulation

__all__ = ["run_newsroom"]

_CLIENTS: Final = 4
_VISITS: Final = 3


class Editor(Agent):
    """Fails now and then, and starts again; ticks; works in the background."""

    on_failure = "restart"
    idempotent = True

    async def on_start(self, context: Context) -> None:
        context.every(0.5, "tick")
        context.start_soon(self.read)

    async def read(self) -> None:
        while True:  # noqa: ASYNC110 – it reads for ever
            await anyio.sleep(0.3)

    async def on_stop(self, context: Context) -> None:
        await anyio.sleep(0.01)

    async def on_message(self, message: Any, context: Context) -> Any:
        await anyio.sleep(0.05)
        if message == "boom":
            raise ValueError(message)
        if message != "tick":
            await context.publish("news.local", message)
        return message


class Reader(Agent):
    """Hears of news, some of it in a thread; has little room."""

    mailbox_capacity = 2

    @on(topic="news.*")
    async def read(self, news: str, context: Context) -> None:
        await anyio.sleep(0.01)

    @on(topic="news.**")
    def answer(self, news: int, context: BlockingContext) -> None:
        context.tell("editor", "boom" if news % 5 == 0 else str(news))


class Ticker(Agent):
    """Streams, from the loop and from a thread."""

    @on
    async def count(self, most: int) -> AsyncIterator[int]:
        for number in range(most):
            yield number
            await anyio.sleep(0.01)

    @on
    def count_in_a_thread(self, most: str) -> Iterator[int]:
        yield from range(int(most))


class Desk(Agent):
    """Handles several at a time, each with tasks of its own."""

    concurrency = 3

    async def on_message(self, message: Any, context: Context) -> Any:
        answer = message
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(context.ask, "editor", message)
                tasks.start_soon(anyio.sleep, 0.02)
        except* CeylonError:
            answer = "error"
        return answer


class Archive(Agent):
    """Has a lifespan, and is slow."""

    async def lifespan(self, context: Context) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep_forever)
            yield
            tasks.cancel_scope.cancel()

    async def on_message(self, message: Any) -> None:
        await anyio.sleep(1)


async def run_newsroom(simulation: Simulation) -> None:
    """Let clients do what comes to their minds; whatever goes wrong is one of our errors."""
    async with simulation.mesh("newsroom") as mesh:
        agents = (
            Editor("editor"),
            Reader("reader"),
            Reader("leaver"),
            Ticker("ticker"),
            Desk("desk"),
            Archive("archive"),
        )
        for agent in agents:
            mesh.add(agent)
        mesh.add(LlmAgent("tutor", simulation.model(ScriptedModel(["one two three"] * _CLIENTS * _VISITS))))
        async with anyio.create_task_group() as clients:
            for _ in range(_CLIENTS):
                clients.start_soon(_visit, simulation, mesh)


async def _visit(simulation: Simulation, mesh: Mesh) -> None:
    for number in range(_VISITS):
        try:
            await _do_something(simulation, mesh, number)
        except CeylonError as error:
            simulation.note(type(error).__name__)


async def _do_something(simulation: Simulation, mesh: Mesh, number: int) -> None:
    match simulation.random.randrange(8):
        case 0:
            assert await mesh.ask("desk", number) in {number, "error"}
        case 1:
            await mesh.publish("news.abroad", number)
        case 2:
            assert [part async for part in mesh.stream("ticker", 5)] == list(range(5))
        case 3:
            async with mesh.stream("ticker", "300") as parts:
                async for part in parts:
                    if part == 100 + number:
                        break
        case 4:
            with anyio.move_on_after(0.03):
                await mesh.ask("archive", number)
        case 5:
            await mesh.ask("tutor", "count")
        case 6:
            await mesh.tell("editor", "boom")
        case _:
            await mesh.stop("leaver")
