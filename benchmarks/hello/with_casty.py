"""Ask once, with casty."""

import asyncio
from dataclasses import dataclass

from casty import ActorSystem, Askable, Context, actor


@dataclass(frozen=True)
class Hello(Askable[str]):
    """Asks for its text."""

    text: str


@actor(initial=0)
async def echo(ctx: Context[int, Hello]) -> None:
    """Give it back."""
    async for message in ctx.inbox:
        message.reply_to.tell(message.text)


async def main() -> None:
    """Ask."""
    async with ActorSystem() as system:
        print(await system.ref(echo, "echo").ask(Hello("hello")), flush=True)


asyncio.run(main())
