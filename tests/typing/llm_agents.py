# pyright: reportUnnecessaryTypeIgnoreComment=true
"""What the type checkers know of an `LlmAgent`; never run."""

import asyncio
from collections.abc import Coroutine
from typing import Any, assert_type

from ceylon import Answer, ApprovalRequest, Approved, Conversation, Denied, LlmAgent, Mesh, Ref, Reply, Usage
from ceylon.models.turns import Part, Turn


class Tutor(LlmAgent):
    """A user's own."""


async def a_query_is_answered_by_text(agent: LlmAgent) -> None:
    asking: Coroutine[Any, Any, str] = agent.send_message_async("2+2?")
    assert_type(await asking, str)
    assert_type(await agent.send_message_async("2+2?", timeout=5), str)
    assert_type(await asyncio.gather(*[agent.send_message_async(query) for query in ("2+2?", "3+3?")]), list[str])
    assert_type(await asyncio.create_task(agent.send_message_async("2+2?")), str)
    assert_type(asyncio.run(agent.send_message_async("2+2?")), str)


async def a_whole_reply_is_a_reply(agent: LlmAgent) -> None:
    reply = await agent.complete("2+2?")
    assert_type(reply, Reply[Any])
    assert_type(reply.text, str)
    assert_type(reply.usage, Usage)


class Report:
    """Something to be answered with."""


async def an_answer_of_a_type_is_known_as_one(agent: LlmAgent) -> None:
    assert_type(await agent.complete("2+2?", output=Report), Reply[Report])
    assert_type((await agent.complete("2+2?", output=int)).output, int)
    assert_type(await agent.conversation("alice").complete("2+2?", output=Report, when="absorb"), Reply[Report])
    assert_type(agent.blocking.complete("2+2?", output=Report).output, Report)
    assert_type(agent.blocking.conversation("alice").complete("2+2?", output=Report).output, Report)


async def approvals_are_answered_by_one_of_two(ref: Ref) -> None:
    assert_type(await ref.ask(ApprovalRequest("shop", "pay", {"amount": 1})), Approved | Denied)


async def many_queries_are_answered_in_order(agent: LlmAgent) -> None:
    queries = ["2+2?", "3+3?"]
    assert_type(await agent.send_messages_async(queries), list[str])
    assert_type(await agent.send_messages_async(iter(queries), concurrency=5, progress=True), list[str])
    assert_type(await agent.send_messages_async(queries, return_exceptions=False), list[str])
    assert_type(await agent.send_messages_async(queries, return_exceptions=True), list[str | BaseException])


async def answers_come_as_they_are_ready(agent: LlmAgent) -> None:
    async for answer in agent.as_completed(["2+2?"], concurrency=5):
        assert_type(answer, Answer)
        assert_type(answer.index, int)
        assert_type(answer.query, str)
        assert_type(answer.text, str)
        assert_type(answer.error, BaseException | None)
        assert_type(answer.usage, Usage)


async def a_stream_gives_text_and_then_the_reply(agent: LlmAgent) -> None:
    async for delta in agent.stream("a story"):
        assert_type(delta, str)
    async with agent.stream("a story") as stream:
        assert_type(await anext(stream), str)
        assert_type(await stream.result(), Reply[Any])
    async for part in agent.parts("a story"):
        assert_type(part, Part)


async def a_conversation_keeps_its_history(agent: LlmAgent) -> None:
    chat = agent.conversation("alice")
    assert_type(chat, Conversation)
    assert_type(await chat.send("hi"), str)
    assert_type(await chat.send("stop", when="interrupt"), str)
    await chat.send("stop", when="now")  # type: ignore[arg-type]
    assert_type(await chat.complete("hi"), Reply[Any])
    assert_type(await chat.history(), tuple[Turn, ...])
    async for delta in chat.stream("a story"):
        assert_type(delta, str)


def every_verb_has_a_blocking_twin(agent: LlmAgent) -> None:
    queries = ["2+2?", "3+3?"]
    assert_type(agent.send_message("2+2?"), str)
    assert_type(agent.send_messages(queries), list[str])
    assert_type(agent.send_messages(queries, return_exceptions=True), list[str | BaseException])
    blocking = agent.blocking
    assert_type(blocking.send_message("2+2?"), str)
    assert_type(blocking.send_messages(queries), list[str])
    assert_type(blocking.send_messages(queries, return_exceptions=True), list[str | BaseException])
    assert_type(blocking.complete("2+2?"), Reply[Any])
    assert_type(blocking.conversation("alice").send("hi"), str)
    assert_type(blocking.conversation("alice").complete("hi"), Reply[Any])
    for delta in blocking.stream("a story"):
        assert_type(delta, str)
    for part in blocking.parts("a story"):
        assert_type(part, Part)
    for answer in blocking.as_completed(queries):
        assert_type(answer, Answer)


def the_fluent_style_keeps_the_class(tutor: Tutor) -> None:
    assert_type(tutor.with_system_prompt("Be concise.").with_temperature(0.7).with_max_tokens(100).build(), Tutor)
    assert_type(LlmAgent("assistant", "auto").build(), LlmAgent)
    tutor.with_temperature("warm")  # type: ignore[arg-type]


async def in_a_mesh_it_is_an_agent(mesh: Mesh, tutor: Tutor) -> None:
    assert_type(mesh.add(tutor), Ref)
    assert_type(tutor.name, str)
    assert_type(await mesh.ask("tutor/alice", "hi"), Any)
