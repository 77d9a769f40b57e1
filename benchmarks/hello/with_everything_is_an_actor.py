"""Ask once, with everything-is-an-actor."""

import asyncio

from actor_for_agents import Actor, ActorSystem


class Echo(Actor[str, str]):
    """Answers what it is asked."""

    async def on_receive(self, message: str) -> str:
        """Give it back."""
        return message


async def main() -> None:
    """Ask."""
    system = ActorSystem()
    echo = await system.spawn(Echo, "echo")
    print(await echo.ask("hello"), flush=True)
    await system.shutdown()


asyncio.run(main())
