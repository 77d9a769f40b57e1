"""The verbs of agents that speak with a language model, each used once in its blocking form."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from ceylon import BlockingMesh
from support.callers_stage import Stage
from support.callers_table import entering

__all__ = ["BLOCKING_MODELS"]

Use: TypeAlias = Callable[[Stage[BlockingMesh]], Any]

BLOCKING_MODELS: Final[dict[str, Use]] = {}
"""What to do with each verb, by its name."""

of = entering(BLOCKING_MODELS)


@of("agent.ask")
def agent_ask(stage: Stage[BlockingMesh]) -> Any:
    return stage.mesh.ask("assistant", "hi")


@of("agent.send_message")
def send_message(stage: Stage[BlockingMesh]) -> Any:
    return stage.tutor.send_message("hi")


@of("agent.send_message_async")
def send_message_async(stage: Stage[BlockingMesh]) -> Any:
    return asyncio.run(stage.tutor.send_message_async("hi"))


@of("agent.send_messages")
def send_messages(stage: Stage[BlockingMesh]) -> Any:
    return stage.tutor.send_messages(["one", "two"])


@of("agent.send_messages_async")
def send_messages_async(stage: Stage[BlockingMesh]) -> Any:
    return asyncio.run(stage.tutor.send_messages_async(["one", "two"]))


@of("agent.stream")
def agent_stream(stage: Stage[BlockingMesh]) -> Any:
    return list(stage.tutor.blocking.stream("hi you"))


@of("agent.parts")
def parts(stage: Stage[BlockingMesh]) -> Any:
    return [type(part).__name__ for part in stage.tutor.blocking.parts("hi you")]


@of("agent.complete")
def complete(stage: Stage[BlockingMesh]) -> Any:
    reply = stage.tutor.blocking.complete("hi")
    return [reply.text, reply.finish]


@of("agent.as_completed")
def as_completed(stage: Stage[BlockingMesh]) -> Any:
    return sorted([answer.index, answer.text] for answer in stage.tutor.blocking.as_completed(["one", "two"]))


@of("agent.conversation")
def conversation(stage: Stage[BlockingMesh]) -> Any:
    chat = stage.tutor.blocking.conversation(stage.label())
    return chat.key.partition("-")[0]


@of("conversation.send")
def conversation_send(stage: Stage[BlockingMesh]) -> Any:
    chat = stage.tutor.blocking.conversation(stage.label())
    return [chat.send("one"), chat.send("two")]


@of("conversation.complete")
def conversation_complete(stage: Stage[BlockingMesh]) -> Any:
    return stage.tutor.blocking.conversation(stage.label()).complete("one").text


@of("conversation.stream")
def conversation_stream(stage: Stage[BlockingMesh]) -> Any:
    return list(stage.tutor.blocking.conversation(stage.label()).stream("hi you"))


@of("conversation.history")
def conversation_history(stage: Stage[BlockingMesh]) -> Any:
    chat = stage.tutor.blocking.conversation(stage.label())
    chat.send("one")
    return [[turn.role, turn.text] for turn in chat.history()]


@of("conversation.clear")
def conversation_clear(stage: Stage[BlockingMesh]) -> Any:
    chat = stage.tutor.blocking.conversation(stage.label())
    chat.send("one")
    chat.clear()
    return list(chat.history())


@of("answer.result")
def answer_result(stage: Stage[BlockingMesh]) -> Any:
    return stage.tutor.blocking.stream("hi").result().text


@of("answer.close")
def answer_close(stage: Stage[BlockingMesh]) -> Any:
    deltas = stage.tutor.blocking.stream("hi you")
    first = next(deltas)
    deltas.close()
    return [first, list(deltas)]


@of("answers.close")
def answers_close(stage: Stage[BlockingMesh]) -> Any:
    answers = stage.tutor.blocking.as_completed(["one"])
    first = next(answers)
    answers.close()
    return [first.text, [answer.text for answer in answers]]
