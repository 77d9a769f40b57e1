"""Ask once, with nothing but asyncio."""

import asyncio


async def main() -> None:
    """Put a future beside the message into a queue that a task serves."""
    queue: asyncio.Queue[tuple[str, asyncio.Future[str]]] = asyncio.Queue(1_000)

    async def serve() -> None:
        message, future = await queue.get()
        future.set_result(message)

    serving = asyncio.create_task(serve())
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    await queue.put(("hello", future))
    print(await future, flush=True)
    await serving


asyncio.run(main())
