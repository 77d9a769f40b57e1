"""The code of docs/guides/submit-and-collect.md: every section runs."""
# ruff: noqa: D101, D102, D103, EM101, TRY003 – a snippet is documented by the page it stands in

import asyncio
import logging

from ceylon import (
    Agent,
    BlockingMesh,
    Context,
    DeadlockError,
    HandlerError,
    Mesh,
    Request,
    RequestCancelledError,
    RequestTimeoutError,
)


class Researcher(Agent):
    async def on_message(self, subject: str) -> str:
        if subject == "alchemy":
            raise ValueError("no sources")
        await asyncio.sleep(0.05)
        return f"all about {subject}"


async def one() -> None:
    async with Mesh("library") as mesh:
        researcher = mesh.add(Researcher("researcher"))
        # --8<-- [start:one]
        request = await researcher.submit("tea")  # it is in the mailbox now
        print(request)  # <Request 0193f2…-1 str to 'researcher' pending>

        print(await request)  # all about tea
        print(await request)  # all about tea: the result stays with the handle
        # --8<-- [end:one]


async def many() -> None:
    async with Mesh("library") as mesh:
        mesh.add(Researcher("researcher"))
        # --8<-- [start:many]
        requests = [await mesh.submit("researcher", subject) for subject in ("tea", "alchemy", "coffee")]
        print(len(mesh.pending()), "of", len(requests), "under way")

        for result in await mesh.collect():
            print(result.recipient, f"{result.seconds:.2f} s", result.error or result.value)
        # --8<-- [end:many]


async def waiting() -> None:
    async with Mesh("library") as mesh:
        mesh.add(Researcher("researcher"))
        # --8<-- [start:waiting]
        request = await mesh.submit("researcher", "tea", timeout=600)
        note = request.id  # text, to be kept wherever you like

        try:
            await mesh.wait_for(request, timeout=0.001)
        except RequestTimeoutError as error:
            print(error)  # … has not ended within 0.001 s, and goes on; wait for it again, …

        print(await mesh.wait_for(note))  # all about tea
        # --8<-- [end:waiting]


async def cancelling() -> None:
    async with Mesh("library") as mesh:
        mesh.add(Researcher("researcher"))
        # --8<-- [start:cancelling]
        request = await mesh.submit("researcher", "the history of the world")
        request.cancel()
        try:
            await request
        except RequestCancelledError as error:
            print(error)
        # --8<-- [end:cancelling]


# --8<-- [start:handler]
class Editor(Agent):
    async def on_message(self, subjects: list[str], context: Context) -> list[str]:
        requests = [await context.submit("researcher", subject) for subject in subjects]
        outline = f"{len(subjects)} chapters"  # the researcher works meanwhile
        return [outline, *[await request for request in requests]]


# --8<-- [end:handler]


# --8<-- [start:circle]
class Loner(Agent):
    async def on_message(self, message: str, context: Context) -> str:
        request: Request[str] = await context.submit(self.name, "me again")
        return await request  # could never end: the answer needs the handler that waits here


# --8<-- [end:circle]


async def handler() -> None:
    async with Mesh("library") as mesh:
        mesh.add(Researcher("researcher"))
        print(await mesh.add(Editor("editor")).ask(["tea", "coffee"]))
        try:
            await mesh.add(Loner("loner")).ask("hello")
        except DeadlockError as error:
            print(error)
        await mesh.stop("loner", at_once=True)


def blocking() -> None:
    # --8<-- [start:blocking]
    with BlockingMesh("library") as mesh:
        mesh.add(Researcher("researcher"))
        request = mesh.submit("researcher", "tea")
        print(request.wait(timeout=5))  # all about tea

        failing = mesh.submit("researcher", "alchemy")
        try:
            failing.wait()
        except HandlerError as error:
            print(error.root)  # no sources
        print(mesh.collect())  # []: both are collected already
    # --8<-- [end:blocking]


async def main() -> None:
    """Run every section."""
    logging.disable()  # these failures are meant
    for section in (one, many, waiting, cancelling, handler):
        print("---", section.__name__)
        await section()


if __name__ == "__main__":
    asyncio.run(main())
    blocking()
