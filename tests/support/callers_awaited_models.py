"""The verbs of agents that speak with a language model, each awaited once."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

import anyio.to_thread

from ceylon import Mesh
from support.callers_stage import Stage
from support.callers_table import entering

__all__ = ["AWAITED_MODELS"]

Use: TypeAlias = Callable[[Stage[Mesh]], Awaitable[Any]]

AWAITED_MODELS: Final[dict[str, Use]] = {}
"""What to do with each verb, by its name."""

of = entering(AWAITED_MODELS)


@of("agent.ask")
async def agent_ask(stage: Stage[Mesh]) -> Any:
    return await stage.mesh.ask("assistant", "hi")


@of("agent.send_message")
async def send_message(stage: Stage[Mesh]) -> Any:
    return await anyio.to_thread.run_sync(stage.tutor.send_message, "hi")


@of("agent.send_message_async")
async def send_message_async(stage: Stage[Mesh]) -> Any:
    return await stage.tutor.send_message_async("hi")


@of("agent.send_messages")
async def send_messages(stage: Stage[Mesh]) -> Any:
    return await anyio.to_thread.run_sync(stage.tutor.send_messages, ["one", "two"])


@of("agent.send_messages_async")
async def send_messages_async(stage: Stage[Mesh]) -> Any:
    return await stage.tutor.send_messages_async(["one", "two"])


@of("agent.stream")
async def agent_stream(stage: Stage[Mesh]) -> Any:
    return [delta async for delta in stage.tutor.stream("hi you")]


@of("agent.parts")
async def parts(stage: Stage[Mesh]) -> Any:
    return [type(part).__name__ async for part in stage.tutor.parts("hi you")]


@of("agent.complete")
async def complete(stage: Stage[Mesh]) -> Any:
    reply = await stage.tutor.complete("hi")
    return [reply.text, reply.finish]


@of("agent.as_completed")
async def as_completed(stage: Stage[Mesh]) -> Any:
    answers = [answer async for answer in stage.tutor.as_completed(["one", "two"])]
    return sorted([answer.index, answer.text] for answer in answers)


@of("agent.conversation")
async def conversation(stage: Stage[Mesh]) -> Any:
    chat = stage.tutor.conversation(stage.label())
    return chat.key.partition("-")[0]


@of("conversation.send")
async def conversation_send(stage: Stage[Mesh]) -> Any:
    chat = stage.tutor.conversation(stage.label())
    return [await chat.send("one"), await chat.send("two")]


@of("conversation.complete")
async def conversation_complete(stage: Stage[Mesh]) -> Any:
    return (await stage.tutor.conversation(stage.label()).complete("one")).text


@of("conversation.stream")
async def conversation_stream(stage: Stage[Mesh]) -> Any:
    return [delta async for delta in stage.tutor.conversation(stage.label()).stream("hi you")]


@of("conversation.history")
async def conversation_history(stage: Stage[Mesh]) -> Any:
    chat = stage.tutor.conversation(stage.label())
    await chat.send("one")
    return [[turn.role, turn.text] for turn in await chat.history()]


@of("conversation.clear")
async def conversation_clear(stage: Stage[Mesh]) -> Any:
    chat = stage.tutor.conversation(stage.label())
    await chat.send("one")
    await chat.clear()
    return list(await chat.history())


@of("answer.result")
async def answer_result(stage: Stage[Mesh]) -> Any:
    return (await stage.tutor.stream("hi").result()).text


@of("answer.close")
async def answer_close(stage: Stage[Mesh]) -> Any:
    deltas = stage.tutor.stream("hi you")
    first = await anext(deltas)
    await deltas.aclose()
    return [first, [delta async for delta in deltas]]


@of("answers.close")
async def answers_close(stage: Stage[Mesh]) -> Any:
    answers = stage.tutor.as_completed(["one"])
    first = await anext(answers)
    await answers.aclose()
    return [first.text, [answer.text async for answer in answers]]
