"""The part of docs/guides/async.md about trio."""
# ruff: noqa: D103 – a snippet is documented by the page it stands in

# --8<-- [start:trio]
import trio

from ceylon import LlmAgent, Mesh

agent = LlmAgent("tutor", "auto", max_tokens=16)


async def main() -> None:
    print(await agent.send_message_async("What is tea?"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(agent.send_message_async, "Name a fruit.")
    async with Mesh("study") as mesh:  # on trio's loop
        print(await mesh.add(agent).ask("What is 2+2?"))


trio.run(main)
# --8<-- [end:trio]
