"""A mesh cancels a handler that nobody waits for by its task, which no shield keeps off: nothing may stay behind."""

import asyncio
import types
from collections.abc import Coroutine, Generator
from typing import Any

import httpx

from ceylon.models.connection import Connection
from ceylon.models.pool import Pool
from ceylon.testing.model_server import ModelServer

MOST = 60
"""More steps than an answer takes."""


@types.coroutine
def cancelled_at(step: int, work: Coroutine[Any, Any, None]) -> Generator[Any, Any, bool]:
    """Run *work*, and cancel its task as soon as it waits for the time *step*; say whether it came so far."""
    task = asyncio.current_task()
    assert task is not None
    thrown: BaseException | None = None
    count = 0
    while True:
        try:
            awaited = work.send(None) if thrown is None else work.throw(thrown)
        except StopIteration:
            return count >= step
        count += 1
        if count == step:
            asyncio.get_running_loop().call_soon(task.cancel)
        try:
            thrown = None
            yield awaited
        except BaseException as error:  # noqa: BLE001 – whatever it is, the work is told
            thrown = error


async def ask(pool: Pool, url: str) -> None:
    """Ask and read the answer."""
    response = await pool.handle_async_request(httpx.Request("GET", f"{url}/v1/models"))
    try:
        await response.aread()
    finally:
        await response.aclose()


def test_a_cancellation_at_whatever_step_gives_the_connection_back(connection: type[Connection]) -> None:
    left: dict[int, str] = {}

    async def try_step(server: ModelServer, step: int) -> bool:
        async with Pool(connection=connection) as pool:
            room = pool._room  # noqa: SLF001 – nothing else shows it
            places = room.value
            try:
                return await cancelled_at(step, ask(pool, server.base_url))
            except asyncio.CancelledError:
                return True
            finally:
                if room.value != places or not repr(pool).startswith("<Pool 0 busy"):
                    left[step] = f"{pool!r}, {places - room.value} places taken"

    async def run(server: ModelServer) -> int:
        step = 1
        while step < MOST and await try_step(server, step):
            step += 1
        return step

    with ModelServer() as server:
        steps = asyncio.run(run(server))

    assert left == {}
    assert 3 < steps < MOST
