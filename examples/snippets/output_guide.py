"""The code of docs/guides/structured-output.md: every section runs."""
# ruff: noqa: D101, D103 – a snippet is documented by the page it stands in

import asyncio
from typing import Annotated, Literal

import msgspec

from ceylon import LlmAgent, Mesh, Message
from ceylon.errors import OutputError


# --8<-- [start:struct]
class Line(msgspec.Struct):
    """One line of an order."""

    sort: Literal["assam", "sencha"]
    packets: Annotated[int, msgspec.Meta(ge=1, le=99)]


# --8<-- [end:struct]


async def complete() -> None:
    clerk = LlmAgent("clerk", "auto", max_tokens=64)
    # --8<-- [start:complete]
    reply = await clerk.complete("Three packets of sencha, please.", output=Line)
    print(reply.output.packets, reply.output.sort)  # reply is a Reply[Line]
    # --8<-- [end:complete]
    # --8<-- [start:plain]
    word = await clerk.complete("Is water wet?", output=Literal["yes", "no"])
    print(word.output)
    # --8<-- [end:plain]
    # --8<-- [start:agent]
    counter = LlmAgent("counter", "auto", output=bool, max_tokens=32)
    print((await counter.complete("Is tea a plant?")).output)
    # --8<-- [end:agent]


# --8<-- [start:message]
class Verdict(Message):
    mood: Literal["good", "bad"]


class Review(Message["Verdict"]):
    text: str


async def judge(mesh: Mesh) -> None:
    critic = mesh.add(LlmAgent("critic", "auto", max_tokens=64))
    verdict = await critic.ask(Review("The assam was wonderful!"))  # revealed as a Verdict
    print(verdict.mood)
    # --8<-- [end:message]


async def wrong() -> None:
    clerk = LlmAgent("clerk", "auto", max_tokens=3)
    # --8<-- [start:wrong]
    try:
        await clerk.complete("Three packets of sencha, please.", output=Line)
    except OutputError as error:
        print(error.reason, error.tries, repr(error.text))
    # --8<-- [end:wrong]


async def main() -> None:
    await complete()
    async with Mesh() as mesh:
        await judge(mesh)
    await wrong()


if __name__ == "__main__":
    asyncio.run(main())
