"""The code of docs/guides/handoff-and-steering.md: every section runs."""
# ruff: noqa: D103 – a snippet is documented by the page it stands in

import asyncio

from ceylon import LlmAgent, Mesh, Prompt
from ceylon.errors import InterruptedTurnError


async def handoff(mesh: Mesh) -> None:
    # --8<-- [start:handoff]
    billing = LlmAgent("billing", "auto", description="Knows bills.", handoffs=["front"], max_tokens=16)
    front = LlmAgent("front", "auto", handoffs=[billing], max_tokens=64)
    mesh.add(billing)
    mesh.add(front)
    # --8<-- [end:handoff]
    # --8<-- [start:who]
    reply = await front.complete("What do I owe?", tool_choice="transfer_to_billing")
    print(reply.agent or "front", "answers:", reply.text)
    # --8<-- [end:who]
    # --8<-- [start:parts]
    async for part in front.parts("What do I owe?", tool_choice="transfer_to_billing"):
        print(type(part).__name__)
    # --8<-- [end:parts]


async def steering(mesh: Mesh) -> None:
    tutor = LlmAgent("tutor", "auto", max_tokens=48)
    mesh.add(tutor)
    # --8<-- [start:interrupt]
    chat = tutor.conversation("alice")

    async def listen() -> None:
        try:
            async for delta in chat.stream("Tell me all about tea."):
                print(delta, end="")
        except InterruptedTurnError as error:
            print(f"… broken off after {len(error.text)} characters")

    listening = asyncio.create_task(listen())
    await asyncio.sleep(1)
    print(await chat.send("Stop. What is coffee?", when="interrupt"))
    await listening
    # --8<-- [end:interrupt]
    # --8<-- [start:absorb]
    await chat.send("And please be brief.", when="absorb")
    # --8<-- [end:absorb]
    # --8<-- [start:mesh]
    reply = await mesh.ask("tutor/alice", Prompt("Stop.", when="interrupt"))
    print(reply.text)
    # --8<-- [end:mesh]


async def main() -> None:
    for section in (handoff, steering):
        async with Mesh() as mesh:
            await section(mesh)


if __name__ == "__main__":
    asyncio.run(main())
