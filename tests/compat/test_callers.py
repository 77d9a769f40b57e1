"""Whose conversation a question to a language model belongs to."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio.to_thread

from ceylon.compat import Agent, LlmAgent, LocalMesh
from ceylon.testing import ScriptedModel, Step
from support.compat import echoing_llm, retold


def test_what_a_script_asks_in_turn_is_one_conversation() -> None:
    agent = echoing_llm()

    assert [agent.send_message("a"), agent.send_message_sync("b"), asyncio.run(agent.send_message("c"))] == [
        "2: a",
        "4: b",
        "6: c",
    ]


async def test_what_a_task_asks_in_turn_is_one_conversation() -> None:
    agent = echoing_llm()

    assert [await agent.send_message("a"), await agent.query("b"), await agent.send_message_async("c")] == [
        "2: a",
        "4: b",
        "6: c",
    ]


def test_what_is_asked_together_is_answered_apart_and_in_order() -> None:
    agent = echoing_llm()

    async def ask() -> Any:
        return await asyncio.gather(*(agent.send_message(word) for word in "abc"))

    assert asyncio.run(ask()) == ["2: a", "2: b", "2: c"]


def test_tasks_that_know_nothing_of_each_other_share_no_history() -> None:
    agent = echoing_llm()

    async def visitor(word: str) -> str:
        await agent.send_message("hello")
        return str(await agent.send_message(word))

    async def serve() -> list[str]:
        return [await asyncio.create_task(visitor("a")), await asyncio.create_task(visitor("b"))]

    assert asyncio.run(serve()) == ["4: a", "4: b"]


def test_threads_of_a_pool_share_no_history() -> None:
    agent = echoing_llm()

    with ThreadPoolExecutor(1) as pool:
        answers = [pool.submit(agent.send_message_sync, word).result() for word in "ab"]

    assert answers == ["2: a", "2: b"]


def test_an_agent_goes_on_with_its_own_conversation(mesh: LocalMesh) -> None:
    model = echoing_llm()

    class Boss(Agent):
        def on_message(self, message: Any, context: Any = None) -> Any:
            return model.send_message(message)

    for name in ("first", "second"):
        mesh.add_agent(Boss(name))

    answers = [mesh.query_sync(name, word).response for name in ("first", "second") for word in "ab"]

    assert answers == ["2: a", "4: b", "2: a", "4: b"]


def test_a_question_that_was_never_asked_keeps_no_conversation_closed() -> None:
    agent = echoing_llm()

    async def ask() -> list[str]:
        agent.send_message("never").close()
        return [await agent.send_message("a"), await agent.send_message("b")]

    assert asyncio.run(ask()) == ["2: a", "4: b"]


def test_a_question_that_is_given_up_keeps_no_conversation_closed() -> None:
    asked, gave_up = threading.Event(), threading.Event()

    async def for_ever() -> None:
        asked.set()
        try:
            await anyio.sleep_forever()
        finally:
            gave_up.set()

    agent = LlmAgent("llm", ScriptedModel([retold, Step("never", gate=for_ever), retold])).build()

    async def ask() -> str:
        await agent.send_message("a")
        waiting = asyncio.ensure_future(agent.send_message("b"))
        await asyncio.to_thread(asked.wait, 60)
        waiting.cancel()
        await asyncio.to_thread(gave_up.wait, 60)
        await asyncio.wait([waiting])
        return str(await agent.send_message("c"))

    assert asyncio.run(ask()) == "4: c"


def test_the_same_caller_is_known_in_and_out_of_a_mesh(mesh: LocalMesh) -> None:
    agent = echoing_llm()
    mesh.add_llm_agent(agent)

    assert [mesh.query_sync("llm", "a").response, agent.send_message("b")] == ["2: a", "4: b"]


def test_other_threads_go_on_while_a_blocking_question_is_open() -> None:
    helped, asked = threading.Event(), threading.Event()

    async def until_helped() -> None:
        asked.set()
        await anyio.to_thread.run_sync(helped.wait)

    agent = LlmAgent("llm", ScriptedModel([Step("well", gate=until_helped)])).build()

    def help_out() -> None:
        assert asked.wait(60)
        helped.set()

    thread = threading.Thread(target=help_out)
    thread.start()
    assert agent.send_message_sync("help") == "well"
    thread.join(60)
