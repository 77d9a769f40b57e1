"""Ask once, with Ceylon."""

import asyncio

from ceylon import Agent, Context, Mesh


class Echo(Agent):
    """Answers what it is asked."""

    async def on_message(self, message: str, context: Context) -> str:
        """Give it back."""
        return message


async def main() -> None:
    """Ask."""
    async with Mesh() as mesh:
        echo = mesh.add(Echo("echo"))
        print(await echo.ask("hello"), flush=True)


asyncio.run(main())
