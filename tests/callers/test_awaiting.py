"""`send_message_async` is a coroutine like any other, for asyncio and for trio."""

import asyncio
from collections.abc import Coroutine, Iterator

import anyio
import pytest
import trio

from ceylon import LlmAgent
from ceylon.errors import ArgumentError
from ceylon.testing.model_server import ModelServer
from support.callers_stage import tutor_at


@pytest.fixture
def server() -> Iterator[ModelServer]:
    """A server whose counters are this test's alone."""
    with ModelServer() as server:
        yield server


@pytest.fixture
def tutor(server: ModelServer) -> LlmAgent:
    """An agent without a mesh."""
    return tutor_at(server.openai_url)


def test_it_is_a_coroutine_and_may_be_a_key(tutor: LlmAgent) -> None:
    coroutine = tutor.send_message_async("hi")

    assert isinstance(coroutine, Coroutine)
    assert {coroutine: "question"}[coroutine] == "question"
    assert asyncio.run(coroutine) == "echo: hi"


async def test_nothing_is_sent_before_it_is_awaited(tutor: LlmAgent, server: ModelServer) -> None:
    coroutine = tutor.send_message_async("hi")
    assert await tutor.send_message_async("before") == "echo: before"

    assert [request.prompt for request in server.requests] == ["before"]
    assert await coroutine == "echo: hi"


@pytest.mark.asyncio
async def test_gather_keeps_the_order_and_sees_every_error(tutor: LlmAgent) -> None:
    answers = await asyncio.gather(
        *[tutor.send_message_async(query) for query in ("one", "", "two")], return_exceptions=True
    )

    assert isinstance(answers[1], ArgumentError)
    assert [answers[0], answers[2]] == ["echo: one", "echo: two"]


@pytest.mark.asyncio
async def test_as_completed_wait_for_shield_and_tasks_take_it(tutor: LlmAgent) -> None:
    coroutines = [tutor.send_message_async(query) for query in ("one", "two")]
    completed = {await answer for answer in asyncio.as_completed(coroutines)}
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(tutor.send_message_async("three"))

    assert completed == {"echo: one", "echo: two"}
    assert task.result() == "echo: three"
    assert await asyncio.wait_for(tutor.send_message_async("four"), 60) == "echo: four"
    assert await asyncio.shield(tutor.send_message_async("five")) == "echo: five"


def test_a_nursery_starts_it(tutor: LlmAgent, server: ModelServer) -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for query in ("one", "two"):
                nursery.start_soon(tutor.send_message_async, query)

    trio.run(main)

    assert sorted(request.prompt for request in server.requests) == ["one", "two"]


async def test_cancelling_the_await_ends_the_request(tutor: LlmAgent, server: ModelServer) -> None:
    server.hold()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tutor.send_message_async, "hi")
        await server.until(lambda: server.in_flight == 1)
        tasks.cancel_scope.cancel()
    await server.until(lambda: (server.in_flight, server.clients_left) == (0, 1))
    server.release()

    assert await tutor.send_message_async("again") == "echo: again"


async def test_leaving_a_stream_ends_the_request(tutor: LlmAgent, server: ModelServer) -> None:
    server.hold()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tutor.stream("hi").result)
        await server.until(lambda: server.in_flight == 1)
        tasks.cancel_scope.cancel()
    await server.until(lambda: (server.in_flight, server.clients_left) == (0, 1))
    server.release()

    assert [delta async for delta in tutor.stream("again")] == ["echo:", " again"]
