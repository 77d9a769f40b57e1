"""Streams of an `LlmAgent`: text as it comes, typed parts, the whole reply; and what leaving early does."""

import anyio
import msgspec
import pytest

from ceylon import IncompleteStreamError, LlmAgent, Mesh, ModelError, Reply, TextPart, Usage
from ceylon.errors import ModelProtocolError
from ceylon.models.scripted import Step
from ceylon.models.turns import ReplyPart, ThinkingPart, Turn, UsagePart
from ceylon.testing.faults import Fault
from ceylon.testing.model_server import ModelServer
from support.llm import llm, plays


async def test_a_stream_gives_text_as_it_comes(anyio_backend: str) -> None:
    assert [delta async for delta in plays(["once ", "upon"]).stream("a story")] == ["once ", "upon"]


async def test_it_comes_before_the_answer_is_whole(server: ModelServer, anyio_backend: str) -> None:
    server.fail(Fault(hold_after=2))
    async with llm(server).stream("a long story") as story:
        assert await anext(story)
        server.release()
        rest = [delta async for delta in story]

    assert rest


async def test_its_result_is_the_whole_reply_also_of_what_was_taken_before(anyio_backend: str) -> None:
    reply = Reply(text="once upon", usage=Usage(input=2, output=2))
    story = plays(reply).stream("a story")
    await anext(story)

    assert await story.result() == msgspec.structs.replace(reply, turns=(Turn("assistant", "once upon"),))


async def test_parts_are_typed_and_thinking_is_no_text(anyio_backend: str) -> None:
    agent = plays([ThinkingPart("hm"), TextPart("four")], [ThinkingPart("hm"), TextPart("four")])
    *parts, usage, last = [part async for part in agent.parts("2+2?")]

    assert parts == [ThinkingPart("hm"), TextPart("four")]
    assert usage == UsagePart(Usage(), None, "scripted::model")
    assert isinstance(last, ReplyPart)
    assert [delta async for delta in agent.stream("2+2?")] == ["four"]


def test_a_thread_takes_the_same_stream(server: ModelServer) -> None:
    blocking = llm(server).blocking
    with blocking.stream("a story") as story:
        assert "".join(story) == "echo: a story"

    assert blocking.parts("a story").result().text == "echo: a story"


async def test_nothing_is_sent_before_the_first_piece_is_awaited(server: ModelServer, anyio_backend: str) -> None:
    story = llm(server).stream("a story")
    assert not server.requests

    await story.result()
    assert len(server.requests) == 1


async def test_a_stream_that_ended_stays_ended(anyio_backend: str) -> None:
    story = plays(["once"]).stream("a story")

    assert [delta async for delta in story] == ["once"]
    assert [delta async for delta in story] == []


async def test_a_model_s_error_comes_bare_and_once(anyio_backend: str) -> None:
    story = plays(ModelError("it broke")).stream("a story")
    with pytest.raises(ModelError, match="it broke"):
        await anext(story)

    assert [delta async for delta in story] == []


async def test_a_stream_that_breaks_off_is_an_error_with_the_text_so_far(
    server: ModelServer, anyio_backend: str
) -> None:
    server.fail(Fault(cut_at=400))
    with pytest.raises(IncompleteStreamError, match="the stream broke off after"):
        await llm(server).stream("a long story of many words that never comes to its end").result()


async def test_leaving_the_block_ends_the_request(server: ModelServer, anyio_backend: str) -> None:
    server.fail(Fault(hold_after=2))
    async with llm(server).stream("a story") as story:
        await anext(story)

    await server.until(lambda: server.clients_left == 1)


async def test_breaking_off_the_loop_ends_the_request(server: ModelServer, anyio_backend: str) -> None:
    server.fail(Fault(hold_after=2))
    async for _ in llm(server).stream("a story"):
        break

    await server.until(lambda: server.clients_left == 1)


async def test_a_cancelled_consumer_ends_the_request(server: ModelServer, anyio_backend: str) -> None:
    server.fail(Fault(hold_after=2))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(llm(server).stream("a story").result)
        await server.until(lambda: server.in_flight == 1)
        tasks.cancel_scope.cancel()

    await server.until(lambda: server.clients_left == 1)


async def test_a_stream_that_was_left_has_no_whole_reply(server: ModelServer, anyio_backend: str) -> None:
    server.fail(Fault(hold_after=2))
    story = llm(server).stream("a story")
    await anext(story)
    await story.aclose()

    assert [delta async for delta in story] == []
    with pytest.raises(ModelProtocolError, match="closed before its end"):
        await story.result()


async def test_a_stream_waits_in_line_without_a_clock_and_takes_a_slot(server: ModelServer, anyio_backend: str) -> None:
    agent = llm(server, concurrency=1)
    server.hold()
    async with Mesh() as mesh, anyio.create_task_group() as tasks:
        mesh.add(agent)
        tasks.start_soon(agent.send_message_async, "first")
        await server.until(lambda: server.in_flight == 1)
        tasks.start_soon(agent.stream("second").result)
        server.release()

    assert server.most_in_flight == 1
    assert [request.prompt for request in server.requests] == ["first", "second"]


async def test_a_deadline_bounds_the_whole_stream(anyio_backend: str) -> None:
    agent = plays(Step(["late"], gate=anyio.Event()))
    async with Mesh() as mesh:
        mesh.add(agent)
        with pytest.raises(TimeoutError):
            await agent.stream("a story", timeout=0.05).result()


async def test_a_stream_may_be_made_of_an_agent_that_nobody_else_holds(server: ModelServer, anyio_backend: str) -> None:
    deltas = [delta async for delta in LlmAgent("brief", "ollama::test-model", base_url=server.base_url).stream("hi")]

    assert "".join(deltas) == "echo: hi"
