"""The verified defects of `ceylonai-next`: none is kept, and each check turns red where the defect is made again."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from ceylon.compat import Agent, LlmAgent, LocalMesh
from ceylon.models.turns import Request
from ceylon.testing import ScriptedModel, Step
from support.compat import retold
from support.origin_defects import (
    Crowd,
    DeafToErrors,
    LoopForEachMessage,
    Mute,
    OneForAll,
    Polled,
    Reminding,
    WithoutRecipients,
)

Check: TypeAlias = Callable[[LocalMesh, Any, float], None]
"""Looks at a mesh and a kind of agent; it waits so long for what comes late."""


def replies_come_back(mesh: LocalMesh, kind: Any, patience: float) -> None:
    class Echo(kind):  # type: ignore[misc]
        def on_message(self, message: Any, context: Any = None) -> Any:
            return f"echo: {message}"

    mesh.add_agent(Echo("echo"))
    assert mesh.query_sync("echo", "hi").response == "echo: hi"


def async_handlers_share_a_loop(mesh: LocalMesh, kind: Any, patience: float) -> None:
    loops: set[Any] = set()

    class Looker(kind):  # type: ignore[misc]
        async def on_message(self, message: Any, context: Any = None) -> Any:
            loops.add(asyncio.get_running_loop())

    mesh.add_agent(Looker("looker"))
    for word in "ab":
        _ = mesh.query_sync("looker", word)
    assert len(loops) == 1


def errors_of_async_handlers_are_told(mesh: LocalMesh, kind: Any, patience: float) -> None:
    class Broken(kind):  # type: ignore[misc]
        async def on_message(self, message: Any, context: Any = None) -> Any:
            raise LookupError(message)

    mesh.add_agent(Broken("broken"))
    with pytest.raises(RuntimeError, match="hi"):
        _ = mesh.query_sync("broken", "hi")


def a_failure_loses_nobody_else_s_message(mesh: LocalMesh, kind: Any, patience: float) -> None:
    heard: list[str] = []

    class Listener(kind):  # type: ignore[misc]
        def on_message(self, message: Any, context: Any = None) -> Any:
            if message == "bad":
                raise LookupError(message)
            heard.append(message)

    for name in ("first", "second"):
        mesh.add_agent(Listener(name))
    for name, word in (("first", "a"), ("first", "bad"), ("first", "b"), ("second", "c")):
        mesh.send_to(name, word)
    try:
        mesh.process_messages()
    except LookupError:
        mesh.process_messages()
    assert sorted(heard) == ["a", "b", "c"]


def messages_are_handled_without_polling(mesh: LocalMesh, kind: Any, patience: float) -> None:
    heard = threading.Event()

    class Listener(kind):  # type: ignore[misc]
        def on_message(self, message: Any, context: Any = None) -> Any:
            heard.set()

    mesh.add_agent(Listener("listener"))
    mesh.send_to("listener", "hi")
    assert heard.wait(patience)


def sending_to_nobody_is_an_error(mesh: LocalMesh, kind: Any, patience: float) -> None:
    with pytest.raises(RuntimeError, match="nobody"):
        mesh.send_to("nobody", "hi")


def a_model_is_asked_once(mesh: LocalMesh, kind: Any, patience: float) -> None:
    go = threading.Event()

    async def until_reminded() -> None:
        await asyncio.to_thread(go.wait, 60)

    model = ScriptedModel([Step(retold, gate=until_reminded), retold, retold])
    mesh.add_llm_agent(LlmAgent("llm", model).build())
    mesh.submit("llm", "hi")
    mesh.send_reminders(0.0)
    go.set()
    (result,) = mesh.collect_results()
    mesh.stop()
    assert (result.response, len(model.requests)) == ("2: hi", 1)


def what_is_asked_together_is_answered_together(mesh: LocalMesh, kind: Any, patience: float) -> None:
    crowd = Crowd(3, patience)
    agent = kind("llm", ScriptedModel([Step(retold, gate=crowd)] * 3)).build()

    async def ask() -> Any:
        return await asyncio.gather(*(agent.send_message(word) for word in "abc"))

    answers = asyncio.run(ask())
    assert (crowd.most, answers) == (3, ["2: a", "2: b", "2: c"])


def callers_share_no_history(mesh: LocalMesh, kind: Any, patience: float) -> None:
    def count(request: Request) -> str:
        return str(len(request.turns))

    agent = kind("llm", ScriptedModel([count, count])).build()

    async def visitor() -> str:
        return str(await agent.send_message("hi"))

    async def serve() -> list[str]:
        return [await asyncio.create_task(visitor()) for _ in range(2)]

    assert asyncio.run(serve()) == ["2", "2"]


CHECKS: list[tuple[Check, type[LocalMesh], Any, Any]] = [
    (replies_come_back, LocalMesh, Agent, (LocalMesh, Mute)),
    (async_handlers_share_a_loop, LocalMesh, Agent, (LocalMesh, LoopForEachMessage)),
    (errors_of_async_handlers_are_told, LocalMesh, Agent, (LocalMesh, DeafToErrors)),
    (a_failure_loses_nobody_else_s_message, LocalMesh, Agent, (Polled, Agent)),
    (messages_are_handled_without_polling, LocalMesh, Agent, (Polled, Agent)),
    (sending_to_nobody_is_an_error, LocalMesh, Agent, (WithoutRecipients, Agent)),
    (a_model_is_asked_once, LocalMesh, Agent, (Reminding, Agent)),
    (what_is_asked_together_is_answered_together, LocalMesh, LlmAgent, (LocalMesh, OneForAll)),
    (callers_share_no_history, LocalMesh, LlmAgent, (LocalMesh, OneForAll)),
]
NAMES = [check.__name__ for check, *_ in CHECKS]


@pytest.mark.parametrize(("check", "mesh_class", "kind", "_"), CHECKS, ids=NAMES)
def test_a_defect_of_the_origin_is_not_kept(check: Check, mesh_class: type[LocalMesh], kind: Any, _: Any) -> None:
    mesh = mesh_class("market")
    check(mesh, kind, 60)
    mesh.stop()


@pytest.mark.parametrize(("check", "defect"), [(check, defect) for check, _, _, defect in CHECKS], ids=NAMES)
def test_a_defect_made_again_is_found(check: Check, defect: Any) -> None:
    mesh_class, kind = defect
    mesh = mesh_class("market")
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        check(mesh, kind, 0.05)
    mesh.stop()
